"""Who is visited, in which order, for what and for how long: pure, so that it can be looked at before it happens.

In each round every contender is visited once, and each round begins with another one: whatever the machine does
meanwhile, it does to all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from driven.entrypoints.bench.contenders import CATALOGUE, contender
from driven.entrypoints.bench.samples import Measure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PARTS: Final = {
    Measure.ROUND_TRIP: 1.0,
    Measure.THROUGHPUT: 1.5,
    Measure.METG: 5.0,
    Measure.ORDER: 1.5,
    Measure.SCALING: 1.0,
    Measure.PAYLOAD: 2.0,
}
"""How the time of a visit is divided, in parts."""
SHORTEST_S: Final = 0.08
"""Least time for one part, in seconds: below that, figures are not worth showing."""
SCALED_WHEN_QUICK: Final = ("bus", "executor", "ppe", "pool")
"""Who is measured with fewer workers than there may be in a quick run; in a full one, everybody is."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it is meant to be."""

    is_quick: bool
    rounds: int
    seconds: float
    """For all visits of all rounds, opening and closing included; a wish."""
    part_s: float
    """Most seconds for one part of a visit: what little is measured, is measured quickly."""
    most_s: float
    """After that many seconds no round begins, and the one that is under way ends early; never the first."""
    workers: int
    measures: tuple[Measure, ...]
    contenders: tuple[str, ...]
    """Keys; all installed, in the order of the catalogue."""


class Stop(NamedTuple):
    """A visit of a round."""

    contender: str
    workers: int
    measures: tuple[Measure, ...]

    @property
    def parts(self) -> float:
        """How much of the time of a round it should get, in parts."""
        return sum(PARTS[measure] for measure in self.measures)


def make_plan(*, is_quick: bool, workers: int, measures: Sequence[Measure], contenders: Sequence[str]) -> Plan:
    """The plan of a quick or a full run."""
    return Plan(
        is_quick=is_quick,
        rounds=3 if is_quick else 7,
        seconds=60.0 if is_quick else 900.0,
        part_s=0.25 if is_quick else 1.5,
        most_s=68.0 if is_quick else 1_800.0,
        workers=workers,
        measures=tuple(measures),
        contenders=tuple(one.key for one in CATALOGUE if one.key in contenders),
    )


def ladder(workers: int) -> tuple[int, ...]:
    """Numbers of workers to scale over: powers of two, and as many as there may be."""
    return (*(1 << power for power in range(workers.bit_length()) if 1 << power < workers), workers)


def stops(plan: Plan, round_number: int) -> list[Stop]:
    """The visits of a round, from 1, rotated by one contender per round."""
    first = (round_number - 1) % len(plan.contenders)
    return [stop for key in (*plan.contenders[first:], *plan.contenders[:first]) for stop in _stops_of(plan, key)]


OF_BOUNDS: Final = (Measure.ROUND_TRIP, Measure.THROUGHPUT, Measure.METG)
"""What is asked of a ceiling."""


def _stops_of(plan: Plan, key: str) -> Iterator[Stop]:
    one = contender(key)
    suitable = (Measure.THROUGHPUT,) if one.is_batched else OF_BOUNDS if one.is_bound else tuple(Measure)
    if not one.is_parallel:
        suitable = tuple(measure for measure in Measure if measure is not Measure.SCALING)
    if measures := tuple(measure for measure in suitable if measure in plan.measures):
        yield Stop(key, plan.workers, measures)
    if Measure.SCALING in measures and (not plan.is_quick or key in SCALED_WHEN_QUICK):
        yield from (Stop(key, workers, (Measure.SCALING,)) for workers in ladder(plan.workers)[:-1])
