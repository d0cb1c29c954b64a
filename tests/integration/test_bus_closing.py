"""Closing a bus: intake stops, what was accepted drains to a deadline, and nobody is left waiting (X4)."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator  # noqa: TC003 - the container reads these annotations
from typing import TYPE_CHECKING

import pytest
import uvloop

from both_loops import PATIENCE_S, on_both_loops
from driven import (
    Application,
    BusClosed,
    BusSettings,
    Command,
    Event,
    RegistrationError,
    Settings,
    WorkerSettings,
    open_bus,
)
from driven.adapters.stores.memory import MemoryStore

if TYPE_CHECKING:
    from driven import MessageBus, Receipt


class Step(Command):
    left: int


class Stepped(Event):
    left: int


walk = Application("walk")


@walk.handles(Step)
def step(command: Step) -> Stepped:
    """One step."""
    return Stepped(command.left - 1)


@walk.reacts_to(Stepped)
def next_step(event: Stepped) -> Step | None:
    """For ever, when the number is negative."""
    return Step(event.left) if event.left else None


def inline(**bus: float) -> Settings:
    """No workers; the rest as given."""
    return Settings(workers=WorkerSettings(count=0), bus=BusSettings(max_hops=10**9, max_descendants=10**9, **bus))  # type: ignore[arg-type]


@on_both_loops
async def test_leaving_the_block_drains_what_was_accepted() -> None:
    """X4: everything that a command leads to has retired, and its receipt says so."""
    async with open_bus(walk, inline()) as bus:
        receipts = [await bus.submit(Step(2_000)) for _ in range(3)]

    settlements = [await receipt.settled() for receipt in receipts]
    assert [settlement.messages for settlement in settlements] == [4_000] * 3


@on_both_loops
async def test_a_closed_bus_takes_no_more_commands() -> None:
    """X4: from its own loop and from another one."""
    async with open_bus(walk, inline()) as bus:
        pass

    with pytest.raises(BusClosed, match="open a new bus"):
        await bus.submit(Step(1))
    with pytest.raises(BusClosed, match="open a new bus"):
        await asyncio.to_thread(asyncio.run, bus.handle(Step(1)))


def test_a_bus_whose_event_loop_is_gone_takes_no_more_commands() -> None:
    """X4: nobody is left who could answer, and nobody waits for an answer."""

    async def open_and_close() -> MessageBus:
        async with open_bus(walk, inline()) as bus:
            return bus

    bus = asyncio.run(open_and_close())

    with pytest.raises(BusClosed):
        asyncio.run(bus.handle(Step(1)))


@on_both_loops
async def test_draining_gives_up_at_the_deadline_and_tells_who_waits(caplog: pytest.LogCaptureFixture) -> None:
    """X4: the deadline is kept, the receipts of what is left get BusClosed, and the log keeps what was accepted."""
    store = MemoryStore()
    with caplog.at_level(logging.WARNING, "driven.bus"):
        async with open_bus(walk, inline(drain_timeout_s=0.05), store=store) as bus:
            endless = await bus.submit(Step(-1))
            waiting = asyncio.create_task(endless.settled())
            await endless.handled()

    with pytest.raises(BusClosed, match="it was closed"):
        await waiting
    assert (await endless.handled()).events == (Stepped(-2),)
    assert "with 1 messages unretired" in caplog.text
    records = store.read(0, 10**6)
    assert [record.message.envelope.position for record in records] == list(range(1, len(records) + 1))
    assert [record.outcome is None for record in records].count(True) == 1


@on_both_loops
async def test_an_exception_in_the_block_passes_and_does_not_drain() -> None:
    """X4: who leaves by an error leaves at once; who waits is told."""
    receipt: Receipt
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - what raises is the block of the bus
        async with open_bus(walk, inline(drain_timeout_s=1_000.0)) as bus:
            receipt = await bus.submit(Step(-1))
            raise ZeroDivisionError

    with pytest.raises(BusClosed):
        await receipt.settled()


@on_both_loops
async def test_a_cancelled_block_closes_its_bus() -> None:
    """X4: a server that is shut down cancels; the bus lets go of everything."""

    async def serve() -> None:
        async with open_bus(walk, inline(drain_timeout_s=1_000.0)) as bus:
            buses.append(bus)
            await (await bus.submit(Step(-1))).settled()

    buses: list[MessageBus] = []
    server = asyncio.create_task(serve())
    while not buses or not buses[0].statistics().retired:
        await asyncio.sleep(0)
    server.cancel()

    with pytest.raises(asyncio.CancelledError):
        await server
    with pytest.raises(BusClosed):
        await buses[0].submit(Step(1))


@on_both_loops
async def test_draining_twice_at_once_is_harmless() -> None:
    """X4, D4: both return when everything has settled, and leaving the block drains once more."""
    async with open_bus(walk, inline()) as bus:
        await bus.submit(Step(2_000))

        assert all(await asyncio.gather(bus.drain(PATIENCE_S), bus.drain(PATIENCE_S)))
        assert bus.statistics().retired == 4_000


@on_both_loops
async def test_threads_that_submit_while_the_bus_closes_are_all_answered() -> None:
    """X4, O8: each submit from another loop returns a receipt or raises BusClosed, at whatever instant it came."""
    accepted: list[int] = []
    refused: list[BusClosed] = []

    def submit_until_refused(bus: MessageBus, gate: threading.Barrier) -> None:
        async def submit() -> None:
            while True:
                accepted.append((await bus.submit(Step(1))).position)

        gate.wait(PATIENCE_S)
        with pytest.raises(BusClosed) as closed:
            asyncio.run(asyncio.wait_for(submit(), PATIENCE_S))
        refused.append(closed.value)

    store = MemoryStore()
    gate = threading.Barrier(5)
    async with open_bus(walk, inline(), store=store) as bus:
        threads = [threading.Thread(target=submit_until_refused, args=(bus, gate)) for _ in range(4)]
        for thread in threads:
            thread.start()
        await asyncio.to_thread(gate.wait, PATIENCE_S)
        while len(accepted) < 20:
            await asyncio.sleep(0)
    for thread in threads:
        await asyncio.to_thread(thread.join, PATIENCE_S)

    assert len(refused) == 4
    roots = [record for record in store.read(0, 10**6) if record.message.envelope.causation == 0]
    assert sorted(accepted) == [record.message.envelope.position for record in roots]
    assert all(record.outcome is not None for record in roots)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_threads_are_answered_also_when_the_loop_of_the_bus_ends_right_after_it(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """X4, D5: a program ends with its bus; whoever submits from a thread of his own at that instant is answered."""
    answers: list[type[BaseException]] = []

    def submit_until_refused(bus: MessageBus, began: threading.Semaphore) -> None:
        async def submit() -> None:
            while True:
                await bus.submit(Step(1))
                began.release()

        try:
            asyncio.run(asyncio.wait_for(submit(), PATIENCE_S))
        except BaseException as error:  # noqa: BLE001 - which one it is decides
            answers.append(type(error))

    async def main() -> list[threading.Thread]:
        began = threading.Semaphore(0)
        async with open_bus(walk, inline()) as bus:
            threads = [threading.Thread(target=submit_until_refused, args=(bus, began)) for _ in range(3)]
            for thread in threads:
                thread.start()
            while not began.acquire(blocking=False):
                await asyncio.sleep(0)
        return threads

    for _ in range(10):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            threads = runner.run(main())
        for thread in threads:
            thread.join(PATIENCE_S)

    assert answers == [BusClosed] * 30


@on_both_loops
async def test_injected_objects_are_finalised_when_the_bus_closes() -> None:
    """X4: what was made for the bus ends with it, also when the block raised."""
    ended: list[str] = []
    app = walk.copy()
    app.binds(Connection, to=connections(ended))

    @app.projects(Stepped)
    def project(event: Stepped, connection: Connection) -> None: ...

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - as above
            async with open_bus(app, inline()) as bus:
                assert isinstance(bus.resolve(Connection), Connection)
                raise ZeroDivisionError

    assert ended == ["ended"] * 2


class Connection:
    """Something to be closed."""


def connections(ended: list[str]) -> Callable[[], Iterator[Connection]]:
    """A factory whose product is finalised."""

    def connect() -> Iterator[Connection]:
        yield Connection()
        ended.append("ended")

    return connect


@on_both_loops
async def test_a_faulty_application_leaves_nothing_open() -> None:
    """R1: nothing was started, so nothing has to be stopped."""
    store = MemoryStore()
    with pytest.raises(RegistrationError):
        async with open_bus(Application("empty"), inline(), store=store):
            pass

    async with open_bus(walk, inline(), store=store) as bus:
        assert (await bus.handle(Step(1))).position == 1


@on_both_loops
async def test_submits_that_are_cancelled_before_they_begin_leave_no_warning() -> None:
    """X1, `-W error`: a task that is cancelled at once never awaits what it was made of."""
    async with open_bus(walk, inline()) as bus:
        tasks = [asyncio.create_task(bus.submit(Step(1))), asyncio.create_task(bus.handle(Step(1)))]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        assert bus.statistics().admitted == 0
