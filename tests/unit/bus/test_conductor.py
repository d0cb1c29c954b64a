"""The conductor where something goes wrong between its organs: it stops with a reason, and keeps nothing that is over.

The store, the clock and the workers are simulated, or stand in the test; the conductor is the real one.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driven import (
    Application,
    BusClosed,
    BusSettings,
    Command,
    CommandParked,
    CommandSettings,
    Event,
    Settings,
    WorkerSettings,
    open_bus,
)
from driven.adapters.stores.memory import MemoryStore
from driven.bus.hazards import UNKEYED
from driven.bus.middleware import Middleware
from driven.bus.receipts import Receipt
from driven.bus.recorded import recorded_receipt
from driven.bus.reorder_buffer import ReorderBuffer
from driven.bus.sequencer import Entry, Root
from driven.errors import StoreFailed, WorkersUnavailable
from driven.placement import Placement
from driven.service.event_store import Status
from driven.service.intake import draft
from driven.service.registry import build_registry
from driven.testing.simulation import Faults, Simulation
from driven.wire import Completion, Failed, Failure, ReadRequest, decode_submission
from ordering import Plan, app, command_of
from ordering_plans import plans

if TYPE_CHECKING:
    from driven.bus.conductor import Conductor
    from driven.bus.receipts import Settlement
    from driven.domain.messages import Envelope
    from driven.wire import AggregateState

early = Application("early")


class Begin(Command):
    pass


class Begun(Event):
    pass


class Refuse(Command):
    key: str


class Accept(Command):
    key: str


@early.handles(Begin)
def begin(command: Begin) -> Begun:
    """Two commands of one key follow."""
    return Begun()


@early.reacts_to(Begun)
def go_on(event: Begun) -> list[Refuse | Accept]:
    """Neither touches any state, so both are sent to workers at once."""
    return [Refuse("k"), Accept("k")]


@early.handles(Refuse, key="key", placement=Placement.WORKER, retries=0)
def refuse(command: Refuse) -> None:
    """Its key is parked for that."""
    raise ValueError(command.key)


@early.handles(Accept, key="key", placement=Placement.WORKER)
def accept(command: Accept) -> None:
    """Has been done, and does not happen."""


FRAIL = plans(
    2, ("stateless", "keyed", "keyed", "unkeyed", "forgiving"), keys="abc", fails=("never", "never", "odd", "always")
)
"""They fail often."""
ROOTS = st.lists(FRAIL, min_size=1, max_size=6)
TIGHT = st.builds(
    BusSettings, max_hops=st.integers(1, 6), max_descendants=st.integers(1, 30), retries=st.integers(0, 2)
)
ROUTES = st.fixed_dictionaries(
    {},
    optional={
        name: st.builds(
            CommandSettings,
            placement=st.sampled_from(Placement),
            group=st.sampled_from(["default", "other"]),
            sticky=st.booleans() if name == "Deposit" else st.none(),
        )
        for name in ("Compute", "Deposit", "Audit")
    },
)
MANY_ATTEMPTS = WorkerSettings(max_attempts=1_000_000)
REGISTRY = build_registry(app)


def told(receipt: Receipt) -> Settlement:
    """What a receipt says, which must be settled."""
    assert receipt.is_settled
    return asyncio.run(receipt.settled())


@settings(max_examples=120)
@given(roots=ROOTS, bus=TIGHT, commands=ROUTES, seed=st.integers(0, 2**32))
def test_groups_stickiness_budgets_and_parking_change_nothing_in_the_log(
    roots: list[Plan], bus: BusSettings, commands: dict[str, CommandSettings], seed: int
) -> None:
    """O6, F2, F5: with two groups of workers, deaths and tight budgets the log is that of the inline run."""
    configuration = Settings(bus=bus, commands=commands, workers=MANY_ATTEMPTS)
    digests = []

    for workers in ({}, {"default": 1, "other": 2}, {"default": 3, "other": 1}):
        simulation = Simulation(
            REGISTRY,
            workers=workers,
            seed=seed,
            faults=Faults(kill=0.1),
            settings=without_group(configuration, workers),
        )
        receipts = simulation.run([command_of(plan) for plan in roots])
        digests.append(simulation.digest())
        assert all(receipt.is_settled for receipt in receipts)

    assert len(set(digests)) == 1


def without_group(configuration: Settings, workers: dict[str, int]) -> Settings:
    """An inline run has no groups to name."""
    if workers:
        return configuration
    return Settings(bus=configuration.bus)


@settings(max_examples=80)
@given(roots=ROOTS, bus=TIGHT, seed=st.integers(0, 2**32))
def test_a_receipt_says_of_its_root_what_the_log_says(roots: list[Plan], bus: BusSettings, seed: int) -> None:
    """X1, U5: the counts of a settlement are those of the log, for whoever asks later under the same id."""
    simulation = Simulation(REGISTRY, workers=2, seed=seed, settings=Settings(bus=bus))

    receipts = simulation.run([command_of(plan) for plan in roots])

    store = simulation.store
    for receipt in receipts:
        (record,) = store.read(receipt.position - 1, 1)
        later = recorded_receipt(record, store, simulation.registry.catalog)
        assert told(receipt) == told(later)
    messages = sum(told(receipt).messages for receipt in receipts)
    parked = sum(told(receipt).parked for receipt in receipts)
    assert messages == store.last_position
    assert parked == simulation.conductor.parked


@settings(max_examples=80)
@given(roots=ROOTS, bus=TIGHT, seed=st.integers(0, 2**32))
def test_nothing_is_kept_of_what_has_retired(roots: list[Plan], bus: BusSettings, seed: int) -> None:
    """P13: hazards, queue, buffer and scheduler are empty when all is done, parked and stale commands included."""
    simulation = Simulation(REGISTRY, workers=2, seed=seed, faults=Faults(kill=0.05), settings=Settings(bus=bus))
    simulation.run([command_of(plan) for plan in roots])
    conductor = simulation.conductor

    while simulation.lane.step():
        conductor.turn(1)

    assert len(conductor.sequencer) == 0
    assert conductor.traffic.scheduler.waiting == 0
    buffer = conductor.traffic.reorder_buffer
    assert (len(buffer), buffer.in_flight) == (0, 0)
    hazards = conductor.hazards
    assert hazards.admit(10**9, UNKEYED), "something stands in the way of a command that conflicts with all"


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_kept_of_a_command_that_is_parked_while_a_worker_has_it(seed: int) -> None:
    """F2, P13: it was sent early, as it conflicts with nothing; what comes of it when its key is parked is dropped."""
    simulation = Simulation(build_registry(early), workers=2, seed=seed)
    (receipt,) = simulation.run([Begin()])
    conductor = simulation.conductor

    while simulation.lane.step():
        conductor.turn(1)

    assert receipt.is_settled
    assert conductor.parked == 2
    buffer = conductor.traffic.reorder_buffer
    assert (len(buffer), buffer.in_flight) == (0, 0)


def test_a_bus_forgets_its_roots_whatever_became_of_them() -> None:
    """P13: succeeded, failed, parked, with an id or without: nothing of them is left when their receipts are gone."""

    async def use_a_bus() -> list[int]:
        async with open_bus(app, Settings(workers=WorkerSettings(count=0), bus=BusSettings(max_hops=3))) as bus:
            for number in range(60):
                plan = Plan(
                    kind="keyed", key="abc"[number % 3], fails=("never", "always", "odd")[number % 3], amount=number
                )
                deep = Plan(children=(Plan(children=(Plan(children=(plan,)),)),))
                await (await bus.submit(command_of(deep), command_id=f"number {number}")).settled()
                await (await bus.submit(command_of(plan))).settled()
            assert bus.statistics().parked > 0
            gc.collect()
            return references_to_types()

    def references_to_types() -> list[int]:
        # Hidden from the garbage collector; but every object holds its type.
        return [sys.getrefcount(one) for one in (Receipt, Root, Entry)]

    gc.collect()  # of the tests before this one
    before = references_to_types()

    assert asyncio.run(use_a_bus()) == before


class Breakable(MemoryStore):
    """Cannot be read from some moment on."""

    is_broken = False

    def load(self, name: str, aggregate_id: str) -> AggregateState:
        """Raise, when broken."""
        if self.is_broken:
            raise StoreFailed("disk", "cannot be read")
        return super().load(name, aggregate_id)


@pytest.mark.parametrize("moment", range(12))
def test_a_store_that_cannot_be_read_any_more_stops_the_bus_whoever_reads(moment: int) -> None:
    """D5, U1: a worker's question, a state to send along, the check for staleness: nobody is left waiting."""
    store = Breakable()
    simulation = Simulation(REGISTRY, workers=2, seed=moment, store=store)
    commands = [command_of(Plan(kind="keyed", key=key, touches=("a", "b"))) for key in "abc" * 5]
    simulation.lane.start(simulation.conductor.traffic, lambda: None)
    receipts = [
        simulation.conductor.reception.command(draft(simulation.registry, command), None) for command in commands
    ]

    for number in range(200):
        store.is_broken = number >= moment
        simulation.conductor.turn(2)
        simulation.lane.step()
        simulation.committer.step()

    assert simulation.conductor.failure is not None
    assert "store disk failed: cannot be read" in simulation.conductor.failure.reason
    for receipt in receipts:
        if not receipt.is_settled:
            pytest.fail("somebody still waits")
    assert all(record.outcome is None or record.outcome.status is Status.SUCCEEDED for record in store.read(0, 100))


