"""The schema of a log: its version, the steps to it, and files that are none of ours."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from driven.adapters.stores.sqlite import schema
from driven.adapters.stores.sqlite.store import SqliteStore
from driven.errors import StoreFailed
from driven.service.event_store import LoggedType, LogRecord, MessageKind
from driven.testing.contracts import batch, command, outcome
from small_log import log_of_three

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = Path(__file__).resolve().parents[5] / "docs" / "reference" / "log-schema.md"


def run(path: Path, *statements: str) -> list[tuple[object, ...]]:
    """Run statements on a file, and return what the last one finds."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements][-1]


def as_of(path: Path, version: int) -> None:
    """Make a log as the release of that schema made it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        schema.prepare(connection, path, schema.STEPS[:version])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of three commands."""
    return log_of_three(tmp_path)


def test_a_log_says_whose_it_is_and_of_which_schema(path: Path) -> None:
    """docs/reference/log-schema.md: whoever meets the file can tell."""
    assert run(path, "PRAGMA user_version") == [(schema.NEWEST,)]
    assert run(path, "PRAGMA application_id") == [(0x4472766E,)]


@pytest.mark.parametrize("version", range(1, schema.NEWEST))
def test_a_log_of_each_older_schema_is_brought_up_to_date_when_it_is_opened(version: int, tmp_path: Path) -> None:
    """U9: with everything in it, and to the same tables that a new log has."""
    path, fresh = tmp_path / "old.db", tmp_path / "new.db"
    as_of(path, version)
    columns = "position, kind, name, version, correlation, causation, hop, recorded_at_ns, payload"
    run(path, f"INSERT INTO message ({columns}) VALUES (1, 'command', 'shop.Order', 1, 1, 0, 0, 1, x'81a16e01')")  # noqa: S608 - a constant
    run(
        path,
        "INSERT INTO stream (name, id, version, position) VALUES ('shop.Cart', 'b', 1, 3), ('shop.Cart', 'a', 1, 2)",
    )
    as_of(fresh, schema.NEWEST)

    with closing(SqliteStore(path)) as store:
        store.open()
        store.append(batch(command(2), outcome(1)))
        assert list(store.read(0, 9)) == [LogRecord(command(1), outcome(1)), LogRecord(command(2), None)]
        assert set(store.message_types()) == {LoggedType(MessageKind.COMMAND, "shop.Order", 1)}

    assert run(path, "SELECT id, version, position FROM stream") == [("a", 1, 2), ("b", 1, 3)]
    assert run(path, "PRAGMA user_version") == [(schema.NEWEST,)]
    tables = "SELECT name, sql FROM sqlite_master ORDER BY name"
    assert run(path, tables) == run(fresh, tables)


def test_long_commands_of_an_older_log_are_known_to_have_finished(tmp_path: Path) -> None:
    """U5, O9: one that has, one whose outcome has a position only, and one that a reaction caused behind an event."""
    path = tmp_path / "old.db"
    as_of(path, 3)
    columns = "position, kind, name, version, correlation, causation, hop, recorded_at_ns, payload"
    messages = [(1, 0), (2, 0), (3, 1), (4, 2), (5, 3)]
    values = ", ".join(
        f"({position}, 'command', 'shop.Order', 1, 1, {cause}, 0, 1, x'80')" for position, cause in messages
    )
    run(path, f"INSERT INTO message ({columns}) VALUES {values}")  # noqa: S608 - constants
    retired = [(1, "started"), (2, "started"), (3, "succeeded"), (5, "succeeded")]
    values = ", ".join(f"({one}, {order}, '{status}', 1, 0, 0)" for order, (one, status) in enumerate(retired, 1))
    columns = "position, retired_order, status, attempts, first_caused, caused"
    run(path, f"INSERT INTO outcome ({columns}) VALUES {values}", "INSERT INTO started VALUES (2)")  # noqa: S608 - constants

    with closing(SqliteStore(path)) as store:
        store.open()
        found = [store.finished(position) for position in range(1, 6)]
        assert list(store.unfinished()) == [2]

    assert [one and one.message.envelope.position for one in found] == [3, None, None, None, None]


