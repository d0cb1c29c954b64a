"""One message and what follows from it at once, as a bus would have it: a handler, or the reactions. Functions only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from driven.domain.later import Later
from driven.domain.messages import Envelope
from driven.errors import AggregateExists
from driven.service.event_store import LoggedMessage, MessageKind
from driven.service.execution import Execution
from driven.service.failures import failure_of
from driven.service.intake import draft
from driven.service.on_failure import event_of_failure
from driven.testing.past_state import append
from driven.wire import Failed, Failure, Submission, Succeeded

if TYPE_CHECKING:
    from driven.domain.messages import Command, Event
    from driven.service.event_store import EventStore
    from driven.service.intake import Draft
    from driven.service.registry import Registry
    from driven.testing.clock import Clock
    from driven.wire import Outcome


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Ran(msgspec.Struct, frozen=True):
    """What came of it."""

    what: str
    """What `messages` are: events, or commands."""
    messages: tuple[Any, ...]
    changed: tuple[str, ...] = ()
    failure: Failure | None = None
    recorded_at_ns: int = 0
    """When an event was recorded that was followed by commands."""


def run_command(registry: Registry, store: EventStore, command: Command, clock: Clock, attempt: int) -> Ran:
    """Carry out a command and keep what it changes; raises what `MessageBus.submit` raises."""
    drafted, position = draft(registry, command), store.last_position + 1
    entry, catalog = registry.catalog.entries[drafted.type_id], registry.catalog
    envelope = Envelope(position, f"@{position}", position, 0, 0, drafted.key, clock())
    submission = Submission(envelope, 1, attempt, drafted.type_id, drafted.body)
    outcome = _current(Execution(registry, store.log_id).execute(submission, store.load), store)
    if isinstance(outcome, Failed):
        event, failure = event_of_failure(registry.handlers[entry.type_id], drafted.body, outcome.failure, catalog)
        told = () if event is None else (catalog.decode(event.type_id, event.body),)
        return Ran("events", told, failure=failure)
    logged = LoggedMessage(envelope, MessageKind.COMMAND, entry.name, entry.version, drafted.body)
    append(store, registry, logged, outcome.events, outcome.changes)
    events = tuple(catalog.decode(event.type_id, event.body) for event in outcome.events)
    return Ran("events", events, tuple(f"{one.name.rpartition('.')[2]} {one.id}" for one in outcome.changes))


def run_reactions(registry: Registry, store: EventStore, event: Event, clock: Clock, attempt: int) -> Ran:
    """The commands that all reactions to an event put on the bus, in the order of registration."""
    encoded, position = registry.catalog.encode(event), store.last_position + 1
    envelope = Envelope(position, f"@{position}", position, 0, 0, None, clock())
    execution = Execution(registry, store.log_id)
    commands: list[Any] = []
    for reaction in registry.reactions.get(encoded.type_id, ()):
        read = registry.catalog.decode(encoded.type_id, encoded.body)
        result = execution.react(reaction, read, envelope, attempt)
        if isinstance(result, Failure):
            return Ran("commands", tuple(commands), failure=result)
        commands.extend(_told(registry, one) for one in result)
    return Ran("commands", tuple(commands), recorded_at_ns=envelope.recorded_at_ns)


def _told(registry: Registry, drafted: Draft) -> Any:  # noqa: ANN401 - a command, or a Later of one
    command = registry.catalog.decode(drafted.type_id, drafted.body)
    return later_at(command, drafted.due_at_ns) if drafted.due_at_ns else command


def later_at(command: Command, due_at_ns: int) -> Later[Command]:
    """A command that is due at a moment, to the microsecond."""
    return Later(command, at=_EPOCH + timedelta(microseconds=due_at_ns // 1_000))


def _current(outcome: Outcome, store: EventStore) -> Succeeded | Failed:
    """What a bus makes of an outcome: one that adds what is there already has failed (O5)."""
    for read in outcome.reads:
        if store.load(read.name, read.id).version != read.version:
            return Failed(failure_of(AggregateExists(read.name, read.id)), outcome.reads)
    return outcome
