"""The log that a verb looks at, opened for reading: a bus may have it, and goes on. It lives as long as the verb."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driven.adapters.stores.choice import store_at
from driven.entrypoints.configured import DEFAULT_STORE
from driven.errors import SettingsError

if TYPE_CHECKING:
    from driven.service.event_store import EventStore
    from driven.settings import StoreSettings


def log_to_read(settings: StoreSettings) -> EventStore:
    """The log that the settings name; never open it: that is what a bus does.

    Raises:
        SettingsError: it is in the memory of another process.
        StoreFailed: it is not there, or cannot be read.

    """
    if settings.url.startswith("memory:"):
        remedy = f"{settings.url} is the memory of another process; name a file, such as {DEFAULT_STORE}"
        raise SettingsError("of the store", [remedy])
    store = store_at(settings)
    _ = store.last_position  # what is not there is told now
    return store
