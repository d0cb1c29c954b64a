"""Inline progress: how far the command is that runs on the bus thread, as its handler says.

While it runs the bus thread does nothing else, so nobody in this process could look; therefore it lets whoever listens
know, who may show it to other processes. One for each bus, made on its thread and as long-lived.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from driven.bus.lane import Progress

if TYPE_CHECKING:
    from collections.abc import Callable


class InlineProgress:
    """The last word of an inline handler."""

    __slots__ = ("_last", "_thread_id", "on_told")

    def __init__(self) -> None:
        """Nothing was said yet."""
        self._last: tuple[int, Progress] | None = None
        self._thread_id: Final = threading.get_ident()
        self.on_told: Callable[[], None] = lambda: None
        """Called on the bus thread after each word that was said there."""

    def tell(self, position: int, fraction: float, text: str) -> None:
        """Say how far the command at `position` is."""
        self._last = position, Progress(fraction, text)
        if threading.get_ident() == self._thread_id:  # a handler may have threads of its own
            self.on_told()

    def of(self, position: int) -> Progress | None:
        """How far the command at `position` is, if it said."""
        last = self._last
        return last[1] if last is not None and last[0] == position else None
