"""Percentiles, spread and METG: pure functions of numbers.

METG is the *minimum effective task granularity* of Slaughter et al., "Task Bench", SC20: the smallest task at which a
system still reaches a given efficiency. The granularity here is the CPU time of the task itself. The paper counts the
time that a core spends per task, overhead included, so at 50 % its figure is twice as large; ratios are the same.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Bound: TypeAlias = Literal["", "<", ">"]
"""What stands before a METG: nothing, or that all measured tasks reached the efficiency (``<``), or none (``>``)."""


class Spread(msgspec.Struct, frozen=True):
    """The middle of some values, and how far they reach."""

    median: float
    low: float
    high: float
    count: int


class Granularity(msgspec.Struct, frozen=True):
    """The smallest task duration that reaches an efficiency, in microseconds of CPU time."""

    duration_us: float
    bound: Bound = ""


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed (nearest rank).

    Raises:
        ValueError: there are no values, or the share is not above 0 and at most 1.

    """
    if not values or not 0 < share <= 1:
        raise ValueError(f"percentile {share} of {len(values)} values; give at least one value and a share in (0, 1]")
    return sorted(values)[math.ceil(share * len(values)) - 1]


def spread(values: Iterable[float]) -> Spread | None:
    """Median, lowest and highest; None of no values."""
    ordered = sorted(values)
    return Spread(statistics.median(ordered), ordered[0], ordered[-1], len(ordered)) if ordered else None


def ratio(ours: dict[int, float], theirs: dict[int, float]) -> Spread | None:
    """How many times `theirs` is `ours`, round by round, so that both saw the same machine."""
    return spread(theirs[key] / ours[key] for key in ours.keys() & theirs.keys() if ours[key])


def metg(points: Iterable[tuple[float, float]], threshold: float) -> Granularity | None:
    """METG of (duration in µs, efficiency) pairs: where the efficiency stays at or above `threshold`.

    Between the last duration that falls short and the next, efficiency is taken as linear in the logarithm of the
    duration. None of no points.
    """
    ordered = sorted(points)
    if not ordered:
        return None
    short = [place for place, (_, efficiency) in enumerate(ordered) if efficiency < threshold]
    if not short:
        return Granularity(ordered[0][0], "<")
    if short[-1] == len(ordered) - 1:
        return Granularity(ordered[-1][0], ">")
    (below, low), (above, high) = ordered[short[-1] : short[-1] + 2]
    part = (threshold - low) / (high - low)
    return Granularity(below * (above / below) ** part)
