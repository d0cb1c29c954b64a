"""Pickling: a call becomes bytes, in the thread that submits it; and what cannot is told by name. Pure functions.

A function of the program itself is pickled as ``__main__.name``. `multiprocessing` has each worker run the program
again to find it, which is why its programs need a guard. Here no program is run twice: cloudpickle sends such a
function by value. Where cloudpickle is not installed, the reference is found here and refused, and not in the worker.
"""

from __future__ import annotations

import pickletools
from typing import Final

from driven.calls import CALL_HEAD, MAIN_IN_BYTES, by_value, pickled
from driven.executor.errors import CallUnpicklable

_MAIN: Final = MAIN_IN_BYTES.decode()
_SILENT: Final = frozenset({"MEMOIZE", "FRAME", "BINPUT", "LONG_BINPUT"})
"""Operations between a module's name and that of a thing in it."""


def call_body(number: int, call: tuple[object, ...], name: str) -> bytes:
    """A call as a worker takes it.

    Raises:
        CallUnpicklable: it needs something of ``__main__``, and there is no cloudpickle.
        Exception: whatever pickling raises; where cloudpickle might help, a note says so.

    """
    try:
        body = pickled(call)
    except Exception as error:
        if by_value() is None:
            error.add_note(f"{name} or its arguments cannot be pickled; it may help to: pip install cloudpickle")
        raise
    if MAIN_IN_BYTES in body and by_value() is None and (found := _found_in_main(body)):
        raise CallUnpicklable(found)
    return CALL_HEAD.pack(number) + body


def _found_in_main(body: bytes) -> str | None:
    """The first thing of ``__main__`` that these bytes refer to; None when it is but a text in them."""
    strings: list[str] = []
    for operation, argument, _ in pickletools.genops(body):
        if operation.name in {"STACK_GLOBAL", "GLOBAL"}:
            module, name = strings[-2:] if len(strings) > 1 else ("", "")
            if module == _MAIN:
                return f"{module}.{name}"
        if isinstance(argument, str):
            strings.append(argument)
        elif operation.name not in _SILENT:
            strings.clear()
    return None