def test_a_read_that_cannot_be_answered_stops_the_bus_and_not_the_lane() -> None:
    """D5: the worker that asked would wait for ever; the lane that passes its question on is not to blame."""
    store = Breakable()
    simulation = Simulation(REGISTRY, workers=1, seed=0, store=store)
    store.is_broken = True

    simulation.conductor.traffic.read_requested(1, ReadRequest(1, 1, "ordering.Account", "a"))

    assert simulation.conductor.failure is not None
    assert "store disk failed: cannot be read" in simulation.conductor.failure.reason


def test_a_lane_that_fails_stops_the_bus() -> None:
    """W1: workers can no longer be had, so nothing can go on in order, and whoever waits is told why."""
    simulation = Simulation(REGISTRY, workers=1, seed=0)
    receipt = simulation.conductor.reception.command(draft(simulation.registry, command_of(Plan())), None)

    simulation.conductor.traffic.lane_failed(WorkersUnavailable("the disk with the program is gone"))

    with pytest.raises(BusClosed, match="the disk with the program is gone"):
        asyncio.run(receipt.handled())


def test_a_turn_ends_when_inline_handlers_have_taken_their_time() -> None:
    """U8: whoever drives the conductor has other things to do, and the first to retire are not to wait for the last."""
    simulation = Simulation(REGISTRY, workers=0, seed=0)
    conductor = simulation.conductor
    for _ in range(100):
        conductor.reception.command(draft(REGISTRY, command_of(Plan(kind="keyed"))), None)

    assert conductor.turn(1_000), "there is more to do"
    assert 0 < conductor.sequencer.retired < 50, "at a drawn 2.5 ms each, on average"
    while conductor.turn(1_000):
        pass
    assert conductor.sequencer.retired >= 200


