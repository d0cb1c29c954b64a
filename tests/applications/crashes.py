"""Simulated buses that crash, one after the other over the same log, until the last one brings everything to its end.

A crash is the moment after which nothing more is done: what had been appended is in the store, what was in memory is
gone, and of the batch that was under way the seed says whether it got there before nobody could be told.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec

from driven.adapters.stores.memory import MemoryStore
from driven.testing.simulation import Faults, Simulation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driven import Command, Settings
    from driven.service.built_in import BuiltIn
    from driven.service.event_store import Batch
    from driven.service.registry import Registry


class Course(msgspec.Struct, frozen=True):
    """What happens to the buses of one log."""

    workers: tuple[int, ...]
    """How many workers each bus has, in turn."""
    crashes: tuple[int, ...]
    """After how many steps each bus crashes; the one after the last does not."""
    faults: Faults
    seed: int


def run_with_crashes(
    registry: Registry,
    commands: Sequence[Command | BuiltIn],
    course: Course,
    settings: Settings,
    store: MemoryStore | None = None,
) -> MemoryStore:
    """The log of buses that crash, and of the last one, which brings everything to its end; `store`, or a new one.

    What was not in the log when a bus crashed is submitted again to the next one: nobody had been told that it was
    accepted.
    """
    store, chance = MemoryStore() if store is None else store, random.Random(course.seed)
    before = store.last_position
    for number, steps in enumerate([*course.crashes, None]):
        simulation = Simulation(
            registry,
            workers=course.workers[number % len(course.workers)],
            seed=course.seed + number,
            faults=course.faults,
            settings=settings,
            store=store,
        )
        simulation.begin(commands if store.last_position == before else ())
        simulation.go_on(steps)
        assert simulation.conductor.failure is None
        if steps is not None and (batch := under_way(simulation)) is not None and chance.random() < 0.5:
            store.append(batch)
        store.close()
    return store


def under_way(simulation: Simulation) -> Batch | None:
    """The batch that the store thread has and has not said to be in the store."""
    held = simulation.committer._under_way  # noqa: SLF001 - who crashes takes nobody's leave
    return None if held is None else held[0]
