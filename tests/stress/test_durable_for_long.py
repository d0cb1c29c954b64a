"""U9 for as long as it is given: `make stress-durable` kills processes at every numbered point, and a census at random.

`DRIVEN_STRESS_SEED` says where to begin (default 1), `DRIVEN_STRESS_KILLS` how often each point is tried (default 20),
`DRIVEN_STRESS_CENSUS_KILLS` how many SIGKILLs the census gets (default 500). Each seed is printed before it is tried:
one that failed is run again with DRIVEN_STRESS_SEED=<seed> DRIVEN_STRESS_KILLS=1.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from doomed_program import Errand
from fault_points import ONCE, FaultPoint
from killed_census import kill_census
from killing import survive

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.stress, pytest.mark.timeout(0)]

FIRST_SEED = int(os.environ.get("DRIVEN_STRESS_SEED", "1"))
KILLS = int(os.environ.get("DRIVEN_STRESS_KILLS", "20"))
CENSUS_KILLS = int(os.environ.get("DRIVEN_STRESS_CENSUS_KILLS", "500"))
MOST_HITS = {point: 1 for point in FaultPoint if point in ONCE} | {FaultPoint.RECOVERING: 8}
"""How often a process comes by a point, where that is not often."""
OFTEN = 40


@pytest.mark.parametrize("point", FaultPoint, ids=lambda point: point.name.lower())
def test_a_process_that_is_killed_again_and_again_leaves_a_whole_log(point: FaultPoint, tmp_path: Path) -> None:
    """U9, U3, U4: at any of its turns at the point, in strict and keyed order, with detached commands and without."""
    for seed in range(FIRST_SEED, FIRST_SEED + KILLS):
        errand = drawn_errand(seed, point, tmp_path)
        sys.stdout.write(f"seed {seed} {errand}\n")
        while True:
            shutil.rmtree(tmp_path / "run", ignore_errors=True)
            (tmp_path / "run").mkdir()
            if survive(errand, tmp_path / "run"):
                break
            assert errand.hit > 1, "the process never comes by this point"
            errand = msgspec.structs.replace(errand, hit=errand.hit // 2)  # it does not come by as often as that


def drawn_errand(seed: int, point: FaultPoint, folder: Path) -> Errand:
    """What is done under this seed."""
    chance = random.Random(seed * 100 + point)
    is_plain = chance.random() < 0.6
    needs_workers = point in {FaultPoint.DISPATCHED, FaultPoint.STARTED}
    return Errand(
        file=str(folder / "run" / "driven.db"),
        seed=seed,
        workers=chance.choice([1, 2]) if needs_workers else chance.choice([0, 0, 1, 2]),
        at_once=not is_plain and chance.random() < 0.5,
        has_long=point is FaultPoint.STARTED or (not is_plain and chance.random() < 0.5),
        ordering="strict" if is_plain else chance.choice(["strict", "keyed"]),
        point=point,
        hit=chance.randint(1, MOST_HITS.get(point, OFTEN)),
    )


def test_a_census_survives_hundreds_of_kills_of_its_bus_and_of_its_workers(tmp_path: Path) -> None:
    """U9, W4, W7: whoever is killed whenever, surveys over one file leave the log of a run without workers."""
    sys.stdout.write(f"seed {FIRST_SEED}\n")

    report = kill_census(tmp_path, seed=FIRST_SEED, kills=CENSUS_KILLS)

    sys.stdout.write(f"{report}\n")
    assert report.bus_kills + report.worker_kills >= CENSUS_KILLS
