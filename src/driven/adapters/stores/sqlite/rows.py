"""Rows: records of the log to rows of its tables, and back. Functions only.

Changes, and what stands aside, are MessagePack, as bodies are; failures are JSON, for people. What is left out is NULL:
the id that the bus gives (``@<position>``), an empty trace, no changes, no failures, and so on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from driven.adapters.stores.sqlite.statements import ABSENT, Table
from driven.domain.messages import Envelope
from driven.service.aside import Aside
from driven.service.event_store import LoggedMessage, LoggedOutcome, LogRecord, MessageKind, Status
from driven.wire import Change, Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Row = tuple[Any, ...]

MESSAGE: Final = Table(
    "message",
    (
        "position",
        "id",
        "kind",
        "name",
        "version",
        "key",
        "correlation",
        "causation",
        "hop",
        "recorded_at_ns",
        "trace",
        "redrives",
        "due",
        "payload",
    ),
    frozenset({"id", "key", "trace", "redrives", "due"}),
)
OUTCOME: Final = Table(
    "outcome",
    (
        "position",
        "retired_order",
        "status",
        "attempts",
        "first_caused",
        "caused",
        "changes",
        "failures",
        "aside",
    ),
    frozenset({"changes", "failures", "aside"}),
)

LOGGED_COLUMNS: Final = (
    'm.position, m.id, m.kind, m.name, m.version, m."key", m.correlation, m.causation, m.hop, m.recorded_at_ns, '
    "m.trace, m.redrives, m.due, m.payload"
)
"""What `message_of` takes, of a message `m`."""

LOGGED: Final = LOGGED_COLUMNS.count(",") + 1
"""How many columns that are."""

RECORD_COLUMNS: Final = (
    f"{LOGGED_COLUMNS}, o.status, o.attempts, o.changes, o.first_caused, o.caused, o.failures, o.aside"
)
"""What `record_of` takes, of a message `m` and its outcome `o`."""

OF_OUTCOME: Final = 7
"""How many of these are of the outcome."""

_encode_changes: Final = msgspec.msgpack.Encoder().encode
_decode_changes: Final = msgspec.msgpack.Decoder(tuple[Change, ...]).decode
_encode_failures: Final = msgspec.json.Encoder().encode
_decode_failures: Final = msgspec.json.Decoder(tuple[Failure, ...]).decode

_encode_aside: Final = msgspec.msgpack.Encoder().encode
_decode_aside: Final = msgspec.msgpack.Decoder(Aside).decode

_KINDS: Final = {kind.value: kind for kind in MessageKind}
_STATUSES: Final = {status.value: status for status in Status}
_SUCCEEDED: Final = Status.SUCCEEDED.value


def message_values(messages: Iterable[LoggedMessage], types: set[Row]) -> list[Any]:
    """The values of all these rows, one row after the other, in the order of `MESSAGE`; their types are added.

    A type is kind, name and version.
    """
    values: list[Any] = []
    for message in messages:
        envelope, kind = message.envelope, message.kind
        position, command_id = envelope.position, envelope.id
        word = "command" if kind is MessageKind.COMMAND else "event" if kind is MessageKind.EVENT else kind.value
        types.add((word, message.name, message.version))
        values += (
            position,
            ABSENT if command_id == f"@{position}" else command_id,
            word,
            message.name,
            message.version,
            ABSENT if envelope.key is None else envelope.key,
            envelope.correlation,
            envelope.causation,
            envelope.hop,
            envelope.recorded_at_ns,
            envelope.trace or ABSENT,
            message.redrives or ABSENT,
            message.due or ABSENT,
            message.body,
        )
    return values


def outcome_values(outcomes: Iterable[LoggedOutcome], retired_before: int) -> list[Any]:
    """The values of all these rows, one row after the other, in the order of `OUTCOME`."""
    values: list[Any] = []
    for order, outcome in enumerate(outcomes, retired_before + 1):
        status, changes, failures = outcome.status, outcome.changes, outcome.failures
        values += (
            outcome.position,
            order,
            _SUCCEEDED if status is Status.SUCCEEDED else status.value,
            outcome.attempts,
            *outcome.caused,
            _encode_changes(changes) if changes else ABSENT,
            _encode_failures(failures).decode() if failures else ABSENT,
            ABSENT if outcome.aside is None else _encode_aside(outcome.aside),
        )
    return values


def records_of(rows: Iterable[Row]) -> Sequence[LogRecord]:
    """Rows of `RECORD_COLUMNS` as records."""
    return [record_of(row) for row in rows]


def message_of(row: Row) -> LoggedMessage:
    """The first columns of a row of `RECORD_COLUMNS` as a message."""
    position, command_id, kind, name, version, key, correlation, causation, hop, recorded_at_ns = row[:10]
    trace, redrives, due, body = row[10:LOGGED]
    envelope = Envelope(
        position, command_id or f"@{position}", correlation, causation, hop, key, recorded_at_ns, trace or ""
    )
    return LoggedMessage(envelope, _KINDS[kind], name, version, body, redrives or 0, due or 0)


def record_of(row: Row) -> LogRecord:
    """A row of `RECORD_COLUMNS` as a record."""
    return LogRecord(message_of(row), None if row[LOGGED] is None else outcome_of(row))


def outcome_of(row: Row) -> LoggedOutcome:
    """The outcome in a row of `RECORD_COLUMNS` that has one."""
    status, attempts, changes, first_caused, caused, failures, aside = row[LOGGED : LOGGED + OF_OUTCOME]
    return LoggedOutcome(
        row[0],
        _STATUSES[status],
        attempts,
        _decode_changes(changes) if changes else (),
        (first_caused, caused),
        _decode_failures(failures) if failures else (),
        None if aside is None else _decode_aside(aside),
    )
