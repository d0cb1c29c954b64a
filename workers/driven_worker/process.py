"""What a worker process does at its startup and a worker thread must not; and which work it has. See `startup`.

Runs once, on the main thread of the process.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from driven.wire import decode_assignment
from driven_worker.startup import ready_loop, serve

if TYPE_CHECKING:
    from driven.ring.channel import Channel
    from driven.wire import Assignment, Hello
    from driven_worker.loop import Loop, Work


def work(text: str) -> int:
    """Be the worker process that `text` assigns, until told to stop; return its exit code."""
    return serve(decode_assignment(text), _ready_process)


def _ready_process(assignment: Assignment, channel: Channel) -> Loop:
    return ready_loop(assignment, channel, _work_of, _freeze)


def _work_of(assignment: Assignment, channel: Channel) -> tuple[Work, Hello | None]:
    """What this worker is to do. Each kind of worker imports what it needs: an application's worker no pickle."""
    if assignment.reference is None:
        from driven_worker.calling import call_work  # noqa: PLC0415 - as above

        return call_work(), None
    from driven_worker.serving import application_work  # noqa: PLC0415 - as above

    return application_work(assignment, assignment.reference, channel.progress.tell)


def _freeze(_: Loop) -> None:
    """What is there now stays: no collection need look at it again, and none touches its pages."""
    gc.collect()
    gc.freeze()
