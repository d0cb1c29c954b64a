"""Statistics: what a bus looks like from outside at one moment, as frozen records."""

from __future__ import annotations

import msgspec

from driven.bus.projections import ProjectionStatistics


class WorkerStatistics(msgspec.Struct, frozen=True):
    """One worker, and the command it runs."""

    worker_id: int
    pid: int
    group: str
    state: str
    """``starting``, ``idle``, ``running``, ``waiting`` (for an aggregate), ``stopping``, or ``abandoned``: a thread
    that could not be ended and goes on, as it was seen last."""
    command: str
    """Stable name of the command it runs; empty: none."""
    position: int
    """Position of that command; 0: none."""
    age_s: float
    """Seconds since that command began; 0.0: none."""
    completed: int
    """Commands it has finished."""


class BusStatistics(msgspec.Struct, frozen=True):
    """A bus at one moment; counts are of messages, since the bus opened."""

    admitted: int
    retired: int
    queued: int
    """Admitted and not retired."""
    in_flight: int
    """Sent to workers, without an outcome yet."""
    early: int
    """Outcomes that wait in the reorder buffer for their turn."""
    parked: int
    workers: tuple[WorkerStatistics, ...]
    projections: tuple[ProjectionStatistics, ...]
    inline_because: str = ""
    """Why there are no workers although there should be; empty: there are, or none were wanted."""
