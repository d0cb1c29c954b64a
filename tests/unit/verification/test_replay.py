"""Recorded commands run again: nothing differs as long as handlers are what they were, whoever runs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import ordering
from driven import (
    Aggregate,
    Application,
    BusSettings,
    Command,
    Context,
    Event,
    EventSourcedAggregate,
    Placement,
    Settings,
    UnitOfWork,
    WorkerSettings,
    applies,
)
from driven.adapters.stores.memory import MemoryStore
from driven.service.built_in import Redrive, Verb
from driven.service.event_store import Batch, LoggedOutcome, MessageKind, Status
from driven.service.registry import build_registry
from driven.testing.simulation import Faults, Simulation
from driven.wire import Failure
from ordering import Plan, command_of
from ordering_plans import SHORT_AND_LONG, plans
from verifying import judged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driven.service.event_store import EventStore, LogRecord

Handler: TypeAlias = Callable[..., Any]

ORDERING = build_registry(ordering.app)
ROOTS = st.lists(plans(1, SHORT_AND_LONG, keys="abc", children=2), min_size=1, max_size=6)
FAULTS = st.builds(Faults, kill=st.sampled_from([0.0, 0.2]), recycle=st.sampled_from([0.0, 0.2]))


def commands_in(store: EventStore) -> int:
    """How many commands of a log retired with an outcome of their own."""
    return sum(
        record.message.kind is MessageKind.COMMAND
        and record.outcome is not None
        # A detached command is in the log twice.
        and record.outcome.status is not Status.STARTED
        for record in store.read(0, 100_000)
    )


@settings(max_examples=120)
@given(
    roots=ROOTS,
    order=st.sampled_from(["strict", "keyed"]),
    workers=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    faults=FAULTS,
    seed=st.integers(0, 2**32),
)
def test_a_log_verifies_against_the_code_that_wrote_it(
    roots: list[Plan], order: Literal["strict", "keyed"], workers: tuple[int, int], faults: Faults, seed: int
) -> None:
    """X2, O6, O9: failures, retries, detached commands, reads that did not travel, any order, any workers."""
    configuration = Settings(bus=BusSettings(ordering=order), workers=WorkerSettings(max_attempts=1_000_000))
    simulation = Simulation(ORDERING, workers=workers[0], seed=seed, faults=faults, settings=configuration)
    simulation.run([command_of(plan) for plan in roots])

    found = judged(ORDERING, simulation.store, workers=workers[1], seed=seed, faults=faults)

    assert found.differences() == ()
    assert (found.different, found.same + found.not_comparable) == (0, commands_in(simulation.store))
    assert {one.reason for one in found.reasons()} <= {"it was parked without having run"}


def test_verifying_writes_nothing_and_runs_no_reaction_and_no_projector() -> None:
    """X2, B10: reactions and projectors that would raise when called, and a store that would tell of a write."""
    simulation = Simulation(ORDERING, workers=0, seed=0)
    simulation.run([deposit_of(n) for n in range(5)])
    before = (simulation.store.last_position, simulation.digest())
    silent = Application("ordering")
    silent.handlers.extend(ordering.app.handlers)

    @silent.reacts_to(ordering.Happened)
    def explode(event: ordering.Happened) -> ordering.Compute:
        raise AssertionError

    @silent.projects(ordering.Noted)
    def burst(event: ordering.Noted) -> None:
        raise AssertionError

    found = judged(build_registry(silent), simulation.store)

    assert (found.same, found.different) == (commands_in(simulation.store), 0)
    assert (simulation.store.last_position, simulation.digest()) == before


def deposit_of(amount: int) -> Command:
    """A deposit that touches the accounts of others."""
    return command_of(Plan(kind="keyed", key="abc"[amount % 3], touches=("a", "b"), amount=amount))


# An application that can be changed between two runs.


class Price(Command):
    item: str
    cents: int


class Priced(Event):
    item: str
    total: int
    parts: dict[str, int] = msgspec.field(default_factory=dict)


class Shelf(Aggregate):
    stock: int = 0
    label: str = ""


def shop(handler: Handler) -> Application:
    """The shop with this handler."""
    app = Application("shop")
    app.handles(Price, emits=(Priced,), placement=Placement.WORKER)(handler)
    return app


def recorded(handler: Handler, commands: Sequence[Command] = (Price("a", 1),)) -> MemoryStore:
    """The log of the shop under this handler."""
    store = MemoryStore()
    simulation = Simulation(shop(handler), workers=0, seed=0, store=store)
    simulation.run(commands)
    return store


def told(store: MemoryStore, handler: Handler) -> list[tuple[str, str, str]]:
    """The differences that verifying the shop with another handler finds, in one list."""
    found = judged(build_registry(shop(handler)), store)
    return [(one.place, one.recorded, one.now) for difference in found.differences() for one in difference.fields]


def honest(command: Price) -> Priced:
    """Tells the price."""
    return Priced(command.item, command.cents, {"net": command.cents, "tax": 0})


def greedy(command: Price) -> Priced:
    """Another total, and other parts."""
    return Priced(command.item, command.cents + 1, {"net": command.cents, "fee": 1})


def chatty(command: Price) -> list[Priced]:
    """Tells it twice."""
    return [honest(command), honest(command)]


def failing(command: Price) -> Priced:
    """Refuses."""
    raise ValueError(command.item)


def failing_otherwise(command: Price) -> Priced:
    """Refuses with another error."""
    raise KeyError(command.item)


def stocking(command: Price, uow: UnitOfWork) -> None:
    """Adds to the stock of a shelf that is there or not."""
    shelf = uow.find(Shelf, command.item)
    if shelf is None:
        shelf = Shelf(command.item)
        uow.add(shelf)
    shelf.stock += command.cents


def overstocking(command: Price, uow: UnitOfWork) -> None:
    """The same, and a label."""
    stocking(command, uow)
    shelf = uow.get(Shelf, command.item)
    shelf.label = f"{shelf.stock} now"


def adding_anew(command: Price, uow: UnitOfWork) -> None:
    """Adds a shelf without looking whether it is there."""
    uow.add(Shelf(command.item, command.cents))


def labelling(command: Price, uow: UnitOfWork) -> None:
    """Looks, and changes nothing."""
    uow.find(Shelf, command.item)


TWICE = (Price("a", 1), Price("a", 2))


@pytest.mark.parametrize(
    ("before", "now", "differences"),
    [
        (honest, honest, []),
        (
            honest,
            greedy,
            [
                ("event 1 shop.Priced: total", "1", "2"),
                ("event 1 shop.Priced: parts.tax", "0", ""),
                ("event 1 shop.Priced: parts.fee", "", "1"),
            ],
        ),
        (honest, chatty, [("events", "1: shop.Priced", "2: shop.Priced, shop.Priced")]),
        (honest, failing, [("outcome", "succeeded", "failed: ValueError: a")]),
        (failing, honest, [("outcome", "failed: ValueError: a", "succeeded")]),
        (failing, failing, []),
        (failing, failing_otherwise, [("outcome", "failed: ValueError: a", "failed: KeyError: 'a'")]),
        (stocking, labelling, [("shop.Shelf 'a'", "changed", "left as it was")]),
        (stocking, overstocking, [("shop.Shelf 'a': label", "''", "'1 now'")]),
    ],
)
def test_what_differs_is_told_place_by_place(
    before: Handler, now: Handler, differences: list[tuple[str, str, str]]
) -> None:
    """X2: how it ended, which events, which fields of an event, which fields of an aggregate."""
    assert told(recorded(before), now) == differences


def test_the_state_of_then_is_what_a_command_sees() -> None:
    """X2: the second change differs by what it does itself; that the first one differed does not come back in it."""
    differences = told(recorded(stocking, TWICE), overstocking)

    assert differences == [
        ("shop.Shelf 'a': label", "''", "'1 now'"),
        ("shop.Shelf 'a': label", "''", "'3 now'"),
    ]


def test_what_is_added_though_it_was_there_fails_as_it_would_on_the_bus() -> None:
    """O5: a unit of work that adds unseen what exists is told at the head."""
    (difference,) = told(recorded(stocking, TWICE), adding_anew)

    assert difference[:2] == ("outcome", "succeeded")
    assert difference[2].startswith("failed: driven.errors.AggregateExists: shop.Shelf 'a' exists already")


def test_a_recorded_clash_is_a_clash_again() -> None:
    """O5: the failure that the bus made of an added aggregate is found again."""
    store = recorded(adding_anew, TWICE)

    assert told(store, adding_anew) == []
    assert [record.outcome.status for record in store.read(0, 9) if record.outcome] == [
        Status.SUCCEEDED,
        Status.FAILED,
    ]


def test_time_ids_and_chance_are_those_of_then() -> None:
    """O6: they come from the recorded envelope and the id of the log, not from the run of today."""

    def dicing(command: Price, context: Context) -> Priced:
        moment = f"{context.now} {context.new_id()} {context.attempt}"
        return Priced(moment, context.random.randrange(10**9))

    assert told(recorded(dicing, TWICE), dicing) == []


def test_an_event_that_has_got_a_field_since_is_the_same_as_long_as_that_has_its_default() -> None:
    """X3: what today's code reads counts, not the bytes."""
    store = recorded(honest)
    (_, event) = (record.message for record in store.read(0, 9))
    shorter = event.body.replace(b"\xa5parts\x82\xa3net\x01\xa3tax\x00", b"").replace(b"\x83\xa4item", b"\x82\xa4item")
    assert shorter != event.body
    store._messages[1] = replace(event, body=shorter)  # noqa: SLF001 - as an older version of the class wrote it

    def plain(command: Price) -> Priced:
        return Priced(command.item, command.cents)

    assert told(store, plain) == []
    assert told(store, honest)[0][0] == "event 1 shop.Priced: parts.net"


