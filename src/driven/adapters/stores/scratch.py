"""States of aggregates for a while: a temporary database, in memory as long as it is small, on disk beyond that.

For whoever walks a log and has to know what stands where the walk is. One thread makes, uses and closes it; nothing of
it is left then.

Source: sqlite.org/inmemorydb.html, "Temporary Databases".
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from driven.wire import StoredEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMELESS: Final = ""
"""What SQLite calls a file that only it knows, and that it deletes."""


class ScratchStates:
    """The latest state of each aggregate."""

    def __init__(self) -> None:
        """Nothing is there yet."""
        self._database: Final = sqlite3.connect(_NAMELESS, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(
            "CREATE TABLE state (name TEXT, id TEXT, version INTEGER, body BLOB, PRIMARY KEY (name, id)) WITHOUT ROWID"
        )
        self._database.execute(
            "CREATE TABLE stream (name TEXT, id TEXT, version INTEGER, event TEXT, event_version INTEGER, body BLOB, "
            "PRIMARY KEY (name, id, version)) WITHOUT ROWID"
        )
        self._database.execute(
            "CREATE TABLE snapshot (name TEXT, id TEXT, version INTEGER, body BLOB, PRIMARY KEY (name, id, version))"
        )
        self._database.execute("BEGIN")

    def get(self, name: str, aggregate_id: str) -> tuple[int, bytes | None]:
        """The latest version and document; 0 and none when there is nothing."""
        found: tuple[int, bytes | None] | None = self._database.execute(
            "SELECT version, body FROM state WHERE name = ? AND id = ?", (name, aggregate_id)
        ).fetchone()
        return found or (0, None)

    def put(self, name: str, aggregate_id: str, version: int, body: bytes | None) -> None:
        """A newer one."""
        self._database.execute("INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?)", (name, aggregate_id, version, body))

    def extend(self, name: str, aggregate_id: str, version: int, events: Sequence[StoredEvent]) -> None:
        """A stream that was at `version` goes on with these."""
        rows = (
            (name, aggregate_id, number, event.name, event.version, event.body)
            for number, event in enumerate(events, version + 1)
        )
        self._database.executemany("INSERT INTO stream VALUES (?, ?, ?, ?, ?, ?)", rows)

    def stream(self, name: str, aggregate_id: str, after: int, version: int) -> tuple[StoredEvent, ...]:
        """The events of a stream behind version `after`, up to `version`."""
        found = self._database.execute(
            "SELECT event, event_version, body FROM stream "
            "WHERE name = ? AND id = ? AND version > ? AND version <= ? ORDER BY version",
            (name, aggregate_id, after, version),
        )
        return tuple(StoredEvent(*row) for row in found)

    def snapshot(self, name: str, aggregate_id: str, version: int) -> tuple[int, bytes | None]:
        """The latest snapshot not later than `version`, and the version that it is of; 0 and none: there is none."""
        found: tuple[int, bytes | None] | None = self._database.execute(
            "SELECT version, body FROM snapshot WHERE name = ? AND id = ? AND version <= ? "
            "ORDER BY version DESC LIMIT 1",
            (name, aggregate_id, version),
        ).fetchone()
        return found or (0, None)

    def keep_snapshot(self, name: str, aggregate_id: str, version: int, body: bytes, oldest: int) -> None:
        """Another one; those go that nobody needs who asks for version `oldest` or a later one."""
        self._database.execute("INSERT INTO snapshot VALUES (?, ?, ?, ?)", (name, aggregate_id, version, body))
        before, _ = self.snapshot(name, aggregate_id, oldest)
        self._database.execute(
            "DELETE FROM snapshot WHERE name = ? AND id = ? AND version < ?", (name, aggregate_id, before)
        )

    def close(self) -> None:
        """Let go of everything."""
        self._database.close()
