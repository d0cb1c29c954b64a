"""The part of the contract of event stores that is about streams; `EventStoreContract` includes it.

A stream is the events of one event-sourced aggregate. As long-lived as a test run.
"""
# ruff: noqa: PLR2004, S101 - these are tests, wherever they are run

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from driven.domain.messages import Envelope
from driven.errors import StoreFailed
from driven.service.event_store import Batch, LoggedMessage, LoggedOutcome, MessageKind, Status
from driven.wire import AggregateState, Change, StoredEvent

if TYPE_CHECKING:
    from driven.service.event_store import EventStore


def command(position: int) -> LoggedMessage:
    """A command as accepted at `position`."""
    envelope = Envelope(position, f"@{position}", position, 0, 0, None, 1)
    return LoggedMessage(envelope, MessageKind.COMMAND, "shop.Fill", 1, b"\x80")


def event(position: int, cause: int) -> LoggedMessage:
    """An event as accepted at `position`; its body says where it stands."""
    envelope = Envelope(position, f"@{position}", cause, cause, 1, None, 1)
    return LoggedMessage(envelope, MessageKind.EVENT, "shop.Filled", 2, f"filled {position}".encode())


def told(position: int, caused: tuple[int, int], *changes: Change) -> LoggedOutcome:
    """The command at `position` succeeded; what it caused, and changed."""
    return LoggedOutcome(position, Status.SUCCEEDED, 1, changes, caused)


def growth(expected_version: int, *events: int, aggregate_id: str = "s", snapshot: bytes | None = None) -> Change:
    """A cart's stream that was at `expected_version` goes on."""
    return Change("shop.Cart", aggregate_id, expected_version, snapshot, events)


def stored(*positions: int) -> tuple[StoredEvent, ...]:
    """The events at these positions, as a stream gives them."""
    return tuple(StoredEvent("shop.Filled", 2, f"filled {position}".encode()) for position in positions)


def batch(*parts: LoggedMessage | LoggedOutcome) -> Batch:
    """Admissions and retirements as one transaction."""
    admitted = [part for part in parts if isinstance(part, LoggedMessage)]
    return Batch(admitted, [part for part in parts if isinstance(part, LoggedOutcome)])


def document(aggregate_id: str, expected_version: int) -> Change:
    """A cart that is kept as a document."""
    return Change("shop.Cart", aggregate_id, expected_version, b"body")


FAULTY: Final[dict[str, tuple[LoggedMessage | LoggedOutcome, ...]]] = {
    "a change without a body and without events": (command(4), told(2, (0, 0), Change("shop.Cart", "b", 0, None))),
    "events that were not caused": (command(4), event(5, 2), told(2, (5, 1), growth(0, 1))),
    "events before the first that was caused": (command(4), event(5, 2), told(2, (5, 1), growth(0, -1))),
    "events that were never admitted": (command(4), told(2, (5, 1), growth(0, 0))),
    "events that are commands": (command(4), told(2, (4, 1), growth(0, 0))),
    "one event twice": (command(4), event(5, 2), told(2, (5, 1), growth(0, 0, 0))),
    "events in another order": (command(4), event(5, 2), event(6, 2), told(2, (5, 2), growth(0, 1, 0))),
    "one event that two commands say they caused": (
        command(4),
        event(5, 2),
        told(2, (5, 1), growth(0, 0)),
        told(3, (5, 1), growth(0, 0, aggregate_id="t")),
    ),
    "one event on two streams": (
        command(4),
        event(5, 2),
        told(2, (5, 1), growth(0, 0), growth(0, 0, aggregate_id="t")),
    ),
    "a stream at another version": (command(4), event(5, 2), told(2, (5, 1), growth(1, 0))),
    "a stream of what has a document": (command(4), event(5, 2), told(2, (5, 1), growth(1, 0, aggregate_id="a"))),
    "a document of what has a stream": (
        command(4),
        event(5, 2),
        told(2, (5, 1), growth(0, 0)),
        told(3, (0, 0), document("s", 1)),
    ),
}
"""What breaks a rule behind three commands, the first of which has made a document "a"."""


