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
from driven.errors import AggregateExists, AggregateNotFound, MalformedMessage
from driven.service.naming import plain_text
from driven.wire import AggregateState, Change, Read, body_decoder, body_encoder

if TYPE_CHECKING:
    from driven.domain.messages import Event

A = TypeVar("A", bound=Aggregate)

Load = Callable[[str, str], AggregateState]
"""From (aggregate name, id) to what is stored there."""


class _Tracked:
    """An aggregate in use, and what was stored when it was loaded."""

    __slots__ = ("aggregate", "state")

    def __init__(self, aggregate: Aggregate | None, state: AggregateState) -> None:
        self.aggregate = aggregate
        self.state = state


class UnitOfWork:
    """Get, add, change; the handler's return is the commit, an exception the rollback."""

    __slots__ = ("_aggregates", "_events", "_load", "_name_of")

    def __init__(self, load: Load, name_of: Callable[[type[Aggregate]], str]) -> None:
        """`load` gives the stored state of (name, id); `name_of` the stable name of an aggregate type."""
        self._load = load
        self._name_of = name_of
        self._aggregates: dict[tuple[str, str], _Tracked] = {}
        self._events: list[Event] = []

    def get(self, aggregate_type: type[A], aggregate_id: str) -> A:
        """The aggregate of that id; change it in place.

        Raises:
            AggregateNotFound: there is none.
            MalformedMessage: `aggregate_id` is no text, or what is stored does not fit the type.

        """
        aggregate = self.find(aggregate_type, aggregate_id)
        if aggregate is None:
            raise AggregateNotFound(self._name_of(aggregate_type), aggregate_id)
        return aggregate

    def find(self, aggregate_type: type[A], aggregate_id: str) -> A | None:
        """The aggregate of that id, or None; having looked and found nothing counts as a read as well.

        Raises:
            MalformedMessage: `aggregate_id` is no text, or what is stored does not fit the type.

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
        share_record(aggregate, self._events)
        self._aggregates[place] = _Tracked(aggregate, AggregateState(*place, 0, None))

    def collect_events(self) -> list[Event]:
        """What the aggregates recorded so far, in the order in which they did."""
        return self._events

    def reads(self) -> tuple[Read, ...]:
        """Every aggregate that was looked for, at the version that was found."""
        return tuple(
            Read(state.name, state.id, state.version)
            for state in (tracked.state for tracked in self._aggregates.values())
        )

    def changes(self) -> tuple[Change, ...]:
        """New bodies of the aggregates that are new or no longer what they were.

        Raises:
            MalformedMessage: an aggregate holds something that cannot be stored, or has another id than before.

        """
        changes = []
        for tracked in self._aggregates.values():
            if tracked.aggregate is not None and (body := _changed_body(tracked.aggregate, tracked.state)) is not None:
                state = tracked.state
                changes.append(Change(state.name, state.id, state.version, body))
        return tuple(changes)

    def release(self) -> None:
        """Let go of the aggregates: one that outlives its command must not tell its old events again (B2)."""
        for tracked in self._aggregates.values():
            if tracked.aggregate is not None:
                forget_record(tracked.aggregate)

    def _take_up(self, aggregate_type: type[Aggregate], state: AggregateState) -> _Tracked:
        aggregate = None
        if state.body is not None:
            aggregate = _restored(aggregate_type, state)
            share_record(aggregate, self._events)
        tracked = self._aggregates[state.name, state.id] = _Tracked(aggregate, state)
        return tracked


def _checked_id(name: str, aggregate_id: str) -> str:
    """`aggregate_id` as plain text that can be encoded, as it stands among the reads even if all else fails."""
    try:
        return plain_text("it", aggregate_id)
    except (TypeError, ValueError) as error:  # their texts show no object: an address would differ in each process
        raise MalformedMessage(f"id of {name}", str(error)) from error


def _restored(aggregate_type: type[A], state: AggregateState) -> A:
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
