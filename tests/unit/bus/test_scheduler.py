"""The scheduler against a model, over random lives of workers: nothing lost, nothing twice, nobody idle beside work.

A worker here is a record in the test; commands have one of three costs, some stick to a worker by their key. The model
knows where every candidate is, and what the laws allow to happen to it next.
"""

from __future__ import annotations

import gc
import sys
from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from driven.bus.scheduler import AT_A_TIME_NS, Scheduler
from driven.bus.worker_group import CREDIT_NS, PATIENCE_NS, STICKY_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterable

SHORT, LONG, UNKNOWN, TINY = range(4)
COST_NS = {SHORT: 50_000, LONG: 200_000_000, TINY: 2_000}
GROUPS = ("default", "pricing")
KEYS = ("a", "b", "c")
STICKY = 10
"""Added to a type: the same, with commands that stick to a worker by their key."""
OF_GROUP = {"default": 0, "pricing": 100}
"""Added to a type: the same, in this group."""


class Asked:
    """A command that may start; a `Candidate`."""

    def __init__(self, position: int, type_id: int, key: str | None) -> None:
        self.position = position
        self.type_id = type_id
        self.key = key
        self.load_ns = 0.0

    @property
    def group(self) -> str:
        return "pricing" if self.type_id >= OF_GROUP["pricing"] else "default"

    @property
    def sticky_key(self) -> str | None:
        return self.key if self.type_id % 100 >= STICKY else None

    @property
    def cost_ns(self) -> int:
        """What it takes, and is known to take; a credit where nothing is known."""
        return COST_NS.get(self.type_id % 10, CREDIT_NS)


def new_scheduler(costs_ns: dict[int, int]) -> Scheduler[Asked]:
    """All types there are, and what commands of each are known to cost."""
    scheduler: Scheduler[Asked] = Scheduler()
    for cost, (group, of_group) in product((SHORT, LONG, UNKNOWN, TINY), OF_GROUP.items()):
        for sticky in (0, STICKY):
            type_id = cost + sticky + of_group
            scheduler.declare(type_id, group, is_sticky=bool(sticky))
            if cost in costs_ns:
                scheduler.observe(type_id, costs_ns[cost])
    return scheduler


