"""Readiness: whether a lane has got ready, and how often workers that do not get ready are followed by others.

Made when a lane starts, and owned by it. It hires through the staff and knows no worker.

::

    all members ready ---------------------------> `started` has a result
    unfit, or FAILED_STARTS in a row ------------> `started` has an exception; once it is done: the lane has failed
    fewer, or its group is served all the same --> another worker, later
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from driven.errors import WorkersUnavailable

if TYPE_CHECKING:
    import asyncio

    from driven.bus.lane import LaneListener
    from driven.pool.link import Link
    from driven.pool.staff import Staff

logger = logging.getLogger("driven.pool")

FAILED_STARTS: Final = 5
"""So many workers of a group that die before they are ready, one after the other, make the lane fail."""


class Readiness:
    """One lane's."""

    def __init__(self, staff: Staff, listener: LaneListener, started: asyncio.Future[None]) -> None:
        """Nobody is ready; `started` is what the start of the lane waits for."""
        self._staff: Final = staff
        self._listener: Final = listener
        self._started: Final = started

    def note(self) -> None:
        """Let the start of the lane return when everybody is ready."""
        if self._staff.is_complete and not self._started.done():
            self._started.set_result(None)

    def refuse(self, reason: str) -> bool:
        """Make the start of the lane raise; False when that is over."""
        if self._started.done():
            return False
        self._started.set_exception(WorkersUnavailable(reason))
        return True

    def find_another(self, link: Link, group: str, reason: str) -> None:
        """A worker is dead that was to stay."""
        if link.is_ready:
            self._staff.replace(group, has_completed=bool(link.completed))
        # What it says that it cannot do, the next one cannot either.
        elif link.unfit is None or not self.refuse(reason):
            self.hire_again(group, reason)

    def hire_again(self, group: str, reason: str) -> None:
        """A worker did not get ready: try again, but not for ever."""
        failures = self._staff.hire_again(group)
        logger.warning("A worker of group %s did not get ready, %d in a row by now: %s", group, failures, reason)
        if failures < FAILED_STARTS or (self._started.done() and self._staff.is_served(group)):
            return
        told = f"{failures} workers of group {group!r} in a row did not get ready; the last one: {reason}"
        if not self.refuse(told):
            self._listener.lane_failed(WorkersUnavailable(told))
            self._listener.turn_wanted()