class StreamContract:
    """What a store does for aggregates that are the sum of their events."""

    def reopened(self, store: EventStore) -> EventStore:
        """The log of `store`, closed and opened again."""
        raise NotImplementedError

    def test_a_stream_is_the_events_that_its_changes_name(self, store: EventStore) -> None:
        """X3, O5: in their order, and each is a version; others that the command caused are not among them."""
        caused = (event(2, 1), event(3, 1), event(4, 1), event(5, 1))
        of_first = told(1, (2, 4), growth(0, 0, 2), growth(0, 3, aggregate_id="t"))
        store.append(batch(command(1), *caused, of_first))
        assert store.load("shop.Cart", "s") == AggregateState("shop.Cart", "s", 2, None, stored(2, 4))

        store.append(batch(command(6), event(7, 6), told(6, (7, 1), growth(2, 0))))

        assert store.load("shop.Cart", "s") == AggregateState("shop.Cart", "s", 3, None, stored(2, 4, 7))
        assert store.load("shop.Cart", "t") == AggregateState("shop.Cart", "t", 1, None, stored(5))
        assert store.retired(0, 1)[0].outcome == of_first

    def test_a_stream_may_grow_several_times_in_one_batch(self, store: EventStore) -> None:
        """U2, O5: many commands a transaction, each at the version that the one before has led to."""
        first, second = told(1, (3, 1), growth(0, 0)), told(2, (4, 2), growth(1, 0, 1))

        store.append(batch(command(1), command(2), event(3, 1), first, event(4, 2), event(5, 2), second))

        assert store.load("shop.Cart", "s") == AggregateState("shop.Cart", "s", 3, None, stored(3, 4, 5))

    def test_a_stream_is_given_from_its_latest_snapshot_on(self, store: EventStore) -> None:
        """X3: the version stays the number of events, with or without a snapshot."""
        store.keep_snapshots({"shop.Cart": "schema"})
        self._append_stream(store)

        assert store.load("shop.Cart", "s") == AggregateState("shop.Cart", "s", 3, b"two", stored(5))
        assert store.load("shop.Cart", "t") == AggregateState("shop.Cart", "t", 1, b"t one")
        again = self.reopened(store)
        again.keep_snapshots({"shop.Cart": "schema", "shop.Other": "other"})
        assert again.load("shop.Cart", "s") == AggregateState("shop.Cart", "s", 3, b"two", stored(5))

        last = told(8, (9, 1), growth(3, 0, snapshot=b"four"))
        again.append(batch(command(8), event(9, 8), last))
        assert again.load("shop.Cart", "s") == AggregateState("shop.Cart", "s", 4, b"four")
        again.close()

    @pytest.mark.parametrize("schemas", [{"shop.Cart": "another"}, {"shop.Other": "schema"}, {}])
    def test_snapshots_of_another_schema_are_discarded(self, store: EventStore, schemas: dict[str, str]) -> None:
        """X3: they only saved time; the stream tells everything."""
        store.keep_snapshots({"shop.Cart": "schema"})
        self._append_stream(store)

        again = self.reopened(store)
        again.keep_snapshots(schemas)

        assert again.load("shop.Cart", "s") == AggregateState("shop.Cart", "s", 3, None, stored(2, 3, 5))
        again.append(batch(command(8), event(9, 8), told(8, (9, 1), growth(3, 0, snapshot=b"four"))))
        assert again.load("shop.Cart", "s") == AggregateState("shop.Cart", "s", 4, b"four")
        again.close()

    def test_what_is_kept_as_documents_cannot_be_kept_as_streams(self, store: EventStore) -> None:
        """X3: nobody takes a document for a snapshot, and the remedy is said."""
        store.append(batch(command(1), told(1, (0, 0), document("a", 0))))

        with pytest.raises(StoreFailed, match=r"it has documents of shop\.Cart, .* another aggregate_name"):
            store.keep_snapshots({"shop.Other": "one", "shop.Cart": "one"})

        store.keep_snapshots({"shop.Other": "one"})
        assert store.load("shop.Cart", "a").body == b"body"

    @pytest.mark.parametrize("fault", FAULTY)
    def test_a_batch_with_a_faulty_stream_leaves_nothing(self, store: EventStore, fault: str) -> None:
        """U3, O5: nothing of it is there, and the log goes on as if it had never been."""
        store.append(batch(command(1), command(2), command(3), told(1, (0, 0), document("a", 0))))

        with pytest.raises(StoreFailed):
            store.append(batch(*FAULTY[fault]))

        assert store.last_position == 3
        assert [store.load("shop.Cart", one).version for one in ("a", "b", "s", "t")] == [1, 0, 0, 0]
        store.append(batch(command(4), event(5, 2), told(2, (5, 1), growth(0, 0))))
        assert store.load("shop.Cart", "s").version == 1

    def test_a_stream_grows_by_events_that_are_admitted_with_it(self, store: EventStore) -> None:
        """U3: what a command caused, and what became of its aggregates, is one transaction."""
        store.append(batch(command(1), event(2, 1)))

        with pytest.raises(StoreFailed):
            store.append(batch(command(3), told(1, (2, 1), growth(0, 0))))

        assert store.last_position == 2
        assert store.load("shop.Cart", "s").version == 0

    def _append_stream(self, store: EventStore) -> None:
        """Seven messages: a stream of three events with a snapshot behind the second, and one of a single event."""
        first = told(1, (2, 2), growth(0, 0, 1, snapshot=b"two"))
        second = told(4, (5, 2), growth(2, 0), growth(0, 1, aggregate_id="t", snapshot=b"t one"))
        store.append(batch(command(1), event(2, 1), event(3, 1), first))
        store.append(batch(command(4), event(5, 4), event(6, 4), second, command(7)))
