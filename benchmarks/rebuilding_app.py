"""What `benchmarks.rebuilding` rebuilds: sales, one row each, as an application with one projection that lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from driven import Application, Command, Event, Tables
from driven.domain.messages import Envelope
from driven.service.event_store import Batch, LoggedMessage, LoggedOutcome, MessageKind, Status
from driven.wire import encode

if TYPE_CHECKING:
    from driven import EventStore

BATCH: Final = 5_000
"""Commands in one transaction of the log."""
CREATE: Final = "CREATE TABLE {sale} (number INTEGER PRIMARY KEY, article TEXT, pieces INTEGER)"
INSERT: Final = "INSERT INTO {sale} (article, pieces) VALUES (?, ?)"


class Sell(Command):
    """Sell so many."""

    article: str
    pieces: int


class Sold(Event):
    """So many were sold."""

    article: str
    pieces: int


app = Application("sales")
sales = app.projection("sales", tables=["sale"])


@app.handles(Sell)
def sell(command: Sell) -> Sold:
    """Sell it."""
    return Sold(command.article, command.pieces)


@sales.creates
def create(tables: Tables) -> None:
    """One row for each sale."""
    tables.execute(CREATE)


@sales.projects(Sold)
def add(event: Sold, tables: Tables) -> None:
    """Note it."""
    tables.execute(INSERT, (event.article, event.pieces))


def write_log(store: EventStore, events: int) -> None:
    """Sales as a bus records them: each a command, and its event behind it. The store is open."""
    for start in range(0, 2 * events, 2 * BATCH):
        admitted: list[LoggedMessage] = []
        retired: list[LoggedOutcome] = []
        for position in range(start + 1, min(start + 2 * BATCH, 2 * events) + 1, 2):
            body = encode({"article": f"a{position % 1_000}", "pieces": 1})
            caused = position + 1
            root = Envelope(position, f"@{position}", position, 0, 0, None, 1)
            told = Envelope(caused, f"@{caused}", position, position, 1, None, 1)
            admitted.append(LoggedMessage(root, MessageKind.COMMAND, "sales.Sell", 1, body))
            admitted.append(LoggedMessage(told, MessageKind.EVENT, "sales.Sold", 1, body))
            retired.append(LoggedOutcome(position, Status.SUCCEEDED, 1, (), (caused, 1)))
            retired.append(LoggedOutcome(caused, Status.SUCCEEDED, 1))
        store.append(Batch(admitted, retired))
