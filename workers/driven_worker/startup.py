"""From an empty process to a worker that is ready; then its work, then its farewell.

::

    attach the channel -> pin -> limit memory -> import the application -> build the registry -> warm up
                           |                                                                       |
                           '-- anything goes wrong: UNFIT, and exit code 1    HELLO -> loop ... STOP -> GOODBYE

Runs once, on the main thread of the worker, for as long as the worker lives. What cannot be told through the
channel, because there is none, goes to standard error.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import traceback
from typing import TYPE_CHECKING

from driven.ring.channel import Channel, Handoff
from driven.ring.status import WorkerState
from driven.service.execution import Execution
from driven.service.registry import build_registry, resolve_application
from driven.service.warming import warm_up
from driven.service.wiring import wiring_of
from driven.wire import Hello, RecordKind, Unfit, decode_assignment, encode
from driven_worker.commands import CommandWork
from driven_worker.cores import pin
from driven_worker.loop import Loop
from driven_worker.memory import limit_memory

if TYPE_CHECKING:
    from driven.service.registry import Registry
    from driven.wire import Assignment

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
    """Get ready to run commands, and say so."""
    pin(assignment.cpus)
    limit_memory(assignment.memory_limit_bytes)
    for module in assignment.modules:  # first: the reference may name a function that copies what they complete
        importlib.import_module(module)
    registry = build_registry(resolve_application(assignment.reference))
    warm_up(registry)
    loop = Loop(channel, CommandWork(Execution(registry, assignment.log_id)))
    # What is there now stays: no collection need look at it again, and none touches its pages.
    gc.collect()
    gc.freeze()
    channel.status.state = WorkerState.IDLE
    loop.tell(RecordKind.HELLO, encode(Hello(wiring_of(registry), _source(assignment, registry))))
    return loop


def _source(assignment: Assignment, registry: Registry) -> str:
    """The file that the application was imported from, for whoever wonders which code a worker runs."""
    named = sys.modules.get(assignment.reference.partition(":")[0])
    found = getattr(named, "__file__", None) or registry.application.module
    return str(found)


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
