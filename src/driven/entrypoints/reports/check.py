"""What an application is made of, or everything that is wrong with it (R1), and which messages lead to which (R3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from driven.errors import RegistrationError
from driven.placement import Placement
from driven.service.graph import message_graph
from driven.service.registry import build_registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from driven.domain.messages import Message
    from driven.service.application import Application
    from driven.service.graph import MessageGraph
    from driven.service.registry import Registry


class CommandReport(msgspec.Struct, frozen=True):
    """One command, and what was said about it where its handler is registered."""

    name: str
    """Its stable name, ``"census.MeasureFile"``; so for all messages."""
    version: int
    handler: str
    """``module.function`` or ``module.Class``; so for reactions and projectors."""
    placement: Placement
    """As the decorator says; a configuration may say otherwise."""
    key: str | None
    """The field whose value orders it among stateful commands; None: no key."""
    is_stateful: bool
    """Whether a unit of work reaches the handler."""
    loads: dict[str, str]
    """Stable name of an aggregate -> the field that holds its id."""
    emits: tuple[str, ...]


class EventReport(msgspec.Struct, frozen=True):
    """One event, where it comes from and who follows it."""

    name: str
    version: int
    emitted_by: tuple[str, ...]
    """Names of the commands whose handlers declare it."""
    reactions: tuple[str, ...]
    projectors: tuple[str, ...]
    notifiers: tuple[str, ...] = ()


class ReactionReport(msgspec.Struct, frozen=True):
    """One reaction: from an event to commands."""

    name: str
    event: str
    issues: tuple[str, ...]
    """Names of the commands that it may put on the bus."""


class ProjectorReport(msgspec.Struct, frozen=True):
    """One projector: from an event to a read model."""

    name: str
    event: str
    projection: str | None = None
    """The projection that lasts, of which it is a part; None: its read model is in memory."""


class NotifierReport(msgspec.Struct, frozen=True):
    """One notifier: from events to calls outside."""

    name: str
    events: tuple[str, ...]


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `driven check` finds. With faults, everything but the first three fields is empty."""

    application: str
    """The name that the application gave itself."""
    reference: str
    """``package.module:attribute``, as it was typed."""
    faults: tuple[str, ...] = ()
    """Everything that keeps a bus from opening; each says who is to blame and ends in what to do."""
    notes: tuple[str, ...] = ()
    """What is legal and looks like an oversight."""
    commands: tuple[CommandReport, ...] = ()
    events: tuple[EventReport, ...] = ()
    reactions: tuple[ReactionReport, ...] = ()
    projectors: tuple[ProjectorReport, ...] = ()
    notifiers: tuple[NotifierReport, ...] = ()
    warm_ups: tuple[str, ...] = ()
    """``module.function`` of what each worker calls before its first command, in that order."""
    edges: dict[str, tuple[str, ...]] = {}
    """Name of a message -> names of those that it may lead to: command to events, event to commands."""
    cycles: tuple[tuple[str, ...], ...] = ()
    """Ways from a message back to itself; the first name stands at the end again."""

    @property
    def is_ok(self) -> bool:
        """Whether a bus would open; cycles and notes are no faults."""
        return not self.faults


def check_report(application: Application, reference: str) -> CheckReport:
    """Check an application as opening a bus would; nothing is started."""
    try:
        registry = build_registry(application)
    except RegistrationError as error:
        return CheckReport(application=application.name, reference=reference, faults=error.faults)
    try:
        return _report(registry, reference)
    finally:
        registry.injector.close()


def _report(registry: Registry, reference: str) -> CheckReport:
    graph = message_graph(registry)
    events = tuple(_events(registry, graph))
    return CheckReport(
        application=registry.application.name,
        reference=reference,
        notes=tuple(_notes(events)),
        commands=tuple(_commands(registry, graph)),
        events=events,
        reactions=tuple(_reactions(registry)),
        projectors=tuple(_projectors(registry)),
        notifiers=tuple(
            NotifierReport(one.name, tuple(_name(registry, event) for event in one.events))
            for one in registry.notifiers
        ),
        warm_ups=tuple(one.name for one in registry.warm_ups),
        edges=graph.edges,
        cycles=graph.cycles,
    )


def _commands(registry: Registry, graph: MessageGraph) -> Iterator[CommandReport]:
    for type_id, handler in registry.handlers.items():
        entry, options = registry.catalog.entries[type_id], handler.options
        yield CommandReport(
            name=entry.name,
            version=entry.version,
            handler=handler.name,
            placement=options.placement,
            key=options.key,
            is_stateful=handler.is_stateful,
            loads={registry.aggregate_name(aggregate): field for aggregate, field in options.loads.items()},
            emits=graph.edges[entry.name],
        )


def _events(registry: Registry, graph: MessageGraph) -> Iterator[EventReport]:
    for entry in registry.catalog.entries:
        if entry.type_id not in registry.handlers:
            yield EventReport(
                name=entry.name,
                version=entry.version,
                emitted_by=tuple(command for command in graph.commands if entry.name in graph.edges[command]),
                reactions=tuple(one.name for one in registry.reactions.get(entry.type_id, ())),
                projectors=tuple(one.name for one in _projectors(registry) if one.event == entry.name),
                notifiers=tuple(one.name for one in registry.notifiers if entry.type in one.events),
            )


def _reactions(registry: Registry) -> Iterator[ReactionReport]:
    for type_id, reactions in sorted(registry.reactions.items()):
        for one in reactions:
            issues = tuple(sorted(_name(registry, command) for command in one.signature.returns))
            yield ReactionReport(one.name, registry.name_of(type_id), issues)


def _projectors(registry: Registry) -> Iterator[ProjectorReport]:
    for one in registry.projectors:
        yield ProjectorReport(one.name, _name(registry, one.event))
    for projection in registry.projections:
        for one in projection.projectors:
            yield ProjectorReport(one.name, _name(registry, one.event), projection.name)


def _notes(events: Iterable[EventReport]) -> Iterator[str]:
    for event in events:
        followers = ", ".join([*event.reactions, *event.projectors, *event.notifiers])
        if followers and not event.emitted_by:
            yield (
                f"{event.name} is followed by {followers}, but no handler declares it; "
                f"name it in a return annotation or in emits="
            )


def _name(registry: Registry, message: type[Message]) -> str:
    entry = registry.catalog.entry_of(message)
    assert entry is not None  # noqa: S101 - the registry has checked that every type of the application is in it
    return entry.name
