"""U9, F3: buses crash while messages are parked and redriven, and the log ends up as that of an undisturbed run.

Random scripts of commands and redrives in phases, in each of which something else is broken; a crash at random steps of
each phase. What enters again, what moves behind it and what is given up must be the same.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

import parking
from crashes import Course, run_with_crashes
from driven import BusSettings, Settings, WorkerSettings
from driven.adapters.stores.memory import MemoryStore
from driven.domain.messages import Command
from driven.service.built_in import BuiltIn, Redrive, Verb
from driven.service.event_store import log_digest
from driven.service.registry import build_registry
from driven.testing.simulation import Faults
from parking import Apply, Begin

Phase: TypeAlias = tuple[frozenset[int], list[Command | BuiltIn]]
"""What is broken meanwhile, and what is submitted."""

REGISTRY = build_registry(parking.app)
KEYS = st.sampled_from("abc")
NUMBERS = st.integers(1, 24)
ODD = NUMBERS.map(lambda number: number | 1)
"""Numbers of which nothing detached follows."""
BUDGETS = st.sampled_from([BusSettings(retries=0)] * 2 + [BusSettings(retries=0, max_descendants=4)])
COURSES = st.builds(
    Course,
    workers=st.lists(st.sampled_from([0, 1, 3]), min_size=1, max_size=3).map(tuple),
    crashes=st.lists(st.integers(0, 6) | st.integers(0, 40), min_size=1, max_size=3).map(tuple),
    faults=st.builds(Faults, kill=st.sampled_from([0.0, 0.2]), late_store=st.sampled_from([0.0, 0.5, 0.8])),
    seed=st.integers(0, 2**32),
)


def scripts(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[list[Phase]]:
    """Commands and redrives in turns."""
    begin = st.builds(Begin, st.lists(st.tuples(KEYS, numbers), min_size=1, max_size=3).map(tuple))
    redrive = st.builds(Redrive, st.sampled_from(Verb), KEYS)
    commands = st.lists(st.one_of(begin, st.builds(Apply, KEYS, numbers), redrive, redrive), max_size=7)
    return st.lists(st.tuples(st.frozensets(numbers), commands), min_size=1, max_size=3)


def run(script: list[Phase], course: Course, bus: BusSettings) -> MemoryStore:
    """All phases, and then retries of everything that is still parked."""
    configuration = Settings(bus=bus, workers=WorkerSettings(max_attempts=1_000_000))
    store = MemoryStore()
    retries: list[Command | BuiltIn] = [Redrive(Verb.RETRY, key) for key in "abc"]
    for broken, commands in (*script, (frozenset[int](), retries), (frozenset[int](), retries)):
        parking.BROKEN.clear()
        parking.BROKEN.update(broken)
        parking.STUCK.clear()
        parking.STUCK.update(number for number in broken if number % 3 == 0)
        run_with_crashes(REGISTRY, commands, course, configuration, store)
    return store


def undisturbed(script: list[Phase], bus: BusSettings) -> MemoryStore:
    """The log of the run with neither workers nor crashes."""
    return run(script, Course(workers=(0,), crashes=(), faults=Faults(), seed=0), bus)


@settings(max_examples=200)
@given(script=scripts(ODD), course=COURSES, bus=BUDGETS)
def test_redrives_that_buses_crashed_over_do_what_they_would_have_done(
    script: list[Phase], course: Course, bus: BusSettings
) -> None:
    """U9, F3, F5, O6: any number of workers; whatever a crash is in the middle of."""
    store = run(script, course, bus)

    assert not store.unretired(0, 1)
    assert log_digest(store) == log_digest(undisturbed(script, bus))


@settings(max_examples=200)
@given(script=scripts(NUMBERS), course=COURSES, bus=BUDGETS)
def test_detached_commands_among_them_do_so_where_there_are_no_workers(
    script: list[Phase], course: Course, bus: BusSettings
) -> None:
    """U9, F3, O9: then the places of their outcomes are the same as well."""
    store = run(script, msgspec.structs.replace(course, workers=(0,)), bus)

    assert not store.unfinished()
    assert log_digest(store) == log_digest(undisturbed(script, bus))
