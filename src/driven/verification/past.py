"""The past: every aggregate as it was when a given command came to the head.

::

    recorded changes --apply(index)--> now, the latest that the walk has come to, and streams (a `StateKeeper`, on disk)
                            |--------> a snapshot of each stream, every so many events        (a few, on disk)
                            `--------> what it replaced, with the index at which it did       (a few, in memory)

    at(index, name, id):  the oldest of what was replaced at `index` or later, else now

The walk is ahead of the commands that run, and each of these is to see what it saw then. Owned by one verification;
only what was replaced since the oldest command that still runs is remembered.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from driven.wire import AggregateState, StoredEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from driven.service.event_store import LoggedMessage
    from driven.verification.snapshots import TakeSnapshot
    from driven.wire import Change, Read

SNAPSHOT_EVERY: Final = 50
"""Events of a stream from one snapshot to the next: what is handed over of it at most, but for those of one command."""

Known: TypeAlias = tuple[int, bytes | None]
"""A version, and the document or snapshot at it; a stream has no document, and neither has what is not there, at 0."""


class StateKeeper(Protocol):
    """Where the latest states are kept meanwhile."""

    def get(self, name: str, aggregate_id: str) -> Known:
        """The latest."""

    def put(self, name: str, aggregate_id: str, version: int, body: bytes | None) -> None:
        """A newer one."""

    def extend(self, name: str, aggregate_id: str, version: int, events: Sequence[StoredEvent]) -> None:
        """A stream that was at `version` goes on with these."""

    def stream(self, name: str, aggregate_id: str, after: int, version: int) -> tuple[StoredEvent, ...]:
        """The events of a stream behind one version, up to another."""

    def snapshot(self, name: str, aggregate_id: str, version: int) -> Known:
        """The latest snapshot that is not later than this version."""

    def keep_snapshot(self, name: str, aggregate_id: str, version: int, body: bytes, oldest: int) -> None:
        """Another one. Nobody asks for versions before `oldest` any more."""


class Past:
    """States of aggregates by the index of a retirement."""

    def __init__(self, keeper: StateKeeper, take_snapshot: TakeSnapshot) -> None:
        """Nothing has happened yet."""
        self._keeper: Final = keeper
        self._take_snapshot: Final = take_snapshot
        self._whole: Final[set[tuple[str, str]]] = set()
        """Streams of which no snapshot can be taken."""
        self._replaced: Final[dict[tuple[str, str], deque[tuple[int, Known]]]] = {}
        self._order: Final[deque[tuple[int, tuple[str, str]]]] = deque()

    def apply(self, index: int, changes: Iterable[Change], events: Sequence[LoggedMessage]) -> None:
        """What retired at `index` changed this; indexes ascend. `events` are those that it caused.

        Snapshots of the log are left aside: they are of the code of then.
        """
        for change in changes:
            place = (change.name, change.id)
            self._replaced.setdefault(place, deque()).append((index, self._keeper.get(*place)))
            self._order.append((index, place))
            told = (events[number] for number in change.events)
            on_stream = [StoredEvent(event.name, event.version, event.body) for event in told]
            self._keeper.extend(*place, change.expected_version, on_stream)
            self._keeper.put(*place, change.new_version, None if on_stream else change.body)
            if on_stream and change.expected_version // SNAPSHOT_EVERY < change.new_version // SNAPSHOT_EVERY:
                self._shorten(place, change.new_version)

    def at(self, index: int, name: str, aggregate_id: str) -> AggregateState:
        """As it was when the command that retired at `index` came to the head."""
        version, body = self._known(index, name, aggregate_id)
        if version and body is None:
            return self._stream((name, aggregate_id), version)
        return AggregateState(name, aggregate_id, version, body)

    def first_stale(self, index: int, reads: Iterable[Read]) -> Read | None:
        """The first that is not what was there: of a command that saw the past, one that it added unseen."""
        return next((read for read in reads if self._known(index, read.name, read.id)[0] != read.version), None)

    def forget_before(self, index: int) -> None:
        """Nobody will ask for what was at an earlier index."""
        while self._order and self._order[0][0] < index:
            _, place = self._order.popleft()
            replaced = self._replaced[place]
            replaced.popleft()
            if not replaced:
                del self._replaced[place]

    def forget_all(self) -> None:
        """Nobody runs who could ask."""
        self._order.clear()
        self._replaced.clear()

    def _stream(self, place: tuple[str, str], version: int) -> AggregateState:
        taken_at, snapshot = self._keeper.snapshot(*place, version)
        return AggregateState(*place, version, snapshot, self._keeper.stream(*place, taken_at, version))

    def _shorten(self, place: tuple[str, str], version: int) -> None:
        """Take a snapshot, so that nobody needs what is before it."""
        if place in self._whole:
            return
        body = self._take_snapshot(self._stream(place, version))
        if body is None:
            self._whole.add(place)
        else:
            _, (oldest, _) = self._replaced[place][0]
            self._keeper.keep_snapshot(*place, version, body, oldest)

    def _known(self, index: int, name: str, aggregate_id: str) -> Known:
        for replaced_at, known in self._replaced.get((name, aggregate_id), ()):
            if replaced_at >= index:
                return known
        return self._keeper.get(name, aggregate_id)
