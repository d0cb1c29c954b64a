"""`SqliteStore`: the `EventStore` over one SQLite file; the other modules of this package are its organs.

It belongs to whoever opens it. `open`, `append` and `close` come from one thread at a time; reading needs no `open`,
and is possible beside a bus of another process and after `close`, as long as `close` is called once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from driven.adapters.stores.sqlite import schema
from driven.adapters.stores.sqlite.faults import told
from driven.adapters.stores.sqlite.lease import Lease
from driven.adapters.stores.sqlite.opening import open_for_writing
from driven.adapters.stores.sqlite.reading import Readers
from driven.adapters.stores.sqlite.writing import Writer, end_of
from driven.errors import LogBusy, StoreFailed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from driven.service.aside import DueId, DueKey, DueMessage
    from driven.service.event_store import Advance, Batch, Cursor, LoggedMessage, LoggedType, LogRecord, ParkedRecord
    from driven.settings import Durability
    from driven.wire import AggregateState

PATIENCE_S: Final = 10.0
"""Seconds that a call waits for another program that keeps the file locked."""


class SqliteStore:
    """A log and its aggregates in one file; one bus at a time."""

    is_blocking: Final = True

    def __init__(self, path: Path, durability: Durability = "group", *, patience_s: float = PATIENCE_S) -> None:
        """Nothing is opened yet.

        Args:
            path: the file; made by `open` when it is not there.
            durability: when a command counts as accepted, and what it survives then (U4).
            patience_s: seconds that a call waits for another program that keeps the file locked.

        """
        self.path: Final = path.absolute()
        self.durability: Final = durability
        self._patience_s: Final = patience_s
        self._readers: Final = Readers(self.path, patience_s)
        self._lease: Lease | None = None
        self._writer: Writer | None = None
        self._log_id = ""

    @property
    def log_id(self) -> str:
        """Names this log for ever."""
        if not self._log_id:
            with self._readers.connection() as connection:
                self._log_id = schema.log_id_of(connection)
        return self._log_id

    @property
    def last_position(self) -> int:
        """The highest position in the log, 0 for a new one."""
        if self._writer is not None:
            return self._writer.last_position
        with self._readers.connection() as connection:
            return end_of(connection)

    def open(self) -> None:
        """Take the lease, bring the file up to date, and go on where it ends.

        Raises:
            LogBusy: another bus has it; says which.
            StoreFailed: it cannot be opened; says why, and what to do.

        """
        if self._lease is not None:
            raise LogBusy(str(self.path), self._lease.holder)
        lease = Lease(self.path)
        try:
            with told(self.path):
                self._writer = self._entered(lease)
        except BaseException:
            lease.release()
            raise
        self._lease = lease

    def append(self, batch: Batch) -> None:
        """Write a batch as one transaction.

        Raises:
            LogBusy: another bus has taken the log.
            StoreFailed: the store is not open, or the batch does not continue the log, or it cannot be written.

        """
        self._writing.append(batch)

    def load(self, name: str, aggregate_id: str) -> AggregateState:
        """An aggregate as last appended; version 0 when there is none."""
        return self._readers.load(name, aggregate_id)

    def keep_snapshots(self, schemas: Mapping[str, str]) -> None:
        """Discard the snapshots of any other schema.

        Raises:
            LogBusy: another bus has taken the log.
            StoreFailed: the store is not open, or cannot be written.

        """
        self._writing.keep_snapshots(schemas)

    def read(self, after: int, limit: int) -> Sequence[LogRecord]:
        """At most `limit` records behind position `after`."""
        return self._readers.read(after, limit)

    def retired(self, after: int, limit: int) -> Sequence[LogRecord]:
        """At most `limit` records in the order of retirement, without the first `after`."""
        return self._readers.retired(after, limit)

    def find(self, command_id: str) -> LogRecord | None:
        """The command accepted under this id, if any."""
        return self._readers.find(command_id)

    def events(self, names: Collection[str], after: int, up_to: int) -> Sequence[LoggedMessage]:
        """The events of these names between two positions."""
        return self._readers.events(names, after, up_to)

    def cursor(self, name: str) -> Cursor:
        """How far the follower of this name is."""
        return self._readers.cursor(name)

    def advance(self, write: Advance) -> None:
        """Let followers write tables of this file, and keep their cursors, in one transaction.

        Raises:
            LogBusy: another bus has taken the log.
            StoreFailed: the store is not open, or cannot be written.

        """
        self._writing.advance(write)

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What a reading statement finds."""
        return self._readers.query(sql, parameters)

    def message_types(self) -> Collection[LoggedType]:
        """What there are messages of."""
        return self._readers.message_types()

    def unretired(self, after: int, limit: int) -> Sequence[LoggedMessage]:
        """At most `limit` messages without an outcome, behind position `after`."""
        return self._readers.unretired(after, limit)

    def unfinished(self) -> Sequence[int]:
        """Positions of the commands that have started, and whose outcome has not retired."""
        return self._readers.unfinished()

    def finished(self, position: int) -> LogRecord | None:
        """The command that has the outcome of the one that started at `position`, if it has retired."""
        return self._readers.finished(position)

    def parked_keys(self) -> Mapping[str, int]:
        """The keys of which something is parked, each with the lowest position of it."""
        return self._readers.parked_keys()

    def parked(self, after: int, limit: int, key: str | None = None) -> Sequence[ParkedRecord]:
        """At most `limit` parked messages behind position `after`, of one key or of all."""
        return self._readers.parked(after, limit, key)

    def redriven(self, position: int) -> LogRecord | None:
        """The message that redrives the one at `position`, if any."""
        return self._readers.redriven(position)

    def due(self, after: DueKey | None, limit: int) -> Sequence[DueMessage]:
        """At most `limit` messages due later, behind `after`."""
        return self._readers.due(after, limit)

    def find_due(self, due_id: DueId) -> DueMessage | None:
        """One message due later."""
        return self._readers.find_due(due_id)

    def close(self) -> None:
        """Close all connections, then let others have the log."""
        self._readers.close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._lease is not None:
            self._lease.release()
            self._lease = None

    @property
    def _writing(self) -> Writer:
        if self._writer is None:
            raise StoreFailed(str(self.path), "it is not open")
        return self._writer

    def _entered(self, lease: Lease) -> Writer:
        connection = open_for_writing(self.path, self.durability, self._patience_s)
        try:
            schema.prepare(connection, self.path)
            lease.enter(connection)
            self._log_id = schema.log_id_of(connection)
            return Writer(self.path, connection, lease)
        except BaseException:
            connection.close()
            raise
