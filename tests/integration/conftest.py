"""What integration tests share: stores of either kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driven.adapters.stores.memory import MemoryStore
from driven.adapters.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from driven import EventStore


@pytest.fixture(params=["memory", "sqlite"])
def store_of(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], EventStore]]:
    """Makes a store over a new log, called on the bus thread or on a store thread; it is read when its bus is gone."""
    made: list[EventStore] = []

    def make() -> EventStore:
        made.append(MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "log.db"))
        return made[-1]

    yield make
    for store in made:
        store.close()
