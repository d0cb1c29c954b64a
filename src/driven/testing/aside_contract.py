"""The part of the contract of event stores about what stands aside; `EventStoreContract` includes it.

As long-lived as a test run.
"""
# ruff: noqa: PLR2004, S101 - these are tests, wherever they are run

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from driven.domain.messages import Envelope
from driven.errors import StoreFailed
from driven.service.aside import Aside, DueId, DueKey, DueMessage, Scheduled
from driven.service.event_store import (
    Batch,
    EventStore,
    LoggedMessage,
    LoggedOutcome,
    LogRecord,
    MessageKind,
    ParkedRecord,
    Status,
)
from driven.wire import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

ALL: Final = 1_000
"""More than any of these tests parks or schedules."""

KEYS: Final = ("a", "b", "a", None, "a")
"""The keys of the first five messages."""


def message(position: int, key: str | None = None, **fields: int) -> LoggedMessage:
    """A command at `position`; `fields` say which message it is again."""
    envelope = Envelope(position, f"@{position}", position, fields.pop("causation", 0), 0, key, 1)
    return LoggedMessage(envelope, MessageKind.COMMAND, "shop.Order", 1, b"\x80", **fields)


def parked(position: int, *reactions: str) -> LoggedOutcome:
    """Its outcome: it was parked."""
    aside = Aside(reactions=reactions) if reactions else None
    return LoggedOutcome(position, Status.PARKED, 4, failures=(Failure("ValueError", "no", "where"),), aside=aside)


def succeeded(position: int, aside: Aside | None = None) -> LoggedOutcome:
    """Its outcome: it did this to what stands aside."""
    return LoggedOutcome(position, Status.SUCCEEDED, 1, aside=aside)


def scheduled(due_at_ns: int, body: bytes = b"\x80") -> Scheduled:
    """An order that is due then."""
    return Scheduled(due_at_ns, "shop.Order", 2, body, "k\0\u00e9", 1, 3)


PARKED: Final = Batch(
    [message(position, key) for position, key in enumerate(KEYS, 1)], [parked(position) for position in range(1, 6)]
)
"""Five messages, all of which are parked."""

SCHEDULED: Final = Batch(
    [message(1), message(2)],
    [
        succeeded(1, Aside(scheduled=(scheduled(30), scheduled(10)))),
        succeeded(2, Aside(scheduled=(scheduled(10, b"\x81"), scheduled(2**62)))),
    ],
)
"""Two commands, each of which has scheduled two."""

IN_ORDER: Final = [(10, 1, 2), (10, 2, 1), (30, 1, 1), (2**62, 2, 2)]
"""As they are due, by time, cause and number."""


