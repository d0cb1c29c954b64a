"""Aggregates record what happened to them; where that goes is up to the unit of work."""

from __future__ import annotations

import msgspec

from driven import Aggregate, Event
from driven.domain.aggregate import forget_record, recorded_events, share_record


class Opened(Event):
    """A fact."""

    name: str


class Door(Aggregate):
    """An aggregate."""

    width: int = 0


def test_what_an_aggregate_records_is_kept_in_order() -> None:
    """U1: events wait with the aggregate until somebody collects them."""
    door = Door("d")

    door.record(Opened("one"))
    door.record(Opened("two"))

    assert recorded_events(door) == [Opened("one"), Opened("two")]


def test_recorded_events_are_no_part_of_the_aggregate_s_value() -> None:
    """U1: they are neither stored nor compared."""
    door = Door("d", 3)

    door.record(Opened("one"))

    assert door == Door("d", 3)
    assert msgspec.json.encode(door) == b'{"id":"d","width":3}'


def test_aggregates_that_share_a_record_keep_the_order_among_them() -> None:
    """O3: one list per unit of work; what was recorded before comes first."""
    front, back, shared = Door("front"), Door("back"), list[Event]()
    front.record(Opened("front, early"))

    share_record(front, shared)
    share_record(back, shared)
    back.record(Opened("back"))
    front.record(Opened("front"))

    assert shared == [Opened("front, early"), Opened("back"), Opened("front")]


def test_a_forgotten_record_does_not_come_back() -> None:
    """B2: an aggregate that outlives its unit of work begins anew, and leaves the shared list alone."""
    door, shared = Door("d"), list[Event]()
    share_record(door, shared)
    door.record(Opened("one"))

    forget_record(door)
    door.record(Opened("two"))

    assert shared == [Opened("one")]
    assert recorded_events(door) == [Opened("two")]