@pytest.mark.parametrize("error_type", ["driven.errors.WorkerDied", "MemoryError"])
def test_deaths_and_other_accidents_are_not_compared(error_type: str) -> None:
    """W5: what killed the workers of then tells nothing of the handler of today."""
    store = recorded(failing)
    (outcome,) = store._retired  # noqa: SLF001 - a death is recorded like this
    store._retired[0] = store._outcomes[1] = LoggedOutcome(  # noqa: SLF001 - as above
        1, Status.FAILED, 3, failures=(Failure(error_type, "it was killed by SIGKILL"),)
    )

    found = judged(build_registry(shop(honest)), store)

    assert (found.same, found.different, found.not_comparable) == (0, 0, 1)
    assert outcome.status is Status.FAILED


def test_a_command_that_the_application_no_longer_has_is_not_compared() -> None:
    """X2: it is told by its name, and the others are compared."""
    store = recorded(honest)

    (told_of,) = judged(ORDERING, store).reasons()

    assert (told_of.name, told_of.reason, told_of.count) == ("shop.Price", "this application has no such command", 1)


def test_a_worker_that_dies_of_the_code_of_today_is_a_difference() -> None:
    """W5, X2: it did not die then."""
    store, registry = recorded(honest), build_registry(shop(honest))

    found = judged(registry, store, workers=1, faults=Faults(kill=1.0, kill_running_only=True), max_attempts=3)

    (difference,) = found.differences()
    assert [(one.recorded, one.now) for one in difference.fields] == [
        ("succeeded", "failed: driven.errors.WorkerDied: killed by the simulation")
    ]


