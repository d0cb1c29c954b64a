"""The observer: looks at a bus from its own thread and says what it sees, as one frozen record.

It belongs to the message bus and lives as long. It reads what is there anyway, the counts of the tally, the queue, the
status words of workers, and changes nothing; a look takes time for each command type and each worker, and none
for what is queued.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from driven.bus.statistics import BusStatistics, CommandStatistics, HeadStatistics, WorkerStatistics

if TYPE_CHECKING:
    from driven.bus.conductor import Conductor
    from driven.bus.followers import Followers
    from driven.bus.inline_progress import InlineProgress
    from driven.bus.lane import Lane, Vitals
    from driven.bus.sequencer import Entry
    from driven.bus.tally import Counts
    from driven.service.registry import Registry

_NANOSECONDS: Final = 1_000_000_000


class Observer:
    """Looks at one bus."""

    __slots__ = (
        "_conductor",
        "_first_position",
        "_followers",
        "_inline_because",
        "_known",
        "_lane",
        "_names",
        "_opened_ns",
        "_pid",
        "_progress",
        "_registry",
    )

    def __init__(  # noqa: PLR0913 - one argument per organ
        self,
        registry: Registry,
        conductor: Conductor,
        followers: Followers,
        lane: Lane | None,
        *,
        progress: InlineProgress,
        inline_because: str = "",
    ) -> None:
        """Made when the bus opens: what is told counts from now on; `inline_because` is told as it is."""
        self._registry: Final = registry
        self._conductor: Final = conductor
        self._followers: Final = followers
        self._lane: Final = lane
        self._first_position: Final = conductor.sequencer.last_position - len(conductor.sequencer.queue)
        self._progress: Final = progress
        self._inline_because: Final = inline_because
        self._pid: Final = os.getpid()
        self._opened_ns: Final = time.monotonic_ns()
        self._names: Final = sorted((registry.name_of(type_id), type_id) for type_id in registry.handlers)
        self._known: Final[dict[int, tuple[Counts, CommandStatistics]]] = {}
        """Of each type, what was told last: most have not changed at the next look."""

    def look(self) -> BusStatistics:
        """What the bus is like now."""
        sequencer, traffic = self._conductor.sequencer, self._conductor.traffic
        vitals = () if self._lane is None else self._lane.vitals()
        return BusStatistics(
            application=self._registry.application.name,
            pid=self._pid,
            taken_at_ns=time.time_ns(),
            uptime_s=(time.monotonic_ns() - self._opened_ns) / _NANOSECONDS,
            admitted=sequencer.last_position - self._first_position,
            retired=sequencer.retired,
            queued=len(sequencer),
            in_flight=traffic.reorder_buffer.in_flight,
            early=len(traffic.reorder_buffer),
            early_most=self._conductor.tally.early_most,
            parked=self._conductor.parked,
            head=self._head(vitals),
            commands=tuple(self._command(type_id, name) for name, type_id in self._names),
            workers=tuple(self._worker(one) for one in vitals),
            pool=None if self._lane is None else self._lane.statistics(),
            projections=self._followers.statistics(),
            placements=traffic.auto_placement.decisions(self._registry.name_of),
            notifiers=self._followers.notifiers(),
            inline_because=self._inline_because,
        )

    def _command(self, type_id: int, name: str) -> CommandStatistics:
        counted = self._conductor.tally[type_id]
        counts = counted.counts()
        known = self._known.get(type_id)
        if known is None or known[0] != counts:
            told = CommandStatistics(name, *counts, counted.waiting.durations(), counted.running.durations())
            known = self._known[type_id] = counts, told
        return known[1]

    def _worker(self, vitals: Vitals) -> WorkerStatistics:
        entry = self._conductor.sequencer.find(vitals.position)
        return WorkerStatistics(
            worker_id=vitals.worker_id,
            pid=vitals.pid,
            group=vitals.group,
            state=vitals.state,
            command="" if entry is None else self._registry.name_of(entry.type_id),
            position=vitals.position,
            age_s=vitals.age_s,
            completed=vitals.completed,
            rss_bytes=vitals.rss_bytes,
            cpu_s=vitals.cpu_s,
            progress=vitals.progress,
        )

    def _head(self, vitals: tuple[Vitals, ...]) -> HeadStatistics | None:
        head = self._conductor.head
        if head is None:
            return None
        age_s = self._conductor.tally.head_age_ns(head) / _NANOSECONDS
        runs = head.started or head  # the outcome of a detached command may have to be had again
        on_worker = next((one.progress for one in vitals if one.position == runs.position), None)
        return HeadStatistics(
            position=head.position,
            name=self._registry.name_of(head.type_id),
            blocked_by=self._blocks(head, runs, vitals),
            age_s=age_s,
            progress=on_worker or self._progress.of(runs.position),
        )

    def _blocks(self, head: Entry, runs: Entry, vitals: tuple[Vitals, ...]) -> str:
        """What has to happen before the head retires."""
        traffic, position = self._conductor.traffic, runs.position
        if self._conductor.failure is not None:
            return "the bus has stopped"
        if self._progress.of(position) is not None and not runs.is_on_lane:
            return "runs on the bus thread"
        if head.park_reason is not None or not runs.is_on_lane or traffic.reorder_buffer.holds(position):
            return "is the next thing that the bus thread does"
        for one in vitals:
            if one.position == position:
                doing = "waits for an aggregate" if one.state == "waiting" else "runs"
                return f"{doing} on worker {one.worker_id} for {_spoken(one.age_s)}"
        return traffic.whereabouts(runs)


def _spoken(seconds: float) -> str:
    """A duration for people: below a second in milliseconds, as most commands take no longer."""
    return f"{seconds * 1_000:.0f} ms" if seconds < 1.0 else f"{seconds:.1f} s"
