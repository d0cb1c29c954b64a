"""The scaler: looks at what waits and at who is idle, has the policy decide, and tells the lane.

::

    its own thread, every LOOK_S                         bus thread
    --------------------------------                     ----------------------------------------
    does work wait? twice in a row: --- what it saw ---> who is idle since when (the lane's vitals)
    CPUs idle, quota, throttling                         driven.pool.scaling.decide
    once in REVIEW_S: --------------- what it saw -----> lane.grow, lane.retire

The bus thread has nothing to do with it but for the moment of a decision: once a second, and whenever work waits while
there could be more workers. One lane with a moving number of workers has one scaler, from when its workers are ready
until it stops.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from driven.pool.machine import MachineWatch
from driven.pool.scaling import Bounds, Crew, Grow, Machine, Retire, bounds_of, decide
from driven.settings import DEFAULT_GROUP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from driven.bus.lane import Lane, Vitals
    from driven.settings import WorkerSettings

LOOK_S: Final = 0.04
"""Seconds between two looks: work that waits is seen twice, and a worker asked for, within 100 ms."""

REVIEW_S: Final = 1.0
"""Seconds after which limits are read again and idle workers counted, whatever waits."""

LONGEST_STEP_S: Final = 2.0
"""How much time may count between two reviews; more than that was a freeze, in which nobody could work (P7)."""


@contextmanager
def scaling(
    lane: Lane,
    settings: WorkerSettings,
    *,
    members: int,
    has_waiting: Callable[[], bool],
    call_on_bus_thread: Callable[..., object],
) -> Iterator[None]:
    """Move the number of workers of the group ``default`` while the block runs; for the arguments see `Scaler`."""
    scaler = Scaler(
        lane=lane,
        group=DEFAULT_GROUP,
        members=members,
        bounds=bounds_of(settings),
        watch=MachineWatch(),
        has_waiting=has_waiting,
        call_on_bus_thread=call_on_bus_thread,
    )
    scaler.start()
    try:
        yield
    finally:
        scaler.stop()


class Attendance:
    """For how long each worker has done nothing, from what its vitals say at each review."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[int, float]] = {}

    def idle_s(self, vitals: tuple[Vitals, ...], step_s: float) -> tuple[tuple[int, float], ...]:
        """The workers that are ready, and their idle seconds; `step_s` after the review before."""
        seen: dict[int, tuple[int, float]] = {}
        for one in vitals:
            if one.state in {"starting", "stopping", "abandoned"}:
                continue
            completed, idle_s = self._seen.get(one.worker_id, (-1, 0.0))
            is_idle = one.state == "idle" and one.completed == completed
            seen[one.worker_id] = (one.completed, idle_s + step_s if is_idle else 0.0)
        self._seen = seen
        return tuple((worker_id, idle_s) for worker_id, (_, idle_s) in seen.items())


class Scaler:
    """Moves the number of workers of one group."""

    def __init__(  # noqa: PLR0913 - one argument per thing that it looks at or tells
        self,
        *,
        lane: Lane,
        group: str,
        members: int,
        bounds: Bounds,
        watch: MachineWatch,
        has_waiting: Callable[[], bool],
        call_on_bus_thread: Callable[..., object],
    ) -> None:
        """Nothing is looked at yet.

        Args:
            lane: where workers come from.
            group: the group whose number moves.
            members: how many it has now.
            bounds: how few and how many there may be.
            watch: a look at the machine.
            has_waiting: whether commands wait for a worker of the group; asked from the scaler's thread.
            call_on_bus_thread: safe from any thread; RuntimeError when its loop is closed.

        """
        self._lane: Final = lane
        self._group: Final = group
        self._members = members
        self._bounds: Final = bounds
        self._watch: Final = watch
        self._has_waiting: Final = has_waiting
        self._call_on_bus_thread: Final = call_on_bus_thread
        self._attendance: Final = Attendance()
        self._reviewed_s = time.monotonic()
        self._is_stopped: Final = threading.Event()
        self._thread: Final = threading.Thread(target=self._run, name="driven-scaler", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; what was decided before may still be said to the lane, which is stopping by then."""
        self._is_stopped.set()
        self._thread.join()

    # Its own thread.

    def _run(self) -> None:
        looks, waited = 0, False
        while not self._is_stopped.wait(LOOK_S):
            looks += 1
            waits = self._has_waiting()
            is_review = looks * LOOK_S >= REVIEW_S
            if is_review:
                looks = 0
                self._watch.read_limits()
            machine = self._watch.look() if is_review or waits else None
            is_short = waits and waited
            if machine is not None and (is_review or (is_short and self._has_room(machine))):
                try:
                    self._call_on_bus_thread(self._act, machine, is_short)
                except RuntimeError:  # the loop is closed, and the bus with it
                    return
            waited = waits

    def _has_room(self, machine: Machine) -> bool:
        return self._members < self._bounds.limit(machine.cpus)

    # The bus thread.

    def _act(self, machine: Machine, is_short: bool) -> None:  # noqa: FBT001 - called by a loop, which passes no names
        if self._is_stopped.is_set():
            return
        decision = decide(self._bounds, self._crew(is_short=is_short), machine)
        if isinstance(decision, Grow):
            self._members += decision.number
            for _ in range(decision.number):
                self._lane.grow(self._group)
        elif isinstance(decision, Retire):
            self._members -= len(decision.workers)
            for worker_id in decision.workers:
                self._lane.retire(worker_id)

    def _crew(self, *, is_short: bool) -> Crew:
        now_s = time.monotonic()
        step_s = min(now_s - self._reviewed_s, LONGEST_STEP_S)
        self._reviewed_s = now_s
        vitals = tuple(one for one in self._lane.vitals() if one.group == self._group)
        idle_s = self._attendance.idle_s(vitals, step_s)
        return Crew(
            members=self._members, starting=max(0, self._members - len(idle_s)), is_short=is_short, idle_s=idle_s
        )
