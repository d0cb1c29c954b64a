"""Statistics: what a bus looks like from outside at one moment, as frozen records.

They are read by programs and by people, in this process and in others (`read_statistics`). Counts are of messages since
the bus opened, unless something else is said; times are in seconds, sizes in bytes.
"""

from __future__ import annotations

import msgspec

from driven.bus.auto_placement import PlacementDecision
from driven.bus.following.notifier_statistics import NotifierStatistics
from driven.bus.histogram import Durations
from driven.bus.lane import PoolStatistics, Progress
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
    rss_bytes: int = 0
    """Physical memory that it has; 0: not known."""
    cpu_s: float = 0.0
    """CPU time that it has had, in seconds."""
    progress: Progress | None = None
    """How far the command is; None: its handler does not say."""


class CommandStatistics(msgspec.Struct, frozen=True):
    """The commands of one type: where they stand, and how long they took."""

    name: str
    """The stable name."""
    admitted: int
    succeeded: int
    failed: int
    parked: int
    discarded: int
    """Outcomes that were thrown away, as what they had read was stale; the command ran again (O5)."""
    deaths: int
    """Workers that died and were blamed on one of these (W3)."""
    waiting: Durations
    """From being admitted to the start of the run whose outcome counted."""
    running: Durations
    """How long that run took, as measured where it ran."""

    @property
    def queued(self) -> int:
        """Admitted and not retired."""
        return self.admitted - self.succeeded - self.failed - self.parked


class HeadStatistics(msgspec.Struct, frozen=True):
    """The message that retires next, and what it waits for.

    With ``ordering="keyed"``: the one that all others wait for, if there is one, else the oldest of those left.
    """

    position: int
    name: str
    """Stable name of the command or event."""
    blocked_by: str
    """For people: ``runs on worker 3 for 1.2 s``, ``waits for a worker of group pricing``."""
    age_s: float
    """Seconds since it came to the head."""
    progress: Progress | None = None
    """How far it is; None: its handler does not say, or does not run."""


class BusStatistics(msgspec.Struct, frozen=True):
    """A bus at one moment."""

    application: str
    pid: int
    """Process id of the bus, as it sees itself."""
    taken_at_ns: int
    """When this was taken: nanoseconds since the epoch."""
    uptime_s: float
    """Seconds since the bus opened."""
    admitted: int
    retired: int
    queued: int
    """Admitted and not retired."""
    in_flight: int
    """Sent to workers, without an outcome yet."""
    early: int
    """Outcomes that wait in the reorder buffer for their turn."""
    early_most: int
    """The most that ever waited there at once."""
    parked: int
    head: HeadStatistics | None
    """None: nothing is queued."""
    commands: tuple[CommandStatistics, ...]
    """Every command type of the application, in the order of names."""
    workers: tuple[WorkerStatistics, ...]
    pool: PoolStatistics | None
    """None: everything runs inline."""
    projections: tuple[ProjectionStatistics, ...]
    placements: tuple[PlacementDecision, ...] = ()
    """Where commands with `Placement.AUTO` run now, and why; by name."""
    notifiers: tuple[NotifierStatistics, ...] = ()
    inline_because: str = ""
    """Why there are no workers although there should be; empty: there are, or none were wanted."""
