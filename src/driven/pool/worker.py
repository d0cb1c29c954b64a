"""A worker as its pool and its lane see it, of whatever kind: what both kinds have in common, and what they are told.

::

    WorkerPool --make--> Worker   ProcessWorker   a process, which can be killed
                                  ThreadWorker    a thread of this process, which can only be asked to leave

One worker is one incarnation: a replacement has another id. It belongs to the pool's thread, but for what the bus
thread uses: `channel`, which that closes in the end, `timeouts_s`, which that writes, and `usage`, which that reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec

if TYPE_CHECKING:
    from driven.ring.channel import Channel
    from driven.service.wiring import Recipe
    from driven.settings import WorkerSettings
    from driven.wire import Failure


class Plan(msgspec.Struct, frozen=True):
    """What all workers of one lane have in common."""

    reference: str | None
    """The application, as ``"package.module:attribute"``; None for workers that run plain calls."""
    modules: tuple[str, ...]
    """What workers import beside it."""
    log_id: str
    ring_bytes: int
    blas_threads: int
    start_timeout_s: float
    grace_s: float
    """From `Worker.terminate` to `Worker.kill`."""
    heartbeat_timeout_s: float
    """0.0: nobody looks for signs of life."""
    memory_limit_bytes: int
    """Of workers whose group has none of its own; 0: none."""
    watches_memory: bool
    """Whether the memory of workers is to be looked at, for a limit or for recycling."""
    available_cpus: int
    group_cpus: Mapping[str, tuple[int, ...]]
    """CPUs of the groups that are pinned."""
    group_memory_limits: Mapping[str, int] = {}
    """Of the groups that have a limit of their own, in bytes; 0: none."""

    def memory_limit_of(self, group: str) -> int:
        """How much memory a worker of this group may have, in bytes; 0: as much as there is."""
        return self.group_memory_limits.get(group, self.memory_limit_bytes)


def plan_of(settings: WorkerSettings, recipe: Recipe, log_id: str, cpus: int) -> Plan:
    """The plan for workers that make the application by `recipe`, on `cpus` CPUs."""
    limits = {
        name: one.memory_limit_bytes for name, one in settings.groups.items() if one.memory_limit_bytes is not None
    }
    is_limited = bool(settings.memory_limit_bytes or any(limits.values()))
    return Plan(
        reference=recipe.reference,
        modules=recipe.modules,
        log_id=log_id,
        ring_bytes=settings.ring_bytes,
        blas_threads=settings.blas_threads,
        start_timeout_s=settings.start_timeout_s,
        grace_s=settings.grace_s,
        heartbeat_timeout_s=settings.heartbeat_timeout_s,
        memory_limit_bytes=settings.memory_limit_bytes,
        watches_memory=is_limited or bool(settings.recycle_after_growth_bytes),
        available_cpus=cpus,
        # Words were turned into numbers when the bus opened: see `driven.pool.affinity`.
        group_cpus={name: group.cpus for name, group in settings.groups.items() if isinstance(group.cpus, tuple)},
        group_memory_limits=limits,
    )


class Usage(msgspec.Struct, frozen=True):
    """What a worker takes of the machine."""

    rss_bytes: int
    """Physical memory that it has now, what it shares with others included."""
    cpu_s: float
    """CPU time that it has had since it began, in seconds."""


class Verdict(msgspec.Struct, frozen=True):
    """Why the pool itself ends a worker, and whose fault that is: a (position, generation), or nobody's."""

    reason: str
    blamed: tuple[int, int] | None = None


class Worker(Protocol):
    """One worker, and all that the main process holds of it. Making one starts it; it says HELLO when ready."""

    verdict: Verdict | None
    """Why the pool ends it; None: it does not."""
    kill_at_s: float
    """When `kill` follows `terminate`, on the pool's clock; 0.0: no verdict."""

    @property
    def worker_id(self) -> int:
        """This incarnation."""

    @property
    def group(self) -> str:
        """Whose commands it takes."""

    @property
    def channel(self) -> Channel:
        """The bus's end of the way to it."""

    @property
    def timeouts_s(self) -> dict[tuple[int, int], float]:
        """Of what was sent to it and may take so long: (position, generation) to seconds."""

    @property
    def end_descriptor(self) -> int:
        """Readable when it has ended; -1 where there is no such thing, and `has_ended` must be asked."""

    @property
    def pid(self) -> int:
        """The process that it is, or is in."""

    @property
    def name(self) -> str:
        """What it is for people who look for it on the machine: ``process 4711``."""

    @property
    def is_starting(self) -> bool:
        """Whether it has not come to its first look at the ring yet."""

    @property
    def goes_on(self) -> bool:
        """Whether something of it still runs although it was buried: a thread that could not be ended."""

    def terminate(self) -> None:
        """Tell it to end, however busy it is. Not to be called once it is buried; nor is `kill`."""

    def kill(self) -> None:
        """End it, whatever that takes; called again and again until it has ended."""

    def has_ended(self) -> bool:
        """Whether it has ended, asked without waiting."""

    @property
    def usage(self) -> Usage | None:
        """What it took when it was measured last; None when it has nothing of its own that could be measured."""

    def measure(self) -> None:
        """Ask the system what it takes now, which takes a while; nothing changes when it is gone."""

    def is_stopped(self) -> bool:
        """Whether somebody has stopped it, as by SIGSTOP, so that it cannot go on by itself."""

    def bury(self) -> Failure:
        """End what is left of it, give up all but the channel; return how it ended."""


MakeWorker: TypeAlias = Callable[[int, str, Plan], Worker]
"""Makes worker number so-and-so of a group.

Raises:
    WorkersUnavailable: this interpreter cannot start one.
    SegmentUnavailable: there is no memory for its rings.
    OSError: there are no processes or descriptors left.
"""
