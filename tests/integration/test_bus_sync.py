"""The synchronous face: the same bus, from any number of threads, and nobody who waits for himself (O7, O8, X4)."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec
import pytest

from both_loops import PATIENCE_S
from driven import (
    Application,
    BusClosed,
    BusSettings,
    Command,
    CommandFailed,
    Event,
    Middleware,
    ReentrantDispatch,
    RegistrationError,
    Settings,
    SyncBus,
    SyncReceipt,
    WorkerSettings,
    open_bus,
    open_bus_sync,
)
from driven.adapters.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven import Envelope, MessageBus, Receipt

SETTINGS = Settings(workers=WorkerSettings(count=0), bus=BusSettings(max_hops=10**9, max_descendants=10**9))


class Say(Command):
    text: str
    times: int = 1


class Said(Event):
    text: str
    times: int


echoes = Application("echoes")


@echoes.handles(Say)
def say(command: Say) -> Said:
    """Refuses the empty text."""
    if not command.text:
        raise ValueError("there is nothing to say")
    return Said(command.text, command.times - 1)


@echoes.reacts_to(Said)
def say_again(event: Said) -> Say | None:
    """For ever, when the number is negative."""
    return Say(event.text, event.times) if event.times else None


def threads_of_ours() -> list[str]:
    """Threads that a bus has started."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("driven")]


def test_commands_are_handled_without_an_event_loop() -> None:
    """The synchronous face: submit, handle, receipts, statistics, digest."""
    with open_bus_sync(echoes, SETTINGS) as bus:
        outcome = bus.handle(Say("hello"))
        receipt = bus.submit(Say("again", times=3))

        assert (outcome.position, outcome.events) == (1, (Said("hello", 0),))
        assert receipt.handled().events == (Said("again", 2),)
        assert receipt.settled().messages == 6
        assert (receipt.position, receipt.id) == (3, "@3")
        assert (receipt.is_handled, receipt.is_settled) == (True, True)
        assert (bus.statistics().admitted, bus.statistics().retired) == (8, 8)
        digest = bus.log_digest()
        with pytest.raises(CommandFailed, match="there is nothing to say"):
            bus.handle(Say(""))
    assert threads_of_ours() == []

    async def in_a_loop() -> str:
        async with open_bus(echoes, SETTINGS) as bus:
            await (await bus.submit(Say("hello"))).settled()
            await (await bus.submit(Say("again", times=3))).settled()
            return bus.log_digest()

    assert asyncio.run(in_a_loop()) == digest


def test_any_number_of_threads_may_use_it_at_once() -> None:
    """O8: each gets its own outcomes, and positions are gapless."""
    store = MemoryStore()

    with open_bus_sync(echoes, SETTINGS, store=store) as bus, ThreadPoolExecutor(8) as threads:
        texts = [str(number) for number in range(200)]
        outcomes = list(threads.map(lambda text: bus.handle(Say(text)), texts))

    assert [outcome.events for outcome in outcomes] == [(Said(text, 0),) for text in texts]
    assert [record.message.envelope.position for record in store.read(0, 1_000)] == list(range(1, 401))


def test_giving_up_waiting_cancels_nothing_and_leaves_nothing() -> None:
    """X1, P13: asking again and again with little patience does not pile up tasks on the bus's loop."""
    with open_bus_sync(echoes, stopping_at_once()) as bus:
        endless = bus.submit(Say("on and on", times=-1))
        for _ in range(5):
            with pytest.raises(TimeoutError):
                endless.settled(timeout_s=0.001)
        endless.handled()

        assert (endless.is_handled, endless.is_settled) == (True, False)
        assert bus.statistics().retired > 0
        deadline_s = time.monotonic() + PATIENCE_S  # to give up takes a turn of the loop, and this is another thread
        while len(asyncio.all_tasks(bus._loop._loop)) > 2:  # noqa: SLF001 - how many wait is not to be seen otherwise
            assert time.monotonic() < deadline_s


def stopping_at_once() -> Settings:
    """For applications that never settle."""
    return msgspec.structs.replace(SETTINGS, bus=msgspec.structs.replace(SETTINGS.bus, drain_timeout_s=0.0))


def test_threads_that_wait_when_the_bus_closes_are_told() -> None:
    """X4: in submit, handled and settled, at whatever moment; nobody hangs."""
    told: list[Exception] = []

    def use_until_closed(bus: SyncBus) -> None:
        try:
            while True:
                bus.submit(Say("on and on", times=-1)).settled(timeout_s=PATIENCE_S)
        except BusClosed as closed:
            told.append(closed)

    def submit_until_closed(bus: SyncBus) -> None:
        try:
            while True:
                bus.submit(Say("once"))
        except BusClosed as closed:
            told.append(closed)

    with open_bus_sync(echoes, stopping_at_once()) as bus:
        targets = [use_until_closed, submit_until_closed] * 3
        threads = [threading.Thread(target=target, args=(bus,)) for target in targets]
        for thread in threads:
            thread.start()
        while bus.statistics().admitted < 100:
            pass
    for thread in threads:
        thread.join(PATIENCE_S)

    assert len(told) == 6
    with pytest.raises(BusClosed):
        bus.submit(Say("too late"))
    with pytest.raises(BusClosed):
        bus.statistics()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ZeroDivisionError])
