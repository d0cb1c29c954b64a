"""Changes: what became of aggregates in a batch, as rows of the tables aggregate, stream and snapshot. Functions only.

::

    changes of one aggregate, in order --> one row: its last version, and its last document (NULL: it is a stream)
              |- events, by position ----> stream
              '- the last snapshot ------> snapshot

The first change of each is compared with the version in the table by the statement that raises it.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Final

from driven.adapters.stores.sqlite.statements import write
from driven.service.event_store import MessageKind, fault_of_changes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from driven.service.event_store import Batch, LoggedMessage, LoggedOutcome
    from driven.wire import Change

NEW: Final = "INSERT INTO aggregate (name, id, version, document) {}"
CHANGED: Final = (
    "UPDATE aggregate SET version = new.column4, document = new.column5 FROM ({}) AS new "
    "WHERE aggregate.name = new.column1 AND aggregate.id = new.column2 AND aggregate.version = new.column3 "
    "AND (aggregate.document IS NULL) = (new.column5 IS NULL)"
)
STREAM: Final = "INSERT INTO stream (name, id, version, position) {}"
SNAPSHOT: Final = "INSERT OR REPLACE INTO snapshot (name, id, version, schema, body) {}"


class _Aggregate:
    """What a batch makes of one aggregate."""

    __slots__ = ("first", "last", "snapshot")

    def __init__(self, first: Change) -> None:
        self.first = first
        self.last = first
        self.snapshot: Change | None = None


def write_changes(connection: sqlite3.Connection, batch: Batch, schemas: Mapping[str, str]) -> None:
    """Write what became of aggregates; `schemas` names the schema of their snapshots.

    Raises:
        sqlite3.IntegrityError: a change is not of the version that its aggregate has, or names events wrongly.

    """
    found: dict[tuple[str, str], _Aggregate] = {}
    streams: list[Any] = []
    for outcome in batch.retired:
        if outcome.changes:
            _gather(outcome, found, streams)
    if not _are_events(streams[3::4], batch.admitted):
        raise sqlite3.IntegrityError
    if found:
        _write_aggregates(connection, found)
        write(connection, STREAM, 4, streams)
        snapshots = [one.snapshot for one in found.values() if one.snapshot is not None]
        rows = [(one.name, one.id, one.new_version, schemas.get(one.name, ""), one.body) for one in snapshots]
        write(connection, SNAPSHOT, 5, [value for row in rows for value in row])


def _gather(outcome: LoggedOutcome, found: dict[tuple[str, str], _Aggregate], streams: list[Any]) -> None:
    for change in outcome.changes:
        place = (change.name, change.id)
        aggregate = found.get(place)
        if aggregate is None:
            aggregate = found[place] = _Aggregate(change)
        elif aggregate.last.new_version != change.expected_version:
            raise sqlite3.IntegrityError
        if bool(change.events) != bool(aggregate.first.events):
            raise sqlite3.IntegrityError
        aggregate.last = change
        if change.events:
            first = outcome.caused[0]
            for version, event in enumerate(change.events, change.expected_version + 1):
                streams += (*place, version, first + event)
            if change.body is not None:
                aggregate.snapshot = change
        elif change.body is None:
            raise sqlite3.IntegrityError
    if streams and fault_of_changes(outcome) is not None:
        raise sqlite3.IntegrityError


def _are_events(positions: Sequence[int], admitted: Sequence[LoggedMessage]) -> bool:
    """Whether events stand at all these positions, of those that are admitted now, and each is named once."""
    if not positions:
        return True
    if len(set(positions)) < len(positions):
        return False
    before = admitted[0].envelope.position if admitted else 0
    if min(positions) < before or max(positions) >= before + len(admitted):
        return False
    return all(admitted[position - before].kind is MessageKind.EVENT for position in positions)


def _write_aggregates(connection: sqlite3.Connection, found: dict[tuple[str, str], _Aggregate]) -> None:
    new: list[Any] = []
    changed: list[Any] = []
    for place, aggregate in found.items():
        last = aggregate.last
        document = None if last.events else last.body
        if aggregate.first.expected_version == 0:
            new += (*place, last.new_version, document)
        else:
            changed += (*place, aggregate.first.expected_version, last.new_version, document)
    write(connection, NEW, 4, new)
    write(connection, CHANGED, 5, changed)
