"""The scheduler: which worker runs which command, and how much is given to it in advance.

Credit is time. A worker is given work while what it already has is estimated to last less than
`CREDIT_NS`, so a worker with 50 µs commands has dozens in its ring and never starves, and one with 200 ms commands
has a single one and nothing waits behind it. Estimates are moving averages of what workers
measured, per command type. The oldest position goes first, always: it is what retirement waits for.

Pure: it takes no clock (durations are reported to it) and does no I/O, so a simulation can drive it.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

CREDIT_NS: Final = 2_000_000
"""Nanoseconds of estimated work that a worker may hold before it is given no more."""

AVERAGE_WEIGHT: Final = 0.2
"""Weight of the newest measurement in the moving average of a command type."""

HANDOVER_NS: Final = 150_000
"""Nanoseconds that a command must cost before `Placement.AUTO` sends its type to workers."""

STICKY_KEYS: Final = 65_536
"""Keys per group whose worker is remembered; the oldest is forgotten first, and may move."""


class Candidate:
    """One command that may start, and where it may run."""

    __slots__ = ("estimate_ns", "group", "position", "sticky_key", "type_id")

    def __init__(self, position: int, type_id: int, group: str, sticky_key: str | None) -> None:
        """`sticky_key` None: any worker of the group will do."""
        self.position = position
        self.type_id = type_id
        self.group = group
        self.sticky_key = sticky_key
        self.estimate_ns = 0


_Queue = list[tuple[int, Candidate]]
"""A heap by position; pairs, as the interpreter compares numbers faster than it calls a method of ours."""


class _Worker:
    """One worker as the scheduler sees it: what it holds, and what is reserved for it."""

    __slots__ = ("group", "held", "held_ns", "is_full", "reserved", "worker_id")

    def __init__(self, worker_id: int, group: str) -> None:
        self.worker_id = worker_id
        self.group = group
        self.held: dict[int, Candidate] = {}
        self.held_ns = 0
        self.is_full = False
        self.reserved: _Queue = []

    @property
    def has_credit(self) -> bool:
        """One that holds nothing is worth asking again, whatever it refused before: nothing it finishes would tell."""
        return not self.held or (not self.is_full and self.held_ns < CREDIT_NS)


class _Group:
    """Workers that share a queue."""

    __slots__ = ("home_of", "queue", "workers")

    def __init__(self) -> None:
        self.queue: _Queue = []
        self.workers: dict[int, _Worker] = {}
        self.home_of: dict[str, _Worker] = {}

    def home_for(self, key: str, candidate: _Worker) -> _Worker:
        """The worker that `key` sticks to: `candidate`, the first that could take it, unless there is one already."""
        home = self.home_of.get(key)
        if home is None:
            home = self.home_of[key] = candidate
            if len(self.home_of) > STICKY_KEYS:
                del self.home_of[next(iter(self.home_of))]
        return home


class Scheduler:
    """Commands that may start, workers that are there, and the matching of the two."""

    __slots__ = ("_average_ns", "_groups", "_workers")

    def __init__(self) -> None:
        """No worker is there yet."""
        self._groups: dict[str, _Group] = {}
        self._workers: dict[int, _Worker] = {}
        self._average_ns: dict[int, float] = {}

    def add_worker(self, worker_id: int, group: str) -> None:
        """A worker of this group takes commands from now on."""
        worker = self._workers[worker_id] = _Worker(worker_id, group)
        self._group(group).workers[worker_id] = worker

    def remove_worker(self, worker_id: int) -> list[Candidate]:
        """A worker is no more: forget it; what it held and had not finished, oldest first."""
        worker = self._workers.pop(worker_id, None)
        if worker is None:
            return []
        group = self._groups[worker.group]
        del group.workers[worker_id]
        group.home_of = {key: home for key, home in group.home_of.items() if home is not worker}
        for _, candidate in worker.reserved:
            self.enqueue(candidate)
        return [candidate for _, candidate in sorted(worker.held.items())]

    def enqueue(self, candidate: Candidate) -> None:
        """A command may start as soon as a worker has credit for it."""
        group = self._group(candidate.group)
        home = group.home_of.get(candidate.sticky_key) if candidate.sticky_key is not None else None
        heapq.heappush(home.reserved if home else group.queue, (candidate.position, candidate))

    def assign(self) -> Iterator[tuple[Candidate, int]]:
        """Give out what can be given: pairs of candidate and worker id, one to each worker in turn.

        A candidate counts as held from the moment it is yielded; `refuse` takes it back.
        """
        for group in self._groups.values():
            hungry = [worker for worker in group.workers.values() if worker.has_credit]
            while hungry:
                hungry.sort(key=lambda worker: worker.held_ns)
                is_any_fed = False
                for worker in hungry:
                    candidate = self._next_for(worker, group)
                    if candidate is not None:
                        self._hold(worker, candidate)
                        yield candidate, worker.worker_id
                        is_any_fed = True
                others = group.workers.values() if is_any_fed else ()
                hungry = [worker for worker in others if worker.has_credit and not worker.is_full]

    def refuse(self, candidate: Candidate, worker_id: int) -> None:
        """The ring was full: the candidate waits on, and the worker gets nothing until it finished something."""
        worker = self._workers[worker_id]
        self._release(worker, candidate.position)
        worker.is_full = True
        self.enqueue(candidate)

    def forget(self, candidate: Candidate, worker_id: int) -> None:
        """The candidate is not wanted any more; the worker does not hold it."""
        self._release(self._workers[worker_id], candidate.position)

    def complete(self, worker_id: int, position: int, elapsed_ns: int) -> None:
        """A worker has finished the command at `position`, which took it `elapsed_ns`."""
        worker = self._workers.get(worker_id)
        if worker is None:
            return
        worker.is_full = False
        candidate = self._release(worker, position)
        if candidate is not None:
            self.observe(candidate.type_id, elapsed_ns)

    def observe(self, type_id: int, elapsed_ns: int) -> None:
        """Learn what a command of this type cost, wherever it ran."""
        average = self._average_ns.get(type_id)
        self._average_ns[type_id] = elapsed_ns if average is None else average + AVERAGE_WEIGHT * (elapsed_ns - average)

    def pays_off(self, type_id: int) -> bool:
        """Whether commands of this type cost more than handing them over does."""
        return self._average_ns.get(type_id, 0) > HANDOVER_NS

    def estimate_ns(self, type_id: int) -> int:
        """What a command of this type is expected to take; a whole credit as long as nothing is known."""
        return int(self._average_ns.get(type_id, CREDIT_NS))

    @property
    def waiting(self) -> int:
        """The number of commands that may start and wait for a worker."""
        return sum(len(group.queue) for group in self._groups.values()) + sum(
            len(worker.reserved) for worker in self._workers.values()
        )

    def _group(self, name: str) -> _Group:
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = _Group()
        return group

    def _next_for(self, worker: _Worker, group: _Group) -> Candidate | None:
        """The oldest of what is reserved for this worker and what any may take."""
        own, shared = worker.reserved, group.queue
        while shared and not (own and own[0] < shared[0]):
            _, candidate = heapq.heappop(shared)
            home = worker if candidate.sticky_key is None else group.home_for(candidate.sticky_key, worker)
            if home is worker:
                return candidate
            heapq.heappush(home.reserved, (candidate.position, candidate))
        return heapq.heappop(own)[1] if own else None

    def _hold(self, worker: _Worker, candidate: Candidate) -> None:
        candidate.estimate_ns = self.estimate_ns(candidate.type_id)
        worker.held[candidate.position] = candidate
        worker.held_ns += candidate.estimate_ns

    def _release(self, worker: _Worker, position: int) -> Candidate | None:
        candidate = worker.held.pop(position, None)
        if candidate is not None:
            worker.held_ns -= candidate.estimate_ns
        return candidate
