"""From nothing to a worker that is ready, process or thread; then its work, then its farewell.

::

    attach the channel -> pin -> limit memory -> import, make and warm up what is to be done
                           |                                                        |
                           '-- anything goes wrong: UNFIT, and exit code 1          HELLO -> loop ... STOP -> GOODBYE
                                                                         objects of scope APP are finalised <----'

Runs once, on the main thread of a worker process or on a worker thread, for as long as the worker lives. What cannot be
told through the channel, because there is none, is raised.
"""

from __future__ import annotations

import logging
import os
import traceback
from typing import TYPE_CHECKING

from driven.ring.channel import Channel, Handoff
from driven.ring.status import WorkerState
from driven.wire import RecordKind, Unfit, encode
from driven_worker.cores import pin
from driven_worker.loop import Loop
from driven_worker.memory import limit_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.wire import Assignment, Hello
    from driven_worker.loop import Work

logger = logging.getLogger("driven.worker")

READY_TO_LEAVE = 0
UNFIT = 1


def serve(assignment: Assignment, get_ready: Callable[[Assignment, Channel], Loop]) -> int:
    """Be the assigned worker, of either kind, until told to stop; return `READY_TO_LEAVE` or `UNFIT`."""
    with Channel.attach(Handoff.from_json(assignment.channel), available_cpus=assignment.available_cpus) as channel:
        channel.status.pid = os.getpid()
        try:
            loop = get_ready(assignment, channel)
            loop.run()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the bus is to know why this worker ends
            channel.send(RecordKind.UNFIT, encode(Unfit(_reason(error), traceback.format_exc())))
            return UNFIT
        loop.tell(RecordKind.GOODBYE, b"")
        try:
            loop.close()
        except BaseException:  # the bus has heard all that it wants to hear
            logger.exception("A worker has left, and what was made for its application could not be finalised.")
        return READY_TO_LEAVE


def ready_loop(
    assignment: Assignment,
    channel: Channel,
    work_of: Callable[[Assignment, Channel], tuple[Work, Hello | None]],
    prepare: Callable[[Loop], None],
) -> Loop:
    """Get ready to run what comes, and say so, unless that takes a call of its own.

    Args:
        assignment: what this worker is told.
        channel: its own end.
        work_of: makes what is to be done with each submission, and says hello with it.
        prepare: called with the loop before anything is said.

    """
    pin(assignment.cpus)
    limit_memory(assignment.memory_limit_bytes)
    work, hello = work_of(assignment, channel)
    loop = Loop(channel, work)
    prepare(loop)
    channel.status.state = WorkerState.IDLE
    if hello is not None:
        loop.tell(RecordKind.HELLO, encode(hello))
    return loop


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