class Pool(RuleBasedStateMachine):
    """Random additions, deaths, refusals and completions; the model is five dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = new_scheduler(COST_NS)
        self.last_position = 0
        self.last_worker = 0
        self.candidates: dict[int, Asked] = {}
        """Every candidate ever made."""
        self.waiting: set[int] = set()
        self.held: dict[int, list[int]] = {}
        """Worker -> positions it was given, in the order in which it was."""
        self.group_of: dict[int, str] = {}
        self.full: set[int] = set()
        """Workers that refused a candidate and have not finished one since."""
        self.home: dict[tuple[str, str], int] = {}
        """The worker that was given a key last, as long as it lives."""

    @rule(group=st.sampled_from(GROUPS))
    def add_worker(self, group: str) -> None:
        """A new incarnation."""
        self.last_worker += 1
        self.scheduler.add_worker(self.last_worker, group)
        self.group_of[self.last_worker] = group
        self.held[self.last_worker] = []

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def remove_worker(self, data: st.DataObject) -> None:
        """D3, D8: exactly what it held comes back, oldest first; what was reserved for it goes on waiting."""
        worker_id = data.draw(st.sampled_from(sorted(self.held)))

        returned = [candidate.position for candidate in self.scheduler.remove_worker(worker_id)]

        assert returned == sorted(self.held.pop(worker_id))
        del self.group_of[worker_id]
        self.full.discard(worker_id)
        self.home = {key: home for key, home in self.home.items() if home != worker_id}
        for position in returned:
            self.scheduler.enqueue(self.candidates[position])
            self.waiting.add(position)

    @rule(
        type_ids=st.lists(st.sampled_from([SHORT, LONG, UNKNOWN, TINY]), min_size=1, max_size=30),
        group=st.sampled_from(GROUPS),
        sticky_key=st.none() | st.sampled_from(KEYS),
    )
    def enqueue(self, type_ids: list[int], group: str, sticky_key: str | None) -> None:
        """Commands that may start."""
        for cost in type_ids:
            self.last_position += 1
            type_id = cost + OF_GROUP[group] + (STICKY if sticky_key else 0)
            candidate = self.candidates[self.last_position] = Asked(self.last_position, type_id, sticky_key)
            self.scheduler.enqueue(candidate)
            self.waiting.add(candidate.position)

    @rule(have_no_room=st.sets(st.integers(1, 6)), not_wanted=st.sets(st.integers(1, 40)))
    def assign(self, have_no_room: set[int], not_wanted: set[int]) -> None:
        """Everything that is given out may be given out; afterwards nobody is idle who could work."""
        refused: set[int] = set()
        for candidate, worker_id in self.scheduler.assign():
            assert worker_id not in refused, "asked again, although it has no room"
            self.check_may_be_given(candidate, worker_id)
            if candidate.position in not_wanted:
                self.waiting.remove(candidate.position)
                self.scheduler.forget(candidate, worker_id)
            elif worker_id in have_no_room:
                self.full.add(worker_id)
                refused.add(worker_id)
                self.scheduler.refuse(candidate, worker_id)
            else:
                self.waiting.remove(candidate.position)
                self.held[worker_id].append(candidate.position)
        for worker_id in set(self.held) - refused:
            assert not (self.has_credit(worker_id) and list(self.open_to(worker_id))), "idle beside work (D3, D5)"

    def check_may_be_given(self, candidate: Asked, worker_id: int) -> None:
        """D6, W4: it waits, it fits, and it is the oldest of what this worker may take."""
        assert candidate.position in self.waiting
        assert self.group_of[worker_id] == candidate.group
        assert self.has_credit(worker_id)
        if candidate.sticky_key is not None:
            key = (candidate.group, candidate.sticky_key)
            if self.home.setdefault(key, worker_id) != worker_id:
                self.check_may_move(key, worker_id)
                self.home[key] = worker_id
        assert candidate.position == min(self.open_to(worker_id))

    def check_may_move(self, key: tuple[str, str], worker_id: int) -> None:
        """A key leaves a worker that has too much to do, holds nothing of it, and goes to one that has nothing."""
        home = self.home[key]
        waiting = [self.candidates[one] for one in self.waiting]
        before_it = [one for one in waiting if self.home.get((one.group, one.sticky_key or "")) == home]
        load_ns = sum(self.candidates[one].cost_ns for one in self.held[home]) + sum(one.cost_ns for one in before_it)
        assert load_ns > PATIENCE_NS, "left its worker"
        assert not any(self.candidates[one].sticky_key == key[1] for one in self.held[home]), "is in two places"
        assert not self.held[worker_id], "came to one that has other work"

    @precondition(lambda self: any(self.held.values()))
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        """The oldest that a worker holds is done."""
        worker_id = data.draw(st.sampled_from([one for one, held in sorted(self.held.items()) if held]))
        position = self.held[worker_id].pop(0)
        self.scheduler.complete(worker_id, position, self.candidates[position].cost_ns)
        self.full.discard(worker_id)

    @invariant()
    def nothing_is_lost(self) -> None:
        """D8: whatever was not given out still waits."""
        assert self.scheduler.waiting == len(self.waiting)

    def has_credit(self, worker_id: int) -> bool:
        """Nothing in hand; or room, and less than a credit of estimated time in hand."""
        held = self.held[worker_id]
        costs_ns = (self.candidates[position].cost_ns for position in held)
        return not held or (worker_id not in self.full and sum(costs_ns) < CREDIT_NS)

    def open_to(self, worker_id: int) -> Iterable[int]:
        """Positions that this worker may take."""
        group = self.group_of[worker_id]
        for position in self.waiting:
            candidate = self.candidates[position]
            home = self.home.get((group, candidate.sticky_key)) if candidate.sticky_key else None
            if candidate.group == group and home in (None, worker_id):
                yield position


Pool.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestPool = Pool.TestCase


def scheduler_with(workers: int, costs_ns: dict[int, int]) -> Scheduler[Asked]:
    """Workers 1, 2, … of the default group, and what commands of each type are known to cost."""
    scheduler = new_scheduler(costs_ns)
    for worker_id in range(workers, 0, -1):  # who came last is asked first
        scheduler.add_worker(worker_id, "default")
    return scheduler


def enqueue(
    scheduler: Scheduler[Asked], positions: Iterable[int], type_id: int = SHORT, sticky_key: str | None = None
) -> None:
    """Candidates of one type, in the order given."""
    for position in positions:
        scheduler.enqueue(Asked(position, type_id + (STICKY if sticky_key else 0), sticky_key))


def assigned(scheduler: Scheduler[Asked]) -> dict[int, list[int]]:
    """What each worker is given now."""
    given: dict[int, list[int]] = {}
    for candidate, worker_id in scheduler.assign():
        given.setdefault(worker_id, []).append(candidate.position)
    return given


@pytest.mark.parametrize("type_id", [SHORT, TINY])
def test_a_worker_with_short_commands_gets_as_many_as_last_for_its_credit(type_id: int) -> None:
    """Credit is time: 50 µs each, so that a worker never starves between two looks of the bus; or 2, and no more."""
    scheduler = scheduler_with(1, COST_NS)
    enqueue(scheduler, range(1, 1_101), type_id)

    given = assigned(scheduler)

    assert given == {1: list(range(1, CREDIT_NS // COST_NS[type_id] + 1))}


def test_nothing_waits_behind_a_long_command() -> None:
    """Credit is time: a worker with a 200 ms command has that one alone."""
    scheduler = scheduler_with(2, COST_NS)
    enqueue(scheduler, range(1, 11), LONG)

    assert assigned(scheduler) == {1: [1], 2: [2]}
    scheduler.complete(2, 2, COST_NS[LONG])
    assert assigned(scheduler) == {2: [3]}


@given(workers=st.integers(1, 5), count=st.integers(0, 300), cost_ns=st.integers(100, 2 * AT_A_TIME_NS))
def test_short_commands_are_dealt_out_several_at_a_time_and_evenly(workers: int, count: int, cost_ns: int) -> None:
    """Credit is time: nobody is given more than the others by more than a turn's worth, nor all of a few."""
    scheduler = scheduler_with(workers, {SHORT: cost_ns})
    enqueue(scheduler, range(1, count + 1))

    given = assigned(scheduler)

    dealt = [len(given.get(worker_id, ())) for worker_id in range(1, workers + 1)]
    share = max(1, count // workers)
    assert all(positions == sorted(positions) for positions in given.values())
    assert max(dealt) - min(dealt) <= max(1, min(share, -(-AT_A_TIME_NS // cost_ns)))
    assert min(dealt) >= 1 or count < workers


def test_a_command_of_unknown_cost_is_given_alone() -> None:
    """Credit is time: nothing is put behind what may take for ever."""
    scheduler = scheduler_with(1, {})
    enqueue(scheduler, [1, 2], UNKNOWN)

    assert assigned(scheduler) == {1: [1]}


def test_the_oldest_position_goes_first_in_whatever_order_jobs_were_freed() -> None:
    """D6: retirement waits for the oldest, and nothing is pushed back to the tail."""
    scheduler = scheduler_with(1, {SHORT: CREDIT_NS})
    enqueue(scheduler, [5, 3, 9, 1])

    started = []
    while given := assigned(scheduler):
        (position,) = given[1]
        started.append(position)
        scheduler.complete(1, position, CREDIT_NS)

    assert started == [1, 3, 5, 9]


def test_a_refused_job_keeps_its_place() -> None:
    """D6, F4: a full ring sends the candidate back to where it came from, and the bus asks again later."""
    scheduler = scheduler_with(1, COST_NS)
    enqueue(scheduler, [1, 2, 3])

    offers = []
    for candidate, worker_id in scheduler.assign():
        offers.append(candidate.position)
        if candidate.position == 2:
            scheduler.refuse(candidate, worker_id)

    assert offers == [1, 2]
    scheduler.complete(1, 1, COST_NS[SHORT])
    assert assigned(scheduler) == {1: [2, 3]}


def test_a_worker_that_holds_nothing_is_asked_again_after_it_refused() -> None:
    """D5: it has nothing to finish that would tell that there is room, so refusing must not be for ever."""
    scheduler = scheduler_with(1, COST_NS)
    enqueue(scheduler, [1])
    for candidate, worker_id in scheduler.assign():
        scheduler.refuse(candidate, worker_id)

    assert assigned(scheduler) == {1: [1]}


def test_jobs_wait_for_a_group_that_has_no_workers_yet() -> None:
    """D3, D5: nothing is lost while there is nobody, and all of it goes out when somebody comes."""
    scheduler = scheduler_with(0, COST_NS)
    enqueue(scheduler, [1, 2])

    assert assigned(scheduler) == {}
    scheduler.add_worker(7, "default")
    assert assigned(scheduler) == {7: [1, 2]}


def test_a_key_sticks_to_one_worker_also_when_its_jobs_came_before_the_workers() -> None:
    """W1: sticky means same key, same worker, whatever came first."""
    scheduler = scheduler_with(0, {SHORT: CREDIT_NS})
    enqueue(scheduler, [1, 2, 3], sticky_key="a")
    enqueue(scheduler, [4, 5], sticky_key="b")
    scheduler.add_worker(1, "default")
    scheduler.add_worker(2, "default")

    ran: dict[int, list[int]] = {1: [], 2: []}
    while given := assigned(scheduler):
        for worker_id, positions in given.items():
            ran[worker_id] += positions
            for position in positions:
                scheduler.complete(worker_id, position, CREDIT_NS)

    assert sorted(ran.values()) == [[1, 2, 3], [4, 5]]


def test_a_new_key_goes_to_a_worker_with_credit_though_another_holds_less() -> None:
    """D5: a ring may be full of few but large commands; a key that has no worker yet does not wait for that one."""
    scheduler = scheduler_with(2, COST_NS)
    enqueue(scheduler, [1, 2, 3])
    for candidate, worker_id in scheduler.assign():
        if candidate.position == 3 and worker_id == 1:
            scheduler.refuse(candidate, worker_id)
    enqueue(scheduler, [4], sticky_key="a")

    assert assigned(scheduler) == {2: [4]}


def test_a_key_finds_another_worker_when_its_own_has_died() -> None:
    """W3, D7: what waited for the dead one goes elsewhere, in order."""
    scheduler = scheduler_with(2, {SHORT: CREDIT_NS})
    enqueue(scheduler, [1, 2, 3], sticky_key="a")
    assert assigned(scheduler) == {1: [1]}

    for candidate in scheduler.remove_worker(1):
        scheduler.enqueue(candidate)

    assert assigned(scheduler) == {2: [1]}
    scheduler.complete(2, 1, CREDIT_NS)
    assert assigned(scheduler) == {2: [2]}


def test_a_worker_that_leaves_gets_nothing_more_and_its_keys_go_elsewhere() -> None:
    """D3, D5: what was reserved for it moves at once, what it holds when it has left; one that finishes it is heard."""
    scheduler = scheduler_with(2, {SHORT: CREDIT_NS})
    enqueue(scheduler, [1, 2], sticky_key="a")
    enqueue(scheduler, [3])
    assert assigned(scheduler) == {1: [1], 2: [3]}

    scheduler.close_worker(1)
    scheduler.close_worker(1)
    scheduler.complete(2, 3, CREDIT_NS)

    assert assigned(scheduler) == {2: [2]}
    scheduler.complete(1, 1, CREDIT_NS)
    assert assigned(scheduler) == {}
    assert scheduler.remove_worker(1) == []


def test_the_memory_of_keys_is_bounded() -> None:
    """P13: a stream of new keys does not grow the scheduler without end; the oldest key is forgotten."""
    scheduler = scheduler_with(1, {SHORT: 0})
    for position in range(1, STICKY_KEYS + 101):
        enqueue(scheduler, [position], sticky_key=str(position))
        for candidate, worker_id in scheduler.assign():
            scheduler.complete(worker_id, candidate.position, 0)
    enqueue(scheduler, [0], UNKNOWN)
    assert assigned(scheduler) == {1: [0]}
    scheduler.add_worker(2, "default")
    enqueue(scheduler, [1], sticky_key="1")
    enqueue(scheduler, [2], sticky_key=str(STICKY_KEYS + 100))

    assert assigned(scheduler) == {2: [1]}, "the forgotten key may move, the remembered one waits for its worker"


def test_what_a_type_costs_is_learnt_wherever_it_ran() -> None:
    """Credit is time: a moving average of what was measured, and of how many."""
    scheduler = scheduler_with(0, {})

    unknown = scheduler.measured(SHORT)
    scheduler.observe(SHORT, 1_000_000)
    first = scheduler.measured(SHORT)
    for _ in range(40):
        scheduler.observe(SHORT, 1_000)

    assert unknown == (CREDIT_NS, 0)
    assert first == (1_000_000, 1)
    assert scheduler.measured(SHORT)[0] < 2_000


def test_workers_that_are_unknown_or_gone_do_no_harm() -> None:
    """W4: news of a worker that was removed is ignored."""
    scheduler = scheduler_with(1, COST_NS)
    enqueue(scheduler, [1])
    assigned(scheduler)
    scheduler.remove_worker(1)

    scheduler.complete(1, 1, COST_NS[SHORT])

    assert scheduler.remove_worker(1) == []
    assert scheduler.waiting == 0


def test_a_worker_that_was_given_what_waits_for_it_alone_is_given_more_while_it_has_credit() -> None:
    """D3, D5: what came with its key does not hide from the others' queue that it has time for more."""
    scheduler = scheduler_with(2, COST_NS)
    enqueue(scheduler, [1], LONG, "a")
    enqueue(scheduler, [2], SHORT, "a")
    at_first = assigned(scheduler)
    scheduler.complete(1, 1, COST_NS[LONG])
    then = assigned(scheduler)

    enqueue(scheduler, [3], LONG)
    enqueue(scheduler, [4], SHORT)

    assert (at_first, then) == ({1: [1]}, {1: [2]})
    assert assigned(scheduler) == {2: [3], 1: [4]}


def test_a_key_moves_with_all_that_waits_when_its_worker_has_too_much_to_do() -> None:
    """Sticky: waiting behind 200 ms of other work costs more than a warm cache is worth; order is not touched."""
    scheduler = scheduler_with(2, COST_NS)
    enqueue(scheduler, [1], sticky_key="a")
    assert assigned(scheduler) == {1: [1]}
    enqueue(scheduler, [2], LONG, sticky_key="b")
    enqueue(scheduler, [3], LONG)
    scheduler.complete(1, 1, COST_NS[SHORT])
    assert assigned(scheduler) == {1: [2], 2: [3]}
    enqueue(scheduler, [4, 5], sticky_key="a")
    assert assigned(scheduler) == {}, "nobody else has nothing to do"

    scheduler.complete(2, 3, COST_NS[LONG])

    assert assigned(scheduler) == {2: [4, 5]}
    enqueue(scheduler, [6], sticky_key="a")
    assert assigned(scheduler) == {2: [6]}, "it has moved for good"


def test_a_key_does_not_move_while_its_worker_holds_a_command_of_it() -> None:
    """Sticky: what has not begun of one key is never at two workers."""
    scheduler = scheduler_with(2, COST_NS)
    enqueue(scheduler, [1, 2, 3], LONG, sticky_key="a")

    assert assigned(scheduler) == {1: [1]}
    assert assigned(scheduler) == {}
    scheduler.complete(1, 1, COST_NS[LONG])
    assert assigned(scheduler) == {1: [2]}


def test_a_key_whose_worker_is_busy_for_a_short_time_waits_for_it() -> None:
    """Sticky: a few milliseconds are no reason to leave a warm cache."""
    scheduler = scheduler_with(2, {SHORT: PATIENCE_NS // 4})
    enqueue(scheduler, [1], sticky_key="a")
    assigned(scheduler)
    scheduler.complete(1, 1, PATIENCE_NS // 4)
    enqueue(scheduler, [2], sticky_key="b")
    enqueue(scheduler, [3], sticky_key="a")

    assert assigned(scheduler) == {1: [2]}


def test_what_waits_for_an_overloaded_home_is_a_reason_for_one_more_worker() -> None:
    """D5, sticky: it would move to a worker with nothing to do; what cannot move is no reason, nor a short wait."""
    scheduler = scheduler_with(1, COST_NS)
    for position, key in ((1, "a"), (2, "b")):
        enqueue(scheduler, [position], LONG, sticky_key=key)
        assigned(scheduler)
        scheduler.complete(1, position, COST_NS[LONG])
    enqueue(scheduler, [3], LONG, sticky_key="a")
    assigned(scheduler)

    enqueue(scheduler, [4], LONG, sticky_key="a")
    assert not scheduler.has_waiting("default"), "its key does not move while its worker holds a command of it"
    enqueue(scheduler, [5], LONG, sticky_key="b")
    assert scheduler.has_waiting("default")

    scheduler.add_worker(2, "default")
    assert assigned(scheduler) == {2: [5]}
    assert not scheduler.has_waiting("default")


def test_what_waits_a_short_time_for_its_home_is_no_reason_for_one_more_worker() -> None:
    """Sticky: a few milliseconds are no reason to leave a warm cache, and none to start a process."""
    scheduler = scheduler_with(1, {SHORT: PATIENCE_NS // 4})
    for position, key in ((1, "a"), (2, "b")):
        enqueue(scheduler, [position], sticky_key=key)
        assigned(scheduler)
        scheduler.complete(1, position, PATIENCE_NS // 4)
    enqueue(scheduler, [3], sticky_key="a")
    assigned(scheduler)
    enqueue(scheduler, [4], sticky_key="b")

    assert assigned(scheduler) == {}
    assert not scheduler.has_waiting("default")


def calls_of_one_round_trip(workers: int) -> int:
    """How many functions run while one command is given out and finished, with every worker idle."""
    scheduler = scheduler_with(workers, COST_NS)
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    # A collection may begin anywhere, and calls whoever asked to be told of it, as Hypothesis does.
    gc.disable()
    try:
        sys.setprofile(count)
        enqueue(scheduler, [1])
        for candidate, worker_id in scheduler.assign():
            scheduler.complete(worker_id, candidate.position, COST_NS[SHORT])
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls


def test_a_decision_costs_the_same_for_192_workers() -> None:
    """What a command costs on the bus thread does not grow with the machine: nobody is searched for."""
    assert calls_of_one_round_trip(192) == calls_of_one_round_trip(2)
