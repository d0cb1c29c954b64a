"""Hazards against a model that looks at every pair of commands: who may start, and that everybody is told once (O4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driven.bus.hazards import UNKEYED, Footprint, Hazards

if TYPE_CHECKING:
    import random

FOOTPRINTS = st.sampled_from([None, "a", "a", "b", "b", "c", UNKEYED])
RETIREMENTS = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 4])
"""How many retire between two admissions: few, so that queues build up."""


def conflict(one: Footprint, other: Footprint) -> bool:
    """Whether two commands may not overlap, straight from the law."""
    if one is None or other is None:
        return False
    return one is UNKEYED or other is UNKEYED or one == other


class EveryPair:
    """The model: all unretired commands, compared pair by pair."""

    def __init__(self) -> None:
        self.unretired: dict[int, Footprint] = {}
        self.last_position = 0

    def admit(self, footprint: Footprint) -> int:
        self.last_position += 1
        self.unretired[self.last_position] = footprint
        return self.last_position

    def retire(self, choice: int = 0) -> tuple[int, Footprint]:
        """Of those in whose way nothing stands; by default the oldest, as in strict order."""
        free = sorted(self.may_start())
        position = free[choice % len(free)]
        return position, self.unretired.pop(position)

    def may_start(self) -> set[int]:
        return {
            position
            for position, footprint in self.unretired.items()
            if not any(conflict(footprint, earlier) for at, earlier in self.unretired.items() if at < position)
        }


@settings(max_examples=300)
@given(st.lists(st.tuples(FOOTPRINTS, RETIREMENTS), max_size=40))
def test_a_command_may_start_exactly_when_nothing_before_it_conflicts(steps: list[tuple[Footprint, int]]) -> None:
    """O4, B4: what is free at every moment is what the comparison of all pairs says, and nobody is freed twice."""
    hazards, model = Hazards(), EveryPair()
    told: list[int] = []

    def compare() -> None:
        assert set(told) & set(model.unretired) == model.may_start()
        assert len(told) == len(set(told))

    for footprint, retirements in steps:
        position = model.admit(footprint)
        if hazards.admit(position, footprint):
            told.append(position)
        compare()
        for _ in range(min(retirements, len(model.unretired))):
            told.extend(hazards.retire(*model.retire()))
            compare()
    while model.unretired:
        told.extend(hazards.retire(*model.retire()))
        compare()
    assert sorted(told) == list(range(1, model.last_position + 1))


@settings(max_examples=300)
@given(st.lists(st.tuples(FOOTPRINTS, RETIREMENTS), max_size=40), st.randoms(use_true_random=False))
def test_it_is_so_in_whatever_order_commands_retire_that_do_not_conflict(
    steps: list[tuple[Footprint, int]], chance: random.Random
) -> None:
    """O4, O9: per key in order, as in the keyed mode."""
    hazards, model = Hazards(), EveryPair()
    told: list[int] = []

    for footprint, retirements in steps:
        position = model.admit(footprint)
        if hazards.admit(position, footprint):
            told.append(position)
        for _ in range(min(retirements, len(model.unretired))):
            told.extend(hazards.retire(*model.retire(chance.randrange(99))))
            assert set(told) & set(model.unretired) == model.may_start()
    while model.unretired:
        told.extend(hazards.retire(*model.retire(chance.randrange(99))))
        assert set(told) & set(model.unretired) == model.may_start()
    assert sorted(told) == list(range(1, model.last_position + 1))


@pytest.mark.parametrize(
    ("footprints", "retires"), [(["a", "a"], 2), (["a", UNKEYED], 2), ([UNKEYED, "a"], 2), ([UNKEYED, UNKEYED], 2)]
)
def test_what_retires_before_a_command_in_its_way_is_a_fault_of_the_bus(
    footprints: list[Footprint], retires: int
) -> None:
    """O2, O9: said at once, and not found in the log."""
    hazards = Hazards()
    for position, footprint in enumerate(footprints, 1):
        hazards.admit(position, footprint)

    with pytest.raises(RuntimeError, match=f"position {retires} retired while an earlier command stood in its way"):
        hazards.retire(retires, footprints[retires - 1])


@given(st.lists(FOOTPRINTS, max_size=40))
def test_those_freed_together_are_told_in_position_order(footprints: list[Footprint]) -> None:
    """O6: the order in which commands are freed comes from positions, never from a dict of keys."""
    hazards, model = Hazards(), EveryPair()
    for footprint in footprints:
        hazards.admit(model.admit(footprint), footprint)

    while model.unretired:
        freed = hazards.retire(*model.retire())
        assert freed == sorted(freed)


def test_a_stateful_command_without_a_key_waits_for_all_and_all_wait_for_it() -> None:
    """O4, B4: a missing key never means a random lane."""
    hazards = Hazards()

    assert hazards.admit(1, "a")
    assert not hazards.admit(2, UNKEYED)
    assert not hazards.admit(3, "b")
    assert hazards.retire(1, "a") == [2]
    assert hazards.retire(2, UNKEYED) == [3]
