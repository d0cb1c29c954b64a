"""Parked messages through a whole bus (F3): what an operator sees, what the verbs do, and what he is told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import parking
from both_loops import on_both_loops
from driven import (
    Application,
    BusSettings,
    Command,
    CommandFailed,
    CommandParked,
    Event,
    MessageBus,
    MisuseError,
    NothingParked,
    Settings,
    Settlement,
    WorkerSettings,
    open_bus,
    open_bus_sync,
)
from driven.adapters.stores.memory import MemoryStore
from driven.adapters.stores.sqlite.store import SqliteStore
from driven.service.event_store import Status

if TYPE_CHECKING:
    from pathlib import Path

INLINE = Settings(workers=WorkerSettings(count=0), bus=BusSettings(retries=0))


class Shop:
    """An application that charges orders, as long as its bank is open; and what it did."""

    def __init__(self) -> None:
        """The bank is closed."""
        self.is_open = False
        self.charged: list[str] = []
        self.app = Application("shop")
        self.app.handles(Place)(self.place)
        self.app.reacts_to(Placed)(self._charge_it())
        self.app.handles(Charge, key="customer")(self._charging())

    @staticmethod
    def place(command: Place) -> Placed:
        """As many orders as were asked for."""
        return Placed(command.customer, command.orders)

    def _charge_it(self) -> object:
        def charge_it(event: Placed) -> list[Charge]:
            return [Charge(event.customer, order) for order in event.orders]

        return charge_it

    def _charging(self) -> object:
        def charge(command: Charge) -> None:
            if not self.is_open:
                raise ConnectionError(f"no bank for {command.order}")
            self.charged.append(command.order)

        return charge


class Place(Command):
    customer: str
    orders: tuple[str, ...]


class Placed(Event):
    customer: str
    orders: tuple[str, ...]


class Charge(Command):
    customer: str
    order: str


async def parked(shop: Shop, bus: MessageBus, *customers: str) -> None:
    """Park three orders of each customer, and open the bank."""
    for customer in customers:
        receipt = await bus.submit(Place(customer, ("red", "green", "blue")))
        assert (await receipt.settled()).parked == 3
    shop.is_open = True


async def orders_of(bus: MessageBus) -> list[tuple[str | None, str]]:
    """Keys and orders of what is parked."""
    details = [await bus.parked.show(one.position) for one in await bus.parked.list()]
    return [(one.key, one.message.order) for one in details]


@on_both_loops
async def test_an_operator_sees_what_is_parked_and_why() -> None:
    """F3: list and show; the first one failed, the others are behind it."""
    shop = Shop()
    async with open_bus(shop.app, INLINE) as bus:
        await parked(shop, bus, "7")
        first, second, _ = await bus.parked.list()

        assert (first.position, first.name, first.key, first.is_event) == (3, "shop.Charge", "7", False)
        assert first.reason == "ConnectionError: no bank for red"
        assert second.reason == "its key '7' is parked since position 3"
        assert (first.root, first.attempts, first.is_released, first.redrives) == (1, 1, False, 0)
        details = await bus.parked.show(3)
        assert details.message == Charge("7", "red")
        assert "no bank for red" in details.failures[0].traceback
        assert [one.position for one in await bus.parked.list(after=3, limit=1)] == [4]
        assert await bus.parked.list(key="8") == ()
        with pytest.raises(NothingParked, match="at position 1; see"):
            await bus.parked.show(1)


@on_both_loops
async def test_a_retry_brings_everything_of_a_key_back() -> None:
    """F3: in its order; its receipt settles when all of it has retired; other keys stay parked."""
    shop = Shop()
    async with open_bus(shop.app, INLINE) as bus:
        await parked(shop, bus, "7", "8")

        receipt = await bus.parked.retry(key="7", by="anna", why="it is open")

        assert await receipt.settled() == Settlement(4, 0, 0)
        assert (await receipt.handled()).events == ()
        assert shop.charged == ["red", "green", "blue"]
        assert await orders_of(bus) == [("8", "red"), ("8", "green"), ("8", "blue")]


@on_both_loops
async def test_a_skip_gives_up_the_oldest_alone() -> None:
    """F3: the others come back."""
    shop = Shop()
    async with open_bus(shop.app, INLINE) as bus:
        await parked(shop, bus, "7")

        receipt = await bus.parked.skip(key="7")

        assert await receipt.settled() == Settlement(3, 0, 0)
        assert shop.charged == ["green", "blue"]
        assert await bus.parked.list() == ()


@on_both_loops
async def test_a_release_opens_the_key_and_leaves_what_is_parked() -> None:
    """F3: new messages pass; the old ones can be retried later."""
    shop = Shop()
    async with open_bus(shop.app, INLINE) as bus:
        await parked(shop, bus, "7")

        await (await bus.parked.release(key="7")).handled()
        await bus.handle(Charge("7", "new"))

        assert shop.charged == ["new"]
        assert [one.is_released for one in await bus.parked.list()] == [True, True, True]
        await (await bus.parked.retry(key="7")).settled()
        assert shop.charged == ["new", "red", "green", "blue"]


@on_both_loops
async def test_a_discard_gives_everything_of_a_key_up() -> None:
    """F3: nothing of it happens, and the key is open."""
    shop = Shop()
    async with open_bus(shop.app, INLINE) as bus:
        await parked(shop, bus, "7")

        assert await (await bus.parked.discard(position=4)).settled() == Settlement(1, 0, 0)
        await bus.handle(Charge("7", "new"))

        assert shop.charged == ["new"]
        assert await bus.parked.list() == ()


@on_both_loops
async def test_a_submitter_behind_a_redrive_waits_for_where_his_command_went() -> None:
    """F3, F1: what was accepted behind a parked key, and before the redrive retired, happens behind what came back."""
    shop = Shop()
    async with open_bus(shop.app, INLINE) as bus:
        await parked(shop, bus, "7")

        receipts = [
            await bus.parked.retry(key="7"),
            await bus.submit(Charge("7", "x")),
            await bus.submit(Charge("7", "y")),
        ]
        outcomes = [await receipt.handled() for receipt in receipts]

        assert shop.charged == ["red", "green", "blue", "x", "y"]
        assert [one.position for one in outcomes] == [receipt.position for receipt in receipts]
        assert await receipts[1].settled() == Settlement(2, 0, 0)


@on_both_loops
async def test_what_fails_again_is_parked_again() -> None:
    """F3: with everything behind it, and it says where it stood before."""
    shop = Shop()
    async with open_bus(shop.app, INLINE) as bus:
        await parked(shop, bus, "7")
        shop.is_open = False

        receipt = await bus.parked.retry(key="7")

        assert await receipt.settled() == Settlement(4, 0, 3)
        assert [one.redrives for one in await bus.parked.list()] == [3, 4, 5]
        with pytest.raises(CommandParked):
            await bus.handle(Charge("7", "new"))


@on_both_loops
async def test_a_redrive_of_nothing_fails_and_changes_nothing() -> None:
    """F3: whoever waits for it is told; the bus goes on."""
    shop = Shop()
    async with open_bus(shop.app, INLINE) as bus:
        await parked(shop, bus, "7")

        for receipt in (
            await bus.parked.retry(key="8"),
            await bus.parked.skip(position=1),
            await bus.parked.discard(position=99),
        ):
            with pytest.raises(CommandFailed, match="nothing is parked"):
                await receipt.handled()
            assert await receipt.settled() == Settlement(1, 1, 0)
        assert len(await bus.parked.list()) == 3


@on_both_loops
async def test_a_verb_takes_a_key_or_a_position() -> None:
    """F3: neither, and both, is refused at once."""
    shop = Shop()
    async with open_bus(shop.app, INLINE) as bus:
        with pytest.raises(MisuseError, match="give one of the two"):
            await bus.parked.retry()
        with pytest.raises(MisuseError, match="give one of the two"):
            await bus.parked.discard(key="7", position=3)


def test_a_script_redrives_without_an_event_loop() -> None:
    """F3: the same through a `SyncBus`."""
    shop = Shop()
    with open_bus_sync(shop.app, INLINE) as bus:
        bus.submit(Place("7", ("red", "green"))).settled()
        shop.is_open = True

        assert [one.key for one in bus.parked.list()] == ["7", "7"]
        assert bus.parked.show(3).message == Charge("7", "red")
        assert bus.parked.skip(key="7").settled() == Settlement(2, 0, 0)
        assert shop.charged == ["green"]
        shop.is_open = False
        bus.submit(Place("8", ("red",))).settled()
        bus.parked.release(key="8").settled()
        bus.parked.discard(key="8").settled()
        with pytest.raises(CommandFailed, match="nothing is parked"):
            bus.parked.retry(key="8").handled()


def test_a_redrive_of_a_type_that_is_gone_changes_nothing() -> None:
    """F3, X3: all of it is read before any of it enters."""
    shop, store = Shop(), MemoryStore()
    with open_bus_sync(shop.app, INLINE, store=store) as bus:
        bus.submit(Place("7", ("red", "green"))).settled()
    later = Application("shop")
    later.handles(Place)(Shop.place)

    with open_bus_sync(later, INLINE, store=store) as bus:
        for verb in (bus.parked.retry, bus.parked.skip):
            with pytest.raises(CommandFailed, match=r"shop\.Charge"):
                verb(key="7").handled()

        assert [one.key for one in bus.parked.list()] == ["7", "7"]
        assert bus.parked.show(3).message is None
        bus.parked.discard(key="7").handled()
        assert bus.parked.list() == ()


@on_both_loops
@pytest.mark.parametrize("store", ["memory", "sqlite"])
async def test_a_command_that_was_parked_and_redriven_answers_what_came_of_it_then(store: str, tmp_path: Path) -> None:
    """U5, F3: a second submit under its id tells the latest, and not that it is parked; given up, it stays parked."""
    shop = Shop()
    log = MemoryStore() if store == "memory" else SqliteStore(tmp_path / "driven.db")
    async with open_bus(shop.app, INLINE, store=log) as bus:
        await parked(shop, bus, "7", "8")
        for customer in ("7", "8"):
            receipt = await bus.submit(Charge(customer, "late"), command_id=f"late {customer}")
            with pytest.raises(CommandParked):
                await receipt.handled()
            await receipt.settled()

        shop.is_open = False
        await (await bus.parked.retry(key="7")).settled()
        with pytest.raises(CommandParked):
            await bus.handle(Charge("7", "late"), command_id="late 7")
        shop.is_open = True
        await (await bus.parked.retry(key="7")).settled()
        await (await bus.parked.discard(key="8")).settled()

        assert (await bus.handle(Charge("7", "late"), command_id="late 7")).position == receipt.position - 1
        assert shop.charged.count("late") == 1
        with pytest.raises(CommandParked):
            await bus.handle(Charge("8", "late"), command_id="late 8")


@on_both_loops
@pytest.mark.parametrize("store", ["memory", "sqlite"])
async def test_a_long_command_that_moved_behind_what_was_parked_answers_for_ever(store: str, tmp_path: Path) -> None:
    """U5, F3, O9: it moved, started there, and its outcome stands behind that; a second submit follows all of it."""
    log = MemoryStore() if store == "memory" else SqliteStore(tmp_path / "driven.db")
    async with open_bus(parking.app, INLINE, store=log) as bus:
        parking.BROKEN.add(2)
        await (await bus.submit(parking.Begin((("7", 2),)))).settled()
        parking.BROKEN.clear()
        redriving, receipt = await asyncio.gather(
            bus.parked.retry(key="7"), bus.submit(parking.Ponder("7", 5), command_id="long")
        )
        await redriving.settled()
        await receipt.settled()
        assert [record.outcome.status for record in log.read(receipt.position - 1, 1) if record.outcome] == [
            Status.MOVED
        ]

        again = await bus.submit(parking.Ponder("7", 5), command_id="long")

        await again.started()
        assert (await again.handled()).position == receipt.position
