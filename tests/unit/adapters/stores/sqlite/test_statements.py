"""Rows by hundreds: they are read as they were written, and nothing is spent on what none of them has."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from driven.adapters.stores.sqlite.statements import ABSENT, Table, insert
from driven.adapters.stores.sqlite.store import SqliteStore
from driven.domain.messages import Envelope
from driven.service.event_store import Batch, LoggedMessage, LoggedOutcome, MessageKind, Status
from driven.wire import Change, Failure

WORDS = ("", "0", "a")
"""What may be taken for nothing, or for a number, and must not be."""
ROWS = Table("noted", ("position", "key", "trace"), frozenset({"key", "trace"}))


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Commands that have, or have not, what a message and an outcome may have or not."""
    admitted, retired = [], []
    for position in range(1, draw(st.integers(1, 9)) + 1):
        command_id = draw(st.sampled_from([f"@{position}", f"given {position}", str(position)]))
        key, trace = draw(st.sampled_from([None, *WORDS])), draw(st.sampled_from(WORDS))
        envelope = Envelope(position, command_id, position, 0, 0, key, 1, trace)
        admitted.append(
            LoggedMessage(envelope, MessageKind.COMMAND, "shop.Fill", 1, draw(st.sampled_from([b"", b"0"])))
        )
        changes = (Change("shop.Cart", str(position), 0, b""),) if draw(st.booleans()) else ()
        failures = (Failure("ValueError", draw(st.sampled_from(WORDS))),) if draw(st.booleans()) else ()
        retired.append(LoggedOutcome(position, Status.FAILED, 1, changes, (0, 0), failures))
    return Batch(admitted, retired)


@given(batch=batches())
@settings(max_examples=60)
def test_what_rows_have_and_have_not_comes_back_as_it_was(batch: Batch) -> None:
    """U3: an empty key is a key, and none is none, whatever the rows beside it have."""
    with TemporaryDirectory() as folder, closing(SqliteStore(Path(folder, "driven.db"), "none")) as store:
        store.open()

        store.append(batch)

        records = store.read(0, len(batch.admitted))
        assert [record.message for record in records] == list(batch.admitted)
        assert [record.outcome for record in records] == list(batch.retired)


def test_what_no_row_has_is_not_spoken_of() -> None:
    """U2: each value that is bound costs; NULL is what a row has that is not told of it."""
    said: list[str] = []
    with closing(connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE noted (position INTEGER PRIMARY KEY, key TEXT, trace TEXT)")
        connection.set_trace_callback(said.append)

        insert(connection, ROWS, [1, ABSENT, ABSENT, 2, "k", ABSENT])
        insert(connection, ROWS, [3, ABSENT, ABSENT])

        assert [statement.partition(" VALUES ")[0] for statement in said] == [
            'INSERT INTO noted ("position", "key")',
            'INSERT INTO noted ("position", "key")',
            'INSERT INTO noted ("position")',
        ]
        assert connection.execute("SELECT * FROM noted").fetchall() == [
            (1, None, None),
            (2, "k", None),
            (3, None, None),
        ]
