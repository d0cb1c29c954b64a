"""An application that warms up: a model that is loaded once per process, and a handler that says how often it was."""

from __future__ import annotations

import os
import time

from driven import Application, Command, Event, Placement

app = Application("warm")


class Ask(Command):
    """Ask how warm it is."""


class Warmed(Event):
    """How often the model was loaded, and where."""

    times: int
    pid: int


class Model:
    """Something that takes long to load."""

    def __init__(self) -> None:
        self.times = 0


app.binds(Model)


@app.warms_up
def warm_the_model(model: Model) -> None:
    """Load it; or raise, or take for ever, as the environment says."""
    if reason := os.environ.get("WARM_TEST_RAISES"):
        raise LookupError(reason)
    time.sleep(float(os.environ.get("WARM_TEST_SLEEPS", "0")))
    model.times += 1


@app.handles(Ask, placement=Placement.WORKER)
def ask(_: Ask, model: Model) -> Warmed:
    """Say it."""
    return Warmed(model.times, os.getpid())
