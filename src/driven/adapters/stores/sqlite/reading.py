"""Reading: connections that only read, and what they are asked.

A call takes a connection that nobody uses, or opens one, and puts it back: there are as many as calls that overlap, and
no thread waits for another. Each call is one statement, which sees one state of the log. Owned by the store.
"""

from __future__ import annotations

import sqlite3
import weakref
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from driven.adapters.stores.sqlite import schema
from driven.adapters.stores.sqlite.faults import failed, told
from driven.adapters.stores.sqlite.opening import open_for_reading
from driven.adapters.stores.sqlite.rows import (
    LOGGED_COLUMNS,
    RECORD_COLUMNS,
    message_of,
    outcome_of,
    record_of,
    records_of,
)
from driven.errors import StoreFailed
from driven.service.aside import DueId, DueKey, DueMessage, Scheduled
from driven.service.event_store import Cursor, LoggedType, MessageKind, ParkedRecord
from driven.wire import AggregateState, StoredEvent

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from driven.service.event_store import LoggedMessage, LogRecord

_RECORDS: Final = f"SELECT {RECORD_COLUMNS} FROM message AS m LEFT JOIN outcome AS o ON o.position = m.position"  # noqa: S608 - a constant
READ: Final = f"{_RECORDS} WHERE m.position > ? ORDER BY m.position LIMIT ?"
FIND: Final = f"{_RECORDS} WHERE m.id = ?"
REDRIVEN: Final = f"{_RECORDS} WHERE m.redrives = ?"
RETIRED: Final = (
    f"SELECT {RECORD_COLUMNS} FROM outcome AS o JOIN message AS m ON m.position = o.position "  # noqa: S608 - a constant
    "WHERE o.retired_order > ? ORDER BY o.retired_order LIMIT ?"
)
LOAD: Final = (
    "SELECT a.version, a.document, s.version, s.body FROM aggregate AS a "
    "LEFT JOIN snapshot AS s ON s.name = a.name AND s.id = a.id WHERE a.name = ? AND a.id = ?"
)
STREAM: Final = (
    "SELECT m.name, m.version, m.payload FROM stream AS s JOIN message AS m ON m.position = s.position "
    "WHERE s.name = ? AND s.id = ? AND s.version > ? AND s.version <= ? ORDER BY s.version"
)
EVENTS: Final = (
    f"SELECT {LOGGED_COLUMNS} FROM message AS m "  # noqa: S608 - a constant, and question marks below
    "WHERE m.position > ? AND m.position <= ? AND m.kind = 'event' AND m.name IN ({}) ORDER BY m.position"
)
CURSOR: Final = "SELECT name, position, state FROM cursor WHERE name = ?"
UNRETIRED: Final = f"""
    WITH
    -- Both count from 1 without a gap, so it is known how many are left, and the search from the end is over with them.
    left_over (number) AS (
        SELECT (SELECT ifnull(max(position), 0) FROM message) - (SELECT ifnull(max(retired_order), 0) FROM outcome)
    ),
    from_the_end (position) AS (
        SELECT m.position FROM message AS m LEFT JOIN outcome AS o ON o.position = m.position
        WHERE o.position IS NULL ORDER BY m.position DESC LIMIT (SELECT number FROM left_over)
    )
    SELECT {LOGGED_COLUMNS} FROM message AS m LEFT JOIN outcome AS o ON o.position = m.position
    WHERE m.position > ? AND m.position >= (SELECT min(position) FROM from_the_end) AND o.position IS NULL
    ORDER BY m.position LIMIT ?
"""  # noqa: S608 - a constant
UNFINISHED: Final = "SELECT position FROM started ORDER BY position"
FINISHED: Final = f"{_RECORDS} WHERE m.position = (SELECT outcome FROM finished WHERE position = ?)"  # noqa: S608 - a constant
PARKED_KEYS: Final = (
    'SELECT "key", min(position) FROM parked WHERE NOT is_released AND "key" IS NOT NULL GROUP BY "key"'
)
PARKED: Final = (
    f"SELECT {RECORD_COLUMNS}, p.is_released FROM parked AS p JOIN message AS m ON m.position = p.position "  # noqa: S608 - a constant
    "JOIN outcome AS o ON o.position = p.position WHERE p.position > ? {} ORDER BY p.position LIMIT ?"
)
_DUE: Final = 'SELECT cause, number, due_at_ns, name, version, payload, "key", correlation, hop FROM due'
DUE: Final = f"{_DUE} WHERE (due_at_ns, cause, number) > (?, ?, ?) ORDER BY due_at_ns, cause, number LIMIT ?"
FIND_DUE: Final = f"{_DUE} WHERE cause = ? AND number = ?"

FIRST: Final = DueKey(-(1 << 63), 0, 0)
"""Before every message that is due later."""


