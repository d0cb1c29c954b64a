"""Settling: a result becomes what its future says. Pure functions, called by the manager, outside every lock.

Here the user's code may run: what makes its values out of bytes, and the callbacks of its futures. Nothing that it
raises goes any further (D4).
"""

from __future__ import annotations

import logging
from concurrent.futures import InvalidStateError
from concurrent.futures.process import _RemoteTraceback  # what tools that show tracebacks of pools look for
from typing import TYPE_CHECKING, Any

from driven.calls import RESULT_HEAD, Ending, unpickled
from driven.executor.errors import CallFailed, CallUnreadable

if TYPE_CHECKING:
    from concurrent.futures import Future

    from driven.executor.call_link import Call, Result

logger = logging.getLogger("driven.executor")


def settle(result: Result) -> None:
    """Set the result or the exception of a call's future."""
    call, ending = result.call, result.ending
    try:
        told = unpickled(memoryview(result.body)[RESULT_HEAD.size :])
        failed = None if ending == Ending.RETURNED else _error_of(call, ending, told)
    except BaseException as error:  # noqa: BLE001 - making its value may do anything, SystemExit included (D10)
        unreadable = CallUnreadable(f"what {call.name} returned", _text_of(error))
        unreadable.__cause__ = error
        fail(call, unreadable)
        return
    if failed is None:
        _set(call.future, told)
    else:
        fail(call, failed)


def fail(call: Call, error: BaseException) -> None:
    """Set the exception of a call's future."""
    try:
        call.future.set_exception(error)
    except InvalidStateError:
        logger.warning("The future of %s was settled by somebody else; what became of the call is lost.", call.name)
    except BaseException:
        logger.exception("A callback of the future of %s raised.", call.name)


def _set(future: Future[Any], value: object) -> None:
    try:
        future.set_result(value)
    except InvalidStateError:
        logger.warning("A future was settled by somebody else; what its call returned is lost.")
    except BaseException:
        logger.exception("A callback of a future raised.")


def _error_of(call: Call, ending: int, told: Any) -> BaseException:  # noqa: ANN401 - as the ending says
    if ending == Ending.UNTELLABLE:
        return CallFailed(*told)
    error, text = told
    if not isinstance(error, BaseException):  # made by its `__reduce__`, which may make other things here than there
        raise TypeError(f"what it raised was made into {type(error).__name__} here, which is no exception")
    # Past what its class may have instead: an exception need not let itself be changed.
    object.__setattr__(error, "__cause__", _RemoteTraceback(f'\n"""\n{text}"""'))  # type: ignore[arg-type]  # the text
    if ending == Ending.RAISED:
        return error
    unreadable = CallUnreadable(f"the call of {call.name}", _text_of(error))
    unreadable.__cause__ = error
    return unreadable


def _text_of(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException:  # noqa: BLE001 - its own methods are the user's code
        return type(error).__name__
