"""O6 and O9 for as long as it is given: `make stress` draws applications and troubles until time is up.

`DRIVEN_STRESS_S` says for how many seconds (default 600), `DRIVEN_STRESS_SEED` where to begin (default 1); each seed is
printed. One that failed is run again, alone, with DRIVEN_STRESS_S=0. The seeds of `tests/integration` are the slice of
this that runs every time.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import pytest

from driven import BusSettings, CommandSettings, Placement, Settings, WorkerSettings
from driven.service.registry import build_registry
from driven.testing.simulation import Faults, Simulation
from namespaces import why_no_namespace
from ordeal import faultless, ordeal, round_of
from ordering import app
from ordering_draws import SHORT, SHORT_AND_LONG, drawn_commands
from promises import broken_promises

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.settings import Ordering

pytestmark = [pytest.mark.stress, pytest.mark.timeout(0)]

FIRST_SEED = int(os.environ.get("DRIVEN_STRESS_SEED", "1"))
ORDERINGS: list[Ordering] = ["strict", "strict", "keyed"]
REGISTRY = build_registry(app)
PATIENCE_S = 300.0
"""For one round of the ordeal."""

SECONDS = float(os.environ.get("DRIVEN_STRESS_S", "600"))


def seeds(share: float) -> Iterator[int]:
    """Seeds from the first one on, until `share` of the time is up; at least one."""
    deadline = time.monotonic() + SECONDS * share
    seed = FIRST_SEED
    while True:
        sys.stdout.write(f"seed {seed}\n")
        yield seed
        if time.monotonic() >= deadline:
            return
        seed += 1


def test_simulated_pools_of_any_size_keep_what_is_promised() -> None:
    """O6, O9: up to 64 workers, killed at random, with tiny rings, a slow store, drawn placements, either order."""
    for seed in seeds(0.2):
        chance = random.Random(seed)
        placements = {
            name: CommandSettings(placement=chance.choice(list(Placement))) for name in ("Compute", "Deposit", "Audit")
        }
        faults = Faults(
            kill=chance.choice([0, 0.05, 0.4]), ring_slots=chance.randint(1, 8), late_store=chance.random() * 0.9
        )
        workers, ordering, has_long = chance.randint(1, 64), chance.choice(ORDERINGS), chance.random() < 0.4
        commands = drawn_commands(seed, kinds=SHORT_AND_LONG if has_long else SHORT)
        configuration = Settings(
            bus=BusSettings(ordering=ordering), workers=WorkerSettings(max_attempts=1_000_000), commands=placements
        )
        simulation = Simulation(app, workers=workers, seed=seed, faults=faults, settings=configuration)
        simulation.run(commands)
        assert broken_promises(simulation.store, REGISTRY, ordering) == (), f"seed {seed}"
        if ordering == "strict" and not has_long:
            inline = Simulation(app, workers=0, seed=seed)
            inline.run(commands)
            assert simulation.digest() == inline.digest(), f"seed {seed}"


def test_workers_in_every_trouble_keep_what_is_promised() -> None:
    """O6, O9, W3 to W9: the ordeal, round by round; its seeds strike the same blows again."""
    blows: Counter[str] = Counter()
    rounds: Counter[str] = Counter()
    messages = 0
    for seed in seeds(0.8):
        one = round_of(seed)
        if one.is_memory_full and why_no_namespace():
            sys.stdout.write(f"  /dev/shm stays as it is: {why_no_namespace()}\n")
            one = msgspec.structs.replace(one, is_memory_full=False)
        report = ordeal(one, PATIENCE_S)
        assert report == faultless(one, report), f"seed {seed}"
        blows.update(fault.kind for fault in report.struck)
        rounds[f"{one.ordering} on {one.kind}{', long' if one.has_long else ''}"] += 1
        messages += report.messages
    sys.stdout.write(f"{messages:,} messages, {dict(blows)}: 0 lost, 0 twice, 0 out of order, no promise broken\n")
    sys.stdout.write(f"rounds: {dict(sorted(rounds.items()))}\n")
