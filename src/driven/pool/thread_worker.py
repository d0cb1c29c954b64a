"""One worker thread: how it is started, asked to leave, and given up.

It is a `Worker`, as `driven.pool.worker` says. The thread runs the same program over the same rings as a worker process
(W9). What it runs is brought by the composition root: the pool knows no handlers.

::

    pool thread                                       worker thread
    ThreadWorker --- Assignment ------------------->  Program.run(): attach, get ready, loop, farewell
      channel    --- duplicated descriptors -------->   its own end of the channel: its own mapping, its own views
      terminate  --- Program.leave() --------------->   leaves when the running command is done
      end        <-- a bell, rung as the last thing --

Nothing can end a thread from outside. One whose handler does not come back is *abandoned*: buried like a dead worker
while it goes on. It keeps its own end of the channel until it ends, so no memory is taken from under it; nobody reads
what it says any more. It is a daemon, and so does not keep the interpreter from ending.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import os
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from driven.errors import WorkersUnavailable
from driven.pool.vitals import WORKER_DIED
from driven.ring.channel import Channel
from driven.ring.status import WorkerState
from driven.ring.waiting import Doorbell
from driven.wire import Assignment, Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.pool.worker import Plan, Usage, Verdict
    from driven.ring.channel import Handoff

logger = logging.getLogger("driven.pool")

PATIENCE_S: Final = 0.2
"""How long a thread that must leave may take before it is abandoned: an idle one needs a few milliseconds."""

_NONE: Final = -1
"""A descriptor that only a process needs."""


class Program(Protocol):
    """What a worker thread runs."""

    def run(self) -> None:
        """Be a worker, until told to stop. Raises nothing that the bus was not told."""

    def leave(self) -> None:
        """Have `run` end as soon as its command is done; safe from any thread, and more than once."""


MakeProgram: TypeAlias = "Callable[[Assignment], Program]"


class ThreadWorker:
    """A worker thread, and all that the rest of the process holds of it. Making one starts it.

    Raises:
        WorkersUnavailable: there can be no thread.
        SegmentUnavailable: there is no memory for its rings.
        OSError: there are no descriptors left.

    """

    def __init__(self, worker_id: int, group: str, plan: Plan, program: MakeProgram) -> None:
        self.worker_id: Final = worker_id
        self.group: Final = group
        self.timeouts_s: Final[dict[tuple[int, int], float]] = {}
        """Always empty: a thread cannot be killed, and so `threads_cannot` refuses timeouts."""
        self.verdict: Verdict | None = None
        self.kill_at_s = 0.0
        self._leave_by_s: float | None = None
        self._lock: Final = threading.Lock()  # between the last ring and the closing of the bell
        with contextlib.ExitStack() as until_started:
            self.channel: Final = until_started.enter_context(Channel.create(plan.ring_bytes))
            self._end: Final = until_started.enter_context(Doorbell.create())
            self.end_descriptor: Final = self._end.fileno()
            handoff = self.channel.handoff().duplicated()
            until_started.callback(_close_all, handoff)
            self._program: Final = program(_assignment(plan, group, handoff))
            self._thread: Final = threading.Thread(
                # A context of its own: neither the pool's nor, where threads inherit it (3.14t), that of the bus.
                target=contextvars.Context().run,
                args=(self._run,),
                name=f"driven-worker-{worker_id}",
                daemon=True,
            )
            try:
                self._thread.start()
            except RuntimeError as error:
                raise WorkersUnavailable(f"a worker thread cannot be started: {error}; start fewer workers") from error
            until_started.pop_all()
        self.channel.close_remote_descriptors()

    def _run(self) -> None:
        try:
            self._program.run()
        finally:
            with self._lock:
                if not self._is_buried:
                    self._end.ring()

    @property
    def _is_buried(self) -> bool:
        return self._end.fileno() < 0

    @property
    def pid(self) -> int:
        """This very process."""
        return os.getpid()

    @property
    def name(self) -> str:
        """The thread's own name, as `threading.enumerate` and debuggers show it."""
        return f"thread {self._thread.name}"

    @property
    def is_starting(self) -> bool:
        """Whether it has not come to its first look at the ring yet."""
        return self.channel.watched_status.state is WorkerState.STARTING

    @property
    def goes_on(self) -> bool:
        """Whether its handler still runs, although it was buried."""
        return self._is_buried and self._thread.is_alive()

    def terminate(self) -> None:
        """Ask it to leave: it does when its handler comes back, or when it looks up from its sleep."""
        self._program.leave()

    def kill(self) -> None:
        """Ask it to leave; when it does not within `PATIENCE_S`, go on without it."""
        now_s = time.monotonic()
        if self._leave_by_s is None:
            self._leave_by_s = now_s + PATIENCE_S
        self._program.leave()
        if now_s >= self._leave_by_s:
            self._end.ring()

    def has_ended(self) -> bool:
        """Whether it has ended, asked without waiting."""
        return not self._thread.is_alive()

    @property
    def usage(self) -> Usage | None:
        """Nothing: its memory is the whole process's."""
        return None

    def measure(self) -> None:
        """There is nothing to measure."""

    def is_stopped(self) -> bool:
        """Never: who stops one thread stops them all, and then nobody asks."""
        return False

    def bury(self) -> Failure:
        """Give up all but the channel; return how it ended, and where it is if it did not."""
        self._program.leave()
        self._thread.join(PATIENCE_S if self._leave_by_s is None else 0.0)
        with self._lock:
            self._end.close()
        reason = self.verdict.reason if self.verdict else "its worker thread ended"
        stack = _stack_of(self._thread)
        if stack:
            logger.error(
                "Worker %d (%s) did not leave, and a thread cannot be killed: it is abandoned, and goes on until its "
                "handler returns or the process ends. Run such handlers in worker processes: "
                '[workers] kind = "processes". It is here:\n%s',
                self.worker_id,
                self.name,
                stack.rstrip(),
            )
        return Failure(WORKER_DIED, reason, stack)


def _assignment(plan: Plan, group: str, handoff: Handoff) -> Assignment:
    """What a worker process is told, as far as it means something to a thread."""
    return Assignment(
        channel=handoff.to_json(),
        liveness_descriptor=_NONE,
        fault_descriptor=_NONE,
        bus_pid=os.getpid(),
        import_path=(),
        python_path=None,
        reference=plan.reference,
        modules=plan.modules,
        log_id=plan.log_id,
        cpus=plan.group_cpus.get(group, ()),
        available_cpus=plan.available_cpus,
    )


def _close_all(handoff: Handoff) -> None:
    for descriptor in handoff.descriptors:
        os.close(descriptor)


def _stack_of(thread: threading.Thread) -> str:
    """Where a thread is; nothing when it has ended."""
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - documented under this name
    return "".join(traceback.format_stack(frame)) if frame is not None and thread.is_alive() else ""
