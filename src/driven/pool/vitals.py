"""Signs of life and of death: what can be seen of a worker from outside, without asking it.

Everything here is read at one moment and kept by nobody. The living are read from the status words in shared memory. Of
the dead there is what waitpid(2) says, what the interpreter wrote when it crashed, and whether the kernel ran out of
memory meanwhile.

Sources: signal(7); the kernel's admin-guide/cgroup-v2, "Memory Interface Files" (memory.events), and
admin-guide/cgroup-v1/memory, "OOM Control" (memory.oom_control).
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from driven.bus.lane import Progress, Vitals
from driven.errors import RingBroken
from driven.ring.status import WorkerState
from driven.wire import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from driven.pool.kinds import Kind
    from driven.pool.worker import Usage, Worker
    from driven.ring.channel import Channel
    from driven.ring.status import WorkerStatus

WORKER_DIED: Final = "driven.errors.WorkerDied"
"""The error type of a command that brought its workers to death (W5)."""

_NANOSECONDS: Final = 1_000_000_000


def vitals_of(  # noqa: PLR0913 - what is known of one worker
    worker_id: int, pid: int, group: str, channel: Channel, usage: Usage | None = None, *, is_leaving: bool
) -> Vitals:
    """Look at a worker; `is_leaving` when it was told to go, or is about to be killed."""
    status = channel.status
    running = status.running()
    told = channel.progress.told(running.position, running.started_ns) if running else None
    age_ns = time.monotonic_ns() - running.started_ns if running else 0
    return Vitals(
        worker_id=worker_id,
        pid=pid,
        group=group,
        state=WorkerState.STOPPING.name.lower() if is_leaving else _state_of(status).name.lower(),
        position=running.position if running else 0,
        age_s=max(age_ns, 0) / _NANOSECONDS,
        completed=status.completed,
        rss_bytes=usage.rss_bytes if usage else 0,
        cpu_s=usage.cpu_s if usage else 0.0,
        progress=Progress(*told) if told else None,
    )


def look_at(worker: Worker, *, is_leaving: bool) -> Vitals:
    """Look at a worker whose channel is open."""
    channel, usage = worker.channel, worker.usage
    return vitals_of(worker.worker_id, worker.pid, worker.group, channel, usage, is_leaving=is_leaving)


def kind_of(workers: Iterable[Worker]) -> Kind:
    """Of what kind they are, as far as can be seen: threads are in this process."""
    return "threads" if any(worker.pid == os.getpid() for worker in workers) else "processes"


class Abandoned:
    """Workers that go on although they were buried, as they were seen last: threads that did not leave."""

    def __init__(self) -> None:
        self._last_seen: list[tuple[Worker, Vitals]] = []

    def note(self, worker: Worker) -> None:
        """Remember a worker if it goes on; its channel is still open."""
        if worker.goes_on:
            last_seen = look_at(worker, is_leaving=True)
            self._last_seen.append((worker, msgspec.structs.replace(last_seen, state="abandoned")))

    def vitals(self) -> tuple[Vitals, ...]:
        """Those that have not ended by now."""
        self._last_seen = [one for one in self._last_seen if one[0].goes_on]
        return tuple(last_seen for _, last_seen in self._last_seen)


def _state_of(status: WorkerStatus) -> WorkerState:
    """What it does; where a handler has overwritten that word, what the others say."""
    try:
        return status.state
    except RingBroken:
        return WorkerState.RUNNING if status.running() else WorkerState.IDLE


def cause_of_death(exit_code: int, verdict: str | None, traceback: str, oom_kills: int | None) -> Failure:
    """Say how a worker ended, in words that are the same whenever it ends in the same way (O6).

    Args:
        exit_code: what `Popen.returncode` says: negative for the number of a signal.
        verdict: why the pool itself ended it, None when it did not.
        traceback: what the interpreter wrote when it crashed, or nothing.
        oom_kills: how many processes the kernel killed for lack of memory in its time, None when that is unknown.

    """
    if verdict is not None:
        text = verdict
    elif exit_code >= 0:
        text = f"its worker ended with exit code {exit_code}"
    else:
        text = f"its worker was killed by {_signal_name(-exit_code)}"
        if exit_code == -signal.SIGKILL:
            text += f", which Driven did not send: {_memory_hint(oom_kills)}"
    return Failure(WORKER_DIED, text, traceback)


def with_traceback(cause: Failure) -> str:
    """How a worker ended, and what its interpreter said."""
    if not cause.traceback:
        return cause.message
    return f"{cause.message}\n\nwhat it said:\n{cause.traceback.rstrip()}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _memory_hint(oom_kills: int | None) -> str:
    if oom_kills is None:
        return "often that is the kernel, out of memory; look into its log"
    if oom_kills:
        return "the kernel ran out of memory meanwhile; give the container more memory, or start fewer workers"
    return "nor did the kernel for lack of memory; look for who did"


def oom_kills(root: Path = Path("/")) -> int | None:
    """How many processes of our memory cgroup the kernel has killed for lack of memory so far; None: unknown.

    `root` is the folder that holds `/proc` and `/sys`.
    """
    for file in _oom_files(root):
        try:
            lines = file.read_text(encoding="ascii").splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
        except (OSError, ValueError, IndexError, StopIteration):
            continue
    return None


def _oom_files(root: Path) -> Iterator[Path]:
    """Where the counter may be: below the path of our cgroup, or, inside a container, at the top of what is mounted."""
    mounted = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2) if line.count(":") >= 2 else ("", "-", "")  # noqa: PLR2004
        if controllers == "":
            yield from (mounted / place / "memory.events" for place in (path.lstrip("/"), ""))
        elif "memory" in controllers.split(","):
            yield from (mounted / "memory" / place / "memory.oom_control" for place in (path.lstrip("/"), ""))
