"""Notes: what decorators were given, kept as it was given until a bus opens and everything is checked together."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from driven.service.handlers import HandlerOptions
from driven.service.naming import qualified_name, shown

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Noted(msgspec.Struct, frozen=True):
    """One use of a decorator: what was decorated, for which message type, with which options."""

    target: Any
    message: Any
    local_names: dict[str, Any]
    options: HandlerOptions = HandlerOptions()

    @property
    def culprit(self) -> str:
        """How a fault names it."""
        named = hasattr(self.target, "__qualname__")
        return qualified_name(self.target) if named else f"what is registered for {shown(self.message)}"


def noting(keep: Callable[[Noted], object], message: type, options: HandlerOptions) -> Callable[[T], T]:
    """A decorator that gives what it decorates to `keep`, and leaves it as it is."""
    if inspect.isfunction(message):  # a decorator without its parentheses: nothing will follow, so it is noted now
        keep(Noted(message, message, {}))

    def note(target: T) -> T:
        is_local = "<locals>" in getattr(target, "__qualname__", "")
        local_names = dict(sys._getframe(1).f_locals) if is_local else {}  # noqa: SLF001 - for their annotations
        keep(Noted(target, message, local_names, options))
        return target

    return note
