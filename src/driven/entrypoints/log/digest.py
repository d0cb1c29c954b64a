"""The digest of a log, as a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from driven.service.event_store import log_digest

if TYPE_CHECKING:
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


def digest_report(store: EventStore) -> DigestReport:
    """Read the whole log."""
    return DigestReport(store.log_id, store.last_position, log_digest(store))
