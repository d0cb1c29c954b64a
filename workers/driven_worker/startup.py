"""From an empty process to a worker that is ready; then its work, then its farewell.

::

    attach the channel -> pin -> limit memory -> import, make and warm up what is to be done
                           |                                                        |
                           '-- anything goes wrong: UNFIT, and exit code 1          HELLO -> loop ... STOP -> GOODBYE

Runs once, on the main thread of the worker, for as long as the worker lives. What cannot be told through the
channel, because there is none, goes to standard error.
"""

from __future__ import annotations

import gc
import os
import traceback
from typing import TYPE_CHECKING

from driven.ring.channel import Channel, Handoff
from driven.ring.status import WorkerState
from driven.wire import RecordKind, Unfit, decode_assignment, encode
from driven_worker.cores import pin
from driven_worker.loop import Loop
from driven_worker.memory import limit_memory

if TYPE_CHECKING:
    from driven.wire import Assignment, Hello
    from driven_worker.loop import Work

READY_TO_LEAVE = 0
UNFIT = 1


def work(text: str) -> int:
    """Do what the assignment in `text` says, until told to stop; return the exit code of the process."""
    assignment = decode_assignment(text)
    with Channel.attach(Handoff.from_json(assignment.channel), available_cpus=assignment.available_cpus) as channel:
        channel.status.pid = os.getpid()
        try:
            loop = ready_loop(assignment, channel)
            loop.run()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the bus is to know why this worker ends
            channel.send(RecordKind.UNFIT, encode(Unfit(_reason(error), traceback.format_exc())))
            return UNFIT
        loop.tell(RecordKind.GOODBYE, b"")
        return READY_TO_LEAVE


def ready_loop(assignment: Assignment, channel: Channel) -> Loop:
    """Get ready to run what comes, and say so, unless that takes a call of its own."""
    pin(assignment.cpus)
    limit_memory(assignment.memory_limit_bytes)
    work, hello = _work_of(assignment)
    loop = Loop(channel, work)
    # What is there now stays: no collection need look at it again, and none touches its pages.
    gc.collect()
    gc.freeze()
    channel.status.state = WorkerState.IDLE
    if hello is not None:
        loop.tell(RecordKind.HELLO, encode(hello))
    return loop


def _work_of(assignment: Assignment) -> tuple[Work, Hello | None]:
    """What this worker is to do. Each kind of worker imports what it needs: an application's worker no pickle."""
    if assignment.reference is None:
        from driven_worker.calling import call_work  # noqa: PLC0415 - as above

        return call_work(), None
    from driven_worker.serving import application_work  # noqa: PLC0415 - as above

    return application_work(assignment, assignment.reference)


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
