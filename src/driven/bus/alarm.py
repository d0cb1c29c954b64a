"""The alarm: one timer that wakes the bus when the next message is due. As long-lived as the bus; on its thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

LONGEST_S: Final = 1.0
"""Seconds after which the clock is looked at again: it may have jumped, and timers do not notice."""
_NANOSECONDS: Final = 1_000_000_000


class Alarm:
    """Wakes once, when it is time or earlier; whoever is woken sets it again."""

    __slots__ = ("_clock_ns", "_due_ns", "_loop", "_timer", "_wake")

    def __init__(self, loop: asyncio.AbstractEventLoop, clock_ns: Callable[[], int], wake: Callable[[], None]) -> None:
        """`clock_ns` is the clock that says what is due; `wake` is called in `loop`."""
        self._loop: Final = loop
        self._clock_ns: Final = clock_ns
        self._wake: Final = wake
        self._timer: asyncio.TimerHandle | None = None
        self._due_ns = 0

    def set(self, due_ns: int | None) -> None:
        """Wake when this is due, and not when something else was; None: nothing is."""
        if self._timer is not None:
            if due_ns == self._due_ns:
                return
            self._timer.cancel()
            self._timer = None
        if due_ns is not None:
            self._due_ns = due_ns
            wait_s = max(0.0, (due_ns - self._clock_ns()) / _NANOSECONDS)
            self._timer = self._loop.call_later(min(wait_s, LONGEST_S), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._wake()
