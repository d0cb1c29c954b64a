"""Percentiles, spread, ratios and METG, on numbers whose answer is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driven.entrypoints.bench.figures import Granularity, Spread, metg, percentile, ratio, spread

OVERHEAD_US = 40.0


def efficiency(duration_us: float) -> float:
    """Of a system that adds a fixed cost to each task: half at a duration that equals the cost."""
    return duration_us / (duration_us + OVERHEAD_US)


def ladder(first_us: float, count: int) -> list[tuple[float, float]]:
    """Points as they are measured: each duration twice the one before."""
    return [(first_us * 2**step, efficiency(first_us * 2**step)) for step in range(count)]


def test_percentiles_are_values_that_were_measured() -> None:
    """Nearest rank: no figure between two samples is invented."""
    values = [float(value) for value in range(100, 0, -1)]

    assert [percentile(values, share) for share in (0.5, 0.99, 0.999, 1.0, 0.001)] == [50, 99, 100, 100, 1]


@given(st.lists(st.floats(0, 1e9), min_size=1), st.floats(0.001, 1))
def test_at_least_that_share_of_the_values_is_not_above_the_percentile(values: list[float], share: float) -> None:
    """What a percentile means."""
    found = percentile(values, share)

    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.5)])
def test_a_percentile_that_means_nothing_is_refused(values: list[float], share: float) -> None:
    """The message holds the numbers."""
    with pytest.raises(ValueError, match=f"percentile {share} of {len(values)} values"):
        percentile(values, share)


def test_a_spread_tells_the_middle_and_the_ends() -> None:
    """What every cell of the report is made of."""
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)
    assert spread([]) is None


def test_a_ratio_is_made_round_by_round() -> None:
    """A machine that was slow in one round was slow for both; rounds that only one has are left out."""
    ours, theirs = {1: 10.0, 2: 100.0, 3: 5.0}, {1: 30.0, 2: 300.0, 4: 1.0}

    assert ratio(ours, theirs) == Spread(3.0, 3.0, 3.0, 2)


@pytest.mark.parametrize("first_us", [1.0, 1.7, 3.1, 7.0])
def test_metg_is_found_between_the_durations_that_were_measured(first_us: float) -> None:
    """METG(50 %) of a fixed cost is that cost, and METG(90 %) is nine times as much."""
    half, most = (metg(ladder(first_us, 12), threshold) for threshold in (0.5, 0.9))

    assert half is not None
    assert most is not None
    assert half.duration_us == pytest.approx(OVERHEAD_US, rel=0.02)
    assert most.duration_us == pytest.approx(9 * OVERHEAD_US, rel=0.05)
    assert half.bound == most.bound == ""


def test_metg_does_not_depend_on_the_order_of_the_points() -> None:
    """The ladder is measured upwards from its middle, then downwards."""
    points = ladder(2.0, 9)

    assert metg(points[::-1], 0.5) == metg(points, 0.5)


def test_metg_is_where_the_efficiency_stays_above_the_threshold() -> None:
    """A lucky point below a slow one does not count."""
    points = [(1.0, 0.2), (2.0, 0.6), (4.0, 0.4), (8.0, 0.6), (16.0, 0.9)]

    found = metg(points, 0.5)

    assert found is not None
    assert 4.0 < found.duration_us < 8.0


def test_metg_beyond_what_was_measured_is_a_bound() -> None:
    """A figure that was not reached is not guessed."""
    assert metg([(2.0, 0.7), (4.0, 0.9)], 0.5) == Granularity(2.0, "<")
    assert metg([(2.0, 0.1), (4.0, 0.3)], 0.5) == Granularity(4.0, ">")
    assert metg([], 0.5) is None
