"""Opening: a connection that writes, or one that only reads, set up for a log.

Functions only; whoever opens a connection owns it. Both may be used by any thread, one at a time.
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from driven.adapters.stores.sqlite.address import check_is_no_folder
from driven.errors import StoreFailed

if TYPE_CHECKING:
    from pathlib import Path

    from driven.settings import Durability

CACHE_KIB: Final = 16 * 1024
"""Kibibytes of pages that the writing connection keeps in memory."""

WAL_LIMIT_BYTES: Final = 64 << 20
"""What is left of a write-ahead log that a long-running reader made grow."""

SYNCHRONOUS: Final[dict[Durability, str]] = {"each": "FULL", "group": "FULL", "none": "NORMAL"}
"""FULL: a transaction is on the disk when it is committed. NORMAL: at the next checkpoint, and never out of order."""


def open_for_writing(path: Path, durability: Durability, patience_s: float) -> sqlite3.Connection:
    """Open the one connection that writes and checkpoints; the file is made when it is not there.

    Args:
        path: the file.
        durability: what a committed transaction survives.
        patience_s: seconds to wait for another program that keeps the file locked.

    Raises:
        sqlite3.Error, StoreFailed: it cannot be written.

    """
    connection = sqlite3.connect(path, timeout=patience_s, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA fullfsync = ON")  # macOS: let the disk write, and not only take it
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
        _log_ahead(connection, path)
        connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS[durability]}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


def _log_ahead(connection: sqlite3.Connection, path: Path) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        reason = f"its disk allows no write-ahead log (the journal stays in mode {mode!r})"
        raise StoreFailed(str(path), reason, "keep it on a disk of this machine")


def open_for_reading(path: Path, patience_s: float) -> sqlite3.Connection:
    """Open a connection that cannot write; a file on a disk that nobody can write to is read as it is.

    Raises:
        StoreFailed: it is not there; nothing is made by looking.
        sqlite3.Error: it cannot be read.

    """
    try:
        return _reader(path, "mode=ro", patience_s)
    except sqlite3.OperationalError as error:
        check_is_no_folder(path)
        if not path.exists():
            remedy = "name the file of a log; a bus makes it when it opens, and nobody who only looks"
            raise StoreFailed(str(path), "there is no such file", remedy) from error
        wal = path.with_name(f"{path.name}-wal")
        if not path.is_file() or os.access(path.parent, os.W_OK) or wal.exists():
            raise
        return _reader(path, "mode=ro&immutable=1", patience_s)


def _reader(path: Path, how: str, patience_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?{how}", uri=True, timeout=patience_s, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")  # opens the file
    except BaseException:
        connection.close()
        raise
    return connection
