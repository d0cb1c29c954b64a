"""What stands aside, as rows: the tables parked and due, moved by the outcomes of a batch. Functions only.

What is taken away stands there since an earlier batch, so that comes first; then what this batch adds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from driven.adapters.stores.sqlite.statements import write
from driven.service.event_store import Status

if TYPE_CHECKING:
    import sqlite3

    from driven.service.aside import Aside
    from driven.service.event_store import Batch

UNPARK: Final = "DELETE FROM parked WHERE position IN ({})"
RELEASE: Final = "UPDATE parked SET is_released = 1 WHERE position IN ({})"
PARK: Final = (
    'INSERT INTO parked (position, "key", is_released) SELECT m.position, m."key", 0 FROM ({}) AS new '
    "CROSS JOIN message AS m ON m.position = new.column1"
)
TAKE_DUE: Final = "DELETE FROM due WHERE (cause, number) IN ({})"
ADD_DUE: Final = 'INSERT INTO due (cause, number, due_at_ns, name, version, payload, "key", correlation, hop) {}'


def write_aside(connection: sqlite3.Connection, batch: Batch) -> None:
    """Write what a batch does to what stands aside.

    Raises:
        sqlite3.IntegrityError: something that it takes away is not there.

    """
    entered = [(message.envelope.causation, message.due) for message in batch.admitted if message.due]
    told = [(outcome.position, outcome.aside) for outcome in batch.retired if outcome.aside is not None]
    for _, aside in told:
        entered += aside.cancelled
        write(connection, UNPARK, 1, [*aside.entered, *aside.given_up])
        write(connection, RELEASE, 1, [*aside.released])
    write(connection, TAKE_DUE, 2, [number for due_id in entered for number in due_id])
    write(connection, PARK, 1, [outcome.position for outcome in batch.retired if outcome.status is Status.PARKED])
    for position, aside in told:
        write(connection, ADD_DUE, 9, _due_values(position, aside))


def _due_values(cause: int, aside: Aside) -> list[Any]:
    values: list[Any] = []
    for number, one in enumerate(aside.scheduled, 1):
        values += (cause, number, one.due_at_ns, one.name, one.version, one.body, one.key, one.correlation, one.hop)
    return values
