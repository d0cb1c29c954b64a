"""The program: a main coroutine in an event loop of its own, and how signals bring it to its end (X4).

::

    SIGTERM or SIGINT    open buses: entrance shut -> drained, to the deadline -> main cancelled -> exit code 128 + n
    a second one         what has not retired is given up, with a typed failure; workers are ended; exit code 128 + n

`run` owns the loop, and for as long as `main` runs also what these two signals do. A signal handler does next to
nothing: it asks the loop for the rest. Only where a handler of the application keeps the loop from hearing, and a
second signal says that it shall not, is that handler interrupted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from driven.errors import BusClosed
from driven.service.execution import running_handler

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

logger = logging.getLogger("driven")

T = TypeVar("T")

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
"""What tells a program to end: from whoever runs it, and from the keyboard."""

_EXIT_CODE_OF_SIGNAL_0: Final = 128
"""A shell reports the end by signal n as 128 + n; so does a program that ends in good order because of one."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a program's main coroutine to its end, as `asyncio.run`, on uvloop where there is uvloop.

    On SIGTERM or SIGINT its open buses take no more commands and drain, each to its ``[bus] drain_timeout_s``; then
    `main` is cancelled. A second signal waits for nothing. Called outside of the main thread, it hears no signals.

    Raises:
        SystemExit: a signal ended the program: 143 for SIGTERM, 130 for SIGINT. Not raised when `main` returns.

    """
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        ending = Ending(runner.get_loop())
        try:
            with _heard_by(ending):
                return runner.run(ending.over(main))
        except (asyncio.CancelledError, BusClosed, KeyboardInterrupt):
            if ending.cause is None:
                raise
            raise SystemExit(_EXIT_CODE_OF_SIGNAL_0 + ending.cause) from None


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A uvloop event loop where there is uvloop, else asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 - there is none on some platforms
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class Drainable(Protocol):
    """A bus, as far as its end is concerned."""

    async def drain(self, timeout_s: float) -> bool:
        """Take no more commands, and wait until all accepted ones have settled, for so long."""

    def give_up(self) -> None:
        """Let go of whatever has not settled; a `drain` that waits returns."""


class Ending:
    """The end of one program by signal: not begun, draining, or at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Nothing has happened yet."""
        self.cause: signal.Signals | None = None
        """The first signal that came, if any."""
        self._loop: Final = loop
        self._main: asyncio.Task[Any] | None = None
        self._buses: Final[dict[Drainable, float]] = {}
        """Those that are open or closing, and the seconds that each has for it."""
        self._closing: Final[set[Drainable]] = set()
        self._draining: asyncio.Task[None] | None = None
        self._began_s = 0.0
        self._is_at_once = False

    async def over(self, main: Coroutine[Any, Any, T]) -> T:
        """Run `main`, which can be cancelled from now on."""
        self._main = asyncio.current_task()
        _ending.set(self)
        return await main

    @contextlib.contextmanager
    def watching(self, bus: Drainable, drain_timeout_s: float) -> Iterator[None]:
        """From its opening until it is closed, the end of the program begins with draining this bus."""
        self._buses[bus] = drain_timeout_s
        try:
            yield
        finally:
            del self._buses[bus]
            self._closing.discard(bus)
            if self.cause is not None and not self._buses:
                self._loop.call_soon(self._cancel)  # main has the chance to return by itself

    def left_s(self, bus: Drainable, otherwise_s: float) -> float:
        """Seconds that are left to a bus which closes now, by the signal's deadline; `otherwise_s` when none came."""
        self._closing.add(bus)
        if self.cause is None:
            return otherwise_s
        if self._is_at_once:
            return 0.0
        return max(0.0, self._began_s + self._buses[bus] - self._loop.time())

    def on_signal(self, number: int, _frame: object) -> None:
        """The handler of `SIGNALS`, between two bytecodes of the main thread."""
        if self.cause is None:
            self.cause, self._began_s = signal.Signals(number), self._loop.time()
            self._loop.call_soon_threadsafe(self._begin)
            return
        self._is_at_once = True
        if running_handler() is not None:
            raise KeyboardInterrupt
        self._loop.call_soon_threadsafe(self._give_up)

    def _begin(self) -> None:
        logger.info("%s: no more commands are taken; the program ends when those that were are done.", self._told())
        self._draining = self._loop.create_task(self._drain())

    async def _drain(self) -> None:
        await asyncio.gather(*(bus.drain(timeout_s) for bus, timeout_s in self._buses.items()))
        if (
            not self._buses or self._closing != self._buses.keys()
        ):  # else main is on its way out, and goes on undisturbed
            self._cancel()

    def _give_up(self) -> None:
        logger.warning("%s again: the program ends at once.", self._told())
        for bus in tuple(self._buses):
            bus.give_up()
        if self._closing != self._buses.keys():
            self._cancel()

    def _told(self) -> str:
        return "" if self.cause is None else self.cause.name

    def _cancel(self) -> None:
        if self._main is not None:
            self._main.cancel()


_ending: Final[ContextVar[Ending | None]] = ContextVar("driven_ending", default=None)


def ending_of_program() -> Ending:
    """The end to come of the program that the current task belongs to; one that never comes when `run` is not used."""
    return _ending.get() or Ending(asyncio.get_running_loop())


@contextlib.contextmanager
def _heard_by(ending: Ending) -> Iterator[None]:
    """Have `SIGNALS` told to `ending` while the block lasts, where this thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, ending.on_signal) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
