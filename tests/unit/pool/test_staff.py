"""The staff of a lane, without any worker: who is wanted, who is missing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from driven.pool.staff import Staff

if TYPE_CHECKING:
    from collections.abc import Mapping

GROUPS = ("default", "pricing")


class Started:
    """Takes orders for workers, as a pool does."""

    def __init__(self, wanted: Mapping[str, int]) -> None:
        self.orders: list[tuple[str, float]] = []
        self.staff = Staff(wanted, self.start)
        self.staff.hire_all()

    def start(self, group: str, delay_s: float) -> int:
        """Note the order; its number is the worker's."""
        self.orders.append((group, delay_s))
        return len(self.orders) - 1

    def members(self, group: str) -> list[int]:
        """Who is to stay."""
        return [number for number, (of, _) in enumerate(self.orders) if of == group and number in self.staff]


STEPS = st.lists(
    st.tuples(st.sampled_from(["grow", "retire", "ready", "die", "fail"]), st.sampled_from(GROUPS), st.integers(0, 30)),
    max_size=60,
)


@given(st.fixed_dictionaries(dict.fromkeys(GROUPS, st.integers(0, 4))), STEPS)
def test_whatever_happens_there_are_as_many_as_are_wanted(
    wanted: dict[str, int], steps: list[tuple[str, str, int]]
) -> None:
    """D3: workers grow, retire, die and fail in any order; nobody is missing and nobody is one too many."""
    started = Started(wanted)
    expected, died, dismissed = dict(wanted), Counter[str](), Counter[str]()
    for deed, group, choice in steps:
        members = started.members(group)
        member = members[choice % len(members)] if members else None
        if deed == "grow":
            started.staff.grow(group)
            expected[group] += 1
        elif member is None:
            continue
        elif deed == "retire":
            assert started.staff.retire(member) == [member]
            assert started.staff.retire(member) == []
            expected[group] -= 1
            dismissed[group] += 1
        elif deed == "ready":
            started.staff.make_ready(member)
        else:
            assert started.staff.lose(member)
            assert not started.staff.lose(member)
            died[group] += 1
            if deed == "die":
                started.staff.replace(group, has_completed=bool(choice % 2))
            else:
                started.staff.hire_again(group)

        assert {name: len(started.members(name)) for name in GROUPS} == expected
    for told in started.staff.groups():
        assert (told.wanted, told.ready + told.starting) == (expected[told.name], expected[told.name])
        assert told.hired == sum(group == told.name for group, _ in started.orders)
        assert (told.died, told.dismissed) == (died[told.name], dismissed[told.name])


def test_a_staff_is_complete_when_all_that_are_wanted_are_ready() -> None:
    """W1: opening a bus waits for every one of them."""
    started = Started({"default": 2})
    seen = [started.staff.is_complete]
    for member in started.members("default"):
        started.staff.make_ready(member)
        seen.append(started.staff.is_complete)

    assert seen == [False, False, True]
    assert started.staff.is_served("default")
    assert not started.staff.is_served("pricing")


def test_a_worker_that_was_good_for_nothing_is_replaced_later_and_later() -> None:
    """W5: until one of its group has completed a command."""
    started = Started({"default": 1})
    for has_completed in (False, False, True, False):
        started.staff.lose(started.members("default")[0])
        started.staff.replace("default", has_completed=has_completed)
    first, second, third, fourth, fifth = (delay_s for _, delay_s in started.orders)

    assert (first, fourth) == (0.0, 0.0)
    assert 0 < second < third
    assert fifth == second


def test_failed_starts_are_counted_in_a_row() -> None:
    """W5: one that gets ready ends the row."""
    started = Started({"default": 2})
    first, second = started.members("default")
    started.staff.lose(first)
    failures = [started.staff.hire_again("default")]
    started.staff.lose(started.members("default")[-1])
    failures.append(started.staff.hire_again("default"))
    started.staff.make_ready(second)
    started.staff.lose(started.members("default")[-1])
    failures.append(started.staff.hire_again("default"))

    assert failures == [1, 2, 1]


def test_of_a_dissolved_staff_nobody_is_missing() -> None:
    """D4: the dead of a lane that stops are not replaced."""
    started = Started({"default": 2})
    started.staff.dissolve()
    started.staff.replace("default", has_completed=True)

    assert len(started.orders) == 2
    assert not started.staff.lose(0)


def test_who_is_relieved_goes_when_the_successor_is_ready() -> None:
    """P13: and asking twice starts one successor."""
    started = Started({"default": 2})
    for member in (0, 1):
        started.staff.make_ready(member)
    started.staff.relieve(0)
    started.staff.relieve(0)
    leaving = [started.staff.let_go("default")]
    started.staff.make_ready(2)
    leaving.append(started.staff.let_go("default"))

    assert len(started.orders) == 3
    assert leaving == [[], [0]]
    assert started.members("default") == [1, 2]


def test_who_is_relieved_and_then_retired_takes_the_successor_along() -> None:
    """D3: the group wants one less, so nobody needs to come."""
    started = Started({"default": 1})
    started.staff.make_ready(0)
    started.staff.relieve(0)

    assert started.staff.retire(0) == [0, 1]
    assert started.members("default") == []


def test_one_that_dies_relieved_is_not_replaced_twice() -> None:
    """D3: its successor is on its way already."""
    started = Started({"default": 1})
    started.staff.make_ready(0)
    started.staff.relieve(0)
    started.staff.lose(0)
    started.staff.replace("default", has_completed=True)

    assert started.members("default") == [1]
