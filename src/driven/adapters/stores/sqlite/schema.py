"""The schema: the tables of a log, and the steps by which an older file becomes a current one.

Functions and statements only. The version stands in ``PRAGMA user_version``, and ``PRAGMA application_id`` says whose
file it is. A file is brought up to date in one transaction, step by step; one of a newer schema is refused.
docs/reference/log-schema.md describes every column.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from driven.errors import StoreFailed

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

APPLICATION_ID: Final = int.from_bytes(b"Drvn")

STEPS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        """
        CREATE TABLE message (
            position INTEGER PRIMARY KEY,
            id TEXT,
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            version INTEGER NOT NULL,
            "key" TEXT,
            correlation INTEGER NOT NULL,
            causation INTEGER NOT NULL,
            hop INTEGER NOT NULL,
            recorded_at_ns INTEGER NOT NULL,
            trace TEXT,
            redrives INTEGER,
            due INTEGER,
            payload BLOB NOT NULL
        )
        """,
        "CREATE UNIQUE INDEX message_id ON message (id) WHERE id IS NOT NULL",
        """
        CREATE TABLE outcome (
            position INTEGER PRIMARY KEY,
            retired_order INTEGER NOT NULL UNIQUE,
            status TEXT NOT NULL,
            attempts INTEGER NOT NULL,
            first_caused INTEGER NOT NULL,
            caused INTEGER NOT NULL,
            changes BLOB,
            failures TEXT,
            aside BLOB
        )
        """,
        """
        CREATE TABLE aggregate (
            name TEXT NOT NULL,
            id TEXT NOT NULL,
            version INTEGER NOT NULL,
            document BLOB,
            PRIMARY KEY (name, id)
        )
        """,
        """
        CREATE TABLE stream (
            name TEXT NOT NULL,
            id TEXT NOT NULL,
            version INTEGER NOT NULL,
            position INTEGER NOT NULL UNIQUE,
            PRIMARY KEY (name, id, version)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE snapshot (
            name TEXT NOT NULL,
            id TEXT NOT NULL,
            version INTEGER NOT NULL,
            schema TEXT NOT NULL,
            body BLOB NOT NULL,
            PRIMARY KEY (name, id)
        )
        """,
        'CREATE TABLE parked (position INTEGER PRIMARY KEY, "key" TEXT, is_released INTEGER NOT NULL)',
        'CREATE INDEX parked_key ON parked ("key", position)',
        """
        CREATE TABLE due (
            cause INTEGER NOT NULL,
            number INTEGER NOT NULL,
            due_at_ns INTEGER NOT NULL,
            name TEXT NOT NULL,
            version INTEGER NOT NULL,
            payload BLOB NOT NULL,
            "key" TEXT,
            correlation INTEGER NOT NULL,
            hop INTEGER NOT NULL,
            PRIMARY KEY (cause, number)
        )
        """,
        "CREATE INDEX due_order ON due (due_at_ns, cause, number)",
        "CREATE TABLE started (position INTEGER PRIMARY KEY)",
        "CREATE TABLE cursor (name TEXT PRIMARY KEY, position INTEGER NOT NULL, state TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE lease (generation INTEGER NOT NULL, holder TEXT NOT NULL)",
        "INSERT INTO lease VALUES (0, '')",
    ),
    (
        """
        CREATE TABLE message_type (
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            version INTEGER NOT NULL,
            PRIMARY KEY (kind, name, version)
        ) WITHOUT ROWID
        """,
        "INSERT INTO message_type SELECT DISTINCT kind, name, version FROM message",
    ),
    ("CREATE INDEX message_redrives ON message (redrives) WHERE redrives IS NOT NULL",),
    (
        "CREATE TABLE finished (position INTEGER PRIMARY KEY, outcome INTEGER NOT NULL)",
        """
        INSERT INTO finished
        SELECT s.position, min(m.position) FROM message AS m JOIN outcome AS o ON o.position = m.position
        JOIN outcome AS s ON s.position = m.causation
        WHERE m.kind = 'command' AND s.status = 'started' GROUP BY s.position
        """,
    ),
    (
        # Without an index of positions: an event is on a stream since the batch in which it was admitted, or never.
        "ALTER TABLE stream RENAME TO stream_with_index",
        """
        CREATE TABLE stream (
            name TEXT NOT NULL,
            id TEXT NOT NULL,
            version INTEGER NOT NULL,
            position INTEGER NOT NULL,
            PRIMARY KEY (name, id, version)
        ) WITHOUT ROWID
        """,
        "INSERT INTO stream SELECT * FROM stream_with_index ORDER BY name, id, version",
        "DROP TABLE stream_with_index",
    ),
)
"""Step n makes version n + 1 out of version n. A step that was released is never changed: add another."""

NEWEST: Final = len(STEPS)
"""The version that this module writes."""


def prepare(connection: sqlite3.Connection, path: Path, steps: Sequence[Sequence[str]] = STEPS) -> None:
    """Bring the file up to date, in one transaction; a new one gets its log id.

    Raises:
        StoreFailed: it is another program's, or of a newer schema.

    """
    if version_of(connection, path, len(steps)) == len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = version_of(connection, path, len(steps))
        for statements in steps[version:]:
            for statement in statements:
                connection.execute(statement)
        if version == 0:
            connection.execute("INSERT INTO meta VALUES ('log_id', ?)", (uuid.uuid4().hex,))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def version_of(connection: sqlite3.Connection, path: Path, newest: int = NEWEST) -> int:
    """The version of the file's schema; 0: it is empty.

    Raises:
        StoreFailed: it is another program's, or of a newer schema.

    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application_id != APPLICATION_ID and (objects or version):
        raise StoreFailed(str(path), "it is a database of another program", "name another file")
    if version > newest:
        raise StoreFailed(
            str(path),
            f"its schema has version {version}, and this release of Driven knows those up to {newest}",
            "open it with the release that wrote it, or with a newer one",
        )
    return int(version)


def check(connection: sqlite3.Connection, path: Path) -> None:
    """See that the file can be read as it is.

    Raises:
        StoreFailed: it is another program's, or of another schema.

    """
    version = version_of(connection, path)
    if version < NEWEST:
        reason = f"its schema has version {version}, which is not {NEWEST}" if version else "there is no log in it yet"
        raise StoreFailed(str(path), reason, "open a bus on it once, which brings it up to date")


def log_id_of(connection: sqlite3.Connection) -> str:
    """The name of the log."""
    (log_id,) = connection.execute("SELECT value FROM meta WHERE name = 'log_id'").fetchone()
    return str(log_id)
