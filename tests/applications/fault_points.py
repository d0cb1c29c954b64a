"""Where a process with a bus can be killed: numbered points, and what kills it there at the n-th time it comes by.

Nothing of this is in the product: a store that is wrapped, middleware, the program that submits, and a handler do it.
"""

from __future__ import annotations

import enum
import os
import signal
from typing import TYPE_CHECKING

from driven import Middleware
from driven.adapters.stores.sqlite.store import SqliteStore
from driven.service.event_store import Status

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from driven import Envelope
    from driven.service.event_store import (
        Advance,
        Batch,
        Cursor,
        LoggedMessage,
        LoggedOutcome,
        LogRecord,
        TableConnection,
    )


REDRIVE = "driven.Redrive"


class FaultPoint(enum.IntEnum):
    """Where the process ends."""

    BEFORE_SUBMIT = 1
    """A command is about to be submitted."""
    ADMITTED = 2
    """A message has its position, which is in memory only."""
    DISPATCHED = 3
    """A command was sent to a worker."""
    HANDLER_RUNS = 4
    """A handler runs, on a worker if there are any."""
    RETIRED = 5
    """A message has retired in memory only."""
    STARTED = 6
    """A detached command has, as started."""
    PARKED = 7
    """A message has, as parked."""
    BEFORE_COMMIT = 8
    """A batch is about to be appended."""
    DURING_COMMIT = 9
    """The next statement of its transaction is about to be run; the last one is the COMMIT."""
    COMMITTED = 10
    """It is in the store; nobody was told."""
    ACCEPTED = 11
    """`submit` has answered."""
    HANDLED = 12
    """So has `handled`."""
    SETTLED = 13
    """So has `settled`."""
    BEFORE_CURSOR = 14
    """A projection is about to go on."""
    DURING_CURSOR = 15
    """It has written its tables, and its cursor is not where they are yet."""
    AFTER_CURSOR = 16
    """Both are in the store; the bus was not told."""
    OPENED = 17
    """The store is open."""
    RECOVERING = 18
    """The bus reads what an earlier one left."""
    CLOSING = 19
    """Everything has settled, and the store is about to be closed."""
    CLOSED = 20
    """It is closed."""
    REDRIVE_ADMITTED = 21
    """A redrive of what is parked has its position, which is in memory only."""
    REDRIVEN = 22
    """What it redrives stands at the tail again, in memory only."""
    BEFORE_NOTIFYING = 23
    """A notifier is about to call outside."""
    NOTIFIED = 24
    """It has, and its cursor does not say so yet."""


ONCE = {
    FaultPoint.OPENED,
    FaultPoint.CLOSING,
    FaultPoint.CLOSED,
    FaultPoint.REDRIVE_ADMITTED,
    FaultPoint.REDRIVEN,
}
"""Points that a process comes by once."""


class Doom:
    """The end of this process, at the n-th time that it comes by one point."""

    def __init__(self, point: int, hit: int) -> None:
        """`point` 0: no end is near."""
        self._point = point
        self._left = hit

    def at(self, point: FaultPoint) -> None:
        """The process is here now."""
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class FatalStore(SqliteStore):
    """A log in a file, in a process that may end around whatever it is asked for."""

    def __init__(self, path: Path, doom: Doom) -> None:
        """Not opened yet."""
        super().__init__(path, "group")
        self._doom = doom
        self._is_recovering = self._is_appending = False

    def open(self) -> None:
        """Open it; from here to the first batch, what is read is read by recovery."""
        super().open()
        assert self._writer is not None
        self._writer._connection.set_trace_callback(self._executes)  # noqa: SLF001 - between its statements is inside
        self._doom.at(FaultPoint.OPENED)
        self._is_recovering = True

    def append(self, batch: Batch) -> None:
        """Append a batch."""
        self._is_recovering = False
        self._doom.at(FaultPoint.BEFORE_COMMIT)
        self._is_appending = True
        super().append(batch)
        self._is_appending = False
        self._doom.at(FaultPoint.COMMITTED)

    def _executes(self, statement: str) -> None:
        """The next statement of a transaction is about to be run, from BEGIN to COMMIT."""
        if self._is_appending:
            self._doom.at(FaultPoint.DURING_COMMIT)

    def advance(self, write: Advance) -> None:
        """Let a projection go on."""

        def written(connection: TableConnection) -> Sequence[Cursor]:
            cursors = write(connection)
            self._doom.at(FaultPoint.DURING_CURSOR)
            return cursors

        self._doom.at(FaultPoint.BEFORE_CURSOR)
        super().advance(written)
        self._doom.at(FaultPoint.AFTER_CURSOR)

    def unretired(self, after: int, limit: int) -> Sequence[LoggedMessage]:
        """Read what is left."""
        self._doom.at(FaultPoint.RECOVERING)
        return super().unretired(after, limit)

    def read(self, after: int, limit: int) -> Sequence[LogRecord]:
        """Read records."""
        if self._is_recovering:
            self._doom.at(FaultPoint.RECOVERING)
        return super().read(after, limit)

    def close(self) -> None:
        """Close the log."""
        self._doom.at(FaultPoint.CLOSING)
        super().close()
        self._doom.at(FaultPoint.CLOSED)


class FatalMiddleware(Middleware):
    """What the bus does in memory."""

    def __init__(self, doom: Doom) -> None:
        """Of the same process."""
        self._doom = doom

    def admitted(self, name: str, envelope: Envelope) -> None:
        """A message got its position."""
        self._doom.at(FaultPoint.ADMITTED)
        if name == REDRIVE:
            self._doom.at(FaultPoint.REDRIVE_ADMITTED)

    def dispatched(self, name: str, envelope: Envelope, worker_id: int) -> None:
        """A command is on its way to a worker."""
        self._doom.at(FaultPoint.DISPATCHED)

    def retired(self, name: str, envelope: Envelope, outcome: LoggedOutcome) -> None:
        """A message became visible."""
        self._doom.at(FaultPoint.RETIRED)
        if outcome.status is Status.STARTED:
            self._doom.at(FaultPoint.STARTED)
        if outcome.status is Status.PARKED:
            self._doom.at(FaultPoint.PARKED)
        if name == REDRIVE:
            self._doom.at(FaultPoint.REDRIVEN)
