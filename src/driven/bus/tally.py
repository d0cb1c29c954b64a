"""The tally: what the bus counts and times as commands go by, and since when the head is at the head.

The conductor owns one and tells it three moments of a command: `admitted`, `retired`, and between these what went
wrong; and of a turn its beginning and end. Each costs a fraction of a microsecond and no memory: all is numbers, and
histograms of fixed size. Nothing here has a say in anything: whoever wants to know looks (`Observer`).

Bus thread only. It takes time through the clock that it is given, once per burst of admissions and once per new head.
A burst is what is admitted between two turns, or in one turn after the last inline handler: a few milliseconds at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from driven.bus.histogram import Histogram
from driven.service.event_store import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from driven.bus.sequencer import Entry


_SUCCEEDED: Final = Status.SUCCEEDED
_FAILED: Final = Status.FAILED
_PARKED: Final = Status.PARKED
"""As plain globals: finding a member in its enumeration costs more than counting it."""

Counts: TypeAlias = tuple[int, int, int, int, int, int]
"""admitted, succeeded, failed, parked, discarded, deaths"""


class CommandTally:
    """The commands of one type, since the bus opened."""

    __slots__ = ("admitted", "deaths", "discarded", "failed", "parked", "running", "succeeded", "waiting")

    def __init__(self) -> None:
        """None came yet."""
        self.admitted = 0
        self.succeeded = 0
        self.failed = 0
        self.parked = 0
        self.discarded = 0
        """Outcomes that were thrown away, as what they had read was stale (O5)."""
        self.deaths = 0
        """Workers that died and were blamed on one of these (W3)."""
        self.waiting: Final = Histogram()
        """From the admission to the start of the run whose outcome counted."""
        self.running: Final = Histogram()
        """How long that run took, as measured where it ran."""

    def counts(self) -> Counts:
        """All but the times."""
        return self.admitted, self.succeeded, self.failed, self.parked, self.discarded, self.deaths


class Tally:
    """Counts and times of one bus, as long-lived as its conductor."""

    __slots__ = ("_burst_ns", "_clock_ns", "_head", "_head_since_ns", "_of_type", "early_most")

    def __init__(self, command_types: Iterable[int], clock_ns: Callable[[], int]) -> None:
        """`command_types` are the type numbers of commands; `clock_ns` is the clock that workers measure with as well.

        That is `time.monotonic_ns`: one clock for all processes of a machine.
        """
        self._clock_ns: Final = clock_ns
        self._of_type: Final = {type_id: CommandTally() for type_id in command_types}
        self._head: Entry | None = None
        self._head_since_ns = 0
        self._burst_ns = 0
        """When the commands of this burst were admitted; 0: the next one begins a burst."""
        self.early_most = 0
        """The most outcomes that ever waited in the reorder buffer at once."""

    def __getitem__(self, type_id: int) -> CommandTally:
        """What was counted of the commands of one type."""
        return self._of_type[type_id]

    def admitted(self, entry: Entry) -> None:
        """A command has got its position."""
        entry.admitted_ns = self._burst_ns or self._begin_burst()
        self._of_type[entry.type_id].admitted += 1

    def retired(self, entry: Entry, status: Status) -> None:
        """A command has become visible; the run that counts is the one whose completion it has."""
        counted = self._of_type[entry.type_id]
        if status is _SUCCEEDED:
            counted.succeeded += 1
        elif status is _FAILED:
            counted.failed += 1
        elif status is _PARKED:
            counted.parked += 1
        else:  # its outcome is to come, and that is what counts
            return
        if not entry.is_on_lane:  # it ran here, for as long as it took: what comes now comes later
            self._burst_ns = 0
        completion = entry.completion
        if completion is not None and completion.started_ns:  # else nothing ran to its end
            counted.waiting.record(completion.started_ns - entry.admitted_ns)
            counted.running.record(completion.elapsed_ns)

    def _begin_burst(self) -> int:
        self._burst_ns = now_ns = self._clock_ns()
        return now_ns

    def burst_ends(self) -> None:
        """The next command is admitted at another time."""
        self._burst_ns = 0

    def turn_begins(self, early: int) -> None:
        """So many outcomes wait in the reorder buffer: never more than now, before any of them retires."""
        self._burst_ns = 0
        if early > self.early_most:  # noqa: PLR1730 - faster than max()
            self.early_most = early

    def turn_ends(self, head: Entry | None) -> None:
        """This is the head from now on."""
        if head is not self._head:
            self._head = head
            self._head_since_ns = self._clock_ns()

    def head_age_ns(self, head: Entry) -> int:
        """How long it has been at the head; 0 when it came there in this very turn."""
        return self._clock_ns() - self._head_since_ns if head is self._head else 0
