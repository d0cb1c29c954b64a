"""The tick: looks at every ring from time to time while anything is expected, against lost wake-ups.

A worker rings when it has written and the bus sleeps. Once in very many times that wake-up is lost, because Python has
no memory fence (see `driven.ring.waiting`); the tick bounds what that costs to `LONGEST_SLEEP_S` seconds. It belongs
to a lane, and runs in the event loop only while something should come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from driven.ring.waiting import LONGEST_SLEEP_S

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from driven.pool.link import Link


class Tick:
    """One lane's; `arm` it when something was sent."""

    __slots__ = ("_drain", "_links", "_loop", "_tell", "handle")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        links: Mapping[int, Link],
        drain: Callable[[Link], bool],
        tell: Callable[[], None],
    ) -> None:
        """Not armed yet; `tell` is called when `drain` of any of the `links` has told something."""
        self._loop: Final = loop
        self._links: Final = links
        self._drain: Final = drain
        self._tell: Final = tell
        self.handle: asyncio.TimerHandle | None = None
        """None: it is not armed."""

    def arm(self) -> None:
        """Look in a while, and go on as long as anything is expected; to be called when it is not armed."""
        self.handle = self._loop.call_later(LONGEST_SLEEP_S, self._look)

    def cancel(self) -> None:
        """Look no more."""
        if self.handle is not None:
            self.handle.cancel()

    def _look(self) -> None:
        self.handle = None
        if any(link.is_expecting for link in self._links.values()):
            self.arm()
        is_told = False
        for link in tuple(self._links.values()):
            link.restate()
            is_told = self._drain(link) or is_told
        if is_told:
            self._tell()
