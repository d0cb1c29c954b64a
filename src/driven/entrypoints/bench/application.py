"""The application of the benchmarks: the tasks of `work` as commands, all for workers, none with any state."""

from __future__ import annotations

from driven import Application, Command, Event, Placement
from driven.entrypoints.bench import work

app = Application("bench")


class DoNothing(Command):
    """Nothing, by number."""

    number: int


class Compute(Command):
    """Burn CPU time."""

    iterations: int


class Echo(Command):
    """Give back a body."""

    body: bytes


class Echoed(Event):
    """The body, back from where the command ran."""

    body: bytes


@app.handles(DoNothing, placement=Placement.WORKER)
def do_nothing(command: DoNothing) -> None:
    """Return at once."""
    work.do_nothing(command.number)


@app.handles(Compute, placement=Placement.WORKER)
def compute(command: Compute) -> None:
    """Burn as many iterations as the command says."""
    work.compute(command.iterations)


@app.handles(Echo, placement=Placement.WORKER)
def echo(command: Echo) -> Echoed:
    """Answer with an event, the only way in which a handler answers."""
    return Echoed(work.echo(command.body))
