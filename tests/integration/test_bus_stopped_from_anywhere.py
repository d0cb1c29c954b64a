"""A whole bus, with workers, that is stopped from wherever its user's code runs, and more than once (D4).

Whatever stops it, what was accepted has an outcome, whoever waits is answered, and nothing of it is left: the guard of
`conftest` counts processes, each test counts threads. A test that hangs says so when its patience is over.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from both_loops import PATIENCE_S, on_both_loops
from driven import (
    BusClosed,
    BusSettings,
    CommandFailed,
    Middleware,
    ReentrantDispatch,
    Settings,
    WorkerSettings,
    open_bus,
    open_bus_sync,
)
from leftovers import still_running
from worker_test_app import Do, app

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from driven import Envelope, MessageBus, SyncBus

WORKERS = Settings(workers=WorkerSettings(count=2))
COMMANDS = 40
THREADS = 8
ENDLESS_S = 10 * PATIENCE_S
"""What a drain allows that is to be ended by something else: longer than any test here has."""


def driven_threads() -> list[str]:
    """Threads that a bus has started."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("driven")]


class Stopping(Middleware):
    """Stops its bus from a hook, each time that it is called."""

    def __init__(self, stop: Callable[[MessageBus], Coroutine[object, object, object]]) -> None:
        self.bus: MessageBus | None = None
        self.stops: list[asyncio.Task[object]] = []
        self._stop = stop

    def stop(self) -> None:
        """On the bus thread, in the middle of a turn."""
        assert self.bus is not None
        self.stops.append(asyncio.get_running_loop().create_task(self._stop(self.bus)))


class WhenRetired(Stopping):
    def retired(self, name: str, envelope: Envelope, outcome: object) -> None:
        self.stop()


class WhenAWorkerIsGone(Stopping):
    def worker_gone(self, worker_id: int, reason: str) -> None:
        self.stop()


async def drain(bus: MessageBus) -> bool:
    """As whoever closes a bus."""
    return await bus.drain(ENDLESS_S)


async def give_up(bus: MessageBus) -> None:
    """As a second signal."""
    bus.give_up()


@on_both_loops
async def test_a_bus_can_be_drained_from_every_hook_that_sees_a_retirement() -> None:
    """D4, X4: again and again while it drains; each of them returns, and all that was accepted is carried out."""
    hook = WhenRetired(drain)
    async with open_bus(app, WORKERS, middleware=[hook]) as bus:
        hook.bus = bus
        receipts = [await bus.submit(Do("echo")) for _ in range(COMMANDS)]
        await receipts[-1].settled()
        with pytest.raises(BusClosed):
            await bus.submit(Do("echo"))

    assert await asyncio.gather(*hook.stops) == [True] * 2 * COMMANDS
    assert all(receipt.is_settled for receipt in receipts)
    assert driven_threads() == []


@on_both_loops
async def test_a_bus_can_be_given_up_from_where_it_tells_of_a_death() -> None:
    """D4: while its commands go elsewhere and another worker is hired; who waits is told, and the drain ends."""
    hook = WhenAWorkerIsGone(give_up)
    async with open_bus(app, WORKERS, middleware=[hook]) as bus:
        hook.bus = bus
        receipts = [await bus.submit(Do(deed)) for deed in ("kill oneself", *["echo"] * COMMANDS)]
        answers = await asyncio.gather(*(receipt.settled() for receipt in receipts), return_exceptions=True)

    assert hook.stops
    assert {type(answer) for answer in answers} == {BusClosed}
    assert driven_threads() == []


@on_both_loops
async def test_a_bus_can_be_stopped_from_where_a_failure_is_handled() -> None:
    """D4, F1: by whoever is told of it first; the others that wait are answered, drains that wait return."""
    settings = Settings(workers=WorkerSettings(count=2, stop_timeout_s=0.0))
    async with open_bus(app, settings) as bus:
        behind = [await bus.submit(do) for do in (Do("raise"), *[Do("sleep", "600")] * 2)]
        endless = [asyncio.create_task(bus.drain(ENDLESS_S)) for _ in range(3)]
        try:
            await behind[0].handled()
        except CommandFailed:
            bus.give_up()

    assert await asyncio.gather(*endless) == [False] * 3
    assert driven_threads() == []


@on_both_loops
async def test_a_bus_that_is_closed_ends_the_drains_that_wait() -> None:
    """D4, X4: nobody waits for a bus that gave up at its own deadline, however much time he has."""
    impatient = Settings(bus=BusSettings(drain_timeout_s=0.05), workers=WorkerSettings(count=2))
    async with open_bus(app, impatient) as bus:
        await bus.submit(Do("sleep", "600"))
        waiting = asyncio.create_task(bus.drain(ENDLESS_S))

    assert await waiting is False
    assert driven_threads() == []


