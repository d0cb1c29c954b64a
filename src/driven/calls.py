"""Calls to bytes and back: what the main process and a worker of an `Executor` say to each other. Nothing here lives.

The conversation of `driven.wire` with other bodies, and pickle in them: a plain call names no type beforehand. The
rings of a bus never carry one: neither the bus nor a worker that serves an application imports this module.

::

    main -> worker                                       worker -> main
    --------------                                       --------------
    SUBMISSION   number 0: initializer and its           HELLO        the initializer has returned: ready
                 arguments, the first of all             UNFIT        it raised
    SUBMISSION   number, function and arguments          COMPLETION   number, what became of it, value or exception
    a signal     give back what you have not begun       RETURNED     number of one that was given back

Plain pickle writes; where that cannot, and where it wrote a reference into ``__main__``, which no worker imports,
cloudpickle does, if it is installed. Both are read in the same way.
"""

from __future__ import annotations

import functools
import importlib
import pickle
import signal
import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

RETURNED: Final = 48
"""The kind of record that no application's worker sends."""

RECALL: Final = getattr(signal, "SIGRTMAX", 0) - 1
"""The signal that asks a worker for the calls that it has not begun; below 0: there is none here (macOS)."""

SETUP: Final = 0
"""The number of what a worker does before its first call."""

CALL_HEAD: Final = struct.Struct("=Q")
"""number"""

RESULT_HEAD: Final = struct.Struct("=QQQ")
"""number, nanoseconds that it took, `Ending`"""

_PROTOCOL: Final = pickle.HIGHEST_PROTOCOL

MAIN_IN_BYTES: Final = b"__main__"


class Ending(IntEnum):
    """What became of a call."""

    RETURNED = 0
    """The body is its value."""
    RAISED = 1
    """The body is its exception and the text of its traceback."""
    UNREADABLE = 2
    """It could not be unpickled where it was to run; the body is why, as `RAISED`."""
    UNTELLABLE = 3
    """It raised what cannot be pickled and unpickled; the body is its type, its message and its traceback, as text."""


@functools.cache
def by_value() -> Callable[[Any], bytes] | None:
    """How functions and classes become bytes that no import can find: cloudpickle's way, None where that is missing."""
    try:
        module = importlib.import_module("cloudpickle")
    except ImportError:
        return None
    return functools.partial(module.dumps, protocol=_PROTOCOL)


def pickled(thing: object) -> bytes:
    """Pickle; raises whatever plain pickle raised when that could not and nothing else can."""
    try:
        body = pickle.dumps(thing, _PROTOCOL)
    except Exception as error:
        dumps = by_value()
        if dumps is None:
            raise
        try:
            return dumps(thing)
        except Exception:  # noqa: BLE001 - the first error names what is wrong with the thing itself
            raise error from None
    if MAIN_IN_BYTES in body:
        dumps = by_value()
        if dumps is not None:
            return dumps(thing)
    return body


unpickled: Final = pickle.loads
"""The way back; raises whatever the pickled things raise when they are made."""