def test_only_the_first_differences_are_kept_and_all_are_counted() -> None:
    """X2: in the order in which they retired, whoever finished first."""
    store = recorded(honest, [Price("a", n) for n in range(40)])

    found = judged(build_registry(shop(greedy)), store, workers=3, seed=7)

    assert found.different == 40
    assert [one.position for one in found.differences()] == list(range(1, 11))
    assert found.differences()[0].id == "@1"


def test_a_log_without_an_end_in_sight_is_followed_to_where_it_ended_at_first() -> None:
    """X2: a bus that goes on writing does not keep a verification from ending."""
    store = recorded(honest, TWICE)
    registry = build_registry(shop(honest))

    class Growing:
        log_id = store.log_id
        last_position = store.last_position

        def read(self, after: int, limit: int) -> Sequence[LogRecord]:
            return store.read(after, limit)

        def retired(self, after: int, limit: int) -> Sequence[LogRecord]:
            seen, position = store.retired(after, 1), store.last_position + 1
            envelope = replace(seen[0].message.envelope, position=position, id=f"@{position}")
            more = replace(seen[0].message, envelope=envelope)
            store.append(Batch([more], [LoggedOutcome(position, Status.SUCCEEDED, 1)]))
            return seen

    assert judged(registry, Growing()).same == 2


