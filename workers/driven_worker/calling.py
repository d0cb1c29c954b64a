"""The work of a worker that runs plain calls, for an `Executor`: one call from its bytes to its result. Plugged in.

::

    bytes --> begin --> unpickle --> call --> pickle --> tell --> end
                |           `-----------`--------`- raises, exits: that is the result

The number of the call stands in the status words from before it is unpickled until its result is published: exactly
that call is blamed when the worker dies (W3). The first thing to run is the initializer, if there is one; if that
raises, the worker says that it is unfit, and ends.

``__main__`` is an empty module here, never the user's program, which runs once: a reference into it must not find what
the worker's own program happens to call by that name.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
import traceback
from multiprocessing import process
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from driven.calls import CALL_HEAD, RECALL, RESULT_HEAD, RETURNED, SETUP, Ending, pickled, unpickled
from driven.errors import SegmentUnavailable
from driven.service.failures import failure_of
from driven.wire import Hello, RecordKind, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.ring.channel import Body
    from driven_worker.loop import Loop

_COMPLETION: Final = int(RecordKind.COMPLETION)


def call_work() -> CallWork:
    """Make this process a worker that runs calls."""
    sys.modules["__main__"] = ModuleType("__main__")
    work = CallWork()
    if RECALL > 0:
        signal.signal(RECALL, work.give_back)
        signal.siginterrupt(RECALL, False)
    return work


class CallWork:
    """Runs calls; as long-lived as the worker."""

    __slots__ = ("_blocked",)

    def __init__(self) -> None:
        self._blocked: Loop | None = None
        """The loop, while a call of the user's runs, and it does nothing."""

    def give_back(self, *_: object) -> None:
        """Send back what has not begun, as what runs takes long: others may run it, and what runs may wait for it.

        The handler of a signal. It does its work between two instructions of the call that runs; in any other moment
        the loop is about to begin the next call, and nothing is asked of it.
        """
        loop, self._blocked = self._blocked, None
        if loop is not None:
            for body in loop.take_waiting():
                loop.tell(RETURNED, bytes(body[: CALL_HEAD.size]))
            self._blocked = loop

    def run(self, loop: Loop, body: Body) -> None:
        """Run one call, and tell its result."""
        (number,) = CALL_HEAD.unpack_from(body)
        if number == SETUP:
            _set_up(loop, body)
            loop.tell(RecordKind.HELLO, encode(Hello(())))
        else:
            loop.status.begin(number, 0, time.monotonic_ns())
            began_ns = time.perf_counter_ns()
            try:
                call = unpickled(memoryview(body)[CALL_HEAD.size :])
            except BaseException as error:  # noqa: BLE001 - making its arguments may do anything (D10)
                ending, result = _told(Ending.UNREADABLE, error)
            else:
                body = b""  # it may be large, and be needed by nobody now
                ending, result = self._ended(loop, *call)
                del call
            _tell(loop, RESULT_HEAD.pack(number, time.perf_counter_ns() - began_ns, ending), result)
        loop.status.end()

    def close(self) -> None:
        """Nothing was made that would have to be finalised."""

    def _ended(
        self, loop: Loop, function: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[Ending, bytes]:
        """Call; return how it ended, and with what."""
        try:
            self._blocked = loop
            value = function(*arguments, **named)
            self._blocked = None
            return Ending.RETURNED, pickled(value)
        except BaseException as error:  # noqa: BLE001 - KeyboardInterrupt and SystemExit are results, too (W6)
            self._blocked = None
            return _told(Ending.RAISED, error)


def _set_up(loop: Loop, body: Body) -> None:
    """Do what comes before the first call; an initializer may raise anything, and is to blame if the worker dies."""
    authkey, initializer, arguments = unpickled(memoryview(body)[CALL_HEAD.size :])
    process.current_process().authkey = authkey
    if initializer is not None:
        loop.status.begin(SETUP, 0, time.monotonic_ns())
        initializer(*arguments)


def _told(ending: Ending, error: BaseException) -> tuple[Ending, bytes]:
    """An exception as bytes that can be made into one again, which is tried here, and else as text (D9)."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    with contextlib.suppress(BaseException):  # an exception's own methods are the user's code
        body = pickled((error.with_traceback(None), text))
        if isinstance(unpickled(body)[0], BaseException):
            return ending, body
    failure = failure_of(error)
    return Ending.UNTELLABLE, pickled((failure.error_type, failure.message, text))


def _tell(loop: Loop, head: bytes, result: bytes) -> None:
    """Tell a result; where there is no memory for one so large, that is the result."""
    try:
        loop.tell(_COMPLETION, head + result)
    except (SegmentUnavailable, MemoryError) as error:
        number, elapsed_ns, _ = RESULT_HEAD.unpack(head)
        ending, told = _told(Ending.RAISED, error)
        loop.tell(_COMPLETION, RESULT_HEAD.pack(number, elapsed_ns, ending) + told)
