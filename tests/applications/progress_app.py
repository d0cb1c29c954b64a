"""An application whose commands say how far they are, and then wait until a file is there."""

from __future__ import annotations

import os
import time
from pathlib import Path

from driven import Application, Command, Context, Event, Placement

LONGEST_WAIT_S = 60.0

app = Application("progress")


class Wait(Command):
    """Say how far it is, then wait for the file `until`; none: do not wait."""

    until: str = ""


class WaitInline(Command):
    """The same, on the bus thread."""

    until: str = ""


class Waited(Event):
    """What it came to."""

    lucky: int


@app.handles(Wait, placement=Placement.WORKER)
def wait(command: Wait, context: Context) -> Waited:
    """Tell in three words."""
    return _wait(command.until, context)


@app.handles(WaitInline, placement=Placement.INLINE)
def wait_inline(command: WaitInline, context: Context) -> Waited:
    """Tell in three words."""
    return _wait(command.until, context)


def _wait(until: str, context: Context) -> Waited:
    tells = os.environ.get("PROGRESS_IS_SILENT") is None
    if tells:
        context.progress(0.1)
        context.progress(0.4, "parsing")
    deadline = time.monotonic() + LONGEST_WAIT_S
    while until and not Path(until).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
        if tells:
            context.progress(0.4, "parsing")
    if tells:
        context.progress(1.0, "done")
    return Waited(context.random.randrange(1_000_000))
