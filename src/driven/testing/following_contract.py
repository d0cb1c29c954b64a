"""The part of the contract of event stores that those who follow the log rely on; `EventStoreContract` includes it.

As long-lived as a test run. Tables are SQLite's in every store that has any.
"""
# ruff: noqa: S101 - these are tests, wherever they are run

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import pytest

from driven.domain.messages import Envelope
from driven.errors import StoreFailed
from driven.service.event_store import Batch, Cursor, EventStore, LoggedMessage, MessageKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driven.service.event_store import Advance, TableConnection


def event(position: int, name: str = "shop.Ordered") -> LoggedMessage:
    """An event at `position`."""
    return LoggedMessage(Envelope(position, f"@{position}", 1, 1, 1, None, 1), MessageKind.EVENT, name, 1, b"\x80")


def creates(connection: TableConnection) -> Sequence[Cursor]:
    """Make the table of these tests."""
    connection.execute("CREATE TABLE orders (position INTEGER PRIMARY KEY)")
    return (Cursor("orders", 1, "made"),)


def writes(*positions: int) -> Advance:
    """Add rows, and stand at the last of them."""

    def write(connection: TableConnection) -> Sequence[Cursor]:
        connection.executemany("INSERT INTO orders VALUES (?)", [(position,) for position in positions])
        return (Cursor("orders", positions[-1]),)

    return write


class FollowingContract:
    """What a store does for projections and notifiers."""

    def make_store(self) -> EventStore:
        """A store over a new log, not opened yet."""
        raise NotImplementedError

    def reopened(self, store: EventStore) -> EventStore:
        """The log of `store`, closed and opened again."""
        raise NotImplementedError

    @pytest.mark.parametrize(
        ("names", "after", "up_to", "positions"),
        [
            (("shop.Ordered",), 0, 9, [2, 5]),
            (("shop.Ordered", "shop.Paid"), 0, 9, [2, 3, 5]),
            (("shop.Ordered", "shop.Paid"), 2, 3, [3]),
            (("shop.Ordered", "shop.Paid"), 3, 3, []),
            (("shop.Ordered",), 4, 2, []),
            (("shop.Order",), 0, 9, []),
            ((), 0, 9, []),
        ],
    )
    def test_events_are_read_by_name_between_two_positions(
        self, store: EventStore, names: Sequence[str], after: int, up_to: int, positions: list[int]
    ) -> None:
        """B8: in position order, none missed, and no command among them, whatever its name."""
        order = LoggedMessage(Envelope(4, "@4", 4, 0, 0, None, 1), MessageKind.COMMAND, "shop.Ordered", 1, b"\x80")
        messages = [event(1, "shop.Other"), event(2), event(3, "shop.Paid"), order, event(5)]
        store.append(Batch(messages, ()))

        found = list(store.events(names, after, up_to))

        assert found == [messages[position - 1] for position in positions]

    def test_a_follower_that_was_never_advanced_stands_at_the_beginning(self, store: EventStore) -> None:
        """B14: that is where a projection begins."""
        assert store.cursor("orders") == Cursor("orders", 0, "")

    def test_what_a_follower_writes_and_how_far_it_is_are_kept_together(self, store: EventStore) -> None:
        """U6: one transaction, which whoever reads sees when it is whole."""
        store.advance(creates)
        store.advance(writes(2, 3))

        assert store.query("SELECT position FROM orders ORDER BY position") == [(2,), (3,)]
        assert store.query("SELECT count(*) FROM orders WHERE position > ?", (2,)) == [(1,)]
        assert store.cursor("orders") == Cursor("orders", 3)

    def test_several_followers_are_advanced_at_once(self, store: EventStore) -> None:
        """B14: one projection takes the place of another in one transaction."""
        store.advance(lambda _: (Cursor("a", 7, "seven"), Cursor("b", 2)))
        store.advance(lambda _: (Cursor("b", 3, "three"), Cursor("a")))

        assert [store.cursor("a"), store.cursor("b")] == [Cursor("a"), Cursor("b", 3, "three")]

    def test_a_follower_that_fails_leaves_nothing(self, store: EventStore) -> None:
        """U6: neither rows, nor tables, nor a cursor; what it raised comes out."""
        store.advance(creates)

        def fail(connection: TableConnection) -> Sequence[Cursor]:
            writes(2)(connection)
            connection.execute("CREATE TABLE others (position INTEGER)")
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            store.advance(fail)

        assert store.query("SELECT * FROM orders") == []
        assert store.cursor("orders") == Cursor("orders", 1, "made")
        with pytest.raises(StoreFailed):
            store.query("SELECT * FROM others")
        store.advance(writes(2))
        assert store.query("SELECT * FROM orders") == [(2,)]

    def test_a_follower_whose_transaction_is_over_before_it_returns_leaves_nothing(self, store: EventStore) -> None:
        """U6: SQLite rolls back by itself where it is told so, or has no room; a cursor alone would skip events."""
        store.advance(creates)

        def swallow(connection: TableConnection) -> Sequence[Cursor]:
            writes(2)(connection)
            with contextlib.suppress(sqlite3.IntegrityError):
                connection.execute("INSERT OR ROLLBACK INTO orders VALUES (2)")
            return (Cursor("orders", 3),)

        with pytest.raises(StoreFailed, match="was over"):
            store.advance(swallow)

        assert store.query("SELECT * FROM orders") == []
        assert store.cursor("orders") == Cursor("orders", 1, "made")

    def test_a_query_only_reads(self, store: EventStore) -> None:
        """U6: tables change with their cursor, or not at all."""
        store.advance(creates)

        with pytest.raises(StoreFailed):
            store.query("INSERT INTO orders VALUES (1)")

        assert store.query("SELECT * FROM orders") == []

    def test_tables_and_cursors_survive_closing(self, store: EventStore) -> None:
        """U9: the next bus goes on where they are."""
        store.append(Batch([event(1), event(2)], ()))
        store.advance(creates)
        store.advance(writes(2))

        again = self.reopened(store)

        assert again.query("SELECT * FROM orders") == [(2,)]
        assert again.cursor("orders") == Cursor("orders", 2)
        again.advance(writes(3))
        assert again.query("SELECT count(*) FROM orders") == [(2,)]
        again.close()

    def test_nobody_is_advanced_in_a_store_that_is_not_open(self) -> None:
        """X4: neither before it was opened nor after it was closed."""
        store = self.make_store()
        with pytest.raises(StoreFailed):
            store.advance(creates)

        store.open()
        store.close()

        with pytest.raises(StoreFailed):
            store.advance(creates)
