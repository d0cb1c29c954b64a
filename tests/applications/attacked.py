"""Part of a service that somebody means harm to: answers that are large, that fail, that are slow."""

from __future__ import annotations

import time
from pathlib import Path

from driven import Application, Command, Event, Placement
from driven.entrypoints.http import Api

app = Application("attacked")
LARGE_BYTES = 32 << 20


class Sleep(Command):
    """Take so long, in a worker, and until there is such a file, where one is named."""

    for_s: float
    until: str = ""


@app.handles(Sleep, placement=Placement.WORKER, exposed=True)
def sleep(command: Sleep) -> None:
    """Take so long."""
    time.sleep(command.for_s)
    while command.until and not Path(command.until).exists():
        time.sleep(0.005)


class Nap(Command):
    """Lead to a sleep; done at once itself."""

    for_s: float
    until: str = ""


class Napped(Event):
    """Somebody is about to sleep."""

    for_s: float
    until: str = ""


@app.handles(Nap, exposed=True)
def nap(command: Nap) -> Napped:
    """Say so."""
    return Napped(command.for_s, command.until)


@app.reacts_to(Napped)
def fall_asleep(event: Napped) -> Sleep:
    """Sleep."""
    return Sleep(event.for_s, event.until)


api = Api(app)


@api.query("/large")
def large() -> str:
    """More than any socket holds."""
    return "x" * LARGE_BYTES


@api.query("/failing/{name}")
def failing(name: str) -> str:
    """A mistake of this program."""
    raise RuntimeError("the password is 1234")


@api.route("POST", "/sleeps")
def sleeps() -> Command:
    """Something that no check at the start sees."""
    return Command()
