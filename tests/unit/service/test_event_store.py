"""The digest of a log: the same for whatever happened in the same way, and for nothing else (O6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from driven.adapters.stores.memory import MemoryStore
from driven.domain.messages import Envelope
from driven.service.aside import Aside
from driven.service.event_store import (
    READ_CHUNK,
    Batch,
    LoggedMessage,
    LoggedOutcome,
    LogRecord,
    MessageKind,
    Status,
    log_digest,
    retired_records,
)
from driven.wire import Change, Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

ENVELOPE = Envelope(1, "id", 1, 0, 0, "key", 5, "trace")
MESSAGE = LoggedMessage(ENVELOPE, MessageKind.COMMAND, "shop.Order", 1, b"body")
OUTCOME = LoggedOutcome(
    1,
    Status.PARKED,
    2,
    (Change("shop.Cart", "a", 0, b"cart"),),
    (2, 3),
    (Failure("ValueError", "no", "Traceback"), Failure("KeyError", "k", "Traceback")),
)


def digest_of(messages: Sequence[LoggedMessage], outcomes: Sequence[LoggedOutcome]) -> str:
    """The digest of a log with this in it; no store checks anything on the way."""
    known = {message.envelope.position: message for message in messages}
    records = [LogRecord(known[outcome.position], outcome) for outcome in outcomes]

    class Told(MemoryStore):
        """Says what no bus would write."""

        def retired(self, after: int, limit: int) -> list[LogRecord]:
            """Of the records above."""
            return records[after : after + limit]

    return log_digest(Told())


def changed(value: Any, **fields: Any) -> Any:  # noqa: ANN401 - a struct
    """A copy with other fields."""
    return msgspec.structs.replace(value, **fields)


def in_envelope(**fields: Any) -> LoggedMessage:  # noqa: ANN401 - of an envelope
    """The message with another envelope."""
    return changed(MESSAGE, envelope=changed(ENVELOPE, **fields))  # type: ignore[no-any-return]


BASE = digest_of([MESSAGE], [OUTCOME])


@pytest.mark.parametrize(
    "message",
    [
        in_envelope(position=2),
        in_envelope(id="other"),
        in_envelope(correlation=2),
        in_envelope(causation=1),
        in_envelope(hop=1),
        in_envelope(key="other"),
        in_envelope(key=None),
        changed(MESSAGE, kind=MessageKind.EVENT),
        changed(MESSAGE, name="shop.Other"),
        changed(MESSAGE, version=2),
        changed(MESSAGE, body=b"other"),
        changed(MESSAGE, redrives=1),
        changed(MESSAGE, due=1),
    ],
)
def test_a_digest_covers_everything_about_a_message(message: LoggedMessage) -> None:
    """O6: position, id, causes, key, type and body."""
    outcome = changed(OUTCOME, position=message.envelope.position)

    assert digest_of([message], [outcome]) != BASE


@pytest.mark.parametrize(
    "outcome",
    [
        changed(OUTCOME, status=Status.FAILED),
        changed(OUTCOME, attempts=3),
        changed(OUTCOME, changes=()),
        changed(OUTCOME, changes=(Change("shop.Other", "a", 0, b"cart"),)),
        changed(OUTCOME, changes=(Change("shop.Cart", "b", 0, b"cart"),)),
        changed(OUTCOME, changes=(Change("shop.Cart", "a", 1, b"cart"),)),
        changed(OUTCOME, changes=(Change("shop.Cart", "a", 0, b"other"),)),
        changed(OUTCOME, caused=(2, 4)),
        changed(OUTCOME, failures=OUTCOME.failures[:1]),
        changed(OUTCOME, failures=OUTCOME.failures[::-1]),
        changed(OUTCOME, failures=(Failure("ValueError", "other", "Traceback"), OUTCOME.failures[1])),
        changed(OUTCOME, failures=(Failure("TypeError", "no", "Traceback"), OUTCOME.failures[1])),
        changed(OUTCOME, aside=Aside(reactions=("a", "b"))),
        changed(OUTCOME, aside=Aside(given_up=(1,))),
    ],
)
def test_a_digest_covers_everything_about_an_outcome(outcome: LoggedOutcome) -> None:
    """O6: how it retired, what it changed and caused, and what went wrong."""
    assert digest_of([MESSAGE], [outcome]) != BASE


@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        (in_envelope(recorded_at_ns=6), OUTCOME),
        (in_envelope(trace="other"), OUTCOME),
        (MESSAGE, changed(OUTCOME, failures=tuple(changed(one, traceback="other") for one in OUTCOME.failures))),
    ],
)
def test_a_digest_leaves_out_what_describes_the_run(message: LoggedMessage, outcome: LoggedOutcome) -> None:
    """O6: the clock, the trace of the submitter, and where in which process something was raised."""
    assert digest_of([message], [outcome]) == BASE


def logged(position: int) -> LoggedMessage:
    """A message at `position`."""
    return LoggedMessage(Envelope(position, f"@{position}", position, 0, 0, None, 0), MessageKind.COMMAND, "a", 1, b"")


def retired(position: int) -> LoggedOutcome:
    """Its outcome."""
    return LoggedOutcome(position, Status.SUCCEEDED, 1)


def test_a_digest_covers_what_has_retired_and_nothing_else() -> None:
    """O2: what has not retired has not happened."""
    settled = digest_of([logged(1)], [retired(1)])

    assert digest_of([logged(1), logged(2), logged(3)], [retired(1)]) == settled
    assert digest_of([logged(1), logged(2)], [retired(1), retired(2)]) != settled


def test_a_digest_depends_on_the_order_of_retirement() -> None:
    """O9: in the keyed mode the order that happened is a part of what happened."""
    messages = [logged(1), logged(2)]

    assert digest_of(messages, [retired(1), retired(2)]) != digest_of(messages, [retired(2), retired(1)])


def test_a_digest_depends_on_the_order() -> None:
    """O6: the same messages in another order are another log."""
    one, other = (changed(logged(1), body=body) for body in (b"one", b"other"))
    outcomes = [retired(1), retired(2)]
    second = Envelope(2, "@2", 2, 0, 0, None, 0)

    in_order = digest_of([one, changed(other, envelope=second)], outcomes)

    assert in_order != digest_of([other, changed(one, envelope=second)], outcomes)


def test_a_log_longer_than_a_page_is_read_to_its_end() -> None:
    """B14: page by page, nothing twice and nothing left out."""
    store = MemoryStore()
    store.open()
    last = 2 * READ_CHUNK + 1
    store.append(Batch([logged(n) for n in range(1, last + 1)], [retired(n) for n in range(1, last + 1)]))

    assert [record.message.envelope.position for record in retired_records(store)] == list(range(1, last + 1))


def test_the_digest_of_an_empty_log_is_a_digest() -> None:
    """O6: nothing happened, which is the same everywhere."""
    assert digest_of([], []) == digest_of([logged(1)], [])
    assert len(digest_of([], [])) == 32
