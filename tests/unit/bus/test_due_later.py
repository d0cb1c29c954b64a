"""Messages due later: never early, in the stated order, once, over restarts at any instant; and the agenda by itself.

Time is a number that the tests set. Everything else is the simulated pool, or a store.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crashes import under_way
from driven import BusSettings, Settings, WorkerSettings
from driven.adapters.stores.memory import MemoryStore
from driven.bus.agenda import Agenda
from driven.domain.messages import Envelope
from driven.service.aside import Aside, DueId, DueKey, Scheduled
from driven.service.built_in import Cancel, Schedule
from driven.service.event_store import Batch, LoggedMessage, LoggedOutcome, MessageKind, Status
from driven.service.registry import build_registry
from driven.testing.simulation import Faults, Simulation
from driven.wire import encode_body
from timers import Fire, Timer, app

if TYPE_CHECKING:
    from driven.service.event_store import EventStore, LogRecord

REGISTRY = build_registry(app)
SECOND = 1_000_000_000
CONFIGURATION = Settings(bus=BusSettings(retries=0), workers=WorkerSettings(max_attempts=1_000))
FAULTS = st.builds(
    Faults,
    kill=st.sampled_from([0.0, 0.0, 0.2]),
    ring_slots=st.integers(1, 4),
    late_store=st.sampled_from([0.0, 0.5]),
)
SEEDS = st.integers(0, 2**32)


class Clock:
    """A clock that stands still until somebody moves it."""

    def __init__(self) -> None:
        """It is some second."""
        self.now_ns = 1_000 * SECOND

    def __call__(self) -> int:
        """The time."""
        return self.now_ns


@st.composite
def timers(draw: st.DrawFn, least_s: int = 0) -> list[Fire]:
    """Trees of timers, all numbered; equal due times are frequent."""
    numbers = iter(range(10_000))

    def timer(depth: int, *, is_root: bool) -> Timer:
        after_s = None if is_root else draw(st.one_of(st.none(), st.integers(least_s, 3)))
        then = [timer(depth - 1, is_root=False) for _ in range(draw(st.integers(0, 3)) if depth else 0)]
        return Timer(next(numbers), after_s, tuple(then))

    keys = st.sampled_from(["a", "b"])
    return [Fire(draw(keys), timer(2, is_root=True)) for _ in range(draw(st.integers(1, 4)))]


def all_numbers(commands: list[Fire]) -> Counter[int]:
    """Every timer in these trees."""

    def below(timer: Timer) -> list[int]:
        return [timer.number, *(number for one in timer.then for number in below(one))]

    return Counter(number for command in commands for number in below(command.timer))


def rung(store: EventStore) -> Counter[int]:
    """Every timer that rang."""
    bodies = [store.load("timers.Bell", key).body for key in "ab"]
    return Counter(number for body in bodies if body is not None for number, _ in msgspec.msgpack.decode(body)["rung"])


def entered(store: EventStore) -> list[tuple[DueKey, LogRecord]]:
    """What was due later and has entered, in the order in which it did, with its place on the agenda."""
    records = {record.message.envelope.position: record for record in store.read(0, 1_000_000)}
    found = []
    for record in records.values():
        due = record.message.due
        if due:
            cause = records[record.message.envelope.causation].outcome
            assert cause is not None
            assert cause.aside is not None
            scheduled = cause.aside.scheduled[due - 1]
            assert (scheduled.name, scheduled.body) == (record.message.name, record.message.body)
            found.append((DueKey(scheduled.due_at_ns, cause.position, due), record))
    return found


def check_never_early_and_once(store: EventStore) -> None:
    """Of everything that has entered."""
    found = entered(store)
    assert all(record.message.envelope.recorded_at_ns >= key.due_at_ns for key, record in found)
    assert max(Counter(key for key, _ in found).values(), default=1) == 1


def tick(simulation: Simulation, clock: Clock) -> bool:
    """Let time go on to when the next message is due, and settle; False: none is."""
    due_ns = simulation.conductor.agenda.next_due_ns
    if due_ns is None:
        return False
    clock.now_ns = max(clock.now_ns, due_ns)
    simulation.conductor.turn(1_000)
    simulation.go_on()
    return True


@settings(max_examples=150)
@given(commands=timers(least_s=1), faults=FAULTS, seed=SEEDS)
def test_what_is_due_enters_when_it_is_in_the_order_of_time_cause_and_number(
    commands: list[Fire], faults: Faults, seed: int
) -> None:
    """O3: due time, position of the cause, number there; all of it rings once, and never early."""
    clock = Clock()
    simulation = Simulation(REGISTRY, workers=2, seed=seed, faults=faults, settings=CONFIGURATION, clock_ns=clock)
    simulation.run(commands)

    while tick(simulation, clock):
        pass

    check_never_early_and_once(simulation.store)
    keys = [key for key, _ in entered(simulation.store)]
    assert keys == sorted(keys)
    assert rung(simulation.store) == all_numbers(commands)


@settings(max_examples=60)
@given(commands=timers(least_s=1), faults=FAULTS, seed=SEEDS, workers=st.integers(1, 4))
def test_the_log_with_timers_is_the_same_for_any_number_of_workers_that_see_the_same_time(
    commands: list[Fire], faults: Faults, seed: int, workers: int
) -> None:
    """O6: where time goes on only when all has settled, as time is an input."""
    digests = set()
    for count in (0, workers):
        clock = Clock()
        simulation = Simulation(
            REGISTRY, workers=count, seed=seed, faults=faults, settings=CONFIGURATION, clock_ns=clock
        )
        simulation.run(commands)
        while tick(simulation, clock):
            pass
        digests.add(simulation.digest())

    assert len(digests) == 1


@settings(max_examples=150)
@given(
    commands=timers(),
    faults=FAULTS,
    seed=SEEDS,
    steps=st.lists(st.tuples(st.integers(0, 40), st.integers(-2, 5)), max_size=6),
)
def test_no_timer_is_lost_or_rings_twice_over_restarts_and_jumps_of_the_clock(
    commands: list[Fire], faults: Faults, seed: int, steps: list[tuple[int, int]]
) -> None:
    """U9, U6: buses crash at any step, and the clock jumps to and fro meanwhile."""
    clock, store, chance = Clock(), MemoryStore(), random.Random(seed)
    for number, (taken, jump_s) in enumerate(steps):
        simulation = Simulation(
            REGISTRY, workers=2, seed=seed + number, faults=faults, settings=CONFIGURATION, store=store, clock_ns=clock
        )
        simulation.begin(commands if not store.last_position else ())
        simulation.conductor.turn(4)
        simulation.go_on(taken)
        if (batch := under_way(simulation)) is not None and chance.random() < 0.5:
            store.append(batch)
        store.close()
        clock.now_ns += jump_s * SECOND

    last = Simulation(REGISTRY, workers=1, seed=seed, settings=CONFIGURATION, store=store, clock_ns=clock)
    last.run(commands if not store.last_position else ())
    while tick(last, clock):
        pass

    check_never_early_and_once(store)
    assert rung(store) == all_numbers(commands)
    assert list(store.due(None, 1)) == []


# Commands from outside.


def schedule(number: int, due_at_ns: int) -> Schedule:
    """A bell that somebody submitted."""
    fire = Fire("a", Timer(number))
    return Schedule(due_at_ns, "timers.Fire", 1, encode_body(fire), "a")


def test_a_cancelled_command_does_not_enter() -> None:
    """F3 of timers: a cancel is a command in the log; what has entered, or was cancelled, cannot be."""
    clock = Clock()
    simulation = Simulation(REGISTRY, workers=0, seed=1, settings=CONFIGURATION, clock_ns=clock)
    simulation.run([schedule(1, clock.now_ns + SECOND), schedule(2, clock.now_ns + SECOND)])

    simulation.run([Cancel(1, 1), Cancel(1, 1), Cancel(2, 9)])
    while tick(simulation, clock):
        pass
    simulation.run([Cancel(2, 1)])

    outcomes = [record.outcome for record in simulation.store.read(2, 3)]
    assert [one.status for one in outcomes if one] == [Status.SUCCEEDED, Status.FAILED, Status.FAILED]
    assert simulation.store.read(simulation.store.last_position - 1, 1)[0].outcome.status is Status.FAILED  # type: ignore[union-attr]
    assert rung(simulation.store) == Counter([2])


def test_a_cancel_waits_for_what_was_scheduled_right_before_it() -> None:
    """U3: the store learns of the one in an earlier batch than of the other."""
    clock = Clock()
    faults = Faults(late_store=0.7)
    simulation = Simulation(REGISTRY, workers=0, seed=3, faults=faults, settings=CONFIGURATION, clock_ns=clock)

    simulation.run([schedule(1, clock.now_ns), Cancel(1, 1), schedule(2, clock.now_ns)])
    while tick(simulation, clock):
        pass

    assert sum(rung(simulation.store).values()) == 2 - len(cancelled(simulation.store))
    assert list(simulation.store.due(None, 1)) == []


def cancelled(store: EventStore) -> list[DueId]:
    """What was."""
    outcomes = [record.outcome for record in store.read(0, 1_000)]
    return [due_id for one in outcomes if one is not None and one.aside is not None for due_id in one.aside.cancelled]


@pytest.mark.parametrize(("after_s", "hops"), [(0.999, [2, 4, 6]), (1, [0, 0, 0]), (None, [2, 4, 6])])
def test_who_waits_a_second_begins_a_new_chain(after_s: float | None, hops: list[int]) -> None:
    """F5, B13: a loop without a rest is stopped by its budget of hops; a timer may go on for ever."""
    clock = Clock()
    simulation = Simulation(REGISTRY, workers=0, seed=1, settings=CONFIGURATION, clock_ns=clock)
    timer = Timer(1, None, (Timer(2, after_s, (Timer(3, after_s, (Timer(4, after_s),)),)),))
    simulation.run([Fire("a", timer)])
    while tick(simulation, clock):
        pass

    records = [record.message for record in simulation.store.read(1, 99)]
    assert [one.envelope.hop for one in records if one.name == "timers.Fire"] == hops


# The agenda.


def scheduled(due_at_ns: int) -> Scheduled:
    """Anything."""
    return Scheduled(due_at_ns, "timers.Fire", 1, b"", None, 1, 0)


@settings(max_examples=300)
@given(
    acts=st.lists(
        st.one_of(
            st.lists(st.integers(1, 30), min_size=1, max_size=4).map(tuple),
            st.integers(0, 30),
            st.sampled_from(["append", "known", "cancel"]),
        ),
        max_size=40,
    ),
    window=st.integers(1, 4),
    seed=SEEDS,
)
def test_an_agenda_gives_what_a_sorted_list_would(
    acts: list[tuple[int, ...] | int | str], window: int, seed: int
) -> None:
    """B14: however small its window, and however late the store."""
    model = _Model(window, seed)
    for act in acts:
        if isinstance(act, tuple):
            model.schedule(act)
        elif isinstance(act, int):
            model.take(act)
        else:
            {"append": model.append, "known": model.known, "cancel": model.cancel}[act]()

    model.append()
    model.known()
    model.take(99)
    model.append()
    model.known()
    model.take(99)
    assert not model.waiting
    assert model.agenda.is_empty


class _Model:
    """An agenda over a store, and a list beside it of what should be on it."""

    def __init__(self, window: int, seed: int) -> None:
        self.store = MemoryStore()
        self.store.open()
        self.agenda = Agenda(self.store, window)
        self.agenda.open()
        self.chance = random.Random(seed)
        self.last = 0
        self.waiting: set[DueKey] = set()
        """What the agenda was told the store has."""
        self._batch: list[tuple[LoggedMessage, LoggedOutcome]] = []
        self._to_tell: list[tuple[bool, list[object]]] = []
        self._appended: list[tuple[bool, list[object]]] = []

    def schedule(self, due: tuple[int, ...]) -> None:
        """A message retires that schedules these."""
        cause, all_scheduled = self._next(), tuple(scheduled(one) for one in due)
        self._log(cause, 0, 0, Aside(scheduled=all_scheduled))
        self._to_tell.append((True, list(self.agenda.expect(cause, all_scheduled))))

    def take(self, now_ns: int) -> None:
        """Time goes on: what comes is what the list has."""
        while (due := self.agenda.take_due(now_ns)) is not None:
            assert due.key == min(self.waiting)
            assert due.key.due_at_ns <= now_ns
            self.waiting.remove(due.key)
            self._log(self._next(), due.id.cause, due.id.number, None)
            self._to_tell.append((False, [due.id]))
        assert all(key.due_at_ns > now_ns for key in self.waiting)

    def cancel(self) -> None:
        """One of those that are due, if any; the store has everything by then."""
        self.append()
        self.known()
        if self.waiting:
            key = self.chance.choice(sorted(self.waiting))
            assert self.agenda.cancel(DueId(key.cause, key.number))
            assert not self.agenda.cancel(DueId(key.cause, key.number))
            self.waiting.remove(key)
            self._log(self._next(), 0, 0, Aside(cancelled=(DueId(key.cause, key.number),)))
            self._to_tell.append((False, [DueId(key.cause, key.number)]))

    def append(self) -> None:
        """The store gets everything, and nobody is told."""
        admitted, retired = [one for one, _ in self._batch], [one for _, one in self._batch]
        self.store.append(Batch(admitted, retired))
        self._appended += self._to_tell
        self._batch, self._to_tell = [], []

    def known(self) -> None:
        """The agenda is told what the store has."""
        for is_scheduled, facts in self._appended:
            if is_scheduled:
                self.agenda.add(facts)  # type: ignore[arg-type]
                self.waiting.update(one.key for one in facts)  # type: ignore[attr-defined]
            else:
                self.agenda.settled(facts[0])  # type: ignore[arg-type]
        self._appended = []

    def _next(self) -> int:
        self.last += 1
        return self.last

    def _log(self, position: int, cause: int, due: int, aside: Aside | None) -> None:
        envelope = Envelope(position, f"@{position}", position, cause, 0, None, 1)
        message = LoggedMessage(envelope, MessageKind.COMMAND, "timers.Fire", 1, b"", due=due)
        self._batch.append((message, LoggedOutcome(position, Status.SUCCEEDED, 1, aside=aside)))
