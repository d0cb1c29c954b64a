"""Event sourcing, as a unit of work needs it: a stream becomes an aggregate, and what was recorded becomes a change.

::

    snapshot, or a new one --> apply each event of the stream --> aggregate --> handler --> events recorded
                                       |                              |                          |
                                   `foundation` (bytes)          must be equal <-- apply them to the foundation
                                                                                                 |
                                                                       a snapshot of that, now and then

A snapshot is made from events alone, never from the object that a handler had in its hands, so whoever reads the stream
without it gets the same. An aggregate that holds what its events do not tell fails its command. Pure functions.
"""

from __future__ import annotations

import hashlib
import inspect
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from driven.domain.aggregate import Aggregate
from driven.domain.event_sourced import (
    EventSourcedAggregate,
    appliers_of,
    applying,
    events_of,
    marked_methods,
    missing,
    places_of,
)
from driven.domain.messages import Event
from driven.domain.shape import fingerprint_text
from driven.errors import EventNotApplied, MalformedMessage
from driven.service.naming import shown
from driven.wire import AggregateState, Change, StoredEvent, body_decoder, body_encoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from driven.service.catalog import Catalog
    from driven.wire import EncodedMessage

A = TypeVar("A", bound=Aggregate)


def sourcing_faults(aggregate_type: type[Aggregate]) -> Iterator[str]:
    """What keeps an event-sourced type from being the sum of its events; each as it follows its name (R1)."""
    named = events_of(aggregate_type)
    if not named:
        yield " names no events; write EventSourcedAggregate[Opened | Deposited], with all that it may record"
    events = [one for one in named if isinstance(one, type) and issubclass(one, Event)]
    for one in named:
        if one not in events:
            yield f" names {shown(one)}, which is no event; name subclasses of Event"
    methods: dict[Any, list[Any]] = {}
    for event, method in marked_methods(aggregate_type):
        methods.setdefault(event, []).append(method)
    for event in events:
        if event not in methods:
            yield f" may record {shown(event)}, which no method of it applies; write one with @applies({shown(event)})"
    for event, found in methods.items():
        names = " and ".join(one.__name__ for one in found)
        if event not in named:
            yield f".{names} applies {shown(event)}, which it may not record; name that in EventSourcedAggregate[...]"
        if len(found) > 1:
            yield f" has several methods that apply {shown(event)}, {names}; keep one"
        yield from (f".{one.__name__} {fault}" for one in found for fault in _method_faults(one))
    yield from _field_faults(aggregate_type)


def _method_faults(method: Any) -> Iterator[str]:  # noqa: ANN401 - whatever was decorated
    remedy = "write def deposited(self, event: Deposited) -> None"
    if inspect.iscoroutinefunction(method) or inspect.isgeneratorfunction(method):
        yield f"applies an event, and would do so later or not at all; {remedy}"
        return
    try:
        inspect.signature(method).bind(None, None)
    except TypeError:
        yield f"does not take an event and nothing else; {remedy}"


def _field_faults(aggregate_type: type[Aggregate]) -> Iterator[str]:
    try:
        fields = msgspec.structs.fields(aggregate_type)
    except (NameError, TypeError):  # which is said elsewhere
        fields = ()
    for field in fields:
        if field.required and field.name != "id":
            yield f".{field.name} has no default, but a new one begins as {aggregate_type.__name__}(id); give it one"
    every: Any = getattr(aggregate_type, "snapshot_every", 0)
    version: Any = getattr(aggregate_type, "snapshot_version", 1)
    if type(every) is not int or every < 0:
        yield f" has snapshot_every = {every!r}; write a number of events, 0 for no snapshots"
    if type(version) is not int or version < 1:
        yield f" has snapshot_version = {version!r}; write a whole number, 1 or more"


def is_event_sourced(aggregate_type: type[Aggregate]) -> bool:
    """Whether aggregates of this type are kept as streams."""
    return issubclass(aggregate_type, EventSourcedAggregate)


def snapshot_schema(aggregate_type: type[Aggregate]) -> str:
    """Names what snapshots of a type look like: another one as soon as one of today cannot be relied on."""
    version = getattr(aggregate_type, "snapshot_version", 1)
    return hashlib.blake2b(f"{version}\n{fingerprint_text(aggregate_type)}".encode(), digest_size=16).hexdigest()


