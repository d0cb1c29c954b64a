"""A command id given by the caller names one command for ever: the same command again gives what came of it (U5)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from both_loops import on_both_loops
from driven import (
    Application,
    Command,
    CommandFailed,
    CommandIdReused,
    Event,
    Placement,
    Settings,
    WorkerSettings,
    open_bus,
)
from driven.adapters.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driven.service.event_store import LogRecord

INLINE = Settings(workers=WorkerSettings(count=0))


class Charge(Command):
    card: str
    cents: int


class Charged(Event):
    card: str
    cents: int


class Thank(Command):
    card: str


shop = Application("shop")


@shop.handles(Charge)
def charge(command: Charge) -> Charged:
    """Negative amounts are refused."""
    if command.cents < 0:
        raise ValueError("not that way round")
    return Charged(command.card, command.cents)


@shop.handles(Thank)
def thank(command: Thank) -> None:
    """Cards that are named nobody cannot be thanked."""
    if command.card == "nobody":
        raise ValueError("nobody is there")


@shop.reacts_to(Charged)
def say_thanks(event: Charged) -> Thank:
    """One command."""
    return Thank(event.card)


@shop.reacts_to(Charged)
def fail_for_free(event: Charged) -> Thank:
    """Fails where nothing was charged."""
    if event.cents == 0:
        raise ValueError("for free?")
    return Thank(event.card)


@on_both_loops
async def test_the_same_command_while_the_first_is_open_gives_the_first_receipt() -> None:
    """U5: nothing is accepted twice, both callers learn the same."""
    async with open_bus(shop, INLINE) as bus:
        command = Charge("visa", 5)
        first, second = await asyncio.gather(*(bus.submit(command, command_id="order-1") for _ in range(2)))

        assert second is first
        assert (await second.handled()).events == (Charged("visa", 5),)
        await first.settled()
        assert bus.statistics().admitted == 4


@pytest.mark.parametrize(("card", "cents"), [("visa", 5), ("visa", 0), ("nobody", 5), ("nobody", 0)], ids=str)
@on_both_loops
async def test_the_same_command_after_the_first_has_settled_gives_what_came_of_it(card: str, cents: int) -> None:
    """U5: position, events and settlement are read from the log, and are what the first submitter was told."""
    async with open_bus(shop, INLINE) as bus:
        first = await bus.submit(Charge(card, cents), command_id="order-1")
        outcome, settlement = await first.handled(), await first.settled()

        second = await bus.submit(Charge(card, cents), command_id="order-1")

        assert second is not first
        assert (second.position, second.id) == (first.position, "order-1")
        assert await second.handled() == outcome
        assert await second.settled() == settlement


@on_both_loops
async def test_a_failure_is_recorded_under_its_id_as_well() -> None:
    """U5, F1: a command that failed is not run again under the same id; its failure is told again."""
    async with open_bus(shop, INLINE) as bus:
        first = await bus.submit(Charge("visa", -1), command_id="order-1")
        with pytest.raises(CommandFailed) as told_first:
            await first.handled()
        settlement = await first.settled()

        second = await bus.submit(Charge("visa", -1), command_id="order-1")

        with pytest.raises(CommandFailed) as told_second:
            await second.handled()
        assert str(told_second.value) == str(told_first.value)
        assert await second.settled() == settlement
        assert bus.statistics().admitted == 1


@on_both_loops
async def test_another_command_under_the_same_id_is_refused() -> None:
    """U5: while the first is open, and after it has settled; other fields or another type."""
    async with open_bus(shop, INLINE) as bus:
        first = await bus.submit(Charge("visa", 5), command_id="order-1")
        for other in (Charge("visa", 6), Thank("visa")):
            with pytest.raises(CommandIdReused, match=r"used at position 1 for a different shop.Charge"):
                await bus.submit(other, command_id="order-1")
        await first.settled()
        for other in (Charge("visa", 6), Thank("visa")):
            with pytest.raises(CommandIdReused, match=r"used at position 1 for a different shop.Charge"):
                await bus.submit(other, command_id="order-1")

        assert bus.statistics().admitted == 4


@on_both_loops
async def test_an_id_is_remembered_by_the_log_and_not_by_the_bus() -> None:
    """U5: a second bus on the same log knows it."""
    store = MemoryStore()
    async with open_bus(shop, INLINE, store=store) as bus:
        outcome = await bus.handle(Charge("visa", 5), command_id="order-1")

    async with open_bus(shop, INLINE, store=store) as bus:
        assert await bus.handle(Charge("visa", 5), command_id="order-1") == outcome
        assert bus.statistics().admitted == 0
        assert (await bus.handle(Charge("visa", 5), command_id="order-2")).position == 5


class Audit(Command):
    year: int


class Audited(Event):
    year: int


auditing = Application("auditing")


@auditing.handles(Audit, detached=True, placement=Placement.WORKER)
def audit(command: Audit) -> Audited:
    """Takes long, in life."""
    return Audited(command.year)


class AskedStore(MemoryStore):
    """Notes how many records are read of it."""

    asked = 0

    def read(self, after: int, limit: int) -> Sequence[LogRecord]:
        """Read, and note it."""
        found = super().read(after, limit)
        self.asked += len(found)
        return found


@on_both_loops
async def test_a_long_command_is_answered_from_the_log_however_much_came_after_it() -> None:
    """U5, O9: where its outcome stands is known; the bus does not look through the log for it meanwhile."""
    store = AskedStore()
    async with open_bus(auditing, INLINE, store=store) as bus:
        first = await bus.submit(Audit(1), command_id="the first")
        said = (await first.handled()).events
        for year in range(2, 300):
            await bus.handle(Audit(year))
        store.asked = 0

        again = await bus.submit(Audit(1), command_id="the first")
        outcome = await again.handled()

    assert (outcome.events, outcome.position) == (said, first.position)
    assert store.asked == len(said)
