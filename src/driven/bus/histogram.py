"""Histograms of durations: how long things took, in memory that never grows, with an error that is known.

::

    nanoseconds   0 .. 63          exact: a bucket for each
                  64 .. 127        32 buckets of 2
                  128 .. 255       32 buckets of 4          ... 32 for each power of two, up to `LONGEST_NS`

The buckets are log-linear, as in Gil Tene's HdrHistogram: the index is the position of the highest bit and the five
bits below it, so recording is a shift and an addition, whatever the value. A bucket is never wider than 1/32 of what it
holds, and what a bucket stands for is its middle: a quantile, a mean, the longest are wrong by 1/64
(`RELATIVE_ERROR`) at most. Nothing else is kept: it would cost as much again with every command.

A `Histogram` is recorded into on one thread and lives as long as what it measures; `Durations` is what it says at one
moment, and travels to other processes, where those of several can be added up.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import accumulate
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

SUB_BUCKET_BITS: Final = 5
"""32 buckets for each power of two."""

RELATIVE_ERROR: Final = 1 / (2 << SUB_BUCKET_BITS)
"""How far a figure may be from the exact one, as a fraction of that."""

LONGEST_NS: Final = (1 << 44) - 1
"""About four hours and 53 minutes; what took longer is counted as this."""

_HIGHEST_SHIFT: Final = LONGEST_NS.bit_length() - SUB_BUCKET_BITS - 1
_BUCKETS: Final = (_HIGHEST_SHIFT + 2) << SUB_BUCKET_BITS

_NANOSECONDS: Final = 1_000_000_000


class Durations(msgspec.Struct, frozen=True):
    """How long things of one kind took; times in seconds, 0.0 while there are none.

    `count` is exact, the others are wrong by 1/64 at most.
    """

    count: int = 0
    total_s: float = 0.0
    p50_s: float = 0.0
    """Half of them took no longer than this."""
    p90_s: float = 0.0
    p99_s: float = 0.0
    p999_s: float = 0.0
    """Of a thousand, 999 took no longer than this."""
    longest_s: float = 0.0
    buckets: tuple[tuple[int, int], ...] = ()
    """The longest nanoseconds that a bucket may hold, and how many it holds; ascending, without the empty ones."""

    @property
    def mean_s(self) -> float:
        """The mean; 0.0 of none."""
        return self.total_s / self.count if self.count else 0.0


class Histogram:
    """How often each duration was recorded."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        """Nothing was recorded yet."""
        self._counts: Final = [0] * _BUCKETS

    def record(self, duration_ns: int) -> None:
        """Count one; what is below nothing, or above `LONGEST_NS`, is counted as these."""
        if not 0 <= duration_ns <= LONGEST_NS:
            duration_ns = min(max(duration_ns, 0), LONGEST_NS)
        shift = duration_ns.bit_length() - 6  # SUB_BUCKET_BITS and the highest bit; a global would cost as much again
        self._counts[(shift << 5) + (duration_ns >> shift) if shift > 0 else duration_ns] += 1

    def durations(self) -> Durations:
        """What was recorded so far."""
        return _durations(tuple((_longest_in(index), count) for index, count in enumerate(self._counts) if count))


def added(several: Iterable[Durations]) -> Durations:
    """All of these as one, as if they had been recorded together."""
    counts: Counter[int] = Counter()
    for one in several:
        counts.update(dict(one.buckets))
    return _durations(tuple(sorted(counts.items())))


def _durations(buckets: tuple[tuple[int, int], ...]) -> Durations:
    if not buckets:
        return Durations()
    ranks = tuple(accumulate(count for _, count in buckets))
    middles_s = [(_shortest_with(longest_ns) + longest_ns) / 2 / _NANOSECONDS for longest_ns, _ in buckets]
    total_s = sum(middle_s * count for middle_s, (_, count) in zip(middles_s, buckets, strict=True))
    p50_s, p90_s, p99_s, p999_s = (middles_s[bisect_left(ranks, -(-ranks[-1] * part // 1000))] for part in _PERMILLES)
    return Durations(ranks[-1], total_s, p50_s, p90_s, p99_s, p999_s, middles_s[-1], buckets)


_PERMILLES: Final = (500, 900, 990, 999)
"""Of a thousand, how many are not above each quantile: whole numbers, as no rounding may move one by a rank."""


def _longest_in(index: int) -> int:
    shift = max((index >> SUB_BUCKET_BITS) - 1, 0)
    return ((index - (shift << SUB_BUCKET_BITS) + 1) << shift) - 1


def _shortest_with(longest_ns: int) -> int:
    """The shortest duration in the bucket whose longest this is."""
    shift = max(longest_ns.bit_length() - SUB_BUCKET_BITS - 1, 0)
    return longest_ns >> shift << shift
