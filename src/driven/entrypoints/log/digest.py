"""The digest of a log, as a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from driven.service.event_store import log_digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.service.event_store import EventStore


class DigestReport(msgspec.Struct, frozen=True):
    """What `driven log --digest` tells."""

    log_id: str
    last_position: int
    digest: str
    """Of everything that has retired; the same for any number of workers (O6)."""

    @property
    def is_ok(self) -> bool:
        """What can be read is there."""
        return True


def digest_report(store: EventStore, tell: Callable[[int, int], None]) -> DigestReport:
    """Read the whole log; `tell` hears how far that is."""
    return DigestReport(store.log_id, store.last_position, log_digest(store, tell))
