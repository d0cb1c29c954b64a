"""What becomes of a bus where there is no memory for a ring at all: it runs everything inline, and says so once.

Pure but for one look, which a bus takes while it opens and before it starts anything::

    memory for one worker's rings can be had   -> workers, as the settings say
    it cannot
      |- no command needs a worker to be safe  -> everything inline, one warning
      `- one has a timeout                     -> the bus does not open: inline, nothing could end it

A bus without workers gives the same log, only later (O6). A bus without timeouts is another bus: a command that was
to be ended after some seconds would hold up everything for ever.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from driven.errors import SegmentUnavailable, WorkersUnavailable
from driven.placement import Placement
from driven.ring.layout import segment_bytes
from driven.ring.segment import Segment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driven.bus.routing import Route

logger = logging.getLogger("driven.pool")


def reason_to_run_inline(ring_bytes: int, routes: Mapping[str, Route]) -> str:
    """Why there can be no workers here, after having said so; empty when there can.

    Args:
        ring_bytes: the size of each ring of a worker.
        routes: stable name of each command to its route.

    Raises:
        WorkersUnavailable: there can be none, and a command has a timeout.

    """
    try:
        Segment.create(segment_bytes(ring_bytes)).close()
    except SegmentUnavailable as error:
        refuse_timeouts(routes, error)
        logger.warning(
            "Every command runs inline, in this process and on one CPU, as workers cannot be reached: %s. "
            "To run like this without a warning, set [workers] count = 0.",
            error,
        )
        return str(error)
    return ""


def refuse_timeouts(routes: Mapping[str, Route], error: SegmentUnavailable) -> None:
    """Raise `WorkersUnavailable` when a command is to be ended after a time, which only a worker can be."""
    timed = [
        f"{name} ({route.timeout_s:g} s)"
        for name, route in routes.items()
        if route.timeout_s is not None and route.placement is not Placement.INLINE
    ]
    if timed:
        raise WorkersUnavailable(f"{error}. Inline, nothing could end what has a timeout: {', '.join(timed)}")
