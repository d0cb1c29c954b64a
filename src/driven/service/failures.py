"""Failures: exceptions as values, so that they can travel and be kept. Pure functions; nothing here lives.

It stands apart from `execution`, which imports what handlers need: a worker that runs plain calls starts without that.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final

from driven.wire import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_MESSAGE: Final = 10_000
LONGEST_TRACEBACK: Final = 40_000
"""Characters of a failure that are kept; the middle is left out, as both ends of a traceback tell most."""

_EXECUTION: Final = str(Path(__file__).with_name("execution.py"))
"""Its frames stand above those of every handler, and tell nothing."""


def failure_of(error: BaseException) -> Failure:
    """An exception as values; survives exceptions whose own methods raise or exit (D9)."""
    kind = type(error)
    return Failure(
        _told(lambda: _name_of(kind), "an error whose name cannot be had", LONGEST_MESSAGE),
        _told(lambda: _message_of(error), "<its text cannot be had>", LONGEST_MESSAGE),
        _told(lambda: _traceback_of(error), "<its traceback cannot be had>\n", LONGEST_TRACEBACK),
    )


def _told(tell: Callable[[], str], otherwise: str, longest: int) -> str:
    """What `tell` says, as plain text that can be encoded and is no longer than that."""
    try:
        text = str.encode(tell(), "utf-8", "backslashreplace").decode()  # lone surrogates are shown escaped
    except BaseException as broken:  # noqa: BLE001 - an exception's own methods are the user's code
        return f"{otherwise} ({type(broken).__name__})" if not otherwise.endswith("\n") else otherwise
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n... {len(text) - 2 * half:,} characters ...\n{text[-half:]}"


def _name_of(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _message_of(error: BaseException) -> str:
    """Its text; that of a recursion error depends on where the limit struck, and is made the same for all."""
    return "maximum recursion depth exceeded" if isinstance(error, RecursionError) else str(error)


def _traceback_of(error: BaseException) -> str:
    """Its traceback without the frames of `execution` at the top, unless nothing else is left."""
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename == _EXECUTION:
        frame = frame.tb_next
    return "".join(traceback.format_exception(type(error), error, frame or error.__traceback__))
