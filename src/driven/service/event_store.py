"""The port to whatever keeps the log and the aggregates, and every way in which it may fail.

::

    bus thread                          store thread (or the bus thread, where the store never blocks)
    ----------                          ------------
    Batch: admissions, retirements ---> append(batch)      one transaction, whole or not at all (U3)
    load(name, id) / read(...)          may be called while an append is under way
                                        advance(write)     between two appends: tables and cursors of followers

An adapter is plain blocking code (U8). `open`, `append`, `advance` and `close` are called from one thread at a time;
everything else may be called from any thread, also during an `append`, and sees everything that was
appended before it was called, and of an append under way all or nothing. An aggregate is either a document, or a
stream: the events in the log that its changes name, with a snapshot now and then. The contract suite in
`driven.testing.contracts` says all of this in tests; an adapter that passes it can carry a bus.

Failures, all of them: `LogBusy` from `open`; `StoreFailed` from anything else (full, read-only, corrupt,
gone, closed). After a failed `append` nothing of that batch may be there, and the bus stops.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec

from driven.domain.messages import Envelope
from driven.errors import StoreFailed
from driven.service.aside import Aside, DueId, DueKey, DueMessage
from driven.wire import AggregateState, Change, Failure

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from driven.settings import Durability


class MessageKind(enum.Enum):
    """What a logged message is."""

    COMMAND = "command"
    EVENT = "event"
    REPEATED = "repeated"
    """An event that was parked, again: it happened once, at the position that `LoggedMessage.redrives` names. Only the
    reactions that failed follow it now, and nobody else is shown it."""


class Status(enum.Enum):
    """How a message retired."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PARKED = "parked"
    STARTED = "started"
    """A detached command: its outcome is that of a later command which names this position as its cause (O9). Where
    there is none, it has to be run again."""
    MOVED = "moved"
    """Nothing of it happened here: it went to the tail behind messages of its key that a redrive put there, as the
    message that redrives this position (F3)."""


class LoggedMessage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message as accepted: it has its position, and everything needed to take it up again."""

    envelope: Envelope
    kind: MessageKind
    name: str
    version: int
    body: bytes
    redrives: int = 0
    """Position of the message that this one is, again, as it was parked, or moved behind a parked one (F3); 0: none."""
    due: int = 0
    """Which one of those it is that its cause has scheduled, counted from 1; 0: it was not due later."""


class LoggedType(msgspec.Struct, frozen=True):
    """What there are messages of in a log."""

    kind: MessageKind
    name: str
    version: int


class LoggedOutcome(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How the message at `position` retired, and what it changed; what it caused are messages of their own."""

    position: int
    status: Status
    attempts: int
    changes: tuple[Change, ...] = ()
    caused: tuple[int, int] = (0, 0)
    """Position of the first message it caused, and how many: they stand in a row."""
    failures: tuple[Failure, ...] = ()
    """Of a failed or parked command: one. Of an event: one per reaction that failed."""
    aside: Aside | None = None
    """What it did to messages that stand aside: parked ones, and those due later; None: nothing."""


class Batch(msgspec.Struct, frozen=True):
    """One transaction: admissions in position order, and retirements in the order in which they happened.

    In strict order that is position order; in the keyed mode (O9) it is not, and this is where it is recorded.
    """

    admitted: Sequence[LoggedMessage]
    retired: Sequence[LoggedOutcome]


class LogRecord(msgspec.Struct, frozen=True):
    """A message and, once it has retired, its outcome."""

    message: LoggedMessage
    outcome: LoggedOutcome | None


class Cursor(msgspec.Struct, frozen=True):
    """How far a follower of the log is: a projection, or a notifier."""

    name: str
    position: int = 0
    """It is done with everything up to here."""
    state: str = ""
    """What else it keeps, as it likes. A cursor at 0 without it is as good as none, and is not kept."""


