"""The entrance of a bus: a bounded number of messages inside, and nobody but who comes from outside held back (F4)."""

from __future__ import annotations

import asyncio
import threading

import pytest

from both_loops import on_both_loops, until
from driven import (
    Application,
    BusClosed,
    BusFull,
    BusSettings,
    Command,
    CommandIdReused,
    Envelope,
    Event,
    Middleware,
    Settings,
    UnknownCommand,
    WorkerSettings,
    open_bus,
)
from driven.adapters.stores.memory import MemoryStore
from driven.bus.message_bus import TURN_LIMIT


class Carry(Command):
    parcels: int = 0


class Carried(Event):
    parcels: int


class Drop(Command):
    number: int


class Unheard(Command):
    """Nobody handles it."""


porters = Application("porters")


@porters.handles(Carry)
def carry(command: Carry) -> Carried:
    """So many parcels at once."""
    return Carried(command.parcels)


@porters.handles(Drop)
def drop(command: Drop) -> None:
    """Nothing follows."""


@porters.reacts_to(Carried)
def drop_each(event: Carried) -> list[Drop]:
    """More messages than the entrance takes."""
    return [Drop(number) for number in range(event.parcels)]


def room_for(max_pending: int) -> Settings:
    """A small bus without workers."""
    bus = BusSettings(max_pending=max_pending, max_hops=10**9, max_descendants=10**9, drain_timeout_s=0.05)
    return Settings(workers=WorkerSettings(count=0), bus=bus)


def occupied(release: threading.Event) -> Application:
    """Whoever is in stays in, as one message or another, until `release` is set."""
    app = Application("occupied")

    @app.handles(Carry)
    def carry(command: Carry) -> Carried:
        return Carried(command.parcels)

    @app.reacts_to(Carried)
    def stay(event: Carried) -> Carry | None:
        return None if release.is_set() else Carry()

    return app


@on_both_loops
async def test_a_full_bus_turns_away_who_does_not_wait_and_takes_the_others_in_order() -> None:
    """F4: BusFull with the numbers and nothing accepted; or patience, and then first come first served."""
    async with open_bus(porters, room_for(2)) as bus:
        inside = [asyncio.create_task(bus.submit(Drop(number), wait_s=0)) for number in range(2)]
        turned_away = asyncio.create_task(bus.submit(Drop(2), wait_s=0))
        patient = [asyncio.create_task(bus.submit(Drop(number))) for number in range(3, 9)]

        with pytest.raises(BusFull, match="2 messages are waiting and the bus takes 2"):
            await turned_away
        positions = [(await task).position for task in (*inside, *patient)]

        assert positions == list(range(1, 9))


@on_both_loops
async def test_patience_that_ends_is_bus_full() -> None:
    """F4: who waits in vain is told, and is not accepted later."""
    release = threading.Event()
    store = MemoryStore()
    async with open_bus(occupied(release), room_for(1), store=store) as bus:
        first = await bus.submit(Carry())

        with pytest.raises(BusFull, match="1 messages are waiting and the bus takes 1"):
            await bus.submit(Carry(), wait_s=0.01)
        release.set()
        await first.settled()
    roots = [record for record in store.read(0, 10**6) if record.message.envelope.causation == 0]
    assert [record.message.envelope.position for record in roots] == [first.position]


@on_both_loops
async def test_what_is_caused_inside_is_never_held_back() -> None:
    """D13: a reaction that issues a hundred times what the entrance takes blocks nothing."""
    async with open_bus(porters, room_for(1)) as bus:
        receipt = await bus.submit(Carry(parcels=100))
        waiting = asyncio.create_task(bus.submit(Drop(0)))

        assert (await receipt.settled()).messages == 102
        assert (await waiting).position == 103


@on_both_loops
async def test_no_place_is_lost_with_those_who_give_up() -> None:
    """F4, D5: many come, many are cancelled at any moment, and in the end there is as much room as before."""
    async with open_bus(porters, room_for(3)) as bus:
        for round_number in range(30):
            tasks = [asyncio.create_task(bus.submit(Drop(number))) for number in range(12)]
            for _ in range(round_number % 5):
                await asyncio.sleep(0)
            for task in tasks[round_number % 3 :: 2]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await until(lambda: bus.statistics().queued == 0)

        places = await asyncio.gather(*(bus.submit(Drop(number), wait_s=0) for number in range(3)))

        assert len(places) == 3


