"""The watch over one worker: for how long it has been seen to do what it does, and what it takes. Pool's thread only.

It is made when the worker is there, and ends when that is buried. It looks at status words and at the process, from
outside, and asks nobody::

    starting    too long until it is ready                       start_timeout_s
    running     too long over one command                        timeout_s of the command
    running     stopped, as by SIGSTOP, for too long             heartbeat_timeout_s
    idle        no sign of life for too long                     heartbeat_timeout_s
    running     more memory than the worker may take             memory_limit_bytes, and a margin

The first that is met is a verdict, and names the command that is to blame, if one is. Time is what the pool's clock
counted between two looks, and no look counts for more than a share of what it is measured against: after a freeze of
everything nobody has been silent for longer than somebody listened (P7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from driven.errors import RingBroken
from driven.pool.worker import Verdict
from driven.ring.status import WorkerState

if TYPE_CHECKING:
    from driven.pool.worker import Plan, Worker

MEMORY_LOOK_S: Final = 0.25
"""How often the memory of a worker that runs something is looked at, in seconds."""

LONGEST_SIGN_LOOK_S: Final = 1.0
"""How often signs of life are looked for at least, in seconds."""

SIGN_LOOKS: Final = 5
"""Looks without a sign of life that it takes at least."""

MEMORY_MARGIN: Final = 4
"""One part in so many of its limit a worker may take beyond it before it is ended: shared memory counts, too."""

_Command = tuple[int, int]
"""position, generation"""


def look_s(plan: Plan) -> float | None:
    """How often workers are looked at that nothing else is timed of, in seconds; None: there is nothing to look for."""
    signs_s = sign_look_s(plan)
    if plan.watches_memory:
        return min(MEMORY_LOOK_S, signs_s or MEMORY_LOOK_S)
    return signs_s


def sign_look_s(plan: Plan) -> float | None:
    """How often signs of life are looked for, in seconds; None: never."""
    return min(LONGEST_SIGN_LOOK_S, plan.heartbeat_timeout_s / SIGN_LOOKS) if plan.heartbeat_timeout_s else None


class Watch:
    """One worker, and what was seen of it."""

    __slots__ = (
        "_beat_ns",
        "_command",
        "_completed",
        "_first_rss_bytes",
        "_is_starting",
        "_memory_age_s",
        "_plan",
        "_seconds",
        "_sign_age_s",
        "_sign_look_s",
        "_silent_s",
        "growth_bytes",
        "leave_at_s",
        "worker",
    )

    def __init__(self, worker: Worker, plan: Plan) -> None:
        """A worker that is starting."""
        self.worker = worker
        self.leave_at_s: float | None = None
        """When it is to have ended by itself, on the pool's clock."""
        self.growth_bytes = 0
        """How much more memory it takes than when it was ready, as last seen; read by the bus thread."""
        self._plan = plan
        self._is_starting = True
        self._command: _Command | None = None
        self._seconds = 0.0
        self._beat_ns = 0
        self._silent_s = 0.0
        self._sign_age_s = 0.0
        self._sign_look_s = sign_look_s(plan)
        self._first_rss_bytes = 0
        self._memory_age_s = 0.0
        self._completed = 0

    def is_timed(self) -> bool:
        """Whether time matters to it now, so that it is to be looked at often."""
        worker = self.worker
        is_ending = worker.verdict is not None or self.leave_at_s is not None
        return self._is_starting or is_ending or bool(worker.timeouts_s) or worker.end_descriptor < 0

    def has_ended_unseen(self) -> bool:
        """Whether it has ended where no descriptor tells."""
        return self.worker.end_descriptor < 0 and self.worker.has_ended()

    def look(self, step_s: float) -> Verdict | None:
        """See what it does, `step_s` seconds after the last look; a verdict when that cannot go on."""
        try:
            if self._is_starting:
                return self._look_at_start(step_s)
            running = self.worker.channel.watched_status.running()
            command = (running.position, running.generation) if running else None
            return (
                self._look_at_command(command, step_s)
                or self._look_for_signs(command, step_s)
                or self._look_at_memory(command, step_s)
            )
        except RingBroken as error:
            return Verdict(error.reason, self._suspect())

    def _suspect(self) -> _Command | None:
        """Who most likely overwrote the status words: what they say to run, else the oldest whose time is limited."""
        running = self.worker.channel.watched_status.running()
        if running:
            return running.position, running.generation
        return next(iter(list(self.worker.timeouts_s)), None)  # in one step: the bus thread writes to it

    def _look_at_start(self, step_s: float) -> Verdict | None:
        self._is_starting = self.worker.is_starting
        if not self._is_starting:
            self._seconds = 0.0
            self._first_rss_bytes = self._rss_bytes() if self._plan.watches_memory else 0
            return None
        self._seconds += step_s
        if self._seconds <= self._plan.start_timeout_s:
            return None
        return Verdict(
            f"its worker was not ready within {self._plan.start_timeout_s:g} s; look into what it imports and warms up"
        )

    def _look_at_command(self, command: _Command | None, step_s: float) -> Verdict | None:
        if command is None or command != self._command:
            self._command, self._seconds = command, 0.0
            return None
        # What the bus takes to answer a read is not the command's fault.
        if self.worker.channel.watched_status.state is not WorkerState.WAITING:
            self._seconds += step_s
        timeout_s = self.worker.timeouts_s.get(command)
        if timeout_s is None or self._seconds <= timeout_s:
            return None
        return Verdict(f"it timed out after {timeout_s:g} s", command)

    def _look_for_signs(self, command: _Command | None, step_s: float) -> Verdict | None:
        """An idle worker shows its heartbeat. One that runs a command may be silent, unless it is stopped."""
        if self._sign_look_s is None:
            return None
        self._sign_age_s += min(step_s, self._sign_look_s)
        if self._sign_age_s < self._sign_look_s:
            return None
        age_s, self._sign_age_s = self._sign_age_s, 0.0
        beat_ns = self.worker.channel.watched_status.heartbeat_ns
        if beat_ns != self._beat_ns or (command is not None and not self.worker.is_stopped()):
            self._beat_ns, self._silent_s = beat_ns, 0.0
            return None
        self._silent_s += age_s
        timeout_s = self._plan.heartbeat_timeout_s
        if self._silent_s < timeout_s:
            return None
        if command is not None:
            return Verdict(
                f"its worker was stopped from outside (SIGSTOP) for {timeout_s:g} s; find out by whom", command
            )
        return Verdict(f"its worker gave no sign of life for {timeout_s:g} s while it had nothing to do")

    def _look_at_memory(self, command: _Command | None, step_s: float) -> Verdict | None:
        """Of one that runs something, or has done something since the last look: short commands leak as well."""
        if not self._plan.watches_memory:
            return None
        self._memory_age_s += step_s
        if self._memory_age_s < MEMORY_LOOK_S:
            return None
        completed = self.worker.channel.watched_status.completed
        if command is None and completed == self._completed:
            return None
        self._completed, self._memory_age_s = completed, 0.0
        rss_bytes, limit_bytes = self._rss_bytes(), self._plan.memory_limit_of(self.worker.group)
        self.growth_bytes = max(0, rss_bytes - self._first_rss_bytes)
        if command is None or not limit_bytes or rss_bytes <= limit_bytes + limit_bytes // MEMORY_MARGIN:
            return None
        return Verdict(
            f"its worker took {rss_bytes:,} bytes of memory, and {self._limit_name()} is {limit_bytes:,}",
            command,
        )

    def _limit_name(self) -> str:
        group = self.worker.group
        place = f"[workers.groups.{group}]" if group in self._plan.group_memory_limits else "[workers]"
        return f"{place} memory_limit_bytes"

    def _rss_bytes(self) -> int:
        self.worker.measure()
        usage = self.worker.usage
        return usage.rss_bytes if usage else 0
