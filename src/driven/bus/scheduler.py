"""The scheduler: which worker runs which command, and how much is given to it in advance.

Credit is time. A worker is given work while what it already has is estimated to last less than
`CREDIT_NS`, so a worker with 50 µs commands has dozens in its ring and never starves, and one with 200 ms commands
has a single one and nothing waits behind it. Estimates are moving averages of what workers
measured, per command type. The oldest position goes first, always: it is what retirement waits for.

It holds the commands themselves, as `Candidate`s, and makes nothing per command. What a decision costs depends neither
on how many workers there are nor on how many commands wait: see `driven.bus.worker_group`.

Pure: it takes no clock (durations are reported to it) and does no I/O, so a simulation can drive it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic

from driven.bus.candidates import CandidateT
from driven.bus.worker_group import CREDIT_NS, Worker, WorkerGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_A_TIME_NS: Final = CREDIT_NS // 64
"""Nanoseconds of estimated work after which it is the next worker's turn."""

AVERAGE_WEIGHT: Final = 0.2
"""Weight of the newest measurement in the moving average of a command type."""


class _Kind(Generic[CandidateT]):
    """Commands of one type: where they run, and what they take."""

    __slots__ = ("average_ns", "group", "is_sticky", "samples")

    def __init__(self, group: WorkerGroup[CandidateT], *, is_sticky: bool) -> None:
        self.group: Final = group
        self.is_sticky: Final = is_sticky
        self.average_ns: float = CREDIT_NS
        """A whole credit as long as nothing is known: nothing is put behind what may take for ever."""
        self.samples = 0

    def observe(self, elapsed_ns: float) -> None:
        """One took so long."""
        if self.samples:
            self.average_ns += AVERAGE_WEIGHT * (elapsed_ns - self.average_ns)
        else:
            self.average_ns = elapsed_ns
        self.samples += 1


