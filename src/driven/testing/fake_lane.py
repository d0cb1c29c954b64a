"""A fake lane: workers that a test moves by hand, one step at a time. As long-lived as the test.

::

    FakeLane.add_worker() ---- worker_ready --->.
    send(worker, submission) <------------------ listener      what a bus does
    FakeLane.complete(worker, outcome) -- completed ->.
    FakeLane.ask / kill / leave ------------------->'          what workers do
"""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple

from driven.bus.lane import GroupStatistics, PoolStatistics, Vitals
from driven.wire import Completion, Failure, ReadRequest

if TYPE_CHECKING:
    from driven.bus.lane import LaneListener
    from driven.wire import AggregateState, Outcome, Submission

GROUP: Final = "default"


class Sent(NamedTuple):
    """A command as it was handed to a worker."""

    submission: Submission
    timeout_s: float | None


class FakeLane:
    """A `Lane` without workers of its own."""

    def __init__(self, listener: LaneListener, room: int = 8) -> None:
        """`listener` hears what is told, as a bus would; `room` commands fit into a worker's ring."""
        self._listener: Final = listener
        self._room: Final = room
        self._ids: Final = count(1)
        self.held: Final[dict[int, deque[Sent]]] = {}
        """By worker: what it was sent and has not answered, the one that it runs first."""
        self.groups: Final[dict[int, str]] = {}
        self.replies: Final[list[tuple[int, AggregateState]]] = []
        """Answers to `ask`, with the worker that asked."""
        self.leaving: Final[set[int]] = set()

    # What workers do.

    def add_worker(self, group: str = GROUP) -> int:
        """A worker gets ready; gives its number."""
        worker_id = next(self._ids)
        self.held[worker_id], self.groups[worker_id] = deque(), group
        self._listener.worker_ready(worker_id, group)
        return worker_id

    def complete(self, worker_id: int, outcome: Outcome, elapsed_ns: int = 1_000) -> Submission:
        """A worker finishes the command that it runs; gives that."""
        submission = self.held[worker_id].popleft().submission
        position, generation = submission.envelope.position, submission.generation
        self._listener.completed(worker_id, (Completion(position, generation, elapsed_ns, outcome),))
        self._listener.turn_wanted()
        return submission

    def ask(self, worker_id: int, name: str, aggregate_id: str) -> None:
        """The command that a worker runs needs an aggregate; the answer comes to `replies`."""
        running = self.held[worker_id][0].submission
        request = ReadRequest(running.envelope.position, running.generation, name, aggregate_id)
        self._listener.read_requested(worker_id, request)

    def kill(self, worker_id: int, why: str = "killed by the test") -> None:
        """A worker dies of the command that it runs, if it runs one."""
        held = self.held.pop(worker_id)
        blamed = (held[0].submission.envelope.position, held[0].submission.generation) if held else None
        self._listener.worker_gone(worker_id, blamed, Failure("driven.errors.WorkerDied", why))
        self._listener.turn_wanted()

    def leave(self, worker_id: int) -> None:
        """A worker leaves in peace, with whatever is in its ring."""
        self.retire(worker_id)
        del self.held[worker_id]
        self._listener.worker_left(worker_id)
        self._listener.turn_wanted()

    # What a bus calls.

    def send(self, worker_id: int, submission: Submission, timeout_s: float | None) -> bool:
        """Into the ring, if it has room."""
        if len(self.held[worker_id]) >= self._room:
            return False
        self.held[worker_id].append(Sent(submission, timeout_s))
        return True

    def ring(self) -> None:
        """Nobody sleeps here."""

    def reply(self, worker_id: int, state: AggregateState) -> None:
        """Kept for the test."""
        self.replies.append((worker_id, state))

    def grow(self, group: str) -> None:
        """Here a new worker is ready at once."""
        self.add_worker(group)

    def retire(self, worker_id: int) -> None:
        """It takes no more; it is gone when the test says `leave`."""
        if worker_id in self.held and worker_id not in self.leaving:
            self.leaving.add(worker_id)
            self._listener.worker_leaving(worker_id)

    def statistics(self) -> PoolStatistics:
        """All workers are always there."""
        groups = dict.fromkeys(self.groups.values())
        manned = {group: sum(self.groups[one] == group for one in self.held) for group in groups}
        return PoolStatistics("processes", tuple(GroupStatistics(g, n, n, 0, n, 0, 0) for g, n in manned.items()))

    def vitals(self) -> tuple[Vitals, ...]:
        """Every worker, as idle or as running what came first."""
        found = []
        for worker_id, held in self.held.items():
            position = held[0].submission.envelope.position if held else 0
            state = "running" if held else "idle"
            found.append(Vitals(worker_id, 0, self.groups[worker_id], state, position, 0.0, 0))
        return tuple(found)
