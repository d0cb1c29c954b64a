"""A run as pictures, drawn with matplotlib into PNG files; the only module that needs it.

Ours are drawn in one family of colours and on top, everybody else in greys and muted ones. Whiskers and bands reach
from the lowest to the highest value over the rounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from driven.entrypoints.bench.figures import Spread, spread
from driven.entrypoints.bench.samples import Figure
from driven.entrypoints.bench.tables import MEGABYTE, THRESHOLDS
from driven.entrypoints.words import size

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.axes import Axes

    from driven.entrypoints.bench.record import BenchReport, Entrant

OURS: Final = ("#c1121f", "#f4845f", "#e36414", "#7f1d1d")
THEIRS: Final = ("#1d3557", "#457b9d", "#6b8f71", "#8d99ae", "#a98467", "#5e548e", "#3a5a40", "#9a8c98")
MILLION: Final = 1e6
DPI: Final = 150
WIDTH_IN: Final = 8.0
STYLE: Final[dict[Any, Any]] = {
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "legend.frameon": False,
}


def draw_charts(report: BenchReport, folder: Path) -> tuple[str, ...]:
    """Draw every chart that has something to show; return the names of the files."""
    charts: tuple[tuple[str, Callable[[BenchReport, Axes], bool], float], ...] = (
        ("throughput.png", _throughput, 3.6),
        ("round-trip.png", _round_trip, 3.6),
        ("metg.png", _metg, 4.8),
        ("payload.png", _payload, 4.8),
        ("order.png", _order, 3.6),
        ("scaling.png", _scaling, 4.2),
    )
    drawn = []
    with mpl.rc_context(STYLE):
        for name, draw, height_in in charts:
            canvas = Canvas(figsize=(WIDTH_IN, height_in), layout="constrained")
            if draw(report, canvas.add_subplot()):
                canvas.savefig(folder / name, dpi=DPI)
                drawn.append(name)
    return tuple(drawn)


def _colours(report: BenchReport) -> dict[str, str]:
    """A colour for each contender that does not change from chart to chart."""
    ours = [one.key for one in report.entrants if one.is_ours]
    theirs = [one.key for one in report.entrants if not one.is_ours]
    return {
        key: colours[place % len(colours)]
        for keys, colours in ((ours, OURS), (theirs, THEIRS))
        for place, key in enumerate(keys)
    }


def _bars(report: BenchReport, axes: Axes, figure: Figure, title: str, label: str) -> bool:
    found = [(one, spread(report.by_round(one.key, figure).values())) for one in report.drawn()]
    rows = [(one, values) for one, values in found if values is not None][::-1]
    for place, (one, values) in enumerate(rows):
        axes.barh(
            place, values.median, color=_colours(report)[one.key], xerr=_reach([values]), ecolor="#222", capsize=2
        )
        axes.annotate(f" {values.median:,.0f}", (values.high, place), va="center", fontsize=9)
    axes.set(title=title, xlabel=label)
    axes.set_yticks(range(len(rows)), [one.name for one, _ in rows])
    axes.margins(x=0.15)
    _plain_numbers(axes)
    axes.grid(visible=False, axis="y")
    return bool(rows)


def _plain_numbers(axes: Axes) -> None:
    """Write 10,000 and not a power of ten."""
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}" if value < MILLION else f"{value / MILLION:g} M")


def _legend(axes: Axes, place: Literal["upper left", "lower right"]) -> None:
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=8, loc=place)


def _reach(values: list[Spread]) -> list[list[float]]:
    """How far whiskers go below and above the medians."""
    return [[one.median - one.low for one in values], [one.high - one.median for one in values]]


def _throughput(report: BenchReport, axes: Axes) -> bool:
    return _bars(report, axes, Figure.RATE, "Tasks that do nothing", "tasks per second (more is better)")


def _order(report: BenchReport, axes: Axes) -> bool:
    title = "Tasks of 20 µs to 2 ms, mixed: what order costs"
    return _bars(report, axes, Figure.MIXED_RATE, title, "tasks per second (more is better)")


def _round_trip(report: BenchReport, axes: Axes) -> bool:
    signs = {Figure.P50_US: ("o", "p50"), Figure.P99_US: ("D", "p99"), Figure.P999_US: ("|", "p99.9")}
    rows = [one for one in report.drawn() if report.by_round(one.key, Figure.P50_US)][::-1]
    for place, one in enumerate(rows):
        colour = _colours(report)[one.key]
        found = [(sign, spread(report.by_round(one.key, figure).values())) for figure, (sign, _) in signs.items()]
        values = [(sign, value.median) for sign, value in found if value is not None]
        axes.plot([value for _, value in values], [place] * len(values), color=colour, alpha=0.5, linewidth=2)
        for sign, value in values:
            axes.plot(value, place, sign, color=colour, markersize=7, markeredgewidth=2 if sign == "|" else 0)
    axes.set(
        title="One lone task, there and back (● p50   ◆ p99   | p99.9)", xlabel="µs (less is better)", xscale="log"
    )
    _plain_numbers(axes)
    axes.set_yticks(range(len(rows)), [one.name for one in rows])
    return bool(rows)


def _lines(axes: Axes, one: Entrant, colour: str, points: list[tuple[float, Spread]]) -> None:
    """A line of medians in a band from lowest to highest."""
    xs = [x for x, _ in points]
    values = [value for _, value in points]
    axes.plot(
        xs,
        [value.median for value in values],
        "o-",
        color=colour,
        label=one.name,
        markersize=4,
        linewidth=2.4 if one.is_ours else 1.3,
        zorder=3 if one.is_ours else 2,
    )
    axes.fill_between(xs, [value.low for value in values], [value.high for value in values], color=colour, alpha=0.12)


def _metg(report: BenchReport, axes: Axes) -> bool:
    entrants = [one for one in report.drawn() if report.curves(one.key)]
    for one in entrants:
        points = sorted(point for curve in report.curves(one.key).values() for point in curve)
        axes.plot(
            [duration for duration, _ in points],
            [100 * reached for _, reached in points],
            "o",
            color=_colours(report)[one.key],
            markersize=3.5,
            alpha=0.35,
        )
        _lines(axes, one, _colours(report)[one.key], _binned(points))
    for threshold in THRESHOLDS:
        axes.axhline(100 * threshold, color="#222", linewidth=0.8, linestyle=":")
    axes.set(
        title="Efficiency by task duration; METG is where a curve crosses 50 % or 90 %",
        xlabel="CPU time of one task, µs",
        ylabel="useful work, % of the peak",
        xscale="log",
    )
    _plain_numbers(axes)
    axes.set_ylim(0, 110)
    _legend(axes, "upper left")
    return bool(entrants)


def _binned(points: list[tuple[float, float]]) -> list[tuple[float, Spread]]:
    """Points of all rounds, those of about the same duration (within the same power of two) taken together."""
    bins: dict[int, list[tuple[float, float]]] = {}
    for duration, reached in points:
        bins.setdefault(round(duration).bit_length(), []).append((duration, 100 * reached))
    found = []
    for held in bins.values():
        middle, reach = spread(duration for duration, _ in held), spread(reached for _, reached in held)
        if middle is not None and reach is not None:
            found.append((middle.median, reach))
    return sorted(found, key=lambda point: point[0])


def _payload(report: BenchReport, axes: Axes) -> bool:
    sizes = report.parameters(Figure.ECHO_US)
    for one in report.drawn():
        found = [(body, report.by_round(one.key, Figure.ECHO_US, body)) for body in sizes]
        points = [(body, spread(body / us * 1e6 / MEGABYTE for us in by_round.values())) for body, by_round in found]
        if kept := [(body, value) for body, value in points if value is not None]:
            _lines(axes, one, _colours(report)[one.key], kept)
    axes.set(title="A body there and back", ylabel="MB/s (more is better)", xscale="log", yscale="log")
    axes.set_xticks(sizes, [size(int(body)) for body in sizes])
    axes.minorticks_off()
    _legend(axes, "lower right")
    return bool(sizes)


def _scaling(report: BenchReport, axes: Axes) -> bool:
    counts = report.parameters(Figure.SCALED_RATE)
    for one in report.drawn():
        found = [(count, spread(report.by_round(one.key, Figure.SCALED_RATE, count).values())) for count in counts]
        if kept := [(count, value) for count, value in found if value is not None]:
            _lines(axes, one, _colours(report)[one.key], kept)
    axes.set(title="Tasks of 500 µs by number of workers", xlabel="workers", ylabel="tasks per second")
    axes.set_xticks(counts, [f"{count:g}" for count in counts])
    axes.set_ylim(bottom=0)
    _legend(axes, "upper left")
    return bool(counts)