@on_both_loops
async def test_a_bus_can_be_stopped_from_eight_threads_and_by_leaving_it_at_once() -> None:
    """D4, O8: each from an event loop of its own; what was accepted is done when they return, and after."""
    all_there = threading.Barrier(THREADS)

    def stop(bus: MessageBus) -> tuple[bool, bool]:
        all_there.wait(PATIENCE_S)
        first = asyncio.run(bus.drain(ENDLESS_S))
        return first, asyncio.run(bus.drain(0.0))

    with ThreadPoolExecutor(THREADS) as threads:
        async with open_bus(app, WORKERS) as bus:
            receipts = [await bus.submit(Do("echo")) for _ in range(COMMANDS)]
            stops = [asyncio.get_running_loop().run_in_executor(threads, stop, bus) for _ in range(THREADS)]

        assert await asyncio.gather(*stops) == [(True, True)] * THREADS
    assert all(receipt.is_settled for receipt in receipts)
    assert driven_threads() == []


def test_a_synchronous_bus_can_be_stopped_from_eight_threads_and_its_own_hooks() -> None:
    """D4, O7: all return with the same answer; who is on the bus's own thread is refused and waits for nobody."""
    held: list[SyncBus] = []
    refused: list[ReentrantDispatch] = []

    class FromTheBusThread(Middleware):
        def retired(self, name: str, envelope: Envelope, outcome: object) -> None:
            with pytest.raises(ReentrantDispatch) as refusal:
                held[0].drain(ENDLESS_S)
            refused.append(refusal.value)

    with ThreadPoolExecutor(THREADS) as threads:
        with open_bus_sync(app, WORKERS, middleware=[FromTheBusThread()]) as bus:
            held.append(bus)
            receipts = [bus.submit(Do("echo")) for _ in range(COMMANDS)]
            stops = [threads.submit(bus.drain, ENDLESS_S) for _ in range(THREADS)]

        assert [stop.result(PATIENCE_S) for stop in stops] == [True] * THREADS
    assert all(receipt.is_settled for receipt in receipts)
    assert bus.drain(ENDLESS_S), "a bus that is closed says what it was"
    assert len(refused) == 2 * COMMANDS
    assert driven_threads() == []


OPEN = """
import asyncio, atexit, contextlib, threading
from driven import Settings, WorkerSettings, open_bus, open_bus_sync
from driven.program import new_event_loop
from worker_test_app import Do, app
settings = Settings(workers=WorkerSettings(count=2))
def use(bus, commands):
    receipts = [bus.submit(command) for command in commands]
    print(*(worker.pid for worker in bus.statistics().workers), flush=True)
    return receipts
stack = contextlib.ExitStack()
"""
ENDLESS = '[Do("sleep", "600")] * 4'
SHORT = '[Do("echo")] * 40'
LEFT_OPEN = f"""
bus = stack.enter_context(open_bus_sync(app, settings))
use(bus, {ENDLESS})
print("as it is")
"""
ITS_LOOP_LEFT_OPEN = f"""
opened = open_bus(app, settings)
async def main():
    bus = await opened.__aenter__()
    await bus.submit_all({ENDLESS})
    use(bus, [])
loop = new_event_loop()
loop.run_until_complete(main())
print("as it is")
"""
CLOSED_AT_EXIT = f"""
bus = stack.enter_context(open_bus_sync(app, settings))
atexit.register(lambda: print("settled" if all(one.is_settled for one in receipts) else "given up"))
atexit.register(stack.close)
receipts = use(bus, {SHORT})
"""
STOPPED_BY_MANY_AT_EXIT = """
def drain_when_the_program_ends():
    threading.main_thread().join()
    bus.drain(60.0)
for _ in range(8):
    threading.Thread(target=drain_when_the_program_ends).start()
atexit.register(bus.drain, 60.0)
"""


@pytest.mark.parametrize(
    ("program", "last_words"),
    [
        pytest.param(LEFT_OPEN, "as it is", id="left open"),
        pytest.param(ITS_LOOP_LEFT_OPEN, "as it is", id="its loop left open"),
        pytest.param(CLOSED_AT_EXIT, "settled", id="closed by atexit"),
        pytest.param(CLOSED_AT_EXIT + STOPPED_BY_MANY_AT_EXIT, "settled", id="stopped by many"),
    ],
)
def test_a_program_ends_with_a_bus_that_is_open(program: str, last_words: str, tmp_path: Path) -> None:
    """D4, W7: at interpreter exit; one that is closed there drains, and one that is left open keeps nobody."""
    told = subprocess.run(
        [sys.executable, "-W", "error", "-c", OPEN + program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * PATIENCE_S,
    )

    pids, *said = told.stdout.splitlines()
    alive = still_running(map(int, pids.split()), PATIENCE_S)
    assert (told.stderr, said, told.returncode, alive) == ("", [last_words], 0, [])
