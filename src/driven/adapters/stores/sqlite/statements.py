"""Statements for many rows: hundreds of VALUES at once, in few texts, which are parsed once. Functions only.

Every statement gives the interpreter lock away and has to get it back from a bus thread that computes, which can take
milliseconds: what matters for a batch is how few statements it takes. And every value has to be bound: CPython 3.11
takes six times as long for None as for a number, so what no row of a batch has is not spoken of.
"""

from __future__ import annotations

import sqlite3
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES: Final = (1024, 256, 64, 16, 4, 1)
"""Rows per statement: whatever the batch, it takes few statements, and few different ones."""

ABSENT: Final = 0
"""Stands for NULL in columns that may be NULL; none of them has numbers for which 0 means something."""


class Table(NamedTuple):
    """Where rows go."""

    name: str
    columns: tuple[str, ...]
    """In the order in which values are given."""
    optional: frozenset[str]
    """Those which may be `ABSENT`."""


def insert(connection: sqlite3.Connection, table: Table, values: list[Any]) -> None:
    """Write rows whose values stand one after the other; the list is used up.

    Raises:
        sqlite3.IntegrityError: a key is taken.

    """
    columns = table.columns
    for column in table.optional:
        at, width = columns.index(column), len(columns)
        if values[at::width].count(ABSENT) * width == len(values):
            del values[at::width]
            columns = columns[:at] + columns[at + 1 :]
    for size, part in _parts(values, len(columns)):
        connection.execute(_into(table, columns, size), part)


def write(connection: sqlite3.Connection, statement: str, columns: int, values: list[Any]) -> None:
    """Run a statement for rows whose values stand one after the other; ``{}`` in it is where the rows go.

    Raises:
        sqlite3.IntegrityError: it did not write as many rows as it was given, or a key is taken.

    """
    for size, part in _parts(values, columns):
        if connection.execute(_filled(statement, columns, size), part).rowcount != size:
            raise sqlite3.IntegrityError


def _parts(values: list[Any], columns: int) -> Iterator[tuple[int, list[Any]]]:
    """Cut rows into parts of the sizes above, and say how many rows each has."""
    at, end = 0, len(values)
    for size in SIZES:
        width = size * columns
        while end - at >= width:
            yield size, values[at : at + width]
            at += width


@cache
def _filled(statement: str, columns: int, rows: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return statement.format(f"VALUES {', '.join([row] * rows)}")


@cache
def _into(table: Table, columns: tuple[str, ...], rows: int) -> str:
    row = f"({', '.join(f'nullif(?, {ABSENT})' if column in table.optional else '?' for column in columns)})"
    names = ", ".join(f'"{column}"' for column in columns)
    return f"INSERT INTO {table.name} ({names}) VALUES {', '.join([row] * rows)}"  # noqa: S608 - constants
