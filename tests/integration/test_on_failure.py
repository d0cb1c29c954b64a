"""A failure that is an event: of roots and of internal commands, inline and on workers, deaths included (F1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from both_loops import on_both_loops
from deeds_that_fail import Order, Work, WorkFailed, app
from driven import CommandFailed, Settings, WorkerSettings, open_bus
from driven.adapters.stores.memory import MemoryStore
from driven.service.event_store import Status

if TYPE_CHECKING:
    from driven import EventStore

INLINE = Settings(workers=WorkerSettings(count=0))


def log_of(store: EventStore) -> list[tuple[str, Status]]:
    """Name and status of every message, in order."""
    return [
        (record.message.name.rpartition(".")[2], record.outcome.status)
        for record in store.read(0, 1_000)
        if record.outcome is not None
    ]


@on_both_loops
async def test_a_failed_root_gives_its_event_to_who_waits_and_does_not_raise() -> None:
    """F1, U1: it retires as failed, the event is caused, a reaction follows, and nothing else that it did exists."""
    store = MemoryStore()

    async with open_bus(app, INLINE, store=store) as bus:
        receipt = await bus.submit(Work("a", "raise"), command_id="first")
        outcome = await receipt.handled()
        settlement = await receipt.settled()
        again = await bus.submit(Work("a", "raise"), command_id="first")
        recorded, recorded_settlement = await again.handled(), await again.settled()

    assert outcome.events == (WorkFailed("a", "ValueError", "refused a", "raise"),)
    assert (recorded, recorded_settlement) == (outcome, settlement)
    assert (settlement.messages, settlement.failed, settlement.parked) == (4, 1, 0)
    assert log_of(store) == [
        ("Work", Status.FAILED),
        ("WorkFailed", Status.SUCCEEDED),
        ("Comfort", Status.SUCCEEDED),
        ("Comforted", Status.SUCCEEDED),
    ]
    failed = store.read(0, 1)[0].outcome
    assert failed is not None
    assert (failed.caused, failed.changes) == ((2, 1), ())
    assert "raise ValueError" in failed.failures[0].traceback
    assert store.load("failing.Ledger", "a").version == 0


@on_both_loops
async def test_an_internal_command_is_tried_again_before_its_failure_is_an_event() -> None:
    """F1, F2: after its retries, and instead of parking: its key goes on."""
    store = MemoryStore()

    async with open_bus(app, INLINE, store=store) as bus:
        unlucky = await bus.submit(Order("a", "raise"))
        lucky = await bus.submit(Order("a", "raise once"))
        settlements = [await unlucky.settled(), await lucky.settled()]

    assert [(one.failed, one.parked) for one in settlements] == [(1, 0), (0, 0)]
    attempts = [
        (record.outcome.status, record.outcome.attempts)
        for record in store.read(0, 1_000)
        if record.outcome is not None and record.message.name == "failing.Work"
    ]
    assert attempts == [(Status.FAILED, 3), (Status.SUCCEEDED, 2)]
    assert store.load("failing.Ledger", "a").version == 1


@on_both_loops
async def test_a_failure_whose_event_cannot_be_made_is_an_ordinary_failure_with_both_reasons() -> None:
    """F1, F2: a root raises to its submitter, an internal command is parked."""
    async with open_bus(app, INLINE) as bus:
        with pytest.raises(CommandFailed) as raised:
            await bus.handle(Work("unspeakable", "raise"))
        settlement = await (await bus.submit(Order("unspeakable", "raise"))).settled()

    assert raised.value.error_type == "ValueError"
    assert "refused unspeakable" in raised.value.error_message
    assert "on_failure=WorkFailed cannot be made of it: that name again" in raised.value.error_message
    assert (settlement.failed, settlement.parked) == (0, 1)


async def test_deaths_and_timeouts_are_failures_like_any_other() -> None:
    """F1, W5: a worker that dies, and one that is killed because it takes too long."""
    async with open_bus(app, Settings(workers=WorkerSettings(count=2))) as bus:
        receipts = [await bus.submit(Work(name, name)) for name in ("die", "never end", "do")]
        events = [(await receipt.handled()).events for receipt in receipts]

    (died,), (timed_out,), (worked,) = events
    assert isinstance(died, WorkFailed)
    assert isinstance(timed_out, WorkFailed)
    assert (died.name, died.error_type, timed_out.error_type) == ("die", "driven.errors.WorkerDied", died.error_type)
    assert "exit code 3" in died.reason
    assert "0.5 s" in timed_out.reason
    assert type(worked).__name__ == "Worked"
