"""Aggregates: the objects that hold a model's state and guard its rules.

An aggregate is a mutable `msgspec.Struct` with an `id`. It lives as long as one unit of work: the unit
of work decodes it, a handler changes it, and the bus commits the change when the command retires. What
happened to it is told with `record`; recorded events leave with the unit of work, or not at all (U1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

if TYPE_CHECKING:
    from driven.domain.messages import Event

_RECORDED = "_recorded_events"


class Aggregate(msgspec.Struct, dict=True):
    """A consistency boundary: loaded whole, changed by one command at a time, stored whole.

    ``dict=True`` gives instances room for the events not yet collected, beside the encoded fields.
    """

    aggregate_name: ClassVar[str] = ""
    """The stable name under which instances are stored; empty: derived from the application's name."""

    id: str

    def record(self, event: Event) -> None:
        """Tell that `event` happened; it becomes visible when the command that is running retires."""
        recorded_events(self).append(event)


def recorded_events(aggregate: Aggregate) -> list[Event]:
    """The events `aggregate` recorded and nobody collected yet, in order; the list itself."""
    events: list[Event] = aggregate.__dict__.setdefault(_RECORDED, [])
    return events


def share_record(aggregate: Aggregate, shared: list[Event]) -> None:
    """Move what `aggregate` recorded to `shared`, and let it record there from now on.

    One list per unit of work keeps emission order across aggregates (O3).
    """
    shared.extend(recorded_events(aggregate))
    aggregate.__dict__[_RECORDED] = shared


def forget_record(aggregate: Aggregate) -> None:
    """Let `aggregate` begin anew: what it recorded belongs to a unit of work that is over (B2, B3)."""
    aggregate.__dict__.pop(_RECORDED, None)