class Readers:
    """The reading connections of one log."""

    def __init__(self, path: Path, patience_s: float) -> None:
        """None is open yet."""
        self._path: Final = path
        self._patience_s: Final = patience_s
        self._idle: Final[deque[sqlite3.Connection]] = deque()
        weakref.finalize(self, _close_all, self._idle)  # who reads after `close`, or never opened, may forget it

    def read(self, after: int, limit: int) -> Sequence[LogRecord]:
        """At most `limit` records behind position `after`."""
        return records_of(self.all(READ, after, limit))

    def retired(self, after: int, limit: int) -> Sequence[LogRecord]:
        """At most `limit` records in the order of retirement, without the first `after`."""
        return records_of(self.all(RETIRED, after, limit))

    def find(self, command_id: str) -> LogRecord | None:
        """The command accepted under this id, if any."""
        row = None if command_id.startswith("@") else self.one(FIND, command_id)
        return None if row is None else record_of(row)

    def load(self, name: str, aggregate_id: str) -> AggregateState:
        """An aggregate as last appended; version 0 when there is none."""
        row = self.one(LOAD, name, aggregate_id)
        version, document, snapshot_version, snapshot = row or (0, None, None, None)
        if document is not None or row is None:
            return AggregateState(name, aggregate_id, version, document)
        # A stream only grows: up to this version it is the same in whatever is appended meanwhile.
        events = self.all(STREAM, name, aggregate_id, snapshot_version or 0, version)
        return AggregateState(name, aggregate_id, version, snapshot, tuple(StoredEvent(*event) for event in events))

    def events(self, names: Collection[str], after: int, up_to: int) -> Sequence[LoggedMessage]:
        """The events of these names between two positions."""
        query = EVENTS.format(", ".join("?" * len(names)))
        return [message_of(row) for row in self.all(query, after, up_to, *names)]

    def cursor(self, name: str) -> Cursor:
        """How far the follower of this name is."""
        return Cursor(*(self.one(CURSOR, name) or (name,)))

    def message_types(self) -> Collection[LoggedType]:
        """What there are messages of."""
        rows = self.all("SELECT kind, name, version FROM message_type")
        return {LoggedType(MessageKind(kind), name, version) for kind, name, version in rows}

    def unretired(self, after: int, limit: int) -> Sequence[LoggedMessage]:
        """At most `limit` messages without an outcome, behind position `after`."""
        return [message_of(row) for row in self.all(UNRETIRED, after, limit)]

    def unfinished(self) -> Sequence[int]:
        """Positions of the commands that have started, and whose outcome has not retired."""
        return [position for (position,) in self.all(UNFINISHED)]

    def finished(self, position: int) -> LogRecord | None:
        """The command that has the outcome of the one that started at `position`, if it has retired."""
        row = self.one(FINISHED, position)
        return None if row is None else record_of(row)

    def parked_keys(self) -> Mapping[str, int]:
        """The keys of which something is parked, each with the lowest position of it."""
        return dict(self.all(PARKED_KEYS))

    def parked(self, after: int, limit: int, key: str | None = None) -> Sequence[ParkedRecord]:
        """At most `limit` parked messages behind position `after`, of one key or of all."""
        of_key, values = ("", ()) if key is None else ('AND p."key" = ?', (key,))
        rows = self.all(PARKED.format(of_key), after, *values, limit)
        return [ParkedRecord(message_of(row), outcome_of(row), bool(row[-1])) for row in rows]

    def redriven(self, position: int) -> LogRecord | None:
        """The message that redrives the one at `position`, if any."""
        row = self.one(REDRIVEN, position)
        return None if row is None else record_of(row)

    def due(self, after: DueKey | None, limit: int) -> Sequence[DueMessage]:
        """At most `limit` messages due later, behind `after`."""
        return [_due_of(row) for row in self.all(DUE, *(after or FIRST), limit)]

    def find_due(self, due_id: DueId) -> DueMessage | None:
        """One message due later."""
        row = self.one(FIND_DUE, *due_id)
        return None if row is None else _due_of(row)

    def query(self, sql: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        """What somebody else's statement finds.

        Raises:
            StoreFailed: it cannot be run, or it does more than to read.

        """
        with self.connection() as connection:
            rows = connection.execute(sql, tuple(values)).fetchall()
            if connection.in_transaction:  # the next who reads with it would see the log as it is now
                raise StoreFailed(str(self._path), f"{sql!r} begins a transaction", "give a statement that reads")
            return rows

    def one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        """The first row of a query, if any."""
        rows = self.all(query, *values)
        return rows[0] if rows else None

    def all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of a query; as `connection` does, only faster, as each stateful command may need it."""
        try:
            connection = self._taken()
            try:
                return connection.execute(query, values).fetchall()
            finally:
                self._idle.append(connection)
        except sqlite3.Error as error:
            raise failed(self._path, error) from error

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for one who reads; statements that must see the same state stand in a transaction of his.

        Raises:
            StoreFailed: the log cannot be read.

        """
        with told(self._path):
            connection = self._taken()
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._idle.append(connection)

    def close(self) -> None:
        """Close those that nobody uses; others may be opened again."""
        _close_all(self._idle)

    def _taken(self) -> sqlite3.Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return self._opened()

    def _opened(self) -> sqlite3.Connection:
        connection = open_for_reading(self._path, self._patience_s)
        try:
            schema.check(connection, self._path)
        except BaseException:
            connection.close()
            raise
        return connection


def _close_all(connections: deque[sqlite3.Connection]) -> None:
    while connections:
        connections.pop().close()


def _due_of(row: tuple[Any, ...]) -> DueMessage:
    cause, number, *scheduled = row
    return DueMessage(DueId(cause, number), Scheduled(*scheduled))
