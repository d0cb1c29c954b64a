"""Who caused what: the tree of all that one message led to, and the way from its root down to it.

::

    1 StartSurvey                            a root: from outside
    `- 2 SurveyStarted
       |- 3 MeasureFile --- 7 FileMeasured
       `- 4 MeasureFile

It is read from the causes that the log names, in one walk from the message on. That ends where the root has settled, or
else with the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from driven.entrypoints.log.entries import fields_of, status_of
from driven.errors import MisuseError
from driven.service.event_store import READ_CHUNK, Status
from driven.verification.differences import shown_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from driven.service.event_store import EventStore, LogRecord

MOST_NODES: Final = 100_000
"""Messages of a tree that are kept; what is beyond is counted."""


class Node(msgspec.Struct):
    """One message of a tree, as far as it is drawn."""

    position: int
    kind: str
    name: str
    status: str
    told: str
    """Its fields, in a line."""
    failure: str
    key: str | None
    attempts: int
    recorded_at_ns: int
    causation: int
    branches: list[Node] = msgspec.field(default_factory=list)
    took_ns: int | None = None
    """From its admission to that of the first message that it caused; None: it caused none."""


class CausationTree(msgspec.Struct):
    """What one message led to."""

    top: Node
    ancestors: list[Node]
    """From the root down to whoever caused it; none of a root."""
    messages: int
    """In the tree, the top included."""
    left_out: int
    """Those that were counted and not kept."""

    @property
    def is_ok(self) -> bool:
        """What can be seen is there."""
        return True


def found(store: EventStore, wanted: str) -> LogRecord:
    """The message that was meant: a position, or the id that a caller gave to a command.

    Raises:
        MisuseError: there is none.

    """
    if wanted.isdecimal():
        record = _at(store, int(wanted))
        if record is not None:
            return record
    record = store.find(wanted)
    if record is None:
        raise MisuseError(
            f"the log has neither a position nor a command id {wanted!r}; "
            f"it ends at position {store.last_position:,}, and `driven log --json` tells ids"
        )
    return record


def causation_tree(
    store: EventStore, wanted: str, tell: Callable[[int, int], None] = lambda _position, _last: None
) -> CausationTree:
    """Read the tree of a message; `tell` hears at which position that is, and where the log ends.

    Raises:
        MisuseError: there is no such message.

    """
    record = found(store, wanted)
    top = _node(record)
    nodes = {top.position: top}
    tree = CausationTree(top, list(reversed(list(_ancestors(store, record)))), 1, 0)
    below: set[int] = set()
    """Those that are counted only."""
    for one in _of_root(store, record, tell):
        envelope = one.message.envelope
        if envelope.causation not in nodes and envelope.causation not in below:
            continue
        tree.messages += 1
        if len(nodes) >= MOST_NODES:
            tree.left_out += 1
            below.add(envelope.position)
            continue
        node = nodes[envelope.position] = _node(one)
        parent = nodes[envelope.causation]
        parent.branches.append(node)
        if parent.took_ns is None:
            parent.took_ns = max(node.recorded_at_ns - parent.recorded_at_ns, 0)
    return tree


def _of_root(store: EventStore, record: LogRecord, tell: Callable[[int, int], None]) -> Iterator[LogRecord]:
    """Whatever has the same root and stands behind a message; to the end of the log, or of what can still come."""
    root, position = record.message.envelope.correlation, record.message.envelope.position
    expected, last_position = _effects(record), store.last_position
    is_open = _may_go_on(record)
    while (expected > 0 or is_open) and (records := store.read(position, READ_CHUNK)):
        position = records[-1].message.envelope.position
        tell(position, max(position, last_position))
        for one in records:
            if one.message.envelope.correlation == root:
                expected += _effects(one) - 1
                is_open = is_open or _may_go_on(one)
                yield one


def _effects(record: LogRecord) -> int:
    return 0 if record.outcome is None else record.outcome.caused[1]


def _may_go_on(record: LogRecord) -> bool:
    """Whether more may come of it than its outcome says: it waits, is parked, has started, has scheduled something."""
    outcome = record.outcome
    return outcome is None or outcome.aside is not None or outcome.status in {Status.PARKED, Status.STARTED}


def _ancestors(store: EventStore, record: LogRecord) -> Iterator[Node]:
    while (cause := record.message.envelope.causation) and (above := _at(store, cause)) is not None:
        record = above
        yield _node(record)


def _at(store: EventStore, position: int) -> LogRecord | None:
    return next(iter(store.read(position - 1, 1)), None) if position else None


def _node(record: LogRecord) -> Node:
    message, outcome, envelope = record.message, record.outcome, record.message.envelope
    failures = outcome.failures if outcome is not None else ()
    return Node(
        position=envelope.position,
        kind=message.kind.value,
        name=message.name,
        status=status_of(record),
        told=shown_fields(fields_of(message.body)),
        failure="; ".join(f"{one.error_type}: {one.message}" for one in failures),
        key=envelope.key,
        attempts=outcome.attempts if outcome is not None else 0,
        recorded_at_ns=envelope.recorded_at_ns,
        causation=envelope.causation,
    )
