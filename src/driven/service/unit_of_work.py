"""The unit of work: everything one attempt of one command reads, changes and tells, or nothing of it (U1).

::

    handler -> uow.get / find / add -> aggregates (one object per id) -> changes, reads, events
                    |
                    `-> load: what came with the command, or a question to the bus

It is made for an attempt, and released when that is over. It commits nothing itself: `changes` says what should
change, and the bus commits that when the command retires (U2). It runs the same inline and in a worker; only
`load` differs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from driven.domain.aggregate import Aggregate, forget_record, share_record
from driven.domain.event_sourced import forget_places, shift_places
from driven.errors import AggregateExists, AggregateNotFound, MalformedMessage
from driven.service.naming import plain_text
from driven.service.sourcing import foundation_of, is_event_sourced, rehydrated, sourced_change
from driven.wire import AggregateState, Change, Read, body_decoder, body_encoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driven.domain.messages import Event
    from driven.service.catalog import Catalog
    from driven.wire import EncodedMessage

A = TypeVar("A", bound=Aggregate)

Load = Callable[[str, str], AggregateState]
"""From (aggregate name, id) to what is stored there."""


class _Tracked:
    """An aggregate in use, and what was stored when it was loaded."""

    __slots__ = ("aggregate", "foundation", "state")

    def __init__(self, aggregate: Aggregate | None, state: AggregateState, foundation: bytes | None = None) -> None:
        self.aggregate = aggregate
        self.state = state
        self.foundation = foundation
        """Of an event-sourced one, what its stream told."""


class UnitOfWork:
    """Get, add, change; the handler's return is the commit, an exception the rollback."""

    __slots__ = ("_aggregates", "_catalog", "_events", "_load", "_name_of")

    def __init__(self, load: Load, name_of: Callable[[type[Aggregate]], str], catalog: Catalog) -> None:
        """`load` gives the stored state of (name, id); `name_of` the stable name of an aggregate type.

        `catalog` reads the events of streams.
        """
        self._load = load
        self._name_of = name_of
        self._catalog = catalog
        self._aggregates: dict[tuple[str, str], _Tracked] = {}
        self._events: list[Event] = []

    def get(self, aggregate_type: type[A], aggregate_id: str) -> A:
        """The aggregate of that id; change it in place.

        Raises:
            AggregateNotFound: there is none.
            MalformedMessage: `aggregate_id` is no text, or what is stored does not fit the type.
            EventNotApplied, UnreadableMessage: its stream holds what the type does not apply, or nobody can read.

        """
        aggregate = self.find(aggregate_type, aggregate_id)
        if aggregate is None:
            raise AggregateNotFound(self._name_of(aggregate_type), aggregate_id)
        return aggregate

    def find(self, aggregate_type: type[A], aggregate_id: str) -> A | None:
        """The aggregate of that id, or None; having looked and found nothing counts as a read as well.

        Raises:
            MalformedMessage: `aggregate_id` is no text, or what is stored does not fit the type.
            EventNotApplied, UnreadableMessage: its stream holds what the type does not apply, or nobody can read.

        """
        name = self._name_of(aggregate_type)
        tracked = self._aggregates.get((name, aggregate_id))
        if tracked is None:
            tracked = self._take_up(aggregate_type, self._load(name, _checked_id(name, aggregate_id)))
        aggregate: A | None = tracked.aggregate  # type: ignore[assignment]  # the name stands for the type
        return aggregate

    def add(self, aggregate: Aggregate) -> None:
        """Begin to keep a new aggregate.

        Raises:
            AggregateExists: this unit of work has seen one of that id; one that it has not seen makes
                the command fail when it retires.
            MalformedMessage: its id is no text.

        """
        name = self._name_of(type(aggregate))
        place = (name, _checked_id(name, aggregate.id))
        tracked = self._aggregates.get(place)
        if tracked is not None and tracked.aggregate is not None:
            raise AggregateExists(name, aggregate.id)
        state, foundation = AggregateState(*place, 0, None), None
        if is_event_sourced(type(aggregate)):
            foundation = foundation_of(rehydrated(type(aggregate), state, self._catalog), state)
            shift_places(aggregate, len(self._events))
        share_record(aggregate, self._events)
        self._aggregates[place] = _Tracked(aggregate, state, foundation)

    def collect_events(self) -> list[Event]:
        """What the aggregates recorded so far, in the order in which they did."""
        return self._events

    def reads(self) -> tuple[Read, ...]:
        """Every aggregate that was looked for, at the version that was found."""
        return tuple(
            Read(state.name, state.id, state.version)
            for state in (tracked.state for tracked in self._aggregates.values())
        )

    def changes(self, emitted: Sequence[EncodedMessage] = ()) -> tuple[Change, ...]:
        """What became of the aggregates that are new or no longer what they were.

        `emitted` are the events that were collected, encoded, and perhaps others behind them.

        Raises:
            MalformedMessage: an aggregate holds something that cannot be stored, or that its events do not tell, or
                has another id than before.

        """
        changes = (self._change(tracked, emitted) for tracked in self._aggregates.values())
        return tuple(change for change in changes if change is not None)

    def _change(self, tracked: _Tracked, emitted: Sequence[EncodedMessage]) -> Change | None:
        aggregate, state = tracked.aggregate, tracked.state
        if aggregate is None:
            return None
        if tracked.foundation is not None:
            return sourced_change(aggregate, state, tracked.foundation, emitted, self._catalog)
        body = _changed_body(aggregate, state)
        return None if body is None else Change(state.name, state.id, state.version, body)

    def release(self) -> None:
        """Let go of the aggregates: one that outlives its command must not tell its old events again (B2)."""
        for tracked in self._aggregates.values():
            if tracked.aggregate is not None:
                forget_record(tracked.aggregate)
                forget_places(tracked.aggregate)

    def _take_up(self, aggregate_type: type[Aggregate], state: AggregateState) -> _Tracked:
        aggregate, foundation = None, None
        if is_event_sourced(aggregate_type):
            if state.version:
                aggregate = rehydrated(aggregate_type, state, self._catalog)
                foundation = foundation_of(aggregate, state)
        elif state.version:
            aggregate = _restored(aggregate_type, state)
        if aggregate is not None:
            share_record(aggregate, self._events)
        tracked = self._aggregates[state.name, state.id] = _Tracked(aggregate, state, foundation)
        return tracked