ADDED = "CREATE TABLE added (position INTEGER)"


@pytest.mark.parametrize(
    ("steps", "tables", "version"),
    [
        (((ADDED,), ("INSERT INTO added SELECT position FROM message",)), [(1,), (2,), (3,)], 2),
        (((ADDED,), ("INSERT INTO missing VALUES (1)",)), None, 0),
    ],
    ids=["both steps", "the second fails"],
)
def test_an_older_log_is_brought_up_to_date_by_all_steps_or_by_none(
    path: Path, steps: Sequence[Sequence[str]], tables: list[tuple[int]] | None, version: int
) -> None:
    """U3: one transaction; a file is of one version or of the other."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if tables is None:
            with pytest.raises(sqlite3.OperationalError):
                schema.prepare(connection, path, (*schema.STEPS, *steps))
        else:
            schema.prepare(connection, path, (*schema.STEPS, *steps))

    assert run(path, "PRAGMA user_version") == [(schema.NEWEST + version,)]
    if tables is None:
        assert run(path, "SELECT count(*) FROM sqlite_master WHERE name = 'added'") == [(0,)]
    else:
        assert run(path, "SELECT position FROM added") == tables


def test_a_log_of_a_newer_schema_is_refused_and_left_as_it_is(path: Path) -> None:
    """U9: what a later release has written is not guessed at, neither by who writes nor by who reads."""
    run(path, f"PRAGMA user_version = {schema.NEWEST + 1}")
    before = path.read_bytes()
    told = f"driven.db failed: its schema has version {schema.NEWEST + 1}, and this release of Driven knows those up to"

    store = SqliteStore(path)
    for attempt in (store.open, lambda: store.read(0, 1)):
        with pytest.raises(StoreFailed, match=told) as refused:
            attempt()
        assert str(refused.value).endswith("open it with the release that wrote it, or with a newer one")

    assert path.read_bytes() == before
    assert store.path.with_name("driven.db-lease").exists()


def test_an_older_log_is_not_read_before_it_was_brought_up_to_date(tmp_path: Path) -> None:
    """U9: who only reads changes nothing, and does not guess."""
    path = tmp_path / "driven.db"
    run(path, f"PRAGMA application_id = {schema.APPLICATION_ID}")

    with pytest.raises(StoreFailed, match="there is no log in it yet; open a bus on it once"):
        SqliteStore(path).read(0, 1)


@pytest.mark.parametrize("mark", ["CREATE TABLE theirs (x)", "PRAGMA user_version = 7"])
def test_the_database_of_another_program_is_left_alone(mark: str, tmp_path: Path) -> None:
    """U9: a slip in a path does not turn it into a log."""
    path = tmp_path / "theirs.db"
    run(path, mark)

    for attempt in (SqliteStore(path).open, lambda: SqliteStore(path).read(0, 1)):
        with pytest.raises(StoreFailed, match="it is a database of another program; name another file"):
            attempt()

    assert run(path, "SELECT count(*) FROM sqlite_master WHERE name = 'message'") == [(0,)]


def test_every_table_and_column_is_described(path: Path) -> None:
    """docs/reference/log-schema.md: an auditor needs no code of ours; what followers add is theirs to describe."""
    told = {
        (table, column)
        for table, rows in re.findall(
            r"^## `(\w+)`\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
        for column in re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE)
    }

    there = {
        (table, column)
        for (table,) in run(path, "SELECT name FROM sqlite_master WHERE type = 'table'")
        for _, column, *_ in run(path, f"PRAGMA table_info({table})")
    }
    assert told == there
    assert f"version {schema.NEWEST}" in PAGE.read_text("utf-8")