def test_an_exception_in_the_block_passes_and_leaves_nothing_behind(error: type[BaseException]) -> None:
    """X4, P5: Ctrl-C among them; threads, loop and store are gone, and nothing waits for what never ends."""
    store = MemoryStore()

    with pytest.raises(error), open_bus_sync(echoes, SETTINGS, store=store) as bus:  # noqa: PT012 - the block raises
        endless = bus.submit(Say("on and on", times=-1))
        raise error

    assert threads_of_ours() == []
    with pytest.raises(BusClosed):
        endless.settled()
    with open_bus_sync(echoes, SETTINGS, store=store) as bus:
        assert bus.handle(Say("still there")).position > endless.position


def test_a_bus_that_cannot_be_opened_leaves_nothing_behind() -> None:
    """R1: the faults are raised in the caller's thread."""
    with pytest.raises(RegistrationError), open_bus_sync(Application("empty"), SETTINGS):
        pass

    assert threads_of_ours() == []


def reaching_for(use: Callable[[], object]) -> Application:
    """An application whose handler, reaction or projector does what it is given."""
    app = Application("reaching")

    @app.handles(Say)
    def say(command: Say) -> Said:
        if command.text == "handler":
            use()
        return Said(command.text, 0)

    @app.reacts_to(Said)
    def react(event: Said) -> Say | None:
        if event.text == "reaction":
            use()
        return None

    @app.projects(Said)
    def project(event: Said) -> None:
        if event.text == "projector":
            use()

    return app


USES: dict[str, Callable[[SyncBus], object]] = {
    "submit": lambda bus: bus.submit(Say("again")),
    "handle": lambda bus: bus.handle(Say("again")),
    "statistics": SyncBus.statistics,
}


@pytest.mark.parametrize("use", list(USES))
def test_a_handler_that_waits_for_the_bus_is_refused_and_not_deadlocked(use: str) -> None:
    """O7, B12: whatever it asks for, it would wait for itself."""
    held: list[SyncBus] = []
    with open_bus_sync(reaching_for(lambda: USES[use](held[0])), SETTINGS) as bus:
        held.append(bus)

        with pytest.raises(CommandFailed, match="ReentrantDispatch"):
            bus.handle(Say("handler"))
        assert bus.submit(Say("reaction")).settled().parked == 1
        assert bus.submit(Say("projector")).settled().parked == 0
        assert "ReentrantDispatch" in str(bus.statistics().projections[0].stopped_by)
        assert bus.statistics().admitted == 5


def test_a_handler_that_waits_for_a_receipt_is_refused_and_not_deadlocked() -> None:
    """O7: no awaiting of a message inside a handler, not even of one that was submitted outside."""
    held: list[SyncReceipt] = []
    with open_bus_sync(reaching_for(lambda: held[0].settled()), SETTINGS) as bus:  # noqa: PLW0108 - it is put there later
        held.append(bus.submit(Say("fine")))

        with pytest.raises(CommandFailed, match=r"ReentrantDispatch: .* from inside .*\.say;"):
            bus.handle(Say("handler"))


def test_a_hook_that_waits_for_the_bus_is_refused_and_not_deadlocked() -> None:
    """O7: hooks run on the bus's own thread."""
    refused: list[ReentrantDispatch] = []

    class Asking(Middleware):
        def admitted(self, name: str, envelope: Envelope) -> None:
            with pytest.raises(ReentrantDispatch) as refusal:
                held[0].statistics()
            refused.append(refusal.value)

    held: list[SyncBus] = []
    with open_bus_sync(echoes, SETTINGS, middleware=[Asking()]) as bus:
        held.append(bus)
        bus.handle(Say("hello"))

    assert len(refused) == 2


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("count", "blocked_s"), [(50_000, 1.0), pytest.param(200_000, 3.0, marks=pytest.mark.stress)])
def test_a_flood_from_threads_while_the_loop_is_busy_is_taken_in_whole(count: int, blocked_s: float) -> None:
    """D2: all that other threads submit while the bus's loop is blocked is taken in: none lost, none twice."""
    threads = 4
    store = MemoryStore()
    app = Application("flood")

    @app.handles(Say)
    def say(command: Say) -> None:
        """Nothing follows."""

    async def flood(bus: MessageBus, number: int) -> list[Receipt]:
        commands = (Say(f"{number} {index}") for index in range(count // threads))
        return await asyncio.gather(*(bus.submit(command) for command in commands))

    async def main() -> None:
        async with open_bus(app, SETTINGS, store=store) as bus:
            with ThreadPoolExecutor(threads) as pool:
                floods = [pool.submit(asyncio.run, flood(bus, number)) for number in range(threads)]
                time.sleep(blocked_s)  # noqa: ASYNC251 - blocks the bus's loop: what this is about
                receipts = [await asyncio.wrap_future(flooded) for flooded in floods]
        positions = [receipt.position for own in receipts for receipt in own]
        assert sorted(positions) == list(range(1, count + 1))
        assert all(receipt.is_settled for own in receipts for receipt in own)
        assert all(own == sorted(own, key=lambda receipt: receipt.position) for own in receipts)

    gc.collect()
    asyncio.run(main())
    assert store.last_position == count
