"""Event-sourced aggregates: what they are is the sum of what happened to them.

::

    handler --> aggregate.deposit(5) --> record(Deposited(5)) --apply--> fields        while a command runs
                                              `--> the stream (the log)
    stream: Opened, Deposited, Deposited --apply, one after the other--> fields        when it is loaded again

Events are kept and fields are not, except in a snapshot now and then, which only saves time. So fields change in the
methods that apply events, and nowhere else. Those methods decide nothing: the event has happened.
"""

from __future__ import annotations

import copy
import typing
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from driven.domain.aggregate import Aggregate, recorded_events
from driven.domain.messages import Event
from driven.domain.shape import has_mutable_parts
from driven.errors import EventNotApplied

if TYPE_CHECKING:
    from collections.abc import Iterator

A = TypeVar("A")
E = TypeVar("E", bound=Event)

Apply = Callable[[Any, Any], None]

_APPLIES: Final = "__driven_applies__"
_PLACES: Final = "_places_of_events"
_IS_APPLYING: Final = "_is_applying"


def applies(event: type[E]) -> Callable[[Callable[[A, E], None]], Callable[[A, E], None]]:
    """Mark the method that changes the fields of an aggregate as `event` says.

    It is called when the event is recorded, and again whenever the aggregate is loaded.
    """

    def mark(method: Callable[[A, E], None]) -> Callable[[A, E], None]:
        setattr(method, _APPLIES, (*getattr(method, _APPLIES, ()), event))
        return method

    return mark


class EventSourcedAggregate(Aggregate, Generic[E]):
    """An aggregate that is kept as the stream of its events; `E` is the union of those that it may record.

    A new one begins as ``Account(id)``, so every other field has a default; what it becomes, its events tell.
    """

    snapshot_every: ClassVar[int] = 100
    """How many events there may be behind the latest snapshot before another one is taken; 0: none is ever taken."""

    snapshot_version: ClassVar[int] = 1
    """Raised when the methods that apply events mean something else: snapshots of another version are discarded."""

    def record(self, event: E) -> None:  # type: ignore[override]  # narrower: nothing else could be applied
        """Tell that `event` happened, and apply it; it becomes visible when the command that is running retires.

        Raises:
            EventNotApplied: no method applies it, or it is recorded by one that applies another.

        """
        name, told = type(self).__qualname__, type(event)
        if _IS_APPLYING in self.__dict__:
            raise EventNotApplied(name, self.id, told.__qualname__, RECORDED_INSIDE)
        apply = appliers_of(type(self)).get(told)
        if apply is None:
            raise EventNotApplied(name, self.id, told.__qualname__, missing(name, told.__qualname__))
        with applying(self):
            apply(self, copy.deepcopy(event) if _is_mutable(told) else event)
        recorded = recorded_events(self)
        places_of(self).append(len(recorded))
        recorded.append(event)


RECORDED_INSIDE: Final = "a method that applies an event records another; record both where it is decided"


def missing(aggregate: str, event: str) -> str:
    """Why an event cannot be applied, and what to do."""
    return (
        f"no method applies it; name it in EventSourcedAggregate[...] and give {aggregate} one, with @applies({event})"
    )


@contextmanager
def applying(aggregate: Aggregate) -> Iterator[None]:
    """Keep `aggregate` from recording anything meanwhile: loading it would tell that again (B2)."""
    aggregate.__dict__[_IS_APPLYING] = True
    try:
        yield
    finally:
        del aggregate.__dict__[_IS_APPLYING]


def places_of(aggregate: Aggregate) -> list[int]:
    """Where the events of `aggregate` stand among those recorded with it, ascending; the list itself."""
    places: list[int] = aggregate.__dict__.setdefault(_PLACES, [])
    return places


def shift_places(aggregate: Aggregate, by: int) -> None:
    """What `aggregate` recorded so far stands behind `by` other events now."""
    aggregate.__dict__[_PLACES] = [place + by for place in places_of(aggregate)]


def forget_places(aggregate: Aggregate) -> None:
    """What it recorded belongs to a unit of work that is over."""
    aggregate.__dict__.pop(_PLACES, None)


@cache
def appliers_of(aggregate_type: type[Aggregate]) -> Mapping[type[Event], Apply]:
    """The method that applies each event; of two, the one that is defined last, in the class nearest by."""
    return dict(marked_methods(aggregate_type))


def marked_methods(aggregate_type: type[Aggregate]) -> list[tuple[type[Event], Apply]]:
    """Each event with each method that is marked to apply it, those of base classes first."""
    found: dict[str, Any] = {}
    for cls in reversed(aggregate_type.__mro__):
        found.update(vars(cls))
    return [(event, value) for value in found.values() for event in getattr(value, _APPLIES, ())]


@cache
def events_of(aggregate_type: type[Aggregate]) -> tuple[Any, ...]:
    """What stands in ``EventSourcedAggregate[...]``, one by one; nothing when nothing does."""
    for cls in aggregate_type.__mro__:
        for base in vars(cls).get("__orig_bases__", ()):
            if typing.get_origin(base) is EventSourcedAggregate:
                (named,) = typing.get_args(base)
                return typing.get_args(named) or (named,)
    return ()


@cache
def _is_mutable(event: type[Event]) -> bool:
    """Whether fields of it could be changed through an aggregate that took them over."""
    return has_mutable_parts(event)
