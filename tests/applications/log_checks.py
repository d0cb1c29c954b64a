"""What must be true of a log in a file when all has settled, whatever happened to the processes that wrote it.

`check_file` reads nothing but the file, with SQL: that nothing is lost, nothing happened twice, and who caused what.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ABSENT: dict[str, str] = {
    "a position is missing, or not the next": """
        SELECT position FROM message WHERE position > (SELECT count(*) FROM message) OR position < 1
    """,
    "a message has not retired": """
        SELECT m.position FROM message m LEFT JOIN outcome o USING (position) WHERE o.position IS NULL
    """,
    "something retired that was never accepted": """
        SELECT o.position FROM outcome o LEFT JOIN message m USING (position) WHERE m.position IS NULL
    """,
    "a retirement is missing in the order of retirements": """
        SELECT position FROM outcome WHERE retired_order > (SELECT count(*) FROM outcome) OR retired_order < 1
    """,
    "a root is not its own root": """
        SELECT position FROM message WHERE causation = 0 AND (correlation <> position OR hop <> 0)
    """,
    "a cause comes after what it caused, or is of another root": """
        SELECT m.position FROM message m LEFT JOIN message c ON c.position = m.causation
        WHERE m.causation <> 0 AND (c.position IS NULL OR c.position >= m.position
            OR c.correlation <> m.correlation AND m.due IS NULL)
    """,
    "something has not got one cause that says so": """
        SELECT m.position FROM message m JOIN outcome o ON o.position = m.causation
        WHERE o.status <> 'started' AND m.redrives IS NULL
        AND NOT (m.position >= o.first_caused AND m.position < o.first_caused + o.caused)
    """,
    "something was redriven by no redrive, or by two": """
        SELECT m.position FROM message m WHERE m.redrives IS NOT NULL AND 1 <> (
            SELECT count(*) FROM outcome o JOIN message r USING (position) WHERE r.name = 'driven.Redrive'
            AND m.position >= o.first_caused AND m.position < o.first_caused + o.caused)
    """,
    "something happened where it stood, and where it moved to": """
        SELECT m.redrives FROM message m JOIN outcome o ON o.position = m.redrives
        WHERE o.status NOT IN ('parked', 'moved')
    """,
    "something was redriven twice from one place": """
        SELECT redrives FROM message WHERE redrives IS NOT NULL GROUP BY redrives HAVING count(*) > 1
    """,
    "somebody says that he caused what says otherwise": """
        SELECT o.position FROM outcome o
        WHERE o.caused <> (SELECT count(*) FROM message m WHERE (m.causation = o.position OR m.redrives IS NOT NULL)
            AND m.position >= o.first_caused AND m.position < o.first_caused + o.caused)
    """,
    "a hop is not one more than that of its cause": """
        SELECT m.position FROM message m JOIN message c ON c.position = m.causation
        JOIN outcome o ON o.position = c.position WHERE m.hop <> c.hop + (o.status <> 'started')
    """,
    "a command that started has not exactly one outcome": """
        SELECT o.position FROM outcome o WHERE o.status = 'started'
        AND 1 <> (SELECT count(*) FROM message m WHERE m.causation = o.position AND m.redrives IS NULL)
    """,
    "something has started and is not finished": """
        SELECT position FROM started UNION ALL
        SELECT position FROM outcome WHERE status = 'started' AND position NOT IN (SELECT position FROM finished)
    """,
    "something has finished as what it did not cause, or before it started": """
        SELECT f.position FROM finished f LEFT JOIN outcome s ON s.position = f.position AND s.status = 'started'
        LEFT JOIN outcome o ON o.position = f.outcome LEFT JOIN message m ON m.position = f.outcome
        WHERE s.position IS NULL OR o.position IS NULL OR m.causation IS NOT f.position
    """,
    "something is parked that did not retire so, or the other way round": """
        SELECT position FROM (SELECT position FROM parked UNION ALL
        SELECT position FROM outcome WHERE status = 'parked'
            AND position NOT IN (SELECT redrives FROM message WHERE redrives IS NOT NULL)
        ) GROUP BY position HAVING count(*) <> 2
    """,
}
"""What must not be there, and how it is looked for."""


def check_file(path: Path, ordering: str = "strict") -> None:
    """Raise AssertionError, with what is wrong, unless the log is whole."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found = {fault: rows for fault, sql in ABSENT.items() if (rows := connection.execute(sql).fetchmany(10))}
        assert found == {}
        if ordering == "strict":
            assert not connection.execute("SELECT position FROM outcome WHERE retired_order <> position").fetchall()


def check_accepted(path: Path, accepted: Iterable[tuple[str, int]]) -> None:
    """Raise AssertionError unless the log holds these commands, by id and position, of which somebody was told."""
    if not path.exists():
        assert not list(accepted)
        return
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        is_new = not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'message'").fetchall()
        held = {} if is_new else dict(connection.execute("SELECT id, position FROM message WHERE id IS NOT NULL"))
    assert [one for one in accepted if held.get(one[0]) != one[1]] == [], "what was accepted is not in the log"
