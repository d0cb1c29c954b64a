"""Blame: what was wrong with a batch that the tables refused, in words. Functions only.

The tables only say that a key is taken or a version is another. Nothing of the batch is in the log when this looks for
the culprit, in the order in which a store that checks first would meet it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from driven.service.event_store import fault_of_changes

if TYPE_CHECKING:
    import sqlite3

    from driven.service.event_store import Batch


def fault_of(batch: Batch, connection: sqlite3.Connection) -> str:
    """Which rule of the port `batch` breaks, and where."""
    return (
        _taken_id(batch, connection)
        or _second_retirement(batch, connection)
        or _stale_change(batch, connection)
        or "it takes away what does not stand aside, has a stream of what has a document, "
        "a document of what has a stream, a stream of what is no event of this batch, or two streams of one event"
    )


def _taken_id(batch: Batch, connection: sqlite3.Connection) -> str:
    seen: set[str] = set()
    for message in batch.admitted:
        command_id = message.envelope.id
        if command_id in seen or connection.execute("SELECT 1 FROM message WHERE id = ?", (command_id,)).fetchone():
            return f"id {command_id!r} of position {message.envelope.position} is in the log already"
        seen.add(command_id)
    return ""


def _second_retirement(batch: Batch, connection: sqlite3.Connection) -> str:
    seen: set[int] = set()
    for outcome in batch.retired:
        position = outcome.position
        if position in seen or connection.execute("SELECT 1 FROM outcome WHERE position = ?", (position,)).fetchone():
            return f"position {position} retires twice"
        seen.add(position)
    return ""


def _stale_change(batch: Batch, connection: sqlite3.Connection) -> str:
    versions: dict[tuple[str, str], int] = {}
    for outcome in batch.retired:
        for change in outcome.changes:
            place = (change.name, change.id)
            if place not in versions:
                row = connection.execute("SELECT version FROM aggregate WHERE name = ? AND id = ?", place).fetchone()
                versions[place] = row[0] if row else 0
            if change.expected_version != versions[place]:
                return (
                    f"{change.name} {change.id!r} is at version {versions[place]}, "
                    f"not {change.expected_version}, which position {outcome.position} saw"
                )
            versions[place] = change.new_version
        if fault := fault_of_changes(outcome):
            return fault
    return ""
