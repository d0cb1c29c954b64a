"""Histograms against the exact answer: a quantile is wrong by 1/64 at most, and sums are sums."""

from __future__ import annotations

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driven.bus.histogram import LONGEST_NS, RELATIVE_ERROR, Durations, Histogram, added

ANY_NS = st.one_of(st.integers(0, LONGEST_NS), st.integers(0, 200), st.integers(1_000, 10_000_000))
MANY_NS = st.lists(ANY_NS, min_size=1, max_size=200)
QUANTILES = {
    "p50_s": Fraction(1, 2),
    "p90_s": Fraction(9, 10),
    "p99_s": Fraction(99, 100),
    "p999_s": Fraction(999, 1000),
}
NS_PER_S = 1_000_000_000
ROUNDING = 1e-12
"""What dividing and multiplying by 10**9 may add to an error."""


def histogram_of(durations_ns: list[int]) -> Histogram:
    """A histogram of exactly these."""
    histogram = Histogram()
    for duration_ns in durations_ns:
        histogram.record(duration_ns)
    return histogram


def exact_quantile_ns(durations_ns: list[int], part: Fraction) -> int:
    """The smallest of the values that at least this part of them are not above."""
    rank = -(-len(durations_ns) * part.numerator // part.denominator)
    return sorted(durations_ns)[max(rank, 1) - 1]


@given(MANY_NS)
def test_a_quantile_is_within_the_promised_error_of_the_exact_one(durations_ns: list[int]) -> None:
    """HdrHistogram's promise: the relative error is known, whatever was recorded."""
    told = histogram_of(durations_ns).durations()

    for name, part in QUANTILES.items():
        exact_s = exact_quantile_ns(durations_ns, part) / NS_PER_S
        assert abs(getattr(told, name) - exact_s) <= exact_s * (RELATIVE_ERROR + ROUNDING)


@given(MANY_NS)
def test_count_is_exact_and_total_mean_and_longest_are_within_the_error(durations_ns: list[int]) -> None:
    """A sum of things that are each wrong by 1/64 at most is wrong by no more."""
    told = histogram_of(durations_ns).durations()

    assert told.count == len(durations_ns)
    assert told.longest_s == pytest.approx(max(durations_ns) / NS_PER_S, rel=RELATIVE_ERROR)
    assert told.total_s == pytest.approx(sum(durations_ns) / NS_PER_S, rel=RELATIVE_ERROR)
    assert told.mean_s == pytest.approx(sum(durations_ns) / len(durations_ns) / NS_PER_S, rel=RELATIVE_ERROR)


@given(MANY_NS)
def test_a_bucket_holds_what_is_not_above_its_limit_and_above_the_one_before(durations_ns: list[int]) -> None:
    """Whoever exports the buckets, cumulatively, tells no lie about any limit."""
    told = histogram_of(durations_ns).durations()

    seen = 0
    for longest_ns, count in told.buckets:
        seen += count
        assert seen == sum(duration_ns <= longest_ns for duration_ns in durations_ns)
    assert seen == len(durations_ns)


@given(st.lists(MANY_NS, max_size=4))
def test_added_up_they_are_as_if_recorded_together(lists: list[list[int]]) -> None:
    """Durations of several command types, or processes, can be made one."""
    together = histogram_of([duration_ns for one in lists for duration_ns in one]).durations()

    told = added(histogram_of(one).durations() for one in lists)

    assert told == together


@pytest.mark.parametrize(("given_ns", "counted_ns"), [(-1, 0), (-(10**30), 0), (LONGEST_NS + 1, LONGEST_NS)])
def test_what_no_duration_can_be_is_counted_at_the_nearest_end(given_ns: int, counted_ns: int) -> None:
    """A worker's clock is not believed blindly: nothing that it says can break the bus."""
    told = histogram_of([given_ns, 10**30]).durations()

    assert told.buckets == histogram_of([counted_ns, LONGEST_NS]).durations().buckets


def test_nothing_recorded_is_all_zeros() -> None:
    """No division by nothing."""
    told = Histogram().durations()

    assert told == Durations()
    assert told.mean_s == 0.0
    assert added(()) == Durations()


def test_durations_survive_the_way_to_another_process() -> None:
    """Frozen records, readable elsewhere."""
    told = histogram_of([5, 70, 70_000, LONGEST_NS]).durations()

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(told), type=Durations) == told
