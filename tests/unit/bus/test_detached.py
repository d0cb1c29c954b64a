"""O9, detached commands: started once, done once, later; nothing is held back, and nothing else changes.

Random applications with long commands among others, in the simulated pool, in strict and in keyed order, with deaths,
stale reads and a slow store.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driven import (
    BusClosed,
    BusSettings,
    CommandFailed,
    CommandParked,
    CommandSettings,
    DrivenError,
    Placement,
    Settings,
    SettingsError,
    WorkerSettings,
)
from driven.bus.receipts import Receipt
from driven.bus.recorded import recorded_receipt, tell
from driven.service.event_store import LoggedOutcome, LogRecord, MessageKind, Status, retired_records
from driven.service.intake import draft
from driven.service.registry import build_registry
from driven.testing.simulation import Faults, Simulation
from driven.wire import decode_submission
from ordering import Plan, app, command_of
from replaying import check_replay

if TYPE_CHECKING:
    from collections.abc import Awaitable

REGISTRY = build_registry(app)
LONG = {"ordering.Ponder", "ordering.Transfer"}
FAULTS = st.builds(
    Faults,
    kill=st.sampled_from([0.0, 0.0, 0.1, 0.3]),
    ring_slots=st.integers(1, 4),
    late_store=st.sampled_from([0.0, 0.5]),
)
KEYS = st.sampled_from("abcd")


def plans(depth: int) -> st.SearchStrategy[Plan]:
    """Trees of plans, many of them long."""
    children = st.lists(plans(depth - 1), max_size=2).map(tuple) if depth else st.just(())
    return st.builds(
        Plan,
        kind=st.sampled_from(["stateless", "keyed", "unkeyed", "forgiving", "long", "long keyed", "long keyed"]),
        key=KEYS,
        touches=st.lists(KEYS, max_size=2).map(tuple),
        amount=st.integers(0, 50),
        fails=st.sampled_from(["never", "never", "never", "odd", "first", "always"]),
        children=children,
    )


ROOTS = st.lists(plans(2), min_size=1, max_size=6)
SEEDS = st.integers(0, 2**32)


def run(
    roots: list[Plan], workers: int, seed: int, faults: Faults, ordering: str = "strict"
) -> tuple[Simulation, tuple[Receipt, ...]]:
    """One simulated run to its end."""
    bus = BusSettings(ordering=ordering)  # type: ignore[arg-type]  # one of the two words
    configuration = Settings(bus=bus, workers=WorkerSettings(max_attempts=1_000_000))
    simulation = Simulation(REGISTRY, workers=workers, seed=seed, faults=faults, settings=configuration)
    receipts = simulation.run([command_of(plan) for plan in roots])
    assert simulation.conductor.failure is None
    return simulation, receipts


def outcome_of(record: LogRecord) -> LoggedOutcome:
    """Of what has retired."""
    assert record.outcome is not None
    return record.outcome


@pytest.mark.parametrize("ordering", ["strict", "keyed"])
@pytest.mark.parametrize("workers", [0, 1, 3])
@settings(max_examples=40)
@given(roots=ROOTS, faults=FAULTS, seed=SEEDS)
def test_a_long_command_starts_once_and_is_done_once_and_later(
    workers: int, ordering: str, roots: list[Plan], faults: Faults, seed: int
) -> None:
    """O9, O1, W4: whatever dies; and whoever replays the log alone, in its order, gets the same."""
    simulation, receipts = run(roots, workers, seed, faults, ordering)

    order = list(retired_records(simulation.store))
    positions = [record.message.envelope.position for record in order]
    assert sorted(positions) == list(range(1, simulation.store.last_position + 1))
    place = {position: number for number, position in enumerate(positions)}
    started = {p.message.envelope.position: p for p in order if outcome_of(p).status is Status.STARTED}
    late: dict[int, LogRecord] = {}
    for record in order:
        cause = record.message.envelope.causation
        if cause in started and record.message.kind is MessageKind.COMMAND:
            assert cause not in late, "done twice"
            late[cause] = record
    assert late.keys() == started.keys()
    for position, record in late.items():
        before, after = started[position].message, record.message
        assert place[position] < place[after.envelope.position]
        assert (before.name, before.body, before.envelope.key) == (after.name, after.body, after.envelope.key)
        assert (before.envelope.correlation, before.envelope.hop) == (after.envelope.correlation, after.envelope.hop)
        assert outcome_of(record).status is not Status.STARTED
    for record in order:
        is_first = record.message.name in LONG and record.message.envelope.causation not in started
        assert (outcome_of(record).status is Status.STARTED) == (
            is_first and outcome_of(record).status is not Status.PARKED
        )
    for number, record in enumerate(order):
        key, position = record.message.envelope.key, record.message.envelope.position
        overtaken = (one.message.envelope for one in order[number + 1 :] if one.message.envelope.position < position)
        assert key is None or key not in {one.key for one in overtaken}
    assert all(receipt.is_settled for receipt in receipts)
    check_replay(simulation.store, REGISTRY)


@settings(max_examples=40)
@given(roots=ROOTS, faults=FAULTS, seed=SEEDS)
def test_with_long_commands_strict_order_is_strict_order(roots: list[Plan], faults: Faults, seed: int) -> None:
    """O9, O2: starts, outcomes and everything else retire in position order; roots as they would without long ones."""
    simulation, _ = run(roots, 3, seed, faults)

    positions = [record.message.envelope.position for record in retired_records(simulation.store)]
    assert positions == list(range(1, simulation.store.last_position + 1))


@settings(max_examples=30)
@given(roots=ROOTS, seeds=st.tuples(SEEDS, SEEDS))
def test_without_workers_the_log_is_the_same_in_every_run(roots: list[Plan], seeds: tuple[int, int]) -> None:
    """O6, O9: then the outcome enters at the tail at once, when its command has started."""
    digests = {run(roots, 0, seed, Faults(late_store=0.5))[0].digest() for seed in seeds}

    assert len(digests) == 1


@settings(max_examples=30)
@given(roots=ROOTS, seed=SEEDS)
def test_a_receipt_says_of_a_long_command_what_the_log_says(roots: list[Plan], seed: int) -> None:
    """X1, U5: handled is its outcome; settled counts its start and its outcome; the log tells the same later."""
    simulation, receipts = run(roots, 2, seed, Faults())

    async def told(receipt: Receipt) -> tuple[object, ...]:
        await receipt.started()
        try:
            handled: object = await receipt.handled()
        except Exception as error:  # noqa: BLE001 - CommandFailed or CommandParked, compared by its text
            handled = (type(error), str(error))
        return handled, await receipt.settled()

    for receipt in receipts:
        (record,) = simulation.store.read(receipt.position - 1, 1)
        later = recorded_receipt(record, simulation.store, REGISTRY.catalog)
        assert asyncio.run(told(receipt)) == asyncio.run(told(later))
    assert sum(asyncio.run(receipt.settled()).messages for receipt in receipts) == simulation.store.last_position


@settings(max_examples=60)
@given(roots=ROOTS, faults=FAULTS, seed=SEEDS, steps=st.integers(0, 40))
def test_a_closed_bus_tells_of_a_command_what_its_log_holds_and_nothing_else(
    roots: list[Plan], faults: Faults, seed: int, steps: int
) -> None:
    """U5, X1, X4: whoever asks by its id is told what came of it; of what had not retired, that the bus is closed."""
    simulation = Simulation(REGISTRY, workers=2, seed=seed, faults=msgspec.structs.replace(faults, late_store=0.0))
    conductor, store = simulation.conductor, simulation.store
    simulation.begin([])
    for number, plan in enumerate(roots, 1):
        conductor.reception.command(draft(REGISTRY, command_of(plan)), f"id {number}")
    simulation.go_on(steps)
    while simulation.committer.step():  # what has retired is in the store
        pass

    conductor.close(BusClosed())

    left = {one.envelope.correlation for one in store.unretired(0, 10_000)} | {
        record.message.envelope.correlation for one in store.unfinished() for record in store.read(one - 1, 1)
    }
    for position in range(1, len(roots) + 1):
        receipt = conductor.reception.receipt(f"id {position}")
        assert receipt is not None
        assert receipt.position == position
        (record,) = store.read(position - 1, 1) or (None,)
        expected = Receipt(position, f"id {position}")
        if record is not None:
            tell(expected, record, store, REGISTRY.catalog)
        is_told = expected.is_handled
        expected.abandon(BusClosed)
        assert asyncio.run(said(receipt.handled())) == asyncio.run(said(expected.handled()))
        assert is_told or asyncio.run(said(receipt.handled()))[0] is BusClosed
        is_left = record is None or position in left
        assert (asyncio.run(said(receipt.settled()))[0] is BusClosed) == is_left


async def said(waiting: Awaitable[object]) -> tuple[object, ...]:
    """What comes of waiting."""
    try:
        return (None, await waiting)
    except DrivenError as error:
        return (type(error), str(error))


def test_a_long_command_holds_nothing_back_and_its_outcome_is_waited_for() -> None:
    """O9, F4, X1, X4: everything behind it retires; it counts at the entrance, and for settled, until it is done."""
    simulation = Simulation(REGISTRY, workers=2, seed=3)
    conductor, lane = simulation.conductor, simulation.lane
    lane.start(conductor.traffic, lambda: None)
    plans_given = [Plan(kind="long keyed", key="a"), *(Plan(kind=kind, key="a") for kind in ("keyed", "unkeyed"))]
    receipts = [conductor.reception.command(draft(REGISTRY, command_of(plan)), None) for plan in plans_given]
    conductor.turn(8)
    workers = lane._workers.values()  # noqa: SLF001 - nobody else says who was sent the long command
    busy = next((one for one in workers if one.ring and decode_submission(one.ring[0]).envelope.position == 1), None)
    if busy is not None:
        busy.is_asking = True

    for _ in range(200):
        conductor.turn(8)
        lane.step()
        simulation.committer.step()
    seen = [(receipt.is_handled, receipt.is_settled) for receipt in receipts]
    waiting = len(conductor.sequencer)
    assert busy is not None
    busy.is_asking = False
    while not conductor.is_settled:
        conductor.turn(8)
        lane.step()
        simulation.committer.step()

    assert seen == [(False, False), (True, True), (True, True)]
    assert waiting == 1
    asyncio.run(receipts[0].started())
    assert [receipt.is_settled for receipt in receipts] == [True] * 3
    check_replay(simulation.store, REGISTRY)


def test_a_long_command_that_kills_every_worker_fails_with_its_outcome() -> None:
    """O9, W5: deaths after the start are bounded as before it."""
    settings_given = Settings(workers=WorkerSettings(max_attempts=2))
    simulation = Simulation(
        REGISTRY, workers=2, seed=1, faults=Faults(kill=1.0, kill_running_only=True), settings=settings_given
    )

    (receipt,) = simulation.run([command_of(Plan(kind="long"))])

    with pytest.raises(CommandFailed, match=r"driven\.errors\.WorkerDied"):
        asyncio.run(receipt.handled())
    statuses = [outcome_of(record).status for record in retired_records(simulation.store)]
    assert statuses == [Status.STARTED, Status.FAILED]


@pytest.mark.parametrize("placement", [Placement.INLINE, Placement.AUTO])
def test_a_long_command_cannot_be_configured_to_run_inline(placement: Placement) -> None:
    """R1: the bus thread cannot go on with it while others retire."""
    settings_given = Settings(commands={"Ponder": CommandSettings(placement=placement)})

    with pytest.raises(SettingsError, match=r"\[commands.Ponder\] makes ordering.Ponder detached with placement"):
        Simulation(REGISTRY, workers=1, seed=1, settings=settings_given)


def test_a_long_command_that_is_parked_with_its_key_has_started_all_the_same() -> None:
    """O9, F2, U5: whoever asks for its start is told the same by the bus and later by the log."""
    simulation = Simulation(REGISTRY, workers=2, seed=3)
    conductor, lane = simulation.conductor, simulation.lane
    lane.start(conductor.traffic, lambda: None)
    failing = Plan(kind="stateless", children=(Plan(kind="keyed", key="a", fails="always"),))
    long = conductor.reception.command(draft(REGISTRY, command_of(Plan(kind="long keyed", key="a"))), None)
    conductor.turn(8)
    (busy,) = (one for one in lane._workers.values() if one.ring)  # noqa: SLF001 - nobody else says who has it
    busy.is_asking = True

    conductor.reception.command(draft(REGISTRY, command_of(failing)), None)
    while len(conductor.sequencer) > 1:
        conductor.turn(8)
        lane.step()
        simulation.committer.step()
    busy.is_asking = False
    while not conductor.is_settled:
        conductor.turn(8)
        lane.step()
        simulation.committer.step()

    (record,) = simulation.store.read(long.position - 1, 1)
    for receipt in (long, recorded_receipt(record, simulation.store, REGISTRY.catalog)):
        asyncio.run(receipt.started())
        with pytest.raises(CommandParked):
            asyncio.run(receipt.handled())
