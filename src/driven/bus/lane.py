"""The port between order and workers: how a command gets to a worker, and what comes back.

::

    WorkerTraffic --send, ring, reply--> Lane ~~~~> workers
    WorkerTraffic <-----LaneListener---- Lane <~~~~ workers

A lane moves submissions and completions and knows which workers are there. It decides nothing about order
and nothing about which worker runs what. Every call in both directions is made on the bus thread; no call blocks.
A worker id names one incarnation of a worker: a replacement has a new id, so that nothing from a dead worker can be
taken for something from its successor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driven.errors import InfrastructureError
    from driven.wire import AggregateState, Completion, Failure, ReadRequest, Submission


class Progress(msgspec.Struct, frozen=True):
    """How far a command is, as its handler says (`Context.progress`)."""

    fraction: float
    """From 0.0 to 1.0."""
    text: str


class Vitals(msgspec.Struct, frozen=True):
    """What can be seen of one worker from outside, without asking it."""

    worker_id: int
    pid: int
    group: str
    state: str
    """``starting``, ``idle``, ``running``, ``waiting`` (for an aggregate), ``stopping``, or ``abandoned``: a thread
    that could not be ended and goes on, as it was seen last."""
    position: int
    """Position of the command it runs; 0: none."""
    age_s: float
    """Seconds since that command began; 0.0: none."""
    completed: int
    """Commands it has finished."""
    rss_bytes: int = 0
    """Physical memory that it has; 0: not known."""
    cpu_s: float = 0.0
    """CPU time that it has had, in seconds."""
    progress: Progress | None = None
    """How far the command is; None: its handler does not say."""


class GroupStatistics(msgspec.Struct, frozen=True):
    """The workers of one group; counts since the bus opened, unless it is said that they are of now."""

    name: str
    wanted: int
    """How many it is to have now."""
    ready: int
    """How many take commands now."""
    starting: int
    """How many are on their way now."""
    hired: int
    """Workers that it was given, replacements included."""
    died: int
    """Those that ended, or did not get ready, without having been told to leave."""
    dismissed: int
    """Those that were told to leave, as there were too many, as they were to be replaced, or at the end."""


class PoolStatistics(msgspec.Struct, frozen=True):
    """The workers of a bus as a whole."""

    kind: str
    """``processes`` or ``threads``."""
    groups: tuple[GroupStatistics, ...]


class Lane(Protocol):
    """The way to workers."""

    def send(self, worker_id: int, submission: Submission, timeout_s: float | None) -> bool:
        """Hand a command to a worker; False when there is no room now, and nothing was sent.

        It may wait here until `ring`, which must follow before the bus thread does anything else.

        A worker that takes longer than `timeout_s` seconds over it is killed, and reported as gone.
        """

    def ring(self) -> None:
        """Let every worker that was sent something have it, and wake it."""

    def reply(self, worker_id: int, state: AggregateState) -> None:
        """Answer the read request of a worker; kept until there is room, dropped when the worker is gone."""

    def grow(self, group: str) -> None:
        """Have one more worker of this group, for good: one that dies is replaced.

        It is told by `LaneListener.worker_ready` when it is there. Where none can be had, more are tried.
        """

    def retire(self, worker_id: int) -> None:
        """Have one worker less, for good: this one, which leaves and is not replaced.

        It is sent nothing more, finishes the command that it runs, however long that takes, and leaves. That is
        told by `LaneListener.worker_leaving` before this returns, and by `worker_left` when it has. A worker that
        is gone or leaves already is left alone.
        """

    def statistics(self) -> PoolStatistics:
        """Of what kind the workers are, and how their groups are manned."""

    def vitals(self) -> tuple[Vitals, ...]:
        """A look at every worker."""


class LaneListener(Protocol):
    """What a lane tells the bus."""

    def worker_ready(self, worker_id: int, group: str) -> None:
        """A worker of this group takes commands from now on."""

    def completed(self, worker_id: int, completions: Sequence[Completion]) -> None:
        """A worker has finished commands, in this order."""

    def read_requested(self, worker_id: int, request: ReadRequest) -> None:
        """A running command needs an aggregate; answer with `Lane.reply`."""

    def worker_gone(self, worker_id: int, blamed: tuple[int, int] | None, cause: Failure) -> None:
        """A worker is no more; everything it had finished was reported before.

        `blamed` is the (position, generation) of the command that was running, None when none was (W3); `cause` says
        how it ended: exit code or signal, hint, tail of the traceback.
        """

    def worker_leaving(self, worker_id: int) -> None:
        """A worker takes no more commands, for it was told to leave; it finishes the one that it runs."""

    def worker_left(self, worker_id: int) -> None:
        """A worker has left, as it was told to; everything it had finished was reported before.

        What it was sent and had not begun goes elsewhere; nothing is to blame for anything. If it dies on its way out,
        it is `worker_gone` instead.
        """

    def lane_failed(self, error: InfrastructureError) -> None:
        """Workers can no longer be had at all."""

    def turn_wanted(self) -> None:
        """Something of the above was told; called once after a burst."""