def _checked_id(name: str, aggregate_id: str) -> str:
    """`aggregate_id` as plain text that can be encoded, as it stands among the reads even if all else fails."""
    try:
        return plain_text("it", aggregate_id)
    except (TypeError, ValueError) as error:  # their texts show no object: an address would differ in each process
        raise MalformedMessage(f"id of {name}", str(error)) from error


def _restored(aggregate_type: type[A], state: AggregateState) -> A:
    if state.events or state.body is None:
        culprit, remedy = f"{state.name} {state.id!r}", f"derive {aggregate_type.__name__} from EventSourcedAggregate"
        raise MalformedMessage(culprit, "it is kept as a stream of events", remedy)
    try:
        restored: A = body_decoder(aggregate_type)(state.body or b"")
    except Exception as error:  # an aggregate's own __post_init__ may raise anything
        raise MalformedMessage(f"{state.name} {state.id!r}", str(error)) from error
    return restored


def _changed_body(aggregate: Aggregate, state: AggregateState) -> bytes | None:
    """The new body of an aggregate, sure to be readable; None when it is what was loaded."""
    encode = body_encoder(type(aggregate))
    try:
        body = encode(aggregate)
        if body == state.body:
            return None
        body_decoder(type(aggregate))(body)
    except Exception as error:  # as above
        raise MalformedMessage(f"{state.name} {state.id!r}", str(error)) from error
    if aggregate.id != state.id:
        raise MalformedMessage(f"{state.name} {state.id!r}", f"its id became {aggregate.id!r}, but an id is for life")
    if state.body is not None and body == encode(_restored(type(aggregate), state)):
        return None  # stored by an older version of its class, and otherwise as it was
    return body
