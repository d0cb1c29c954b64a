"""Writing: one batch, one transaction, few statements.

::

    BEGIN IMMEDIATE -> is the lease ours? -> messages -> outcomes -> aggregates, new ones and others -> COMMIT

What the port asks to be checked is checked by counting on, and by the keys of the tables; what exactly was wrong is
looked for when they refuse a batch.

A writer belongs to the thread that appends, from `open` to `close` of its store.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from driven.adapters.stores.sqlite.blame import fault_of
from driven.adapters.stores.sqlite.changes import write_changes
from driven.adapters.stores.sqlite.faults import failed, is_of_the_file
from driven.adapters.stores.sqlite.rows import MESSAGE, OUTCOME, message_values, outcome_values
from driven.adapters.stores.sqlite.standing import write_aside
from driven.adapters.stores.sqlite.statements import insert, write
from driven.errors import StoreFailed
from driven.service.event_store import Status, kept_as_documents, refuse_ended_transaction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from driven.adapters.stores.sqlite.lease import Lease
    from driven.adapters.stores.sqlite.rows import Row
    from driven.service.event_store import Advance, Batch, Cursor, TableConnection

TYPES: Final = "INSERT INTO message_type (kind, name, version) {}"
KIND: Final = "SELECT document IS NULL FROM aggregate WHERE name = ? LIMIT 1"
"""Whether aggregates of a name are streams: all of them are, or none."""
FINISH: Final = """
    INSERT INTO finished (position, outcome)
    SELECT s.position, min(o.position) FROM outcome AS o JOIN message AS m ON m.position = o.position
    JOIN started AS s ON s.position = m.causation
    WHERE o.retired_order > ? AND m.kind = 'command' GROUP BY s.position
"""
FORGET_FINISHED: Final = (
    "DELETE FROM started WHERE position IN (SELECT position FROM started JOIN finished USING (position))"
)


class Writer:
    """The connection that writes, and what it knows of the end of the log."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lease: Lease) -> None:
        """Go on where the log ends."""
        self._path: Final = path
        self._connection: Final = connection
        self._lease: Final = lease
        self.last_position = end_of(connection)
        (self._retired,) = connection.execute("SELECT ifnull(max(retired_order), 0) FROM outcome").fetchone()
        self._schemas: Mapping[str, str] = {}
        self._types: set[Row] = set(connection.execute("SELECT kind, name, version FROM message_type"))
        (self._synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
        self._unfinished: int = connection.execute("SELECT count(*) FROM started").fetchone()[0]

    def advance(self, follow: Advance) -> None:
        """Let followers write, and keep the cursors that they return; all of it or nothing.

        No disk is waited for: what a power cut takes of it is there again when it was followed again, and the next
        batch brings it to the disk with itself, as the write-ahead log is one file.

        Raises:
            LogBusy: another bus has taken the log.
            StoreFailed: it cannot be written.
            Exception: whatever `follow` raised.

        """
        self._connection.execute("PRAGMA synchronous = NORMAL")
        try:
            self._begin()
            cursors = follow(self._connection)
            refuse_ended_transaction(self._connection, str(self._path))
            for cursor in cursors:
                if cursor.position or cursor.state:
                    values = (cursor.name, cursor.position, cursor.state)
                    self._connection.execute("INSERT OR REPLACE INTO cursor VALUES (?, ?, ?)", values)
                else:
                    self._connection.execute("DELETE FROM cursor WHERE name = ?", (cursor.name,))
            self._connection.execute("COMMIT")
        except BaseException as error:
            self._undo()
            if isinstance(error, sqlite3.Error) and is_of_the_file(error):
                raise failed(self._path, error) from error
            raise
        finally:
            self._connection.execute(f"PRAGMA synchronous = {self._synchronous}")

    def keep_snapshots(self, schemas: Mapping[str, str]) -> None:
        """Discard the snapshots of any other schema.

        Raises:
            LogBusy: another bus has taken the log.
            StoreFailed: it cannot be written.

        """
        kept = [word for name_and_schema in schemas.items() for word in name_and_schema]
        marks = ", ".join(["(?, ?)"] * len(schemas))
        unkept = f"WHERE (name, schema) NOT IN (VALUES {marks})" if schemas else ""

        def discard(connection: TableConnection) -> Sequence[Cursor]:
            for name in schemas:
                if connection.execute(KIND, (name,)).fetchone() == (0,):
                    raise kept_as_documents(str(self._path), name)
            connection.execute(f"DELETE FROM snapshot {unkept}", kept)  # noqa: S608 - question marks
            return ()

        self.advance(discard)
        self._schemas = dict(schemas)

    def append(self, batch: Batch) -> None:
        """Write a batch, all of it or nothing.

        Raises:
            LogBusy: another bus has taken the log.
            StoreFailed: the batch breaks the rules of the port, or it cannot be written.

        """
        last_position = self._last_of(batch)
        try:
            self._begin()
            types: set[Row] = set()
            insert(self._connection, MESSAGE, message_values(batch.admitted, types))
            types -= self._types
            write(self._connection, TYPES, 3, [value for one in types for value in one])
            insert(self._connection, OUTCOME, outcome_values(batch.retired, self._retired))
            write_changes(self._connection, batch, self._schemas)
            write_aside(self._connection, batch)
            unfinished = self._start_and_finish(batch)
            self._connection.execute("COMMIT")
        except BaseException as error:
            self._undo()
            if isinstance(error, sqlite3.IntegrityError):
                raise StoreFailed(str(self._path), fault_of(batch, self._connection)) from None
            if isinstance(error, sqlite3.Error):
                raise failed(self._path, error) from error
            raise
        self.last_position = last_position
        self._retired += len(batch.retired)
        self._unfinished = unfinished
        self._types |= types

    def close(self) -> None:
        """Close the connection; the log is checkpointed if nobody else has it open."""
        self._connection.close()

    def _last_of(self, batch: Batch) -> int:
        """The last position once `batch` is in the log, having seen that it goes on without a gap."""
        last_position = self.last_position
        for message in batch.admitted:
            position = message.envelope.position
            if position != last_position + 1:
                reason = f"position {position} does not continue the log; {last_position + 1} is next"
                raise StoreFailed(str(self._path), reason)
            last_position = position
        for outcome in batch.retired:
            if not 0 < outcome.position <= last_position:
                raise StoreFailed(str(self._path), f"position {outcome.position} retires, but was never admitted")
        return last_position

    def _start_and_finish(self, batch: Batch) -> int:
        """Note which commands have started, and which of those that had are done now (O9); returns how many are not."""
        started = [outcome.position for outcome in batch.retired if outcome.status is Status.STARTED]
        write(self._connection, "INSERT INTO started (position) {}", 1, started)
        unfinished = self._unfinished + len(started)
        if not unfinished or not batch.retired:
            return unfinished
        finished = self._connection.execute(FINISH, (self._retired,)).rowcount
        if finished:
            self._connection.execute(FORGET_FINISHED)
        return unfinished - finished

    def _begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._lease.check(self._connection)

    def _undo(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def end_of(connection: sqlite3.Connection) -> int:
    """The highest position in the log, 0 for a new one."""
    (position,) = connection.execute("SELECT ifnull(max(position), 0) FROM message").fetchone()
    return int(position)
