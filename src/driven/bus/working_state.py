"""The working state: aggregates as of the last retirement, whether or not that is durable already.

::

    apply (retired) --> ahead --appended--> kept <--load-- store
                          '------ load -------'

Retirement runs ahead of the store by the batch that is being appended; what it changed is kept here until that
batch is in the store. Of a store that may wait, what was used lately is kept after that as well: nobody else changes it
(U7), and each stateful command asks for it twice. So are streams of any store, which are put together anew each time
that they are asked for. Owned by the bus thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from driven.wire import AggregateState, StoredEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from driven.service.event_store import EventStore
    from driven.wire import Change, Read

KEPT: Final = 1024
"""How many aggregates are kept that are in the store."""

LARGEST_KEPT_BYTES: Final = 1 << 16
"""Bytes of an aggregate that is kept: all of them together take at most 64 MiB."""


class WorkingState:
    """The store's aggregates, with the changes that are on their way to it laid over them."""

    __slots__ = ("_ahead", "_kept", "_may_keep", "_store", "failure")

    def __init__(self, store: EventStore) -> None:
        """Nothing is on its way yet."""
        self._store = store
        self._ahead: dict[tuple[str, str], AggregateState] = {}
        self._kept: dict[tuple[str, str], AggregateState] = {}
        self._may_keep = store.is_blocking
        self.failure: Exception | None = None
        """Why the store could not be read, if it could not; a handler may have made of it what it liked."""

    def load(self, name: str, aggregate_id: str) -> AggregateState:
        """An aggregate as of the last retirement; version 0 and no body when there is none."""
        place = (name, aggregate_id)
        state = self._ahead.get(place) or self._kept.get(place)
        if state is not None:
            return state
        try:
            state = self._store.load(name, aggregate_id)
        except Exception as error:
            self.failure = error
            raise
        self._keep(place, state)
        return state

    def first_stale(self, reads: Iterable[Read]) -> Read | None:
        """The first of `reads` whose aggregate has changed since, None when all are current (O5)."""
        for read in reads:
            if self.load(read.name, read.id).version != read.version:
                return read
        return None

    def apply(self, changes: Iterable[Change], events: Sequence[StoredEvent] = ()) -> None:
        """Take over what a retiring command changed; `events` are what it emitted, where any belongs to a stream."""
        for change in changes:
            body, tail = change.body, tuple[StoredEvent, ...]()
            if change.events and body is None:
                before = self.load(change.name, change.id)
                body, tail = before.body, (*before.events, *(events[place] for place in change.events))
            state = AggregateState(change.name, change.id, change.new_version, body, tail)
            self._ahead[change.name, change.id] = state

    def appended(self, changes: Iterable[Change]) -> None:
        """These are in the store now; what was changed again since stays."""
        for change in changes:
            state = self._ahead.get((change.name, change.id))
            if state is not None and state.version == change.new_version:
                del self._ahead[change.name, change.id]
                self._keep((change.name, change.id), state)

    def _keep(self, place: tuple[str, str], state: AggregateState) -> None:
        """Remember what is in the store, in place of what was remembered first."""
        self._kept.pop(place, None)
        if not (self._may_keep or state.events):
            return
        if len(state.body or b"") + sum(len(event.body) for event in state.events) > LARGEST_KEPT_BYTES:
            return
        if len(self._kept) >= KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[place] = state