class AsideContract:
    """What a store keeps of parked messages, and of those due later."""

    @pytest.mark.parametrize(
        ("after", "limit", "key", "positions"),
        [
            (0, ALL, None, [1, 2, 3, 4, 5]),
            (1, 2, None, [2, 3]),
            (0, ALL, "a", [1, 3, 5]),
            (1, 1, "a", [3]),
            (5, ALL, None, []),
            (0, ALL, "c", []),
            (0, 0, None, []),
        ],
    )
    def test_parked_messages_are_read_in_pages_and_by_key(
        self, store: EventStore, after: int, limit: int, key: str | None, positions: list[int]
    ) -> None:
        """F3: in position order, each with its outcome."""
        store.append(PARKED)

        found = list(store.parked(after, limit, key))

        assert found == [ParkedRecord(message(p, KEYS[p - 1]), parked(p), is_released=False) for p in positions]

    def test_what_a_redrive_names_stands_aside_no_longer(self, store: EventStore) -> None:
        """F3: entered and given up is gone, released stays; and what enters again may be parked again."""
        store.append(PARKED)
        aside = Aside(entered=(3,), given_up=(1, 4), released=(5,))

        store.append(Batch([message(6), message(7, "a", redrives=3)], [succeeded(6, aside)]))
        assert [(one.message.envelope.position, one.is_released) for one in store.parked(0, ALL)] == [
            (2, False),
            (5, True),
        ]

        assert dict(store.parked_keys()) == {"b": 2}

        store.append(Batch([], [parked(7)]))
        assert dict(store.parked_keys()) == {"b": 2, "a": 7}
        assert [one.message for one in store.parked(5, ALL)] == [message(7, "a", redrives=3)]
        assert store.redriven(3) == LogRecord(message(7, "a", redrives=3), parked(7))
        assert [store.redriven(position) for position in (1, 2, 7)] == [None, None, None]

    def test_what_a_retirement_did_to_what_stands_aside_is_in_the_log(self, store: EventStore) -> None:
        """F3: who was redriven, and which reactions failed, can be read for ever."""
        store.append(PARKED)
        aside = Aside((), (1,), (8,), (2,), (3,), (scheduled(5),))
        event = LoggedMessage(
            Envelope(7, "@7", 1, 1, 1, None, 0), MessageKind.REPEATED, "shop.Ordered", 1, b"", redrives=4
        )
        failed = parked(7, "shop.react", "shop.react_too")

        store.append(Batch([message(6), event, message(8)], [succeeded(6, aside), failed]))

        records = list(store.read(5, ALL))
        assert [record.outcome for record in records] == [succeeded(6, aside), failed, None]
        assert records[1].message == event

    def test_what_is_moved_retires_as_such(self, store: EventStore) -> None:
        """F3: nothing of it happened there, and it is not parked."""
        store.append(Batch([message(1)], [LoggedOutcome(1, Status.MOVED, 1)]))

        assert list(store.parked(0, ALL)) == []
        assert store.read(0, 1)[0].outcome == LoggedOutcome(1, Status.MOVED, 1)

    @pytest.mark.parametrize(
        ("after", "limit", "first", "last"),
        [
            (None, ALL, 0, 4),
            (None, 2, 0, 2),
            (DueKey(10, 1, 2), ALL, 1, 4),
            (DueKey(10, 1, 1), 1, 0, 1),
            (DueKey(10, 9, 9), ALL, 2, 4),
            (DueKey(2**62, 2, 2), ALL, 4, 4),
        ],
    )
    def test_messages_due_later_are_read_in_the_order_in_which_they_enter(
        self, store: EventStore, after: DueKey | None, limit: int, first: int, last: int
    ) -> None:
        """O3: due time, position of the cause, number."""
        store.append(SCHEDULED)

        found: Sequence[DueMessage] = store.due(after, limit)

        assert [one.key for one in found] == IN_ORDER[first:last]

    def test_a_message_due_later_comes_back_as_it_went(self, store: EventStore) -> None:
        """U3: with everything that is needed to let it enter."""
        store.append(SCHEDULED)

        assert store.find_due(DueId(2, 1)) == DueMessage(DueId(2, 1), scheduled(10, b"\x81"))
        assert store.find_due(DueId(2, 3)) is None
        assert store.find_due(DueId(3, 1)) is None

    def test_what_entered_or_was_cancelled_is_not_due_any_more(self, store: EventStore) -> None:
        """U6: it enters once."""
        store.append(SCHEDULED)

        store.append(
            Batch([message(3, causation=1, due=2), message(4)], [succeeded(4, Aside(cancelled=(DueId(2, 1),)))])
        )

        assert [one.key for one in store.due(None, ALL)] == IN_ORDER[2:]
        assert store.find_due(DueId(1, 2)) is None

    @pytest.mark.parametrize(
        "faulty",
        [
            Batch([message(3)], [succeeded(3, Aside(entered=(2,)))]),
            Batch([message(3)], [succeeded(3, Aside(given_up=(9,)))]),
            Batch([message(3)], [succeeded(3, Aside(released=(1,)))]),
            Batch([message(3, causation=1, due=3)], []),
            Batch([message(3, causation=1, due=1), message(4, causation=1, due=1)], []),
            Batch([message(3)], [succeeded(3, Aside(cancelled=(DueId(1, 7),)))]),
        ],
        ids=["enters", "given up", "released", "due", "due twice", "cancelled"],
    )
    def test_nothing_is_taken_from_aside_that_does_not_stand_there(self, store: EventStore, faulty: Batch) -> None:
        """U3: the whole batch is refused, and nothing of it is kept."""
        store.append(SCHEDULED)
        before = [one.key for one in store.due(None, ALL)]

        with pytest.raises(StoreFailed):
            store.append(faulty)

        assert store.last_position == 2
        assert [one.key for one in store.due(None, ALL)] == before

    def test_what_stands_aside_survives_closing(self, store: EventStore) -> None:
        """U9: a later bus finds it."""
        store.append(PARKED)
        store.append(
            msgspec.structs.replace(
                SCHEDULED,
                admitted=[message(6)],
                retired=[succeeded(6, Aside(released=(1,), scheduled=(scheduled(5),)))],
            )
        )

        again = self.reopened(store)

        assert [one.is_released for one in again.parked(0, ALL)] == [True, False, False, False, False]
        assert [one.key for one in again.due(None, ALL)] == [(5, 6, 1)]
        again.close()

    def reopened(self, store: EventStore) -> EventStore:
        """The log of `store`, closed and opened again."""
        raise NotImplementedError
