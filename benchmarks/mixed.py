"""Small commands and large ones, on workers: about 50 µs of counting, and 200 ms of sleep."""

from __future__ import annotations

import time
from typing import Final

from driven import Application, Command, Event, Placement

SMALL_LOOPS: Final = 1_500
"""About 50 µs of counting."""

LARGE_S: Final = 0.2


class Count(Command):
    """A small command."""


class Sleep(Command):
    """A large one."""


class Began(Event):
    """When the handler of a small command began."""

    at_ns: int


app = Application("mixed")


@app.handles(Count, placement=Placement.WORKER)
def count(command: Count) -> Began:
    """About 50 µs."""
    del command
    began = Began(time.monotonic_ns())
    for _ in range(SMALL_LOOPS):
        pass
    return began


@app.handles(Sleep, placement=Placement.WORKER)
def sleep(command: Sleep) -> None:
    """200 ms."""
    del command
    time.sleep(LARGE_S)
