"""The comparison of one recorded run with what came of it today: failure, events and changes, field by field.

What today's code reads from a recorded message counts, and not its bytes: an event that has got a field with a default
since is the same as long as it has that default now.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from driven.errors import MalformedMessage, UnreadableMessage
from driven.service.event_store import Status
from driven.service.on_failure import event_of_failure
from driven.verification.differences import differing, shown_fields
from driven.verification.report import CommandDifference, FieldDifference
from driven.wire import Failed, Succeeded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.service.catalog import Catalog
    from driven.service.event_store import LoggedMessage
    from driven.service.registry import Registry
    from driven.verification.recording import Run
    from driven.wire import Change, EncodedMessage, Failure, Outcome

MOST_FIELDS: Final = 24
"""Places of one command that are told."""

LONGEST_FAILURE: Final = 300
"""Characters of a failure that are told."""

NEVER_RAN: Final = "driven.errors.CommandParked"
"""The error type of what was parked without having been run, or not by itself."""

OF_THE_MACHINE: Final = {
    "driven.errors.WorkerDied": "its workers died or were killed",
    "driven.errors.SegmentUnavailable": "there was no memory to send it",
    "MemoryError": "there was not enough memory",
}
"""Error types that tell of the machine and the moment, not of the handler."""


def reason_not_to_compare(run: Run, registry: Registry) -> str:
    """Why a recorded run says nothing that can be compared; empty: it does."""
    entry = registry.catalog.named(run.message.name)
    if entry is None or entry.type_id not in registry.handlers:
        return "this application has no such command"
    if registry.catalog.unreadable_because(run.message.name, run.message.version) is not None:
        return f"nothing leads from its version {run.message.version} to {entry.version}, which it has now"
    failure = recorded_failure(run)
    if failure is None:
        return ""
    if failure.error_type == NEVER_RAN:
        return "it was parked without having run"
    return OF_THE_MACHINE.get(failure.error_type, "")


def recorded_failure(run: Run) -> Failure | None:
    """What the command is recorded to have failed with, if it failed."""
    outcome = run.outcome
    return outcome.failures[0] if outcome.status in (Status.FAILED, Status.PARKED) and outcome.failures else None


class Comparison:
    """What a recorded run left, beside what one of today left."""

    def __init__(self, run: Run, body: bytes, outcome: Outcome, registry: Registry) -> None:
        """`outcome` is what the handler did today, against the state of then, with the command as `body`."""
        self._run: Final = run
        self._registry: Final = registry
        self._catalog: Final[Catalog] = registry.catalog
        self._recorded: Final = recorded_failure(run)
        self._now: Failure | None = None
        self._events: tuple[EncodedMessage, ...] = ()
        self._changes: tuple[Change, ...] = ()
        if isinstance(outcome, Succeeded):
            self._events, self._changes = outcome.events, outcome.changes
        elif isinstance(outcome, Failed):
            entry = self._catalog.named(run.message.name)
            handler = None if entry is None else registry.handlers[entry.type_id]
            event, self._now = event_of_failure(handler, body, outcome.failure, self._catalog)
            self._events = () if event is None else (event,)

    @property
    def is_same(self) -> bool:
        """Whether both left the same; equal bytes answer that for nearly all."""
        names = self._catalog.entries
        events = [(one.name, one.body) for one in self._run.events]
        if (
            self._told(self._recorded) == self._told(self._now)
            and events == [(names[one.type_id].name, one.body) for one in self._events]
            and list(map(_lasting, self._run.outcome.changes)) == list(map(_lasting, self._changes))
        ):
            return True
        return next(self._fields(), None) is None

    def difference(self) -> CommandDifference:
        """What differs; to be asked when something does."""
        fields = self._fields()
        first = tuple(FieldDifference(*told) for told in islice(fields, MOST_FIELDS))
        message, now = self._run.message, self._now
        return CommandDifference(
            position=self._run.outcome.position,
            name=message.name,
            id=message.envelope.id,
            correlation=message.envelope.correlation,
            given=shown_fields(_plain(message.body)),
            fields=first,
            more=sum(1 for _ in fields),
            traceback="" if now is None or self._told(self._recorded) == self._told(now) else now.traceback,
        )

    def _fields(self) -> Iterator[tuple[str, str, str]]:
        """Each place that differs, and both sides."""
        if self._told(self._recorded) != self._told(self._now):
            yield "outcome", _ended(self._recorded), _ended(self._now)
            if (self._recorded is None) != (self._now is None):
                return  # of one that fails there are no events and changes to be expected
        yield from self._events_apart()
        yield from self._changes_apart()

    def _events_apart(self) -> Iterator[tuple[str, str, str]]:
        now = [(self._catalog.entries[one.type_id].name, one) for one in self._events]
        if len(now) != len(self._run.events):
            names = ([one.name for one in self._run.events], [name for name, _ in now])
            then, today = (f"{len(side)}: {', '.join(side)}" if side else "none" for side in names)
            yield "events", then, today
        for number, (message, (name, encoded)) in enumerate(zip(self._run.events, now, strict=False), 1):
            place = f"event {number}"
            if message.name != name:
                yield place, message.name, name
            elif message.body != encoded.body:
                yield from _below(f"{place} {name}", self._read_today(message), _plain(encoded.body))

    def _changes_apart(self) -> Iterator[tuple[str, str, str]]:
        then = {(one.name, one.id): one for one in self._run.outcome.changes}
        now = {(one.name, one.id): one for one in self._changes}
        for name, aggregate_id in dict.fromkeys((*then, *now)):
            place = f"{name} {aggregate_id!r}"
            before, after = then.get((name, aggregate_id)), now.get((name, aggregate_id))
            if before is None or after is None:
                yield place, _treated(before), _treated(after)
            elif before.events != after.events:
                yield f"{place}: events of its stream", _numbers(before), _numbers(after)
            elif not before.events and before.body is not None and after.body is not None:
                yield from _below(place, _plain(before.body), _plain(after.body))

    def _read_today(self, message: LoggedMessage) -> Any:  # noqa: ANN401 - fields of any kind
        """A recorded event as today's code reads it; as it was written, where that cannot."""
        try:
            read = self._catalog.decode_logged(message.name, message.version, message.body)
            return _plain(self._catalog.encode(read).body)
        except (MalformedMessage, UnreadableMessage):
            return _plain(message.body)

    @staticmethod
    def _told(failure: Failure | None) -> tuple[str, str] | None:
        """What counts of a failure: a traceback depends on where it ran."""
        return None if failure is None else (failure.error_type, failure.message)


def _ended(failure: Failure | None) -> str:
    return "succeeded" if failure is None else f"failed: {failure.error_type}: {failure.message}"[:LONGEST_FAILURE]


def _treated(change: Change | None) -> str:
    return "left as it was" if change is None else "changed"


def _lasting(change: Change) -> tuple[object, ...]:
    """What counts of a change: a snapshot only saves time."""
    return change.name, change.id, change.events, None if change.events else change.body


def _numbers(change: Change) -> str:
    return ", ".join(f"event {number + 1}" for number in change.events) or "a document instead"


def _plain(body: bytes) -> Any:  # noqa: ANN401 - as written
    return msgspec.msgpack.decode(body)


def _below(place: str, recorded: Any, now: Any) -> Iterator[tuple[str, str, str]]:  # noqa: ANN401 - any two values
    for path, *sides in differing(recorded, now):
        yield f"{place}: {path}" if path else place, sides[0], sides[1]
