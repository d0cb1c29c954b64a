"""A loop thread: an event loop in a thread of its own, for callers that have none.

::

    any thread --call--> [event loop in its thread] --result--> concurrent future

It lives from its construction to `close`. Nothing that was called is left without an answer: what still runs when it
ends is cancelled, and its future with it, so nobody waits for ever.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

from driven.errors import BusClosed, ReentrantDispatch

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

logger = logging.getLogger("driven.bus")

T = TypeVar("T")

Started = concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]
"""The loop, once it runs, and what ends it when it is set there."""


class LoopThread:
    """Runs coroutines for other threads."""

    def __init__(self, new_event_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        """Start the thread and its loop."""
        self._calls: Final[set[concurrent.futures.Future[Any]]] = set()
        self._lock: Final = threading.Lock()
        self._is_closed = False
        started: Started = concurrent.futures.Future()
        self._thread: Final = threading.Thread(
            # In the caller's context: what it says of decimals and the like holds for inline handlers too.
            target=contextvars.copy_context().run,
            args=(self._run, new_event_loop, started),
            name="driven-bus",
            daemon=True,
        )
        self._thread.start()
        self._loop, self._leaving = started.result()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Begin to run a coroutine on the loop; safe from any other thread.

        Raises:
            ReentrantDispatch: called from the loop's own thread, which would wait for itself.
            BusClosed: the loop has ended, or the interpreter is ending.

        """
        with contextlib.ExitStack() as on_error:
            on_error.callback(coroutine.close)
            if sys.is_finalizing():
                raise BusClosed
            if threading.current_thread() is self._thread:
                raise ReentrantDispatch("a projector or a middleware hook, which run on the bus's own thread")
            with self._lock:
                if self._is_closed:
                    raise BusClosed
                future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
                self._calls.add(future)
            on_error.pop_all()
        future.add_done_callback(self._calls.discard)
        return future

    def close(self) -> None:
        """End the loop and its thread; what still runs is cancelled. Closing twice is harmless."""
        if sys.is_finalizing():
            return  # no thread but this one will ever run again: whoever waited for one would wait for ever (D4)
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._leaving.set)
        self._thread.join()

    def _run(self, new_event_loop: Callable[[], asyncio.AbstractEventLoop], started: Started) -> None:
        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                try:
                    runner.run(self._stay(started))
                finally:
                    self._let_no_one_in()
        except BaseException as error:  # what ends programs ends this thread, and no other
            logger.exception("The event loop of the bus has ended.")
            if not started.done():
                started.set_exception(error)
        for future in tuple(self._calls):
            future.cancel()

    async def _stay(self, started: Started) -> None:
        leaving = asyncio.Event()
        started.set_result((asyncio.get_running_loop(), leaving))
        await leaving.wait()

    def _let_no_one_in(self) -> None:
        with self._lock:
            self._is_closed = True
