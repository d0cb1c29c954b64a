"""The tables of the memory store: a database in this process for those who follow the log, made when first needed.

It is SQLite's, so that a projection says the same to every store. Owned by the store, gone with it. Followers write on
one thread at a time; a lock keeps those who read from seeing half of it.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any, Final

from driven.errors import StoreFailed
from driven.service.event_store import Cursor, refuse_ended_transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from driven.service.event_store import Advance


class MemoryTables:
    """Tables and cursors of followers."""

    def __init__(self, store: str) -> None:
        """`store` is named in errors."""
        self._store: Final = store
        self._cursors: Final[dict[str, Cursor]] = {}
        self._lock: Final = threading.RLock()
        self._database: sqlite3.Connection | None = None

    def cursor(self, name: str) -> Cursor:
        """How far the follower of this name is."""
        with self._lock:
            return self._cursors.get(name) or Cursor(name)

    def advance(self, write: Advance) -> None:
        """Run `write` in a transaction, and keep the cursors that it returns."""
        with self._lock:
            database = self._opened()
            database.execute("BEGIN")
            try:
                moved = {cursor.name: cursor for cursor in write(database)}
                refuse_ended_transaction(database, self._store)
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
            self._cursors.update(moved)

    def query(self, sql: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        """Run a statement that may only read."""
        import sqlite3  # noqa: PLC0415 - most applications have no tables

        with self._lock:
            database = self._opened()
            database.execute("PRAGMA query_only = ON")
            try:
                return database.execute(sql, tuple(parameters)).fetchall()
            except sqlite3.Error as error:
                raise StoreFailed(self._store, f"{type(error).__name__}: {error}") from error
            finally:
                database.execute("PRAGMA query_only = OFF")

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            import sqlite3  # noqa: PLC0415 - as above

            # Autocommit, as transactions are begun here; any thread, as the lock lets in one at a time.
            self._database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            weakref.finalize(self, self._database.close)  # can be read as long as the store is there
        return self._database
