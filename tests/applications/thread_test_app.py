"""An application whose handlers tell what a worker thread shares with the rest of its process, and what it does not."""

from __future__ import annotations

import contextvars
import threading
import time
from pathlib import Path

from driven import Aggregate, Application, Command, Event, Placement, UnitOfWork

caller: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="nobody")
app = Application("threads")


class Pause(Command):
    """Say in `<file>.<note>` that it begins, and go on when `file` is there."""

    file: str
    note: str = "begun"


class PauseThenRead(Command):
    """Pause, then ask the bus for an aggregate that did not travel."""

    file: str


class Submit(Command):
    """Put a command on the bus that the test has left in `bus_of_the_test`."""


class Meet(Command):
    """Wait until another handler does the same at the same time."""


class Ask(Command):
    """Tell who runs this."""


class Told(Event):
    """What was found."""

    thread: str
    caller: str
    tool: int


class Tool:
    """Something that is made once per worker."""


class Thing(Aggregate):
    """Something to ask for."""


app.binds(Tool)
bus_of_the_test: list[object] = []
meeting = threading.Barrier(2, timeout=30.0)


@app.handles(Ask, placement=Placement.WORKER)
def ask(_: Ask, tool: Tool) -> Told:
    """Look around, for long enough that both workers are needed."""
    time.sleep(0.002)
    return Told(threading.current_thread().name, caller.get(), id(tool))


@app.handles(Meet, placement=Placement.WORKER)
def meet(_: Meet) -> None:
    """Come back when both are there, which is never unless two handlers run at once."""
    meeting.wait()


@app.handles(Pause, placement=Placement.WORKER)
def pause(command: Pause) -> None:
    """Wait for the file."""
    wait_for(command.file, command.note)


@app.handles(PauseThenRead, placement=Placement.WORKER)
def pause_then_read(command: PauseThenRead, uow: UnitOfWork) -> None:
    """Wait for the file, then ask."""
    wait_for(command.file, "begun")
    try:
        uow.find(Thing, "t1")
    except Exception as error:
        Path(f"{command.file}.refused").write_text(str(error), encoding="utf-8")
        raise


@app.handles(Submit, placement=Placement.WORKER)
def submit(_: Submit) -> None:
    """Call the synchronous bus from inside a handler."""
    bus_of_the_test[0].submit(Ask())  # type: ignore[attr-defined]  # a SyncBus


def wait_for(file: str, note: str) -> None:
    """Say that it waits, and wait."""
    Path(f"{file}.{note}").touch()
    while not Path(file).exists():
        time.sleep(0.005)
