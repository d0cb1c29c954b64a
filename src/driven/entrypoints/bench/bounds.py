"""The ceiling as a table: how near to it the bus comes, and how far it is itself above the rivals. Pure.

A ratio against a rival says as much of the rival, of the machine and of Python as of the bus. What bounds all programs
in pure Python, measured in the same run, tells these apart: where the ceiling itself is no ten times as fast as a
rival, nothing is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from driven.entrypoints.bench.cells import NOTHING, metgs, number, percent, shown, times, typed
from driven.entrypoints.bench.figures import ratio, spread
from driven.entrypoints.bench.samples import Figure, Measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from driven.entrypoints.bench.figures import Spread
    from driven.entrypoints.bench.record import BenchReport

SHARE_AIMED_AT: Final = 0.5
"""The part of what a bare ordered bus does that the bus is to do, promises and all."""

OURS: Final = "bus"
ORDERED: Final = "bare-bus"
RIVALS: Final = ("ppe", "pool")


class _Row(NamedTuple):
    """A figure that is bounded."""

    title: str
    measure: Measure
    look: Callable[[BenchReport, str], dict[int, float]]

    def better(self, one: dict[int, float], other: dict[int, float]) -> Spread | None:
        """How many times better `one` is than `other`: more per second, or less time."""
        return ratio(other, one) if self.measure is Measure.THROUGHPUT else ratio(one, other)


_ROWS: Final = (
    _Row("no-op tasks/s", Measure.THROUGHPUT, lambda report, key: report.by_round(key, Figure.RATE)),
    _Row("round trip p50, µs", Measure.ROUND_TRIP, lambda report, key: report.by_round(key, Figure.P50_US)),
    _Row("METG(50 %), µs", Measure.METG, lambda report, key: metgs(report, key, 0.5)),
)

TITLES: Final = (
    "figure",
    "Driven bus",
    "the ceiling",
    "its figure",
    "share reached",
    "aim",
    "ceiling against ProcessPoolExecutor",
    "against multiprocessing.Pool",
    "measured by",
)


def ceiling_rows(report: BenchReport) -> Iterator[tuple[str, ...]]:
    """A row for each figure and each ceiling that was measured."""
    names = {one.key: one.name for one in report.entrants if one.is_bound}
    for row in _ROWS:
        ours = row.look(report, OURS)
        for key, name in names.items():
            bound = row.look(report, key)
            if ours and bound:
                yield (
                    row.title,
                    shown(spread(ours.values()), number),
                    name.removeprefix("ceiling: "),
                    shown(spread(bound.values()), number),
                    shown(row.better(ours, bound), percent),
                    f">= {100 * SHARE_AIMED_AT:.0f} %" if key == ORDERED else "",
                    *(_above(row, bound, row.look(report, rival)) for rival in RIVALS),
                    typed(row.measure, (OURS, key, *RIVALS)),
                )


def _above(row: _Row, bound: dict[int, float], rival: dict[int, float]) -> str:
    """How many times better the ceiling is than a rival."""
    found = row.better(bound, rival)
    return NOTHING if found is None else times(found.median)
