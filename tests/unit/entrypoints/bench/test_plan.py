"""Who is visited when: every contender once a round, in rotated order, for what it can do."""

from __future__ import annotations

from driven.entrypoints.bench.contenders import CATALOGUE
from driven.entrypoints.bench.plan import Plan, ladder, make_plan, stops
from driven.entrypoints.bench.samples import Measure

KEYS = [one.key for one in CATALOGUE]


def plan(*, is_quick: bool = False, workers: int = 4) -> Plan:
    """Everybody, everything."""
    return make_plan(is_quick=is_quick, workers=workers, measures=tuple(Measure), contenders=KEYS)


def test_every_round_begins_with_another_contender() -> None:
    """Whoever always goes first would always meet the machine at its coolest."""
    whole = plan()

    firsts = [stops(whole, number)[0].contender for number in range(1, len(KEYS) + 1)]

    assert sorted(firsts) == sorted(KEYS)


def test_every_round_visits_everybody_once_with_all_workers() -> None:
    """Rotation leaves nobody out."""
    whole = plan()

    for number in range(1, whole.rounds + 1):
        visited = [stop.contender for stop in stops(whole, number) if stop.workers == whole.workers]
        assert sorted(visited) == sorted(KEYS)


def test_workers_are_scaled_over_powers_of_two() -> None:
    """And over as many as there may be, whatever number that is."""
    assert [ladder(workers) for workers in (1, 2, 6, 8)] == [(1,), (1, 2), (1, 2, 4, 6), (1, 2, 4, 8)]


def test_batches_are_a_footnote_to_throughput() -> None:
    """A task that waits for its batch has no round trip that could be compared."""
    batched = {one.key for one in CATALOGUE if one.is_batched}

    assert batched
    assert {stop.measures for stop in stops(plan(), 1) if stop.contender in batched} == {(Measure.THROUGHPUT,)}


def test_a_ceiling_is_asked_only_what_is_compared_with_it() -> None:
    """It has no place for large bodies, and nothing is aimed at beside it in the rest."""
    bounds = {one.key for one in CATALOGUE if one.is_bound}
    asked = {stop.measures for stop in stops(plan(), 1) if stop.contender in bounds}

    assert bounds == {"bare-rings", "bare-bus"}
    assert asked == {(Measure.ROUND_TRIP, Measure.THROUGHPUT, Measure.METG)}


def test_what_computes_in_the_submitting_process_is_not_scaled() -> None:
    """It has no workers."""
    (inline,) = [stop for stop in stops(plan(), 1) if stop.contender == "inline"]

    assert Measure.SCALING not in inline.measures


def test_a_quick_run_scales_few() -> None:
    """Each further number of workers opens everything anew."""
    assert len(stops(plan(is_quick=True), 1)) < len(stops(plan(), 1))
    assert plan(is_quick=True).most_s < 90


def test_a_measure_that_was_not_asked_for_is_not_made() -> None:
    """Nor is anybody visited who has nothing to show."""
    only = make_plan(is_quick=True, workers=2, measures=[Measure.METG], contenders=KEYS)

    assert {stop.measures for stop in stops(only, 1)} == {(Measure.METG,)}
    assert not {"pool-chunks", "ppe-chunks"} & {stop.contender for stop in stops(only, 1)}