class TableConnection(Protocol):
    """A connection to the database in which a store keeps the tables of followers: what `sqlite3.Connection` has."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Any:  # noqa: ANN401 - as the library has it
        """Run one statement."""

    def executemany(self, sql: str, parameters: Any, /) -> Any:  # noqa: ANN401 - as above
        """Run one statement for many rows."""


Advance: TypeAlias = Callable[[TableConnection], Sequence[Cursor]]
"""Writes what followers write, and says how far they are then."""


class ParkedRecord(msgspec.Struct, frozen=True):
    """A message that is parked, with its outcome."""

    message: LoggedMessage
    outcome: LoggedOutcome
    is_released: bool
    """Whether it holds up its key no longer."""


class EventStore(Protocol):
    """What a bus needs of a store; see the head of this module for threads and failures."""

    @property
    def is_blocking(self) -> bool:
        """Whether calls may wait for a disk or a network: then the bus uses a store thread."""

    @property
    def durability(self) -> Durability:
        """When `submit` answers (U4): once its command is in the store, or, with ``"none"``, at once.

        ``"each"``: every command from outside is to have a transaction of its own; ``"group"``: they may share one.
        """

    @property
    def log_id(self) -> str:
        """Names this log for ever; seeds the ids that handlers make. Known after `open`."""

    @property
    def last_position(self) -> int:
        """The highest position in the log, 0 for a new one. Known after `open`."""

    def open(self) -> None:
        """Get ready, and take the lease of the log.

        Raises:
            LogBusy: another bus has it.
            StoreFailed: it cannot be opened.

        """

    def append(self, batch: Batch) -> None:
        """Make a batch durable: all of it, or nothing.

        Positions of admissions continue the log without a gap; no id that a caller gave is in the log already; what
        retires is in the log and retires once; every change is at its expected version and raises the version
        by one, or by the number of its events. Those are among the events that the outcome caused, in this batch, each
        on one stream only; what has a document has no stream. What a redrive names, and what enters or is cancelled
        although it is due later, stands aside since an earlier batch. The bus guarantees all of this, an adapter
        checks it.

        Raises:
            StoreFailed: the store is not open, or the batch breaks these rules, or it cannot be written; nothing of
                it was kept.

        """

    def load(self, name: str, aggregate_id: str) -> AggregateState:
        """An aggregate as last appended; version 0 and no body when there is none.

        Of a stream: the latest snapshot, and the events since.
        """

    def keep_snapshots(self, schemas: Mapping[str, str]) -> None:
        """Say of which schema the snapshots are that will be appended, by the names of their aggregates.

        Called once after `open`. Snapshots of another schema, and of a name that is not among them, are discarded: a
        snapshot only saves time, and its stream is still there.

        Raises:
            StoreFailed: aggregates of one of these names are kept as documents; or it cannot be done.

        """

    def read(self, after: int, limit: int) -> Sequence[LogRecord]:
        """At most `limit` records in position order, beginning with the one behind position `after`."""

    def retired(self, after: int, limit: int) -> Sequence[LogRecord]:
        """At most `limit` records that have an outcome, in the order in which they retired, without the first `after`.

        That order is the order of the batches, and of the retirements within each.
        """

    def find(self, command_id: str) -> LogRecord | None:
        """The command that was accepted under this id, if any (U5); ids that begin with ``@`` are the bus's own."""

    def events(self, names: Collection[str], after: int, up_to: int) -> Sequence[LoggedMessage]:
        """The events of these names from behind position `after` to position `up_to`, in position order."""

    def cursor(self, name: str) -> Cursor:
        """How far the follower of this name is; at 0 when it was never advanced."""

    def advance(self, write: Advance) -> None:
        """Let followers write their tables, and keep the cursors that `write` returns: one transaction for both (U6).

        What is lost in a power cut may be more than of an `append`, but never one without the other.

        Raises:
            StoreFailed: the store is not open, or cannot be written; nothing was kept.
            Exception: whatever `write` raised; nothing was kept.

        """

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What a reading statement finds in the tables of followers, as of the last `advance`.

        Raises:
            StoreFailed: it is no statement that reads, or cannot be run.

        """

    # What a bus asks for when it opens, to take up what was left (U9).

    def message_types(self) -> Collection[LoggedType]:
        """Every kind, name and version of which the log holds a message, in any order (X3)."""

    def unretired(self, after: int, limit: int) -> Sequence[LoggedMessage]:
        """At most `limit` messages that have no outcome, in position order, beginning behind position `after`."""

    def unfinished(self) -> Sequence[int]:
        """Positions, ascending, of the commands that retired as started and whose outcome has not retired (O9).

        That is: no command that names such a position as its cause has an outcome.
        """

    def finished(self, position: int) -> LogRecord | None:
        """The command that has the outcome of the one that retired as started at `position` (O9).

        None: it has not retired yet. Asked on the bus thread, so it is found however long the log is.
        """

    def parked_keys(self) -> Mapping[str, int]:
        """The keys that are parked, each with the lowest position of its parked messages that are not released (F2)."""

    # What stands aside (F3).

    def parked(self, after: int, limit: int, key: str | None = None) -> Sequence[ParkedRecord]:
        """At most `limit` messages that are parked, of this key alone if one is given; position order, behind `after`.

        A message is parked from the batch in which it retires as parked to that in which a redrive has it enter again
        or gives it up.
        """

    def redriven(self, position: int) -> LogRecord | None:
        """The message that redrives the one at `position`: it stands in the log instead of it; None: there is none."""

    def due(self, after: DueKey | None, limit: int) -> Sequence[DueMessage]:
        """At most `limit` messages that are due later, in the order in which they enter, behind `after`; None: all."""

    def find_due(self, due_id: DueId) -> DueMessage | None:
        """The message of this id, while it is due later."""

    def close(self) -> None:
        """Give up the lease and let go of everything; closing twice is harmless."""


def fault_of_changes(outcome: LoggedOutcome) -> str | None:
    """What an adapter can say of the changes of an outcome without knowing any other: what is wrong, None: nothing."""
    first, count = outcome.caused
    taken: set[int] = set()
    for change in outcome.changes:
        shown = f"the change of {change.name} {change.id!r} at position {outcome.position}"
        if change.body is None and not change.events:
            return f"{shown} has neither a body nor events"
        if list(change.events) != sorted(set(change.events)) or not all(0 <= one < count for one in change.events):
            return f"{shown} names the events {change.events} of {count}, which were caused from position {first} on"
        if not taken.isdisjoint(change.events):
            return f"{shown} names events that are on another stream"
        taken.update(change.events)
    return None


def refuse_ended_transaction(connection: TableConnection, store: str) -> None:
    """For a store, when a follower has returned: a cursor that is kept without its rows would skip events (U6).

    Raises:
        StoreFailed: its transaction is over, and what it wrote there was rolled back.

    """
    if not connection.in_transaction:
        reason = "the transaction in which a follower writes was over before it returned"
        raise StoreFailed(store, reason, "let what its statements raise come out, and let none of them roll back")


def kept_as_documents(store: str, name: str) -> StoreFailed:
    """The error of a store that has documents of `name`, of which it is to keep streams."""
    reason = f"it has documents of {name}, which is event-sourced now"
    return StoreFailed(store, reason, "give the event-sourced class another aggregate_name, and move them by commands")


READ_CHUNK = 1_000
"""Records that a reader of the whole log asks for at a time."""


def log_digest(store: EventStore, tell: Callable[[int, int], None] = lambda _seen, _all: None) -> str:
    """A digest of everything that retired, in the order in which it did: the same for any number of workers (O6).

    Covers positions, names, versions, ids, keys, causes, bodies, outcomes and changes. In strict order these are all
    messages up to the first that has not retired; in the keyed mode (O9) the order itself is part of what happened,
    and another run has another digest. Clock readings, trace contexts and tracebacks are left out: they
    describe a run, not what happened. BLAKE2b, 16 bytes, hexadecimal. `tell` hears how many messages were
    read so far, and of how many.
    """
    digest = hashlib.blake2b(digest_size=16)
    encoder = msgspec.msgpack.Encoder()
    for record in retired_records(store, tell):
        digest.update(encoder.encode(_digestible(record)))
    return digest.hexdigest()


def retired_records(
    store: EventStore, tell: Callable[[int, int], None] = lambda _seen, _all: None
) -> Iterable[LogRecord]:
    """All records that have an outcome, in the order in which they retired."""
    seen, last_position = 0, store.last_position
    while records := store.retired(seen, READ_CHUNK):
        yield from records
        seen += len(records)
        tell(seen, max(seen, last_position))


def _digestible(record: LogRecord) -> tuple[object, ...]:
    message, outcome = record.message, record.outcome
    assert outcome is not None  # noqa: S101 - retired_records yields no other
    envelope = message.envelope
    return (
        (envelope.position, envelope.id, envelope.correlation, envelope.causation, envelope.hop, envelope.key),
        (message.kind, message.name, message.version, message.body, message.redrives, message.due),
        (outcome.status, outcome.attempts, outcome.changes, outcome.caused, outcome.aside),
        [(failure.error_type, failure.message) for failure in outcome.failures],
    )
