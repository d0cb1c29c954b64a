"""The memory store keeps the contract of event stores."""

from __future__ import annotations

from driven.adapters.stores.memory import MemoryStore
from driven.testing.contracts import EventStoreContract


class TestMemoryStore(EventStoreContract):
    """U1 to U9, as far as a store has a part in them."""

    def make_store(self) -> MemoryStore:
        """A new log."""
        return MemoryStore()
