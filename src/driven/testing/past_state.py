"""Aggregates into a store, and out of it again: what there is before a scenario, and after it. Functions only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from driven.domain.aggregate import Aggregate, recorded_events
from driven.domain.event_sourced import EventSourcedAggregate
from driven.domain.messages import Envelope
from driven.errors import MisuseError
from driven.service.event_store import Batch, LoggedMessage, LoggedOutcome, MessageKind, Status
from driven.service.unit_of_work import UnitOfWork
from driven.wire import Change, EncodedMessage, body_encoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driven.service.event_store import EventStore
    from driven.service.registry import Registry
    from driven.testing.clock import Clock

GIVEN: Final = "driven.testing.Given"
"""The name of the command that what a scenario begins with is laid to."""

A = TypeVar("A", bound=Aggregate)


def seed(store: EventStore, registry: Registry, aggregates: Sequence[Aggregate], clock: Clock) -> None:
    """Have these aggregates in the store, as if one command had made them all.

    Raises:
        MisuseError: an event-sourced one has recorded nothing, so there is nothing to keep of it.

    """
    events: list[EncodedMessage] = []
    changes = []
    for aggregate in aggregates:
        name = registry.aggregate_name(type(aggregate))
        if not isinstance(aggregate, EventSourcedAggregate):
            changes.append(Change(name, aggregate.id, 0, body_encoder(type(aggregate))(aggregate)))
            continue
        recorded = recorded_events(aggregate)
        if not recorded:
            raise MisuseError(f"{name} {aggregate.id!r} has no past; make one with history(aggregate, *events)")
        changes.append(Change(name, aggregate.id, 0, None, tuple(range(len(events), len(events) + len(recorded)))))
        events.extend(registry.catalog.encode(event) for event in recorded)
    if changes:
        position = store.last_position + 1
        envelope = Envelope(position, f"@{position}", position, 0, 0, None, clock())
        append(store, registry, LoggedMessage(envelope, MessageKind.COMMAND, GIVEN, 1, b"\x80"), events, tuple(changes))


def append(
    store: EventStore,
    registry: Registry,
    command: LoggedMessage,
    events: Sequence[EncodedMessage],
    changes: tuple[Change, ...],
) -> None:
    """Have a command in the store that has succeeded, with what it emitted and changed; nothing follows its events."""
    position = command.envelope.position
    admitted, retired = [command], []
    for number, event in enumerate(events, position + 1):
        envelope = Envelope(number, f"@{number}", position, position, 1, None, command.envelope.recorded_at_ns)
        entry = registry.catalog.entries[event.type_id]
        admitted.append(LoggedMessage(envelope, MessageKind.EVENT, entry.name, entry.version, event.body))
        retired.append(LoggedOutcome(number, Status.SUCCEEDED, 1))
    caused = (position + 1, len(events)) if events else (0, 0)
    store.append(Batch(admitted, [LoggedOutcome(position, Status.SUCCEEDED, 1, changes, caused), *retired]))


def restored(store: EventStore, registry: Registry, aggregate_type: type[A], aggregate_id: str) -> A | None:
    """An aggregate as a handler would find it now."""
    return UnitOfWork(store.load, registry.aggregate_name, registry.catalog).find(aggregate_type, aggregate_id)