class Scheduler(Generic[CandidateT]):
    """Commands that may start, workers that are there, and the matching of the two."""

    __slots__ = ("_credit_ns", "_groups", "_kinds", "_workers", "is_anything_waiting")

    def __init__(self, credit_ns: float = CREDIT_NS) -> None:
        """No worker is there yet; each may hold less than `credit_ns` nanoseconds of estimated work, and one more."""
        self._credit_ns: Final = credit_ns
        self._groups: dict[str, WorkerGroup[CandidateT]] = {}
        self._workers: dict[int, Worker[CandidateT]] = {}
        self._kinds: dict[int, _Kind[CandidateT]] = {}
        self.is_anything_waiting = False
        """Whether any command waits for a worker; asked far more often than it changes."""

    def declare(self, type_id: int, group: str, *, is_sticky: bool = False) -> None:
        """Commands of this type run in this group; sticky ones of the same key on the same worker. Said once."""
        self._kinds[type_id] = _Kind(self._group(group), is_sticky=is_sticky)

    def add_worker(self, worker_id: int, group: str) -> None:
        """A worker of this group takes commands from now on."""
        of_group = self._group(group)
        worker = self._workers[worker_id] = Worker(worker_id, of_group)
        of_group.add(worker)

    def close_worker(self, worker_id: int) -> None:
        """A worker is given nothing more, and what waits for it alone waits for anyone; it finishes what it holds."""
        worker = self._workers.get(worker_id)
        if worker is not None and not worker.is_gone:
            worker.group.remove(worker)

    def remove_worker(self, worker_id: int) -> list[CandidateT]:
        """A worker is no more: forget it; what it held and had not finished, oldest first."""
        self.close_worker(worker_id)
        worker = self._workers.pop(worker_id, None)
        return [] if worker is None else [worker.held[position] for position in sorted(worker.held)]

    def enqueue(self, candidate: CandidateT) -> None:
        """A command may start as soon as a worker has credit for it."""
        self.is_anything_waiting = True
        kind = self._kinds[candidate.type_id]
        if kind.is_sticky:
            candidate.load_ns = kind.average_ns
            if kind.group.wait_at_home(candidate):
                return
        kind.group.queue.push(candidate)

    def assign(self) -> Iterator[tuple[CandidateT, int]]:
        """Give out what can be given: pairs of candidate and worker id, one to each worker in turn.

        A candidate counts as held from the moment it is yielded; `refuse` takes it back.
        """
        is_any_left = False
        for group in self._groups.values():
            if group.refusing:
                group.ask_again()
            if group.queue.row or group.queue.late:
                yield from self._assign_shared(group)
            if group.reserved:
                yield from self._assign_reserved(group)
            if group.queue.row or group.queue.late or group.reserved:
                is_any_left = True
        self.is_anything_waiting = is_any_left

    def refuse(self, candidate: CandidateT, worker_id: int) -> None:
        """The ring was full: the candidate waits on, and the worker gets nothing until it finished something."""
        worker = self._workers[worker_id]
        self._release(worker, candidate)
        worker.is_full = worker.is_refusing = True
        worker.group.refusing.append(worker)
        self.enqueue(candidate)

    def forget(self, candidate: CandidateT, worker_id: int) -> None:
        """The candidate is not wanted any more; the worker does not hold it."""
        worker = self._workers[worker_id]
        self._release(worker, candidate)
        worker.group.note(worker)

    def complete(self, worker_id: int, position: int, elapsed_ns: int) -> None:
        """A worker has finished the command at `position`, which took it `elapsed_ns`."""
        worker = self._workers.get(worker_id)
        if worker is None:
            return
        worker.is_full = False
        candidate = worker.held.pop(position, None)
        if candidate is not None:
            worker.held_ns -= candidate.load_ns
            kind = self._kinds[candidate.type_id]
            kind.observe(elapsed_ns)
            if kind.is_sticky:
                worker.group.let_go(candidate, worker)
        if worker.homes or not (worker.held and worker.is_in_hungry):
            worker.group.note(worker)

    def observe(self, type_id: int, elapsed_ns: int) -> None:
        """Learn what a command of this type cost, wherever it ran."""
        self._kinds[type_id].observe(elapsed_ns)

    def measured(self, type_id: int) -> tuple[float, int]:
        """What commands of this type take on average, in nanoseconds, and how many were measured."""
        kind = self._kinds[type_id]
        return kind.average_ns, kind.samples

    def held_by(self, worker_id: int) -> int:
        """How many commands a worker holds."""
        return len(self._workers[worker_id].held)

    def has_waiting(self, group: str) -> bool:
        """Whether commands wait that one more worker of this group could take; from another thread it is a guess."""
        return self._group(group).has_waiting

    def holder_of(self, position: int) -> int | None:
        """The worker that the command at this position was given to and has not finished; None: nobody has it."""
        return next((worker.worker_id for worker in self._workers.values() if position in worker.held), None)

    @property
    def waiting(self) -> int:
        """The number of commands that may start and wait for a worker."""
        return sum(len(group.queue) + group.reserved for group in self._groups.values())

    def _group(self, name: str) -> WorkerGroup[CandidateT]:
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = WorkerGroup(self._credit_ns)
        return group

    def _assign_shared(self, group: WorkerGroup[CandidateT]) -> Iterator[tuple[CandidateT, int]]:
        """Give what any worker may take to those with nothing to do, then to those with credit, in turn.

        Short ones are given several at a time, as long as there are as many for each of the others: it is one decision.
        """
        kinds, row, late, credit_ns = self._kinds, group.queue.row, group.queue.late, self._credit_ns
        share = len(row) // max(1, len(group.workers))
        while (row or late) and (worker := group.next_worker()) is not None:
            several = share
            enough_ns = min(credit_ns, worker.held_ns + AT_A_TIME_NS)
            while True:
                if late or worker.homes or kinds[row[0].type_id].is_sticky:
                    several = 0
                    candidate = self._next_for(worker)
                    if candidate is None:  # all that was there waits for others now
                        group.note(worker)
                        return
                else:
                    several -= 1
                    candidate = row.popleft()
                worker.held[candidate.position] = candidate
                load_ns = candidate.load_ns = kinds[candidate.type_id].average_ns
                worker.held_ns += load_ns
                yield candidate, worker.worker_id
                if several <= 0 or not row or worker.held_ns >= enough_ns or worker.is_full or worker.is_gone:
                    break
            if worker.held_ns < credit_ns and not (worker.is_full or worker.is_in_hungry):
                worker.is_in_hungry = True
                group.hungry.append(worker)

    def _assign_reserved(self, group: WorkerGroup[CandidateT]) -> Iterator[tuple[CandidateT, int]]:
        """Give workers what waits for them alone; no other work is left for whoever has credit."""
        is_moved = True
        while is_moved:
            while group.owing:
                worker, _ = group.owing.popitem()
                while worker.has_credit and (home := worker.first_home) is not None:
                    candidate = group.take_reserved(home)
                    worker.held[candidate.position] = candidate
                    candidate.load_ns = self._kinds[candidate.type_id].average_ns
                    worker.held_ns += candidate.load_ns
                    yield candidate, worker.worker_id
                group.note(worker)  # it may have credit left, for what any may take
            is_moved = bool(group.reserved) and group.relieve()

    def _next_for(self, worker: Worker[CandidateT]) -> CandidateT | None:
        """Take the oldest of what waits for this worker alone and what any may take; None when there is neither."""
        group, queue = worker.group, worker.group.queue
        home = worker.first_home
        while len(queue) and (home is None or queue.first < home.queue.first):
            candidate = queue.pop()
            if not self._kinds[candidate.type_id].is_sticky or group.settle_in(candidate, worker):
                return candidate
            group.wait_at_home(candidate)
        return None if home is None else group.take_reserved(home)

    def _release(self, worker: Worker[CandidateT], candidate: CandidateT) -> None:
        if worker.held.pop(candidate.position, None) is not None:
            worker.held_ns -= candidate.load_ns
            if self._kinds[candidate.type_id].is_sticky:
                worker.group.let_go(candidate, worker)
