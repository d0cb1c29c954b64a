"""The part of the contract of event stores that recovery relies on (U9); `EventStoreContract` includes it.

As long-lived as a test run.
"""
# ruff: noqa: S101 - these are tests, wherever they are run

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from driven.domain.messages import Envelope
from driven.service.event_store import Batch, LoggedMessage, LoggedOutcome, LogRecord, MessageKind, Status
from driven.wire import Failure

if TYPE_CHECKING:
    from driven.service.event_store import EventStore

ALL: Final = 1_000
"""More than any of these tests writes."""


def message(position: int, causation: int = 0, key: str | None = None, kind: str = "command") -> LoggedMessage:
    """A message as accepted at `position`, all of one root."""
    envelope = Envelope(position, f"@{position}", 1, causation, int(bool(causation)), key, 1)
    return LoggedMessage(envelope, MessageKind(kind), "shop.Order", 1, b"\x80")


def retires(position: int, status: Status = Status.SUCCEEDED) -> LoggedOutcome:
    """How it retired."""
    failures = (Failure("ValueError", "no"),) if status in {Status.FAILED, Status.PARKED} else ()
    return LoggedOutcome(position, status, 1, failures=failures)


class RecoveryContract:
    """What a bus finds when it opens."""

    def reopened(self, store: EventStore) -> EventStore:
        """The log of `store`, closed and opened again."""
        raise NotImplementedError

    def test_a_new_log_leaves_nothing_to_take_up(self, store: EventStore) -> None:
        """U9: neither messages nor keys."""
        assert (list(store.unretired(0, ALL)), list(store.unfinished()), dict(store.parked_keys())) == ([], [], {})

    @pytest.mark.parametrize(
        ("after", "limit", "positions"),
        [(0, ALL, [2, 4, 5, 6]), (0, 2, [2, 4]), (4, 1, [5]), (4, ALL, [5, 6]), (6, ALL, []), (99, 3, []), (0, 0, [])],
    )
    def test_what_has_not_retired_is_read_in_pages(
        self, store: EventStore, after: int, limit: int, positions: list[int]
    ) -> None:
        """U9, O9: in position order, also where what is behind it has retired."""
        store.append(Batch([message(position) for position in range(1, 6)], [retires(1)]))
        store.append(Batch([message(6)], [retires(3)]))

        assert list(store.unretired(after, limit)) == [message(position) for position in positions]
        again = self.reopened(store)
        assert list(again.unretired(after, limit)) == [message(position) for position in positions]
        again.close()

    def test_what_retires_later_is_not_taken_up_any_more(self, store: EventStore) -> None:
        """U9: also what was left by an earlier bus."""
        store.append(Batch([message(1), message(2), message(3)], []))
        again = self.reopened(store)

        again.append(Batch([], [retires(2), retires(1)]))

        assert list(again.unretired(0, ALL)) == [message(3)]
        again.close()

    def test_a_command_that_has_started_is_unfinished_until_its_outcome_retires(self, store: EventStore) -> None:
        """O9: an outcome is a command that names it as its cause; that it has a position is not enough."""
        started = [retires(1, Status.STARTED), retires(2, Status.STARTED), retires(3)]
        store.append(Batch([message(position) for position in range(1, 4)], started))
        assert list(store.unfinished()) == [1, 2]
        assert [store.finished(position) for position in range(5)] == [None] * 5

        store.append(Batch([message(4, 1), message(5, 3, kind="event")], [retires(5)]))
        again = self.reopened(store)
        assert list(again.unfinished()) == [1, 2]

        again.append(Batch([message(6, 2)], [retires(4, Status.FAILED)]))
        assert list(again.unfinished()) == [2]
        assert again.finished(1) == LogRecord(message(4, 1), retires(4, Status.FAILED))
        assert again.finished(2) is None
        again.append(Batch([], [retires(6)]))
        assert list(again.unfinished()) == []
        assert again.finished(2) == LogRecord(message(6, 2), retires(6))
        again.close()

    def test_a_key_is_parked_since_the_first_of_its_messages_that_is(self, store: EventStore) -> None:
        """F2: whatever retired first; what has no key parks none, and what failed or succeeded neither."""
        keys = ["a", "b", "a", "b", None, "c", "d"]
        admitted = [message(position, key=key) for position, key in enumerate(keys, 1)]
        store.append(Batch(admitted, [retires(1), retires(4, Status.PARKED), retires(3, Status.PARKED)]))
        store.append(Batch([], [retires(2, Status.PARKED), retires(5, Status.PARKED), retires(6, Status.FAILED)]))

        assert dict(store.parked_keys()) == {"a": 3, "b": 2}
        again = self.reopened(store)
        assert dict(again.parked_keys()) == {"a": 3, "b": 2}
        again.close()