def test_stopping_twice_keeps_the_first_reason() -> None:
    """D4: what broke first is what everybody is told."""
    simulation = Simulation(REGISTRY, workers=0, seed=0)

    simulation.conductor.stop(BusClosed("the first"))
    simulation.conductor.close(BusClosed("the second"))

    assert simulation.conductor.failure is not None
    assert simulation.conductor.failure.reason == "the first"


class WrongHands(ReorderBuffer):
    """Hands out whichever outcome came first, whoever asks."""

    def retire(self, position: int) -> Completion | None:
        """That of another position, where there is one."""
        other = next(iter(self._arrived), position)
        return super().retire(other)


def test_a_simulation_in_which_outcomes_go_to_the_wrong_positions_says_so() -> None:
    """D5, O2: somebody waits for an outcome that somebody else was given."""
    simulation = Simulation(REGISTRY, workers=3, seed=1)
    simulation.conductor.traffic.reorder_buffer = WrongHands()  # type: ignore[misc]  # to break it

    with pytest.raises(RuntimeError, match=r"nothing moves any more: position \d+ is at the head"):
        simulation.run([command_of(Plan(kind="keyed", key=key, touches=("a", "b"))) for key in "abcd" * 3])


def test_a_simulation_in_which_all_moves_and_nothing_retires_says_so() -> None:
    """D5: workers that die whatever they do keep everybody busy for ever."""
    simulation = Simulation(
        REGISTRY, workers=2, seed=1, faults=Faults(kill=1.0), settings=Settings(workers=MANY_ATTEMPTS)
    )

    with pytest.raises(RuntimeError, match=r"nothing has retired for [\d,]+ steps: position 1 is at the head"):
        simulation.run([command_of(Plan())])


