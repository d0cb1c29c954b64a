"""The choice of a store, from its settings. A function only; what is not chosen is not imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driven.adapters.stores.memory import MemoryStore

if TYPE_CHECKING:
    from driven.service.event_store import EventStore
    from driven.settings import StoreSettings


def store_at(settings: StoreSettings) -> EventStore:
    """Return the store that checked settings name, not opened yet."""
    if settings.url.startswith("sqlite:"):
        from driven.adapters.stores.sqlite.address import path_of  # noqa: PLC0415 - see above
        from driven.adapters.stores.sqlite.store import SqliteStore  # noqa: PLC0415 - see above

        return SqliteStore(path_of(settings.url), settings.durability)
    return MemoryStore()
