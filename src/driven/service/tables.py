"""Tables: what a projection writes to, for one slice of the log, inside the store's transaction.

::

    INSERT INTO {files} ...   --edition 2-->   INSERT INTO files__e2 ...
    SELECT ... FROM files     whoever reads:   a view of the edition that is live

A projection is built beside the one that is read, so each edition has tables of its own. Their names stand in braces in
the statements of a projection; everything else in them is left as it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from driven.errors import MisuseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from driven.service.event_store import TableConnection

BETWEEN: Final = "__e"
"""Stands between the name of a table and the number of its edition."""


ENDS_TRANSACTIONS: Final = re.compile(r"\s*(BEGIN|COMMIT|END|ROLLBACK)\b", re.IGNORECASE)
MOST_STATEMENTS: Final = 1_000
"""Statements whose names are kept, in statements; more are made again each time."""


def table_of(table: str, edition: int) -> str:
    """The table of one edition."""
    return f"{table}{BETWEEN}{edition}"


class Naming:
    """The names of one edition's tables; as long-lived as the edition."""

    def __init__(self, tables: Sequence[str], edition: int) -> None:
        """`tables` as the projection names them."""
        self._edition: Final = edition
        self._pattern: Final = re.compile(r"\{(" + "|".join(tables) + r")\}")
        self._known: Final[dict[str, str]] = {}

    def __call__(self, sql: str) -> str:
        """A statement with the names of this edition. A projection has few, so each is made once.

        Raises:
            MisuseError: it would end the transaction, which is the store's.

        """
        found = self._known.get(sql)
        if found is None:
            if ENDS_TRANSACTIONS.match(sql):
                raise _ended(sql)
            found = self._pattern.sub(lambda name: table_of(name[1], self._edition), sql)
            if len(self._known) < MOST_STATEMENTS:
                self._known[sql] = found
        return found


class Tables:
    """The tables of a projection. Its functions ask for it by this type; it is theirs until they return."""

    __slots__ = ("_connection", "_naming")

    def __init__(self, connection: TableConnection, naming: Naming) -> None:
        """Made for one slice."""
        self._connection: Final = connection
        self._naming: Final = naming

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement, with the projection's tables in braces: ``INSERT INTO {files} VALUES (?, ?)``.

        Returns the rows that it gives. What it raises stops the projection, unless it is caught.

        Raises:
            MisuseError: the statement ends the transaction, which is the store's.

        """
        self._check(sql)
        rows: list[tuple[Any, ...]] = self._connection.execute(self._naming(sql), parameters).fetchall()
        self._check(sql)
        return rows

    def execute_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement for each of many rows; as `execute`."""
        self._check(sql)
        self._connection.executemany(self._naming(sql), rows)
        self._check(sql)

    def _check(self, sql: str) -> None:
        if not self._connection.in_transaction:  # in spite of that look at it, or by what went wrong and was caught
            raise _ended(sql)


def _ended(sql: str) -> MisuseError:
    return MisuseError(
        f"{sql!r} ends the transaction that a projection's tables share with its cursor, or comes after its end; "
        f"leave BEGIN, COMMIT and ROLLBACK to the store, and catch nothing that rolls back"
    )
