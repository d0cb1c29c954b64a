"""How many workers there should be: a table of moments and decisions, and lives of loads in simulated time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driven.pool.scaling import Bounds, Crew, Grow, Machine, Retire, decide

BOUNDS = Bounds(least=1, most=None, idle_timeout_s=60.0)
FREE = Machine(cpus=8, idle_cpus=6.0, is_throttled=False)


def crew(*idle_s: float, starting: int = 0, is_short: bool = False) -> Crew:
    """Workers 1, 2, … that have been idle for so many seconds, and some that are starting."""
    return Crew(len(idle_s) + starting, starting, is_short, tuple(enumerate(idle_s, 1)))


ROWS: dict[str, tuple[Bounds, Crew, Machine, Grow | Retire | None]] = {
    "nothing to do, not for long": (BOUNDS, crew(5.0, 0.0), FREE, None),
    "idle for long": (BOUNDS, crew(5.0, 61.0, 90.0), FREE, Retire((3,))),
    "idle for long, and the last one": (BOUNDS, crew(90.0), FREE, None),
    "idle for long, as many as must stay": (Bounds(2, None, 60.0), crew(90.0, 90.0), FREE, None),
    "short": (BOUNDS, crew(0.0, is_short=True), FREE, Grow(1)),
    "short: no more than double": (BOUNDS, crew(0.0, 0.0, 0.0, is_short=True), FREE, Grow(3)),
    "short: no more than CPUs are idle": (
        BOUNDS,
        crew(0.0, 0.0, 0.0, is_short=True),
        Machine(8, 2.4, is_throttled=False),
        Grow(2),
    ),
    "short: no more than CPUs are available": (
        BOUNDS,
        crew(*[0.0] * 5, is_short=True),
        Machine(6, 6.0, is_throttled=False),
        Grow(1),
    ),
    "short: no more than the settings allow": (Bounds(1, 4, 60.0), crew(0.0, 0.0, 0.0, is_short=True), FREE, Grow(1)),
    "short, and as many as there may be": (BOUNDS, crew(*[0.0] * 8, is_short=True), FREE, None),
    "short, and some are starting": (BOUNDS, crew(0.0, starting=1, is_short=True), FREE, None),
    "short, and all CPUs are busy": (BOUNDS, crew(0.0, is_short=True), Machine(8, 0.3, is_throttled=False), None),
    "short, and held back by the quota": (BOUNDS, crew(0.0, is_short=True), Machine(8, 6.0, is_throttled=True), None),
    "short, and one is idle for long": (BOUNDS, crew(0.0, 99.0, is_short=True), FREE, Grow(2)),
    "fewer than must be": (Bounds(3, None, 60.0), crew(0.0), Machine(8, 0.0, is_throttled=True), Grow(2)),
    "the quota fell": (BOUNDS, crew(0.0, 3.0, 0.0, 2.0), Machine(2, 0.0, is_throttled=True), Retire((2, 4))),
    "the quota fell below what must be": (
        Bounds(3, None, 60.0),
        crew(*[0.0] * 3),
        Machine(1, 0.0, is_throttled=True),
        None,
    ),
    "the quota fell while they start": (BOUNDS, crew(starting=4), Machine(2, 0.0, is_throttled=False), None),
    "the quota rose": (BOUNDS, crew(0.0, 0.0, is_short=True), Machine(64, 60.0, is_throttled=False), Grow(2)),
}


@pytest.mark.parametrize(("bounds", "of", "machine", "decision"), ROWS.values(), ids=ROWS.keys())
def test_each_moment_has_its_decision(
    bounds: Bounds, of: Crew, machine: Machine, decision: Grow | Retire | None
) -> None:
    """Scaling: by backlog, by what CPUs do nothing, by what the kernel holds back; within the bounds."""
    assert decide(bounds, of, machine) == decision


@given(
    bounds=st.builds(Bounds, st.integers(1, 4), st.none() | st.integers(4, 300), st.floats(0.1, 100.0)),
    of=st.builds(crew, is_short=st.booleans(), starting=st.integers(0, 5))
    | st.lists(st.floats(0.0, 200.0), max_size=200).map(lambda idle_s: crew(*idle_s)),
    machine=st.builds(Machine, st.integers(1, 256), st.floats(0.0, 256.0), st.booleans()),
)
def test_no_decision_leaves_the_bounds(bounds: Bounds, of: Crew, machine: Machine) -> None:
    """Scaling: never fewer than must stay, never more than there may be, and nobody leaves who is not there."""
    decision = decide(bounds, of, machine)

    if isinstance(decision, Grow):
        assert 0 < decision.number <= bounds.limit(machine.cpus) - of.members
    if isinstance(decision, Retire):
        assert set(decision.workers) <= {worker_id for worker_id, _ in of.idle_s}
        assert of.members - len(decision.workers) >= bounds.least


class Life:
    """A crew in simulated time: a look every 50 ms, workers that take 150 ms to start, a load in busy CPUs."""

    def __init__(self, cpus: int, idle_timeout_s: float = 10.0) -> None:
        self.bounds = Bounds(1, None, idle_timeout_s)
        self.cpus = cpus
        self.now_s = 0.0
        self.idle_since_s: dict[int, float] = {1: 0.0}
        self.starting: list[float] = []
        self.changes: list[tuple[float, int]] = []
        self.last_id = 1
        self.was_short = False

    def look(self, load: float) -> None:
        """`load` workers could be kept busy now."""
        self.now_s += 0.05
        for ready_s in [ready_s for ready_s in self.starting if ready_s <= self.now_s]:
            self.starting.remove(ready_s)
            self.last_id += 1
            self.idle_since_s[self.last_id] = self.now_s
        at_work = list(self.idle_since_s)[: round(load)]
        self.idle_since_s.update(dict.fromkeys(at_work, self.now_s))
        is_short = load > len(self.idle_since_s)
        idle_s = tuple((worker, self.now_s - since_s) for worker, since_s in self.idle_since_s.items())
        seen = Crew(len(idle_s) + len(self.starting), len(self.starting), is_short and self.was_short, idle_s)
        self.was_short = is_short
        machine = Machine(self.cpus, max(0.0, self.cpus - min(load, len(self.idle_since_s))), is_throttled=False)
        decision = decide(self.bounds, seen, machine)
        if isinstance(decision, Grow):
            self.starting += [self.now_s + 0.15] * decision.number
            self.changes.append((self.now_s, decision.number))
        if isinstance(decision, Retire):
            for worker in decision.workers:
                del self.idle_since_s[worker]
            self.changes.append((self.now_s, -len(decision.workers)))


@pytest.mark.parametrize("cpus", [2, 64, 192])
def test_a_worker_is_added_within_100_ms_of_need(cpus: int) -> None:
    """Scaling: need is work that waits through two looks; a crew of one is one of all CPUs within 2 s."""
    life = Life(cpus)
    life.look(0.0)
    began_s = life.now_s

    while len(life.idle_since_s) < cpus:
        life.look(cpus)

    assert life.changes[0][0] - began_s <= 0.1 + 1e-9
    assert life.now_s - began_s < 2.0


@pytest.mark.parametrize("period_s", [0.1, 1.0, 5.0, 9.0])
def test_a_load_that_comes_and_goes_faster_than_the_idle_time_changes_nothing_once_it_is_met(period_s: float) -> None:
    """Scaling: no swinging; workers come for the first burst and stay."""
    life = Life(cpus=16, idle_timeout_s=10.0)

    while life.now_s < 120.0:
        life.look(16.0 if life.now_s % period_s < period_s / 2 else 0.0)

    assert all(number > 0 for _, number in life.changes)
    assert len(life.idle_since_s) == 16 or period_s == 0.1


def test_workers_leave_one_by_one_when_the_load_is_gone_for_good() -> None:
    """Scaling: each after the idle time, down to the least, and then nothing moves."""
    life = Life(cpus=8, idle_timeout_s=10.0)
    while life.now_s < 5.0:
        life.look(8.0)
    while life.now_s < 60.0:
        life.look(0.0)

    left = [(at_s, number) for at_s, number in life.changes if number < 0]
    assert len(life.idle_since_s) == 1
    assert [number for _, number in left] == [-1] * 7
    assert left[0][0] >= 15.0
    assert left[-1][0] < 16.0
