"""One message of a log as a record for programs, and for whoever draws it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from driven.service.event_store import LogRecord

WAITING: Final = "waiting"
"""The status of what has not retired."""

_NANOSECONDS: Final = 1_000_000_000


class FailureEntry(msgspec.Struct, frozen=True):
    """What went wrong, as `Failure` has it."""

    error_type: str
    message: str
    traceback: str


class LogEntry(msgspec.Struct, frozen=True):
    """What `driven log --json` writes for each message."""

    position: int
    kind: str
    name: str
    version: int
    status: str
    id: str
    key: str | None
    correlation: int
    causation: int
    hop: int
    recorded_at: str
    """When it was admitted: ISO 8601, UTC, microseconds."""
    trace: str
    attempts: int
    caused: list[int]
    failures: list[FailureEntry]
    changed: list[str]
    """Aggregates, as name and id."""
    redrives: int
    """Position of the message that this one is, again; 0: none."""
    message: Any


def entry_of(record: LogRecord) -> LogEntry:
    """A record of the log as programs read it."""
    message, outcome, envelope = record.message, record.outcome, record.message.envelope
    first, count = outcome.caused if outcome is not None else (0, 0)
    return LogEntry(
        position=envelope.position,
        kind=message.kind.value,
        name=message.name,
        version=message.version,
        status=status_of(record),
        id=envelope.id,
        key=envelope.key,
        correlation=envelope.correlation,
        causation=envelope.causation,
        hop=envelope.hop,
        recorded_at=moment_of(envelope.recorded_at_ns).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        trace=envelope.trace,
        attempts=outcome.attempts if outcome is not None else 0,
        caused=list(range(first, first + count)),
        failures=[FailureEntry(*msgspec.structs.astuple(one)) for one in outcome.failures]
        if outcome is not None
        else [],
        changed=[f"{change.name} {change.id}" for change in outcome.changes] if outcome is not None else [],
        redrives=message.redrives,
        message=fields_of(message.body),
    )


def status_of(record: LogRecord) -> str:
    """How it retired, or that it has not."""
    return WAITING if record.outcome is None else record.outcome.status.value


def fields_of(body: bytes) -> Any:  # noqa: ANN401 - whatever the message holds
    """The fields of a message, as they were written, without the types of its application."""
    try:
        return msgspec.msgpack.decode(body, ext_hook=_extension)
    except msgspec.DecodeError:
        return f"<{len(body)} bytes that cannot be decoded>"


def moment_of(recorded_at_ns: int) -> datetime:
    """A clock reading as a moment in UTC, to the microsecond."""
    seconds, nanoseconds = divmod(recorded_at_ns, _NANOSECONDS)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1_000)


def _extension(code: int, data: memoryview) -> str:
    """What is neither text nor number: arrays, for instance."""
    return f"<{len(data):,} bytes of kind {code}>"
