"""An application with an object of scope APP that has an end, which is told by a file; it may raise or last."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator  # noqa: TC003 - the container reads these annotations
from pathlib import Path

from driven import Application, Command, Event, Placement

app = Application("finalised")


class Use(Command):
    """Use the connection of whoever runs this."""


class Used(Event):
    """Whose it was."""

    by: str


class Connection:
    """Something to be closed."""


def connect() -> Iterator[Connection]:
    """Open a connection; when it is closed, say so by a file with the name of who has it."""
    yield Connection()
    ends = os.environ.get("FINALISED_ENDS", "")
    if ends == "badly":
        raise LookupError("the other end is gone")
    while ends == "never":
        time.sleep(1.0)
    Path(os.environ["FINALISED_MARKS"], me()).touch()


def me() -> str:
    """This worker, process or thread."""
    return f"{os.getpid()}-{threading.get_native_id()}"


app.binds(Connection, to=connect)


@app.handles(Use, placement=Placement.WORKER)
def use(_: Use, connection: Connection) -> Used:
    """Say who has it."""
    del connection
    return Used(me())
