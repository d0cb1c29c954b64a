"""O6 for as long as it is given: `make stress` draws applications and troubles until time is up, and prints each seed.

`DRIVEN_STRESS_S` says for how many seconds (default 600), `DRIVEN_STRESS_SEED` where to begin (default 1): a seed that
failed is run again, alone, with DRIVEN_STRESS_S=0. The seeds of `tests/integration` are the slice of this that runs
every time.
"""

from __future__ import annotations

import os
import random
import sys
import time
from typing import TYPE_CHECKING

import pytest

from driven import CommandSettings, Placement, Settings, WorkerSettings, open_bus, run
from driven.testing.simulation import Faults, Simulation
from ordering import app
from ordering_draws import drawn_commands, ticking_clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.stress, pytest.mark.timeout(0)]

FIRST_SEED = int(os.environ.get("DRIVEN_STRESS_SEED", "1"))
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


def test_simulated_pools_of_any_size_leave_the_log_of_the_inline_run() -> None:
    """O6: up to 64 workers, killed at random, with tiny rings, a slow store and drawn placements."""
    for seed in seeds(0.4):
        chance = random.Random(seed)
        commands = drawn_commands(seed)
        inline = Simulation(app, workers=0, seed=seed)
        inline.run(commands)
        configuration = Settings(
            workers=WorkerSettings(max_attempts=1_000_000),
            commands={
                name: CommandSettings(placement=chance.choice(list(Placement)))
                for name in ("Compute", "Deposit", "Audit")
            },
        )
        faults = Faults(
            kill=chance.choice([0, 0.05, 0.4]), ring_slots=chance.randint(1, 8), late_store=chance.random() * 0.9
        )
        simulation = Simulation(app, workers=chance.randint(1, 64), seed=seed, faults=faults, settings=configuration)
        simulation.run(commands)
        assert simulation.digest() == inline.digest(), f"seed {seed}"


def test_worker_processes_that_die_leave_the_log_of_the_inline_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O6, B6, D8: real processes that end themselves at drawn commands."""
    for seed in seeds(0.6):
        chance = random.Random(seed)
        monkeypatch.delenv("ORDERING_DEATH_MARKS", raising=False)
        expected = run(digest_of(seed, WorkerSettings(count=0)))
        marks = tmp_path / str(seed)
        marks.mkdir()
        monkeypatch.setenv("ORDERING_DEATH_MARKS", str(marks))
        workers = WorkerSettings(count=chance.randint(1, 6), max_attempts=100, ring_bytes=1 << chance.randint(12, 20))
        assert run(digest_of(seed, workers)) == expected, f"seed {seed}"


async def digest_of(seed: int, workers: WorkerSettings) -> str:
    """One run to its end, and its digest; all roots are admitted in one go, as their positions are part of the log."""
    async with open_bus(app, Settings(workers=workers), clock_ns=ticking_clock()) as bus:
        for receipt in [await bus.submit(command) for command in drawn_commands(seed)]:
            await receipt.settled()
        return bus.log_digest()
