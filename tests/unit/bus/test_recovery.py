"""U9: a log that buses crashed over, at any step, ends up as that of a run that nothing disturbed.

Random applications in the simulated pool, with deaths, stale reads, full rings and a slow store; crashes at random
steps, several in a row, also while the bus before has only just taken up what was left.
"""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crashes import Course, run_with_crashes
from driven import BusSettings, Settings, WorkerSettings
from driven.adapters.stores.memory import MemoryStore
from driven.service.event_store import LoggedMessage, MessageKind, Status, log_digest, retired_records
from driven.service.registry import build_registry
from driven.testing.simulation import Faults, Simulation
from ordering import Plan, app, command_of
from ordering_plans import SHORT_AND_LONG, plans
from replaying import check_replay

REGISTRY = build_registry(app)
KEYS = st.sampled_from("abcd")
FAULTS = st.builds(
    Faults,
    kill=st.sampled_from([0.0, 0.0, 0.1, 0.3]),
    recycle=st.sampled_from([0.0, 0.0, 0.2]),
    ring_slots=st.integers(1, 4),
    late_store=st.sampled_from([0.0, 0.5, 0.8]),
)
COURSES = st.builds(
    Course,
    workers=st.lists(st.sampled_from([0, 1, 2, 4]), min_size=1, max_size=3).map(tuple),
    crashes=st.lists(st.integers(0, 6) | st.integers(0, 60), min_size=1, max_size=4).map(tuple),
    faults=FAULTS,
    seed=st.integers(0, 2**32),
)
ROOTS = st.lists(plans(2), min_size=1, max_size=6)
LONG_ROOTS = st.lists(plans(2, SHORT_AND_LONG), min_size=1, max_size=5)
BUDGETS = st.sampled_from([BusSettings(), BusSettings(max_descendants=3), BusSettings(max_hops=3)])


def configured(bus: BusSettings) -> Settings:
    """No command is given up because of deaths, which are the simulation's and not its own."""
    return Settings(bus=bus, workers=WorkerSettings(max_attempts=1_000_000))


def undisturbed(roots: list[Plan], configuration: Settings) -> MemoryStore:
    """The log of the run with neither workers nor crashes."""
    store = MemoryStore()
    Simulation(REGISTRY, workers=0, seed=0, settings=configuration, store=store).run(
        [command_of(plan) for plan in roots]
    )
    return store


@settings(max_examples=500)
@given(roots=ROOTS, course=COURSES, bus=BUDGETS)
def test_a_log_that_buses_crashed_over_is_that_of_an_undisturbed_run(
    roots: list[Plan], course: Course, bus: BusSettings
) -> None:
    """U9, O1, O2, O3, O6, F2, F5: positions, order, outcomes, budgets and what is parked are the same."""
    configuration = configured(bus)

    store = run_with_crashes(REGISTRY, [command_of(plan) for plan in roots], course, configuration)

    order = [record.message.envelope.position for record in retired_records(store)]
    assert order == list(range(1, store.last_position + 1))
    assert log_digest(store) == log_digest(undisturbed(roots, configuration))


@pytest.mark.parametrize("ordering", ["strict", "keyed"])
@settings(max_examples=250)
@given(roots=LONG_ROOTS, course=COURSES)
def test_long_commands_and_keyed_order_survive_crashes(ordering: str, roots: list[Plan], course: Course) -> None:
    """U9, O9: nothing is lost, nothing is done twice, and whoever replays the log in its order gets the same."""
    configuration = configured(BusSettings(ordering=ordering))  # type: ignore[arg-type]  # one of the two words

    store = run_with_crashes(REGISTRY, [command_of(plan) for plan in roots], course, configuration)

    order = list(retired_records(store))
    positions = [record.message.envelope.position for record in order]
    assert sorted(positions) == list(range(1, store.last_position + 1))
    assert not store.unfinished()
    started = [one.position for record in order if (one := record.outcome) and one.status is Status.STARTED]
    late = [
        record.message.envelope.causation
        for record in order
        if record.message.kind is MessageKind.COMMAND and record.message.envelope.causation in started
    ]
    assert sorted(late) == sorted(started)
    for key in "abcd":
        commands = [record.message.envelope for record in order if touches(record.message, key)]
        assert [one.position for one in commands] == sorted(one.position for one in commands)
    check_replay(store, REGISTRY)


def touches(message: LoggedMessage, key: str) -> bool:
    """Whether it is a command of this key, or of all state."""
    return message.envelope.key == key or message.name == "ordering.Audit"


@settings(max_examples=100)
@given(roots=LONG_ROOTS, course=COURSES, bus=BUDGETS)
def test_long_commands_leave_the_same_log_where_there_are_no_workers(
    roots: list[Plan], course: Course, bus: BusSettings
) -> None:
    """U9, O9, F5: then even their outcomes have their places, and what they cause its chain of causes."""
    configuration, alone = configured(bus), msgspec.structs.replace(course, workers=(0,))

    store = run_with_crashes(REGISTRY, [command_of(plan) for plan in roots], alone, configuration)

    assert log_digest(store) == log_digest(undisturbed(roots, configuration))


CHILDREN = (Plan(kind="keyed", key="c", fails="always"), Plan(kind="long keyed"))


def test_these_courses_leave_every_kind_of_thing_to_take_up() -> None:
    """U9: the properties above would prove little if a crash never left anything behind."""
    left: Counter[str] = Counter()
    roots = [Plan(kind=kind, key=key, children=CHILDREN) for kind in SHORT_AND_LONG for key in "ab"]

    for seed in range(60):
        store = MemoryStore()
        simulation = Simulation(REGISTRY, workers=2, seed=seed, faults=Faults(late_store=0.5), store=store)
        simulation.begin([command_of(plan) for plan in roots])
        simulation.go_on(10 + 2 * seed)
        messages = store.unretired(0, 1_000)
        left["events"] += any(one.kind is MessageKind.EVENT for one in messages)
        left["commands"] += any(one.kind is MessageKind.COMMAND for one in messages)
        left["started"] += bool(store.unfinished())
        left["late"] += any(one.envelope.causation in store.unfinished() for one in messages)
        left["parked"] += bool(store.parked_keys())

    assert all(left[what] >= 3 for what in ("events", "commands", "started", "late", "parked")), left
