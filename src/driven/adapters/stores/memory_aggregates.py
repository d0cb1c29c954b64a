"""The aggregates of a memory store: documents, streams and snapshots. Owned by the store, guarded by its lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from driven.errors import StoreFailed
from driven.service.event_store import MessageKind, fault_of_changes, kept_as_documents
from driven.wire import AggregateState, Change, StoredEvent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from driven.service.event_store import Batch, LoggedMessage, LoggedOutcome

STORE: Final = "memory://"

_Place: TypeAlias = tuple[str, str]
"""Name and id of an aggregate."""


class MemoryAggregates:
    """What became of each aggregate; of a stream only the positions of its events."""

    def __init__(self, messages: Sequence[LoggedMessage]) -> None:
        """`messages` is the log, which goes on growing."""
        self._messages: Final = messages
        self._documents: Final[dict[_Place, AggregateState]] = {}
        self._streams: Final[dict[_Place, list[int]]] = {}
        self._snapshots: Final[dict[_Place, tuple[int, str, bytes]]] = {}
        self._schemas: dict[str, str] = {}

    def load(self, name: str, aggregate_id: str) -> AggregateState:
        """An aggregate as it is; version 0 when there is none."""
        place = name, aggregate_id
        stream = self._streams.get(place)
        if stream is None:
            return self._documents.get(place) or AggregateState(*place, 0, None)
        version, _, body = self._snapshots.get(place, (0, "", None))
        messages = (self._messages[position - 1] for position in stream[version:])
        events = tuple(StoredEvent(message.name, message.version, message.body) for message in messages)
        return AggregateState(*place, len(stream), body, events)

    def keep_snapshots(self, schemas: Mapping[str, str]) -> None:
        """Discard the snapshots of any other schema."""
        for name in {name for name, _ in self._documents}.intersection(schemas):
            raise kept_as_documents(STORE, name)
        self._schemas = dict(schemas)
        for place, (_, schema, _) in list(self._snapshots.items()):
            if schemas.get(place[0]) != schema:
                del self._snapshots[place]

    def change(self, change: Change, first_caused: int) -> None:
        """Take over a change whose command caused messages from position `first_caused` on."""
        place, version = (change.name, change.id), change.new_version
        if not change.events:
            self._documents[place] = AggregateState(*place, version, change.body)
            return
        self._streams.setdefault(place, []).extend(first_caused + event for event in change.events)
        if change.body is not None:
            self._snapshots[place] = version, self._schemas.get(change.name, ""), change.body

    def check(self, batch: Batch) -> None:
        """Raise `StoreFailed` where a change of `batch` does not fit what is there."""
        latest: dict[_Place, tuple[int, bool]] = {}
        taken: set[int] = set()
        for outcome in batch.retired:
            if outcome.changes:
                self._check_changes(outcome, latest)
                self._check_events(outcome, batch.admitted, taken)

    def _check_changes(self, outcome: LoggedOutcome, latest: dict[_Place, tuple[int, bool]]) -> None:
        """`latest` are the versions that the batch has led to so far, and whether they are of streams."""
        fault = fault_of_changes(outcome)
        if fault is not None:
            raise StoreFailed(STORE, fault)
        for change in outcome.changes:
            place, is_stream = (change.name, change.id), bool(change.events)
            version, was_stream = latest.get(place) or self._version(place)
            if change.expected_version != version:
                found = f"{change.name} {change.id!r} is at version {version}"
                raise StoreFailed(
                    STORE, f"{found}, not {change.expected_version}, which position {outcome.position} saw"
                )
            if version and is_stream is not was_stream:
                raise StoreFailed(STORE, f"{change.name} {change.id!r} cannot be both a document and a stream")
            latest[place] = change.new_version, is_stream

    def _version(self, place: _Place) -> tuple[int, bool]:
        """The version of an aggregate, and whether it is a stream."""
        if place in self._streams:
            return len(self._streams[place]), True
        return (self._documents[place].version if place in self._documents else 0), False

    def _check_events(self, outcome: LoggedOutcome, admitted: Sequence[LoggedMessage], taken: set[int]) -> None:
        """`taken` are the positions of events that are on a stream since this batch."""
        for change in outcome.changes:
            for event in change.events:
                position = outcome.caused[0] + event
                index = position - 1 - len(self._messages)
                is_there = 0 <= index < len(admitted) and admitted[index].kind is MessageKind.EVENT
                if not is_there or position in taken:
                    told = f"position {position} is no event for {change.name} {change.id!r} in this batch"
                    raise StoreFailed(STORE, told)
                taken.add(position)