@on_both_loops
async def test_a_place_that_was_not_used_goes_to_the_next() -> None:
    """D5: who is refused after he was let in does not leave those behind him waiting beside an empty bus."""
    release = threading.Event()
    async with open_bus(occupied(release), room_for(1)) as bus:
        await bus.submit(Carry(1), command_id="mine")
        refused = asyncio.create_task(bus.submit(Carry(2), command_id="mine"))
        behind = asyncio.create_task(bus.submit(Carry(3)))
        await asyncio.sleep(0)
        release.set()

        with pytest.raises(CommandIdReused):
            await refused
        assert (await (await behind).handled()).events == (Carried(3),)


@on_both_loops
async def test_who_waits_at_the_entrance_of_a_closing_bus_is_told_so() -> None:
    """X4: intake stops first; nobody hangs at the door."""
    for is_released in (True, False):
        release = threading.Event()
        async with open_bus(occupied(release), room_for(1)) as bus:
            inside = await bus.submit(Carry())
            waiting = [asyncio.create_task(bus.submit(Carry())) for _ in range(5)]
            await asyncio.sleep(0)
            if is_released:
                release.set()

        for task in waiting:
            with pytest.raises(BusClosed):
                await task
        assert inside.is_settled


@on_both_loops
async def test_who_submits_in_a_loop_lets_the_bus_work_meanwhile() -> None:
    """F4: a producer that never waits for anything else does not starve the bus."""
    async with open_bus(porters, room_for(100_000)) as bus:
        for number in range(2 * TURN_LIMIT):
            await bus.submit(Drop(number))

        assert bus.statistics().retired > 0


@on_both_loops
async def test_many_are_submitted_at_once_in_their_order() -> None:
    """O1, O8, F4: positions in a row, also through an entrance for fewer, and from another event loop."""
    commands = [Drop(number) for number in range(2 * TURN_LIMIT)]

    async with open_bus(porters, room_for(50)) as bus:
        receipts = await bus.submit_all(commands)
        others = await asyncio.to_thread(asyncio.run, bus.submit_all([Drop(1), Drop(2)]))
        for receipt in (*receipts, *others):
            await receipt.settled()

    assert [receipt.position for receipt in (*receipts, *others)] == list(range(1, 2 * TURN_LIMIT + 3))


@on_both_loops
async def test_of_many_that_are_submitted_at_once_none_is_accepted_when_one_cannot_be() -> None:
    """R1: all are checked before the first is accepted."""
    store = MemoryStore()

    async with open_bus(porters, room_for(50), store=store) as bus:
        with pytest.raises(UnknownCommand):
            await bus.submit_all([Drop(1), Unheard(), Drop(2)])

    assert store.last_position == 0


@on_both_loops
async def test_of_many_that_are_submitted_to_a_closing_bus_those_that_were_accepted_are_carried_out() -> None:
    """X4: whoever submits is told; what has its position is brought to its end."""
    store = MemoryStore()

    async with open_bus(porters, room_for(50), store=store) as bus:
        submitting = asyncio.create_task(bus.submit_all([Drop(number) for number in range(100_000)]))
        await until(lambda: bus.statistics().retired > 0)
    with pytest.raises(BusClosed):
        await submitting

    records = store.read(0, 100_000)
    assert 0 < len(records) < 100_000
    assert all(record.outcome is not None for record in records)


class Crowd(Middleware):
    """How many have come in and not left, and the most there ever were."""

    def __init__(self) -> None:
        self.inside = self.most = 0

    def admitted(self, name: str, envelope: Envelope) -> None:
        """One more."""
        self.inside += 1
        self.most = max(self.most, self.inside)

    def retired(self, name: str, envelope: Envelope, outcome: object) -> None:
        """One less."""
        self.inside -= 1


@on_both_loops
async def test_many_that_are_submitted_in_one_call_find_no_more_room_than_there_is() -> None:
    """F4: room is asked for once for many, and never given to more."""
    crowd = Crowd()
    settings = Settings(bus=BusSettings(max_pending=5), workers=WorkerSettings(count=0))

    async with open_bus(porters, settings, middleware=[crowd]) as bus:
        receipts = await bus.submit_all(Drop(number) for number in range(40))
        for receipt in receipts:
            await receipt.handled()

    assert [receipt.position for receipt in receipts] == list(range(1, 41))
    assert crowd.most == 5