# What is kept as a stream, and what was parked and brought back.


APPLIED: Counter[str] = Counter()
"""How many events of each till were applied."""


class Opened(Event):
    till_id: str


class Rang(Event):
    till_id: str
    cents: int


class Till(EventSourcedAggregate[Opened | Rang]):
    snapshot_every = 2
    total: int = 0

    @applies(Opened)
    def opened(self, event: Opened) -> None:
        """Nothing to note."""

    @applies(Rang)
    def rang(self, event: Rang) -> None:
        """Add it up."""
        APPLIED[event.till_id] += 1
        self.total += event.cents


class Ring(Command):
    till_id: str
    cents: int


def tills(ring: Handler) -> Application:
    """The tills with this handler."""
    app = Application("tills")
    app.handles(Ring, key="till_id", emits=(Opened, Rang), placement=Placement.WORKER)(ring)
    app.keeps(Till)
    return app


def ring_up(command: Ring, uow: UnitOfWork) -> None:
    """Ring a till that is there or not."""
    till = uow.find(Till, command.till_id)
    if till is None:
        till = Till(command.till_id)
        till.record(Opened(till.id))
        uow.add(till)
    till.record(Rang(till.id, command.cents))


def ring_with_discount(command: Ring, uow: UnitOfWork) -> None:
    """The same, and what is above 100 in total is for free."""
    till = uow.find(Till, command.till_id)
    total = 0 if till is None else till.total
    ring_up(replace(command, cents=min(command.cents, max(100 - total, 0))), uow)


@settings(max_examples=40)
@given(
    rings=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40)), max_size=20),
    workers=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    seed=st.integers(0, 2**32),
)
def test_streams_are_what_they_were_at_each_command(
    rings: list[tuple[str, int]], workers: tuple[int, int], seed: int
) -> None:
    """X2, X3: an event-sourced aggregate is made of its events up to there, whatever snapshots there were."""
    store, registry = MemoryStore(), build_registry(tills(ring_up))
    commands = [Ring(till, cents) for till, cents in rings]
    Simulation(registry, workers=workers[0], seed=seed, store=store).run(commands)

    same = judged(registry, store, workers=workers[1], seed=seed)
    other = judged(build_registry(tills(ring_with_discount)), store, workers=workers[1], seed=seed)

    assert (same.same, same.different) == (len(rings), 0)
    before: dict[str, int] = {}
    expected = 0
    for till, cents in rings:
        expected += cents > max(100 - before.get(till, 0), 0)
        before[till] = before.get(till, 0) + cents
    assert (other.different, other.same) == (expected, len(rings) - expected)


def test_the_work_of_verifying_a_stream_grows_as_the_stream_and_not_as_its_square() -> None:
    """X2: twice the events, twice the work, with a snapshot of the code of today now and then."""
    registry, work = build_registry(tills(ring_up)), {}
    for rings in (400, 800):
        store = MemoryStore()
        Simulation(registry, workers=0, seed=1, store=store).run([Ring("a", 1)] * rings)
        APPLIED.clear()

        found = judged(registry, store)

        assert (found.same, found.different) == (rings, 0)
        work[rings] = APPLIED["a"]
    assert work[800] < 2.5 * work[400]


def test_what_was_parked_and_brought_back_is_compared_where_it_happened() -> None:
    """F3, X2: the redrive itself is the bus's own; what failed then fails again, what succeeded later succeeds."""
    store, mended = MemoryStore(), build_registry(ordering.app)
    plan = Plan(kind="keyed", key="a", fails="first", amount=3)
    simulation = Simulation(mended, workers=1, seed=3, store=store, settings=Settings(bus=BusSettings(retries=0)))
    simulation.run([command_of(Plan(children=(plan, replace(plan, fails="always"))))])
    simulation.run([Redrive(Verb.RETRY, key="a")])

    found = judged(mended, store, workers=2, seed=3)

    names = {record.message.name for record in store.read(0, 1_000)}
    assert "driven.Redrive" in names
    assert found.different == 0
    assert {one.reason for one in found.reasons()} <= {"it was parked without having run"}
