"""How figures are written into tables. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from driven.entrypoints.bench.figures import metg, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from driven.entrypoints.bench.figures import Spread
    from driven.entrypoints.bench.record import BenchReport
    from driven.entrypoints.bench.samples import Measure

NOTHING: Final = "-"
"""A figure that was not measured."""


def shown(found: Spread | None, write: Callable[[float], str]) -> str:
    """A median, and the lowest and highest value when there are several."""
    if found is None:
        return NOTHING
    if found.count == 1:
        return write(found.median)
    return f"{write(found.median)} ({write(found.low)} - {write(found.high)})"


def number(value: float) -> str:
    """A figure with three digits that mean something: ``0.12``, ``8.31``, ``17.6``, ``1,230``."""
    for bound, decimals in ((1, 3), (10, 2), (100, 1)):
        if abs(value) < bound:
            return f"{value:.{decimals}f}"
    return f"{value:,.0f}"


def times(value: float) -> str:
    """A ratio."""
    return f"{number(value)} x"


def percent(value: float) -> str:
    """A part of one."""
    return f"{100 * value:.1f} %"


def metgs(report: BenchReport, key: str, threshold: float) -> dict[int, float]:
    """METG of one contender by round, in µs; rounds in which it is only bounded are left out."""
    found = {number: metg(points, threshold) for number, points in report.curves(key).items()}
    return {number: one.duration_us for number, one in found.items() if one is not None and not one.bound}


def metg_shown(report: BenchReport, key: str, threshold: float) -> str:
    """METG as a cell; where no round has a value, its bound."""
    if exact := spread(metgs(report, key, threshold).values()):
        return shown(exact, number)
    bounds = [one for points in report.curves(key).values() if (one := metg(points, threshold))]
    return f"{bounds[0].bound} {number(bounds[0].duration_us)}" if bounds else NOTHING


def command(measure: Measure, keys: Iterable[str] = ()) -> str:
    """What to type to measure this alone."""
    chosen = " ".join(keys)
    return f"driven bench --only {measure.value}" + (f" --contenders {chosen}" if chosen else "")


def typed(measure: Measure, keys: Iterable[str]) -> str:
    """The same as code."""
    return f"`{command(measure, keys)}`"
