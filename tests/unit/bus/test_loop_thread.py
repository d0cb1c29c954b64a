"""The loop thread: an answer to every call, whatever becomes of the loop (O8, D4)."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import TYPE_CHECKING

import pytest
import uvloop

from both_loops import PATIENCE_S
from driven import BusClosed, ReentrantDispatch
from driven.bus.loop_thread import LoopThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextvars import Context

LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])


async def answer() -> int:
    """Something to call."""
    return 42


async def wait_for_ever() -> None:
    """Something that never ends by itself."""
    await asyncio.get_running_loop().create_future()


@pytest.fixture
def no_threads_left() -> Iterator[None]:
    """Whatever happens, the thread is gone."""
    yield
    assert "driven-bus" not in [thread.name for thread in threading.enumerate()]


pytestmark = pytest.mark.usefixtures("no_threads_left")


@LOOPS
def test_calls_are_answered_from_any_thread(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """O8: that is what it is for."""
    loop = LoopThread(new_loop)

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: loop.call(answer()).result(PATIENCE_S), range(20))) == [42] * 20

    loop.close()


@LOOPS
def test_what_still_runs_at_the_end_is_cancelled(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """D4: closing waits for nobody, and nobody waits for ever."""
    loop = LoopThread(new_loop)
    waiting = loop.call(wait_for_ever())

    loop.close()
    loop.close()

    with pytest.raises(concurrent.futures.CancelledError):
        waiting.result(PATIENCE_S)
    with pytest.raises(BusClosed):
        loop.call(answer())


@LOOPS
def test_a_call_that_ends_the_loop_leaves_nobody_waiting(
    new_loop: Callable[[], asyncio.AbstractEventLoop], caplog: pytest.LogCaptureFixture
) -> None:
    """P5: an interrupt on that thread ends the loop, and the calls that were made, and those to come."""
    loop = LoopThread(new_loop)
    waiting = loop.call(wait_for_ever())

    async def interrupt() -> None:
        raise KeyboardInterrupt

    interrupted = loop.call(interrupt())

    for call in (waiting, interrupted):
        with pytest.raises((concurrent.futures.CancelledError, KeyboardInterrupt)):
            call.result(PATIENCE_S)
    loop.close()
    with pytest.raises(BusClosed):
        loop.call(answer())
    assert "The event loop of the bus has ended" in caplog.text


def test_a_call_that_the_loop_never_looked_at_is_cancelled() -> None:
    """D5: one that came in the instant between the last look and the end."""

    class Deaf(asyncio.SelectorEventLoop):
        is_deaf = False

        def call_soon_threadsafe(
            self, callback: Callable[..., object], *arguments: object, context: Context | None = None
        ) -> asyncio.Handle:
            if self.is_deaf:
                return asyncio.Handle(callback, arguments, self, context)
            return super().call_soon_threadsafe(callback, *arguments, context=context)

    deaf = Deaf()
    loop = LoopThread(lambda: deaf)
    deaf.is_deaf = True
    unheard = loop.call(coroutine := answer())
    deaf.is_deaf = False

    loop.close()

    with pytest.raises(concurrent.futures.CancelledError):
        unheard.result(PATIENCE_S)
    coroutine.close()


@LOOPS
def test_the_loops_own_thread_cannot_wait_for_itself(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """O7: it is refused and told so, and not deadlocked."""
    loop = LoopThread(new_loop)

    async def call_from_inside() -> None:
        loop.call(answer())

    with pytest.raises(ReentrantDispatch, match="the bus's own thread"):
        loop.call(call_from_inside()).result(PATIENCE_S)

    loop.close()


def test_a_loop_that_cannot_be_made_is_an_error_of_the_caller() -> None:
    """D4: nothing was started, so nothing is left."""

    def fail() -> asyncio.AbstractEventLoop:
        raise OSError("too many open files")

    with pytest.raises(OSError, match="too many open files"):
        LoopThread(fail)
