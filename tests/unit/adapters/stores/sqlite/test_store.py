"""The SQLite store keeps the contract of event stores, under each policy of durability."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driven.adapters.stores.sqlite.store import SqliteStore
from driven.testing.contracts import EventStoreContract

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from driven.service.event_store import EventStore
    from driven.settings import Durability


class TestSqliteStore(EventStoreContract):
    """U1 to U9, as far as a store has a part in them."""

    durability: Durability = "group"

    @pytest.fixture(autouse=True)
    def _close_what_was_made(self, tmp_path: Path) -> Iterator[None]:
        self.path = tmp_path / "driven.db"
        self.made: list[SqliteStore] = []
        yield
        for store in self.made:
            store.close()

    def make_store(self) -> SqliteStore:
        """A new log."""
        self.made.append(SqliteStore(self.path, self.durability))
        return self.made[-1]

    def reopened(self, store: EventStore) -> EventStore:
        """By a new object, as after a restart."""
        store.close()
        again = self.make_store()
        again.open()
        return again

    def rival_of(self, store: EventStore) -> EventStore:
        """Another object over the same file, as another bus has."""
        assert isinstance(store, SqliteStore)
        return self.make_store()


class TestSqliteStoreWithoutWaiting(TestSqliteStore):
    """U4: what is accepted at once is written in the same way."""

    durability = "none"
