"""The past: every aggregate as it was when a given command came to the head.

::

    recorded changes --apply(index)--> now, the latest that the walk has come to, and streams (a `StateKeeper`, on disk)
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
    from driven.wire import Change, Read


Known: TypeAlias = tuple[int, bytes | None]
"""The version of an aggregate, and its document; a stream has none, and neither has what is not there, at 0."""


class StateKeeper(Protocol):
    """Where the latest states are kept meanwhile."""

    def get(self, name: str, aggregate_id: str) -> Known:
        """The latest."""

    def put(self, name: str, aggregate_id: str, version: int, body: bytes | None) -> None:
        """A newer one."""

    def extend(self, name: str, aggregate_id: str, version: int, events: Sequence[StoredEvent]) -> None:
        """A stream that was at `version` goes on with these."""

    def stream(self, name: str, aggregate_id: str, version: int) -> tuple[StoredEvent, ...]:
        """The events of a stream up to this version."""


class Past:
    """States of aggregates by the index of a retirement."""

    def __init__(self, keeper: StateKeeper) -> None:
        """Nothing has happened yet."""
        self._keeper: Final = keeper
        self._replaced: Final[dict[tuple[str, str], deque[tuple[int, Known]]]] = {}
        self._order: Final[deque[tuple[int, tuple[str, str]]]] = deque()

    def apply(self, index: int, changes: Iterable[Change], events: Sequence[LoggedMessage]) -> None:
        """What retired at `index` changed this; indexes ascend. `events` are those that it caused.

        Snapshots are left aside: they are of the code of then.
        """
        for change in changes:
            place = (change.name, change.id)
            self._replaced.setdefault(place, deque()).append((index, self._keeper.get(*place)))
            self._order.append((index, place))
            told = (events[number] for number in change.events)
            on_stream = [StoredEvent(event.name, event.version, event.body) for event in told]
            self._keeper.extend(*place, change.expected_version, on_stream)
            self._keeper.put(*place, change.new_version, None if on_stream else change.body)

    def at(self, index: int, name: str, aggregate_id: str) -> AggregateState:
        """As it was when the command that retired at `index` came to the head."""
        version, body = self._known(index, name, aggregate_id)
        events = self._keeper.stream(name, aggregate_id, version) if version and body is None else ()
        return AggregateState(name, aggregate_id, version, body, events)

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

    def _known(self, index: int, name: str, aggregate_id: str) -> Known:
        for replaced_at, known in self._replaced.get((name, aggregate_id), ()):
            if replaced_at >= index:
                return known
        return self._keeper.get(name, aggregate_id)
