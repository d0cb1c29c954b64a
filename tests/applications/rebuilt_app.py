"""A shop for rebuilds: a projection that counts sales, and a notifier that must not be made while it is built anew."""

from __future__ import annotations

import itertools
import os
import time
from typing import TYPE_CHECKING

from driven import Application, Command, Event, Tables
from driven.domain.messages import Envelope
from driven.service.event_store import Batch, LoggedMessage, LoggedOutcome, MessageKind, Status
from driven.wire import encode

if TYPE_CHECKING:
    from driven import EventStore

FORBIDDEN = "DRIVEN_TEST_NO_NOTIFIER"
"""Variable that is set where nobody may make a notifier."""
STANDS_AT = "DRIVEN_TEST_STANDS_AT"
"""Variable with the number of the sale at which a process stands still, to be killed there."""
noted = itertools.count(1)


class Sell(Command):
    article: str
    pieces: int


class Sold(Event):
    article: str
    pieces: int


class Mail:
    """What the notifier needs."""

    def __init__(self) -> None:
        if FORBIDDEN in os.environ:
            text = "a notifier is made"
            raise AssertionError(text)
        self.sent: list[int] = []


app = Application("rebuilt")
app.binds(Mail)
sales = app.projection("sales", tables=["sales"])


@app.handles(Sell)
def sell(command: Sell) -> Sold:
    """Sell it."""
    return Sold(command.article, command.pieces)


@app.notifies(Sold, attempts=1)
def send(event: Sold, mail: Mail) -> None:
    """Write to somebody."""
    mail.sent.append(event.pieces)


@app.reacts_to(Sold)
def sell_nothing(event: Sold) -> Sell | None:
    """Is not asked for anything in a rebuild."""
    assert FORBIDDEN not in os.environ
    return None


@sales.creates
def create(tables: Tables) -> None:
    """One row for each sale."""
    tables.execute("CREATE TABLE {sales} (number INTEGER PRIMARY KEY, article TEXT, pieces INTEGER)")


@sales.projects(Sold)
def add(event: Sold, tables: Tables) -> None:
    """Note it."""
    if next(noted) == int(os.environ.get(STANDS_AT, "0")):
        time.sleep(600)
    tables.execute("INSERT INTO {sales} (article, pieces) VALUES (?, ?)", (event.article, event.pieces))


def write_log(store: EventStore, events: int, batch: int = 5_000) -> None:
    """Sales as a bus would have recorded them: one command, and its event behind it; the store is open."""
    outcome = LoggedOutcome(0, Status.SUCCEEDED, 1)
    first = store.last_position
    for start in range(first, first + 2 * events, 2 * batch):
        admitted, retired = [], []
        for position in range(start + 1, min(start + 2 * batch, first + 2 * events) + 1, 2):
            body = {"article": f"a{position % 100}", "pieces": 1}
            told = Envelope(position, f"@{position}", position, 0, 0, None, 1)
            admitted.append(LoggedMessage(told, MessageKind.COMMAND, "rebuilt.Sell", 1, encode(body)))
            caused = Envelope(position + 1, f"@{position + 1}", position, position, 1, None, 1)
            admitted.append(LoggedMessage(caused, MessageKind.EVENT, "rebuilt.Sold", 1, encode(body)))
            retired.append(LoggedOutcome(position, outcome.status, 1, (), (position + 1, 1)))
            retired.append(LoggedOutcome(position + 1, outcome.status, 1))
        store.append(Batch(admitted, retired))