def rehydrated(aggregate_type: type[A], state: AggregateState, catalog: Catalog) -> A:
    """The aggregate that a stream tells of; nothing is recorded by it (X2).

    Raises:
        EventNotApplied: an event that the type does not apply, or whose method raises.
        MalformedMessage: the snapshot does not fit the type, or an event none of today.
        UnreadableMessage: nothing leads from an event to one of today.

    """
    aggregate = _begun(aggregate_type, state)
    _apply(aggregate, state, state.version - len(state.events), state.events, catalog)
    return aggregate


def foundation_of(aggregate: Aggregate, state: AggregateState) -> bytes:
    """What was loaded, as bytes: to find out later what has become of it, and why."""
    if state.body is not None and not state.events:
        return state.body
    return body_encoder(type(aggregate))(aggregate)


def sourced_change(
    aggregate: Aggregate, state: AggregateState, foundation: bytes, emitted: Sequence[EncodedMessage], catalog: Catalog
) -> Change | None:
    """How the stream of `aggregate` goes on, None if it does not; `emitted` are all events of the unit of work.

    Raises:
        EventNotApplied: an event cannot be applied as it was recorded.
        MalformedMessage: the aggregate holds what its events do not tell, or something that cannot be stored.

    """
    places = tuple(places_of(aggregate))
    known = ((catalog.entries[emitted[place].type_id], emitted[place].body) for place in places)
    events = [StoredEvent(entry.name, entry.version, body) for entry, body in known]
    told = _told(aggregate, state, foundation, events, catalog)
    if not events:
        if not state.version:
            culprit, reason = f"{state.name} {state.id!r}", "it was added, and no event tells that it is there"
            raise MalformedMessage(culprit, reason, "record one when it is made")
        return None
    every = type(aggregate).snapshot_every  # type: ignore[attr-defined]  # an EventSourcedAggregate
    is_due = 0 < every <= len(state.events) + len(events)
    return Change(state.name, state.id, state.version, told if is_due else None, places)


def _told(
    aggregate: Aggregate, state: AggregateState, foundation: bytes, events: Sequence[StoredEvent], catalog: Catalog
) -> bytes:
    """What the foundation becomes by `events`; sure to be what `aggregate` has become."""
    aggregate_type = type(aggregate)
    encode, decode = body_encoder(aggregate_type), body_decoder(aggregate_type)
    culprit = f"{state.name} {state.id!r}"
    try:
        told = foundation
        if events:
            same = decode(foundation)
            _apply(same, state, state.version, events, catalog)
            told = encode(same)
            decode(told)  # it may be a snapshot, and has to be readable
        if encode(aggregate) == told:
            return told
        different = _different(aggregate, decode(told))
    except EventNotApplied:
        raise
    except Exception as error:  # an aggregate's own __post_init__ may raise anything
        raise MalformedMessage(culprit, str(error)) from error
    reason, remedy = f"{different} holds what its events do not tell", "change fields in the methods that apply events"
    raise MalformedMessage(culprit, reason, f"{remedy}, and nowhere else")


def _begun(aggregate_type: type[A], state: AggregateState) -> A:
    try:
        begun: A = aggregate_type(state.id) if state.body is None else body_decoder(aggregate_type)(state.body)
    except Exception as error:  # as above
        raise MalformedMessage(f"{state.name} {state.id!r}", str(error)) from error
    return begun


def _apply(
    aggregate: Aggregate, state: AggregateState, version: int, events: Iterable[StoredEvent], catalog: Catalog
) -> None:
    """Apply what follows `version`, and record nothing."""
    appliers, decode = appliers_of(type(aggregate)), catalog.decode_logged
    with applying(aggregate):
        for version, event in enumerate(events, version + 1):  # noqa: B020, PLR1704 - it goes on from there
            decoded = decode(event.name, event.version, event.body)
            apply = appliers.get(type(decoded))
            if apply is None:
                reason = missing(type(aggregate).__qualname__, type(decoded).__qualname__)
                raise EventNotApplied(state.name, state.id, event.name, reason, version)
            try:
                apply(aggregate, decoded)
            except EventNotApplied:
                raise
            except Exception as error:
                reason = f"{type(error).__name__}: {error}; it has happened, so apply it without conditions"
                raise EventNotApplied(state.name, state.id, event.name, reason, version) from error


def _different(aggregate: Any, same: Any) -> str:  # noqa: ANN401 - two of one type
    """The first field in which two aggregates differ."""
    for field in aggregate.__struct_fields__:
        if getattr(aggregate, field) != getattr(same, field):
            return f"field {field!r}"
    return "it"
