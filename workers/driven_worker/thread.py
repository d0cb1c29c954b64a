"""`WorkerThread`: what a worker thread runs: the same startup and the same loop as a worker process (W9).

Made for one thread and run by it once; the thread's owner calls `leave`. What a process does for itself and a thread
must not is left out: nothing here touches signals, the garbage collector or the import path, which are everybody's.

An application is made for each worker, as in a process: what is bound in scope APP exists once per worker. Modules, and
the values that they hold, are shared by all threads of the process.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from driven_worker.serving import application_work
from driven_worker.startup import ready_loop, serve

if TYPE_CHECKING:
    from driven.ring.channel import Channel
    from driven.wire import Assignment, Hello
    from driven_worker.loop import Loop, Work

logger = logging.getLogger("driven.worker")

_getting_ready: Final = threading.Lock()
"""One thread at a time makes its application: a function that makes one is the user's, and is called by nobody else."""


class WorkerThread:
    """One worker thread, from its first line to its last."""

    __slots__ = ("_assignment", "_is_leaving", "_lock", "_loop")

    def __init__(self, assignment: Assignment) -> None:
        """The descriptors in `assignment` become the thread's own when it runs."""
        self._assignment = assignment
        self._lock = threading.Lock()  # between a loop that begins and `leave`, which it must not miss
        self._loop: Loop | None = None
        self._is_leaving = False

    def run(self) -> None:
        """Be a worker, until told to stop."""
        try:
            serve(self._assignment, self._ready_loop)
        except BaseException:
            if not self._is_leaving:  # else nobody listened any more, and that is known
                logger.exception("A worker thread ended, and could not tell its bus why.")

    def leave(self) -> None:
        """End as soon as the command that runs is done, whether the bus still listens or not; from any thread."""
        with self._lock:
            self._is_leaving = True
            if self._loop is not None:
                self._loop.leave()

    def _ready_loop(self, assignment: Assignment, channel: Channel) -> Loop:
        with _getting_ready:
            return ready_loop(assignment, channel, _work_of, self._take)

    def _take(self, loop: Loop) -> None:
        with self._lock:
            self._loop = loop
            if self._is_leaving:
                loop.leave()


def _work_of(assignment: Assignment, channel: Channel) -> tuple[Work, Hello | None]:
    """An application's work: plain calls, and the pickles that bring them, are for processes alone."""
    assert assignment.reference is not None  # noqa: S101 - only a bus has worker threads, and it has an application
    return application_work(assignment, assignment.reference, channel.progress.tell)
