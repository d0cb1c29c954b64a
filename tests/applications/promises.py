"""What the log of one run of the application in `ordering` must show, whatever happened to its workers.

::

    one order         positions as they retired: each once, none missing, ascending               O1, O2
    order per key     conflicting commands in position order; events in position order            O9
    split commands    each that started is done once, later, as the same command                  O9
    and always        whoever runs the log again, alone and in its order, gets the same           O5, O9

Each function returns what it found wrong, in words; nothing when the promise was kept.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from driven.bus.hazards import UNKEYED, Footprint
from driven.service.event_store import MessageKind, Status, retired_records
from replaying import check_replay

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from driven import EventStore
    from driven.service.event_store import LogRecord
    from driven.service.registry import Registry
    from driven.settings import Ordering

STATELESS = ("Compute", "Ponder")
WITHOUT_KEY = ("Audit",)
LONG = ("Ponder", "Transfer")


def broken_promises(store: EventStore, registry: Registry, ordering: Ordering) -> tuple[str, ...]:
    """All that a log does not keep of what a bus with this `ordering` promises."""
    order = list(retired_records(store))
    found = [*_each_once(order, store.last_position), *_split(order)]
    found += _one_order(order) if ordering == "strict" else _order_per_key(order)
    return (*found, *_replayed(store, registry))


def _position(record: LogRecord) -> int:
    return record.message.envelope.position


def _short_name(record: LogRecord) -> str:
    return record.message.name.rpartition(".")[2]


def _status(record: LogRecord) -> Status:
    assert record.outcome is not None
    return record.outcome.status


def _each_once(order: Sequence[LogRecord], last: int) -> Iterator[str]:
    if sorted(map(_position, order)) != list(range(1, last + 1)):
        yield f"{last} positions were given, and {len(order)} retired: not each of them once"


def _one_order(order: Sequence[LogRecord]) -> Iterator[str]:
    positions = [_position(record) for record in order]
    if positions != sorted(positions):
        yield "positions did not retire in their order"


def _order_per_key(order: Sequence[LogRecord]) -> Iterator[str]:
    events = [_position(record) for record in order if record.message.kind is MessageKind.EVENT]
    if events != sorted(events):
        yield "events did not retire in the order of their positions"
    for place, record in enumerate(order):
        for later in order[place + 1 :]:
            if _position(later) < _position(record) and _conflict(_footprint(record), _footprint(later)):
                yield f"position {_position(record)} retired before {_position(later)}, and they conflict"


def _footprint(record: LogRecord) -> Footprint:
    """What a command touches, by its signature; None: nothing, or it is an event."""
    if record.message.kind is MessageKind.EVENT or _short_name(record) in STATELESS:
        return None
    return UNKEYED if _short_name(record) in WITHOUT_KEY else record.message.envelope.key


def _conflict(one: Footprint, other: Footprint) -> bool:
    return one is not None and other is not None and (one is UNKEYED or other is UNKEYED or one == other)


def _split(order: Sequence[LogRecord]) -> Iterator[str]:
    """A start, and then one outcome; nothing that is long is done in one piece, and nothing else in two."""
    started = {_position(record): record for record in order if _status(record) is Status.STARTED}
    done: set[int] = set()
    for record in order:
        cause = started.get(record.message.envelope.causation)
        is_outcome = cause is not None and record.message.kind is MessageKind.COMMAND
        if is_outcome and cause is not None:
            if _position(cause) in done or order.index(cause) > order.index(record):
                yield f"position {_position(cause)} was done twice, or before it started"
            if (record.message.name, record.message.body) != (cause.message.name, cause.message.body):
                yield f"position {_position(record)} is not what started at {_position(cause)}"
            done.add(_position(cause))
        is_long = _short_name(record) in LONG and not is_outcome and _status(record) is not Status.PARKED
        if (_status(record) is Status.STARTED) != is_long:
            yield f"position {_position(record)} is {_status(record).name.lower()}"
    if missing := started.keys() - done:
        yield f"these started and have no outcome: {sorted(missing)}"


def _replayed(store: EventStore, registry: Registry) -> Iterator[str]:
    os.environ.pop("ORDERING_DEATH_MARKS", None)  # nobody is to die of the replay
    try:
        check_replay(store, registry)
    except AssertionError as error:
        yield f"its replay differs: {error}"
