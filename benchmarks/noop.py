"""The smallest application there is: a command that does nothing, on a worker. What remains is the framework."""

from __future__ import annotations

from driven import Application, Command, Placement


class DoNothing(Command):
    """Nothing, by number."""

    number: int


app = Application("noop")


@app.handles(DoNothing, placement=Placement.WORKER)
def do_nothing(command: DoNothing) -> None:
    """Return at once."""
    del command


def nothing(number: int) -> None:
    """The same for pools of plain functions."""
    del number
