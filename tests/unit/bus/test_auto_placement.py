"""Where AUTO commands run: measured costs against each other, with a clock that the test moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driven.bus.auto_placement import AT_ONCE, CLEARLY, HANDOVER_NS, SAMPLES, TRIAL_EVERY, AutoPlacement
from driven.bus.sequencer import Entry, Sequencer
from driven.service.intake import Draft

TYPE = 7


class Watch:
    """A stopwatch."""

    def __init__(self) -> None:
        self.now_ns = 1

    def __call__(self) -> int:
        return self.now_ns


def entry(position: int) -> Entry:
    """A command at this position."""
    return Sequencer(position - 1).admit_root(Draft(TYPE, b"", None), None, 0, "")


def hand_over(placement: AutoPlacement, watch: Watch, cost_ns: int, *, times: int = 60) -> None:
    """One after the other goes to an idle worker and comes back."""
    for position in range(1, times + 1):
        placement.sent(entry(position), watch())
        watch.now_ns += cost_ns + 1_000
        placement.came_back(1_000)


def test_everything_runs_inline_until_it_was_measured() -> None:
    """AUTO: nothing is known of a type at first."""
    placement = AutoPlacement([TYPE], Watch())

    assert not placement.goes_to_workers(TYPE, 2_000_000, 0)


def test_a_type_moves_when_it_clearly_costs_more_and_back_when_it_clearly_costs_less() -> None:
    """AUTO: between the two thresholds nothing changes, whichever side it came from."""
    placement = AutoPlacement([TYPE], Watch())
    above, below, between = HANDOVER_NS * CLEARLY * 1.01, HANDOVER_NS / CLEARLY * 0.99, HANDOVER_NS

    at_first = placement.goes_to_workers(TYPE, between, SAMPLES)
    moved = placement.goes_to_workers(TYPE, above, SAMPLES)
    stays = placement.goes_to_workers(TYPE, between, SAMPLES * 3)
    back = placement.goes_to_workers(TYPE, below, SAMPLES * 4)
    stays_back = placement.goes_to_workers(TYPE, between, SAMPLES * 6)

    assert [at_first, moved, stays, back, stays_back] == [False, True, True, False, False]


def test_a_few_measurements_are_not_enough() -> None:
    """AUTO: the first command of a type imports, and warms caches."""
    placement = AutoPlacement([TYPE], Watch())

    assert not placement.goes_to_workers(TYPE, HANDOVER_NS * 10, SAMPLES - 1)
    assert placement.goes_to_workers(TYPE, HANDOVER_NS * 10, SAMPLES)
    assert placement.goes_to_workers(TYPE, 1.0, SAMPLES * 2 - 1), "and some more before it changes again"
    assert not placement.goes_to_workers(TYPE, 1.0, SAMPLES * 2)


def test_one_measurement_is_enough_where_the_bus_was_blocked() -> None:
    """AUTO: eight commands of 200 ms inline would stop the bus for seconds."""
    placement = AutoPlacement([TYPE], Watch())

    assert placement.goes_to_workers(TYPE, HANDOVER_NS * AT_ONCE + 1, 1)


def test_the_hand_over_is_measured_and_decides() -> None:
    """AUTO: where workers answer within 30 us, what takes 100 us goes to them."""
    watch = Watch()
    placement = AutoPlacement([TYPE], watch)
    before = placement.goes_to_workers(TYPE, 100_000, SAMPLES)

    hand_over(placement, watch, 30_000)

    (decision,) = placement.decisions(str)
    assert not before
    assert placement.goes_to_workers(TYPE, 100_000, SAMPLES)
    assert decision.handover_s == pytest.approx(30e-6)


def test_a_bus_that_was_away_once_does_not_change_what_handing_over_costs_for_long() -> None:
    """AUTO: one measurement counts as a few times the average at most."""
    watch = Watch()
    placement = AutoPlacement([TYPE], watch)
    hand_over(placement, watch, 40_000)

    hand_over(placement, watch, 1_000_000_000, times=1)

    (decision,) = placement.decisions(str)
    assert decision.handover_s < 40e-6 * 1.5


def test_one_way_is_timed_at_a_time() -> None:
    """AUTO: the next one when the last is back, or retired otherwise."""
    watch = Watch()
    placement = AutoPlacement([TYPE], watch)
    assert placement.begin_turn(entry(1)) == watch()

    placement.sent(entry(5), watch())

    assert placement.begin_turn(entry(4)) == 0
    assert placement.begin_turn(entry(6)) == watch(), "its worker died, and its second attempt has retired"


def test_nothing_is_timed_where_no_command_is_placed_by_measuring() -> None:
    """AUTO: what is not used costs nothing."""
    assert AutoPlacement([], Watch()).begin_turn(entry(1)) == 0


def test_a_trial_finds_out_what_handing_over_costs_where_nothing_is_handed_over() -> None:
    """AUTO: one in many, and none once it is known."""
    watch = Watch()
    placement = AutoPlacement([TYPE], watch)

    trials = [samples for samples in range(1, TRIAL_EVERY * 3) if placement.goes_to_workers(TYPE, 120_000, samples)]
    hand_over(placement, watch, 100_000, times=1)
    later = [placement.goes_to_workers(TYPE, 120_000, samples) for samples in range(TRIAL_EVERY * 3, TRIAL_EVERY * 5)]

    assert trials == [TRIAL_EVERY, TRIAL_EVERY * 2]
    assert not any(later)


@given(st.lists(st.floats(HANDOVER_NS / CLEARLY, HANDOVER_NS * CLEARLY), min_size=1, max_size=200))
def test_a_cost_that_wavers_around_the_hand_over_never_changes_anything(costs_ns: list[float]) -> None:
    """AUTO: hysteresis."""
    placement = AutoPlacement([TYPE], Watch())

    assert not any(placement.goes_to_workers(TYPE, cost_ns, samples) for samples, cost_ns in enumerate(costs_ns, 1))


def test_a_decision_says_what_was_measured_and_what_would_change_it() -> None:
    """AUTO: for `driven placement --live`."""
    placement = AutoPlacement([TYPE, TYPE + 1], Watch())
    placement.goes_to_workers(TYPE, 10_000_000, 1)

    moved, unknown = placement.decisions({TYPE: "a", TYPE + 1: "b"}.__getitem__)

    assert (moved.command, moved.runs, moved.changes, moved.samples) == ("a", "worker", 1, 1)
    assert moved.reason == "takes 10,000 us; inline again below 100 us (assumed hand-over / 1.5)"
    assert (unknown.command, unknown.runs, unknown.reason) == ("b", "inline", "none was measured yet")
