"""Statements for many rows: hundreds of VALUES at once, in few texts, which are parsed once. Functions only.

Every statement gives the interpreter lock away and has to get it back from a bus thread that computes, which can take
milliseconds: what matters for a batch is how few statements it takes.
"""

from __future__ import annotations

import sqlite3
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES: Final = (1024, 256, 64, 16, 4, 1)
"""Rows per statement: whatever the batch, it takes few statements, and few different ones."""


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
