"""A group of workers as the scheduler sees it: who is idle, who has credit left, and who is home to which key.

::

    queue --.                         .--> idle      holds nothing: comes first, the one that worked last before others
            +--> [oldest candidate] --+
    home  --'    of what it may take  '--> hungry    holds less than a credit: in turn

Nobody searches: a worker is put on the list that it belongs on when that changes, and looked at when it is taken from
there. So a decision costs the same for 2 workers and for 192.

Sticky keys: a key has one home, the first worker that could take a command of it. What comes later waits there, until
the home dies, or has so much to do that waiting costs more than a warm cache is worth while another worker has
nothing to do: then the key moves, with all that waits. It never moves while its home still holds one of its commands,
so those of one key that have not begun are never in two places.

The scheduler owns its groups. Pure.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import Final, Generic

from driven.bus.candidates import CandidateQueue, CandidateT

CREDIT_NS: Final = 2_000_000
"""Nanoseconds of estimated work that a worker may hold before it is given no more."""

PATIENCE_NS: Final = 10 * CREDIT_NS
"""Nanoseconds of estimated work before a home, beyond which its keys may move to a worker with nothing to do."""

STICKY_KEYS: Final = 65_536
"""Keys per group whose worker is remembered; the oldest is forgotten first, and may move."""

LOOKED_AT: Final = 4
"""Homes that are looked at for a key that should move, at most, when a worker has nothing to do."""


class Home(Generic[CandidateT]):
    """A sticky key: the worker it has, and what waits for that worker."""

    __slots__ = ("held", "key", "queue", "waiting_ns", "worker")

    def __init__(self, key: str, worker: Worker[CandidateT]) -> None:
        self.key: Final = key
        self.worker = worker
        self.queue: Final[CandidateQueue[CandidateT]] = CandidateQueue()
        self.waiting_ns = 0.0
        self.held = 0
        """Commands of this key that the worker holds."""


class Worker(Generic[CandidateT]):
    """One worker: what it holds, and what waits for it alone."""

    __slots__ = (
        "group",
        "held",
        "held_ns",
        "homes",
        "is_full",
        "is_gone",
        "is_in_hungry",
        "is_in_idle",
        "is_refusing",
        "waiting_ns",
        "worker_id",
    )

    def __init__(self, worker_id: int, group: WorkerGroup[CandidateT]) -> None:
        self.worker_id: Final = worker_id
        self.group: Final = group
        self.held: dict[int, CandidateT] = {}
        self.held_ns = 0.0
        self.is_full = False
        """Whether it has refused a command and finished none since."""
        self.is_refusing = False
        """Whether it has refused one in this turn."""
        self.is_gone = False
        self.is_in_idle = False
        self.is_in_hungry = False
        self.homes: Final[list[tuple[int, Home[CandidateT]]]] = []
        """A heap of keys by the first position that waits; entries that are not true any more are dropped when met."""
        self.waiting_ns = 0.0
        """Estimated work that waits for this worker alone."""

    @property
    def has_credit(self) -> bool:
        """Whether it may be given more: one that holds nothing is worth asking again, whatever it refused before."""
        return not self.is_refusing and (not self.held or (self.held_ns < self.group.credit_ns and not self.is_full))

    @property
    def is_crowded(self) -> bool:
        """Whether it has so much to do that a key should move, and one that may: all that it has of it waits."""
        if self.held_ns + self.waiting_ns <= PATIENCE_NS:
            return False
        homes = [home for _, home in tuple(self.homes)]
        return any(home.worker is self and len(home.queue) and not home.held for home in homes)

    @property
    def first_home(self) -> Home[CandidateT] | None:
        """The key whose oldest candidate is the oldest of all that wait for this worker alone."""
        homes = self.homes
        while homes:
            position, home = homes[0]
            if home.worker is self and len(home.queue) and home.queue.first == position:
                return home
            heapq.heappop(homes)
        return None


class WorkerGroup(Generic[CandidateT]):
    """Workers that share a queue."""

    __slots__ = (
        "_crowded",
        "_home_of",
        "credit_ns",
        "hungry",
        "idle",
        "owing",
        "queue",
        "refusing",
        "reserved",
        "workers",
    )

    def __init__(self, credit_ns: float) -> None:
        self.credit_ns: Final = credit_ns
        self.queue: CandidateQueue[CandidateT] = CandidateQueue()
        self.workers: dict[int, Worker[CandidateT]] = {}
        self.idle: list[Worker[CandidateT]] = []
        """Who holds nothing; whoever came last is taken first: his caches are warm, and the others can be let go."""
        self.hungry: deque[Worker[CandidateT]] = deque()
        """Who holds something and, when last looked at, had credit."""
        self.owing: dict[Worker[CandidateT], None] = {}
        """Who has credit and, most likely, something that waits for him alone."""
        self.refusing: list[Worker[CandidateT]] = []
        """Whose ring was full when last asked."""
        self.reserved = 0
        """Candidates that wait for one worker alone."""
        self._home_of: dict[str, Home[CandidateT]] = {}
        self._crowded: dict[Worker[CandidateT], None] = {}
        """Workers for which something waits, in the order in which they are looked at."""

    @property
    def has_waiting(self) -> bool:
        """Whether anything waits that one more worker could take: for anybody, or with a key that would move to it.

        Asked by another thread: it looks at copies, and what it says may be over by then.
        """
        if self.queue.row or self.queue.late:
            return True
        return bool(self.reserved) and any(worker.is_crowded for worker in tuple(self.workers.values()))

    def add(self, worker: Worker[CandidateT]) -> None:
        """A worker with nothing to do."""
        self.workers[worker.worker_id] = worker
        self.note(worker)

    def remove(self, worker: Worker[CandidateT]) -> None:
        """Forget a worker; its keys have no home any more, and what waited for it alone waits for anyone."""
        worker.is_gone = True
        del self.workers[worker.worker_id]
        self.owing.pop(worker, None)
        self._crowded.pop(worker, None)
        for home in [home for home in self._home_of.values() if home.worker is worker]:
            del self._home_of[home.key]
            self.reserved -= len(home.queue)
            while len(home.queue):
                self.queue.push(home.queue.pop())

    def note(self, worker: Worker[CandidateT]) -> None:
        """Put a worker on the lists that it belongs on: it came, finished something, or something waits for it."""
        if not worker.held:
            worker.held_ns = 0.0  # sums of floats drift
        if not worker.has_credit:
            return
        if not worker.held:
            if not worker.is_in_idle:
                worker.is_in_idle = True
                self.idle.append(worker)
        elif not worker.is_in_hungry:
            worker.is_in_hungry = True
            self.hungry.append(worker)
        if worker.homes:
            self.owing[worker] = None

    def ask_again(self) -> None:
        """Forget who refused in the turn before; nothing that one who holds nothing finishes would tell."""
        for worker in self.refusing:
            worker.is_refusing = False
            if not worker.is_gone:
                self.note(worker)
        self.refusing.clear()

    def next_worker(self) -> Worker[CandidateT] | None:
        """Take the next worker with credit off the lists; None when nobody has any."""
        idle, hungry = self.idle, self.hungry
        while idle:
            worker = idle.pop()
            worker.is_in_idle = False
            if not (worker.held or worker.is_gone or worker.is_refusing):
                return worker
        while hungry:
            worker = hungry.popleft()
            worker.is_in_hungry = False
            if worker.has_credit and not worker.is_gone:
                return worker
        return None

    # Sticky keys.

    def wait_at_home(self, candidate: CandidateT) -> bool:
        """Have a candidate wait for the worker that its key has; False when the key has none."""
        home = None if candidate.key is None else self._home_of.get(candidate.key)
        if home is None:
            return False
        home.queue.push(candidate)
        home.waiting_ns += candidate.load_ns
        home.worker.waiting_ns += candidate.load_ns
        self.reserved += 1
        if home.queue.first == candidate.position:
            self._list(home)
        return True

    def settle_in(self, candidate: CandidateT, worker: Worker[CandidateT]) -> bool:
        """Whether this worker is the home of the candidate's key, as it is from now on if there was none."""
        key = candidate.key
        if key is None:
            return True
        home = self._home_of.get(key)
        if home is None:
            self._forget_one_key()
            home = self._home_of[key] = Home(key, worker)
        if home.worker is not worker:
            return False
        home.held += 1
        return True

    def take_reserved(self, home: Home[CandidateT]) -> CandidateT:
        """Take the oldest of a key, which is the oldest of all that wait for its home alone."""
        worker = home.worker
        heapq.heappop(worker.homes)
        candidate = home.queue.pop()
        if len(home.queue):
            heapq.heappush(worker.homes, (home.queue.first, home))
        home.waiting_ns -= candidate.load_ns
        worker.waiting_ns -= candidate.load_ns
        self.reserved -= 1
        home.held += 1
        return candidate

    def let_go(self, candidate: CandidateT, worker: Worker[CandidateT]) -> None:
        """A worker does not hold this candidate of a sticky type any more."""
        home = None if candidate.key is None else self._home_of.get(candidate.key)
        if home is not None and home.worker is worker and home.held:
            home.held -= 1

    def relieve(self) -> bool:
        """Let a worker with nothing to do become the home of a key that has to wait for long; False: there is none."""
        while self.idle and (self.idle[-1].held or self.idle[-1].is_refusing or self.idle[-1].is_gone):
            self.idle.pop().is_in_idle = False
        if not self.idle:
            return False
        for _ in range(min(LOOKED_AT, len(self._crowded))):
            crowd = next(iter(self._crowded))
            del self._crowded[crowd]
            if crowd.first_home is None or crowd.is_gone:
                continue
            self._crowded[crowd] = None  # behind the others
            if crowd.held_ns + crowd.waiting_ns <= PATIENCE_NS:
                continue
            for _, home in crowd.homes[:LOOKED_AT]:
                if home.worker is crowd and len(home.queue) and not home.held:
                    self._move(home, self.idle[-1])
                    return True
        return False

    def _move(self, home: Home[CandidateT], worker: Worker[CandidateT]) -> None:
        home.worker.waiting_ns -= home.waiting_ns
        worker.waiting_ns += home.waiting_ns
        home.worker = worker
        self._list(home)

    def _list(self, home: Home[CandidateT]) -> None:
        """Let its worker know for which position a key waits first."""
        worker = home.worker
        heapq.heappush(worker.homes, (home.queue.first, home))
        self._crowded[worker] = None
        self.note(worker)

    def _forget_one_key(self) -> None:
        """Keep the memory of keys bounded: the oldest goes, unless something of it is waiting or held."""
        if len(self._home_of) < STICKY_KEYS:
            return
        key = next(iter(self._home_of))
        home = self._home_of.pop(key)
        if home.held or len(home.queue):
            self._home_of[key] = home