def test_a_bus_that_is_closed_with_things_unfinished_is_let_go() -> None:
    """P13: entries and roots are no concern of the garbage collector, so nothing of them may lead back to the bus."""

    def use_it() -> weakref.ref[Conductor]:
        simulation = Simulation(REGISTRY, workers=2, seed=1)
        conductor = simulation.conductor
        simulation.lane.start(conductor.traffic, lambda: None)
        plans = [Plan(kind="long keyed", key=key, children=(Plan(kind="keyed"),)) for key in "abc"]
        receipts = [conductor.reception.command(draft(simulation.registry, command_of(plan)), None) for plan in plans]
        while conductor.sequencer.head is not None:
            conductor.turn(1)
        while simulation.lane.step():
            pass
        conductor.turn(1)
        while simulation.committer.step():
            pass
        told, left = sorted(receipts, key=lambda one: not one.is_handled)[:2]
        assert told.is_handled
        assert any(entry.started for entry in conductor.sequencer.queue)
        conductor.close(BusClosed())
        with pytest.raises(BusClosed):
            asyncio.run(told.settled())
        try:
            asyncio.run(left.handled())
        except BusClosed:
            return weakref.ref(conductor)
        pytest.fail("it was never handled")

    handler = REGISTRY.handlers[draft(REGISTRY, command_of(Plan(kind="long keyed"))).type_id]
    held = sys.getrefcount(handler)
    conductor = use_it()
    gc.collect()

    assert conductor() is None
    assert sys.getrefcount(handler) == held, "entries hold it"


def test_what_is_parked_while_it_waits_for_a_worker_waits_no_more() -> None:
    """P13, F2: not even where nothing comes after it; the scaler would hire for it for ever."""
    simulation = Simulation(REGISTRY, workers=1, seed=0)
    conductor = simulation.conductor
    receipts = [
        conductor.reception.command(draft(simulation.registry, command_of(plan)), None)
        for plan in (Plan(kind="keyed", fails="never"), Plan(kind="keyed", fails="never"))
    ]
    conductor.traffic.enqueue(conductor.sequencer.queue[1])  # as what a death gives back
    for entry in tuple(conductor.sequencer.queue):
        entry.park_reason = "the test says so"
    assert conductor.traffic.scheduler.waiting == 2

    conductor.turn(10)
    assert conductor.is_settled is not simulation.committer.step()
    assert conductor.traffic.scheduler.waiting == 2, "there is no worker yet"
    simulation.lane.start(conductor.traffic, lambda: None)
    conductor.turn(10)

    assert conductor.traffic.scheduler.waiting == 0
    assert all(receipt.is_settled for receipt in receipts)


def test_a_command_whose_key_is_parked_is_sent_to_no_worker() -> None:
    """F2: it will not happen, so nobody is to run it."""
    sent = Sent()
    simulation = Simulation(build_registry(early), workers=2, seed=0, middleware=[sent])
    simulation.run([Begin()])
    sent.names.clear()

    (receipt,) = simulation.run([Accept("k")])

    with pytest.raises(CommandParked):
        asyncio.run(receipt.handled())
    assert sent.names == []


class Sent(Middleware):
    """Notes what is sent to workers."""

    def __init__(self) -> None:
        """Nothing was."""
        self.names: list[str] = []

    def dispatched(self, name: str, envelope: Envelope, worker_id: int) -> None:
        """Note it."""
        del envelope, worker_id
        self.names.append(name)


def test_what_comes_of_a_dispatch_that_was_given_up_is_not_what_came_of_the_command() -> None:
    """W4: a worker that is gone speaks once more, of a command that another one has by now."""
    simulation = Simulation(REGISTRY, workers=1, seed=0)
    conductor, lane = simulation.conductor, simulation.lane
    simulation.begin([])
    receipt = conductor.reception.command(draft(simulation.registry, command_of(Plan())), None)
    conductor.turn(10)
    (gone,) = lane._workers.values()  # noqa: SLF001 - nobody else says what it was sent
    given_up = decode_submission(gone.ring[0])
    lane._kill(gone)  # noqa: SLF001 - at this very moment
    conductor.turn(10)

    too_late = Completion(receipt.position, given_up.generation, 1_000, Failed(Failure("too.Late", "not asked for")))
    conductor.traffic.completed(gone.worker_id, (too_late,))
    conductor.turn(10)
    retired_of_it = conductor.sequencer.retired
    simulation.go_on()

    assert retired_of_it == 0
    assert asyncio.run(receipt.handled()).position == receipt.position


def test_a_bus_that_has_stopped_has_no_need_of_workers() -> None:
    """X4: what waits is not sent any more, so nobody is to be hired for it."""
    simulation = Simulation(REGISTRY, workers=1, seed=0)
    conductor = simulation.conductor
    conductor.reception.command(draft(simulation.registry, command_of(Plan())), None)

    before = conductor.has_waiting("default")
    conductor.close(BusClosed())

    assert (before, conductor.has_waiting("default")) == (True, False)
