"""One worker process, seen from the main process: how it is started, signalled and buried.

It is a `Worker`, as `driven.pool.worker` says, and lives as long as the process.

::

    main process                                             worker
    ProcessWorker  --- argv: the assignment, as JSON ------> python -m driven_worker
      channel     ---- segment, doorbells, socket ---------> its end of the channel
      lifeline    ---- pipe; the worker gets the read end -> it dies when the bus does (W7)
      faults      <--- a file without a name --------------- what its interpreter says when it crashes (P14)
      end         . .  readable when it has died

A worker leads a process group of its own. However it ends, what is left of the group is killed before
waitpid(2): until then its number, which is the group's as well, cannot belong to anybody else (P4).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import psutil

from driven.pool.launch import command_line, worker_environment
from driven.pool.vitals import cause_of_death, oom_kills
from driven.pool.worker import Usage
from driven.ring.channel import Channel
from driven.ring.nameless import nameless_file
from driven.ring.status import WorkerState
from driven.wire import Assignment, encode_assignment

if TYPE_CHECKING:
    from driven.pool.worker import Plan, Verdict
    from driven.wire import Failure

FAULT_TAIL_BYTES: Final = 8_192
"""How much is kept of what an interpreter wrote when it crashed: the end of it."""


class ProcessWorker:
    """A worker process, and all that the main process holds of it. Making one starts it; it says HELLO when ready.

    Raises:
        WorkersUnavailable: this interpreter cannot start the program.
        SegmentUnavailable: there is no memory for its rings.
        OSError: there are no processes or descriptors left.

    """

    def __init__(self, worker_id: int, group: str, plan: Plan) -> None:
        self.worker_id: Final = worker_id
        self.group: Final = group
        self.timeouts_s: Final[dict[tuple[int, int], float]] = {}
        """Of what was sent to it and may take so long: (position, generation) to seconds."""
        self.verdict: Verdict | None = None
        self.kill_at_s = 0.0
        """When SIGKILL follows, on the pool's clock; 0.0: no verdict."""
        self._oom_kills_before: Final = oom_kills()
        with contextlib.ExitStack() as until_started:
            self.channel: Final = until_started.enter_context(Channel.create(plan.ring_bytes))
            self._faults: Final = nameless_file("driven-faults")
            until_started.callback(os.close, self._faults)
            self._process, self._lifeline = self._start(plan)
            until_started.pop_all()
        self.channel.close_remote_descriptors()
        self._seen: Final = _seen(self._process.pid)
        self._usage: Usage | None = None
        self.end_descriptor: Final = _pidfd(self._process.pid)
        """Readable when it has died; -1 where there is no such thing, and `has_died` must be asked."""

    def _start(self, plan: Plan) -> tuple[subprocess.Popen[bytes], int]:
        """Start the process; return it, and the only write end of its lifeline."""
        handoff = self.channel.handoff()
        worker_end, lifeline = os.pipe()
        assignment = Assignment(
            channel=handoff.to_json(),
            liveness_descriptor=worker_end,
            fault_descriptor=self._faults,
            bus_pid=os.getpid(),
            import_path=tuple(place for place in sys.path if isinstance(place, str)),
            python_path=os.environ.get("PYTHONPATH"),
            reference=plan.reference,
            modules=plan.modules,
            log_id=plan.log_id,
            cpus=plan.group_cpus.get(self.group, ()),
            available_cpus=plan.available_cpus,
            memory_limit_bytes=plan.memory_limit_of(self.group),
        )
        try:
            process = subprocess.Popen(  # noqa: S603 - this interpreter, with our own program
                command_line(encode_assignment(assignment)),
                env=worker_environment(os.environ, plan.blas_threads),
                stdin=subprocess.DEVNULL,
                pass_fds=(*handoff.descriptors, worker_end, self._faults),
                process_group=0,
            )
        except BaseException:
            os.close(lifeline)
            raise
        finally:
            os.close(worker_end)
        return process, lifeline

    @property
    def pid(self) -> int:
        """Its process id, which is the id of its process group as well."""
        return self._process.pid

    @property
    def is_starting(self) -> bool:
        """Whether it has not come to its first look at the ring yet."""
        return self.channel.watched_status.state is WorkerState.STARTING

    @property
    def name(self) -> str:
        """What it is on the machine."""
        return f"process {self.pid}"

    @property
    def goes_on(self) -> bool:
        """Nothing of a process is left when it was buried."""
        return False

    def terminate(self) -> None:
        """Send SIGTERM to it and to all that it started: its interpreter writes where it was, and ends (P14)."""
        self._signal_group(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to it and to all that it started."""
        self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: signal.Signals) -> None:
        # macOS refuses to signal a group of zombies.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def has_ended(self) -> bool:
        """Whether it has ended, asked without waiting."""
        return self._process.poll() is not None

    @property
    def usage(self) -> Usage | None:
        """Its memory and its CPU time, without its children's."""
        return self._usage

    def measure(self) -> None:
        """Read both from the system."""
        seen = self._seen
        if seen is None:
            return
        with contextlib.suppress(psutil.Error, OSError), seen.oneshot():
            times = seen.cpu_times()
            self._usage = Usage(seen.memory_info().rss, times.user + times.system)

    def is_stopped(self) -> bool:
        """Whether the kernel says so; a debugger that has stopped it does not count."""
        try:
            return self._seen is not None and self._seen.status() == psutil.STATUS_STOPPED
        except (psutil.Error, OSError):
            return False

    def bury(self) -> Failure:
        """Kill what is left of its group, wait for it, give up all but the channel; return how it ended."""
        self.kill()
        exit_code = self._process.wait()
        kills = oom_kills()
        before = self._oom_kills_before
        cause = cause_of_death(
            exit_code,
            self.verdict.reason if self.verdict else None,
            _tail(self._faults),
            None if kills is None or before is None else kills - before,
        )
        for descriptor in (self._lifeline, self._faults, *([self.end_descriptor] if self.end_descriptor >= 0 else [])):
            os.close(descriptor)
        return cause


def _seen(pid: int) -> psutil.Process | None:
    """A process as the system shows it; None where it shows none: without /proc nobody sees what workers take."""
    try:
        return psutil.Process(pid)
    except (psutil.Error, OSError):
        return None


def _pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # macOS, an old kernel, a sandbox that forbids it
        return -1


def _tail(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    kept = os.pread(descriptor, FAULT_TAIL_BYTES, max(0, size - FAULT_TAIL_BYTES))
    return kept.decode("utf-8", "replace")
