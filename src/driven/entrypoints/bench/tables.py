"""A run as tables: which figures stand beside each other, and how each is written. Pure.

Every cell of figures is a median over the rounds with its lowest and highest value in brackets. Ratios are made round
by round, so that both sides of one saw the same machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from driven.entrypoints.bench.bounds import TITLES, ceiling_rows
from driven.entrypoints.bench.cells import NOTHING, metg_shown, metgs, number, percent, shown, times, typed
from driven.entrypoints.bench.figures import ratio, spread
from driven.entrypoints.bench.samples import Figure, Measure
from driven.entrypoints.words import counted, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from driven.entrypoints.bench.record import BenchReport, Entrant

THRESHOLDS: Final = (0.5, 0.9)
MEGABYTE: Final = 1e6


class Table(NamedTuple):
    """A table of the report."""

    title: str
    explanation: str
    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    measures: tuple[Measure, ...]
    """That bring these figures; none: they are of the whole run."""
    is_text: bool = False
    """Whether its cells are words, not figures."""


def tables(report: BenchReport) -> list[Table]:
    """All tables that have a row, the summary first."""
    made = (summary, aims, ceiling, round_trips, granularities, echoes, bandwidths, mixed, scaled, footnotes)
    return [table for table in (make(report) for make in made) if table.rows]


def summary(report: BenchReport) -> Table:
    """The table that most will read: a line for each contender."""
    figures = ((Figure.RATE, number), (Figure.P50_US, number), (Figure.P99_US, number), (Figure.MAIN_CPU_US, number))
    rows = [
        (
            one.name,
            *(shown(spread(report.by_round(one.key, figure).values()), write) for figure, write in figures[:3]),
            *(metg_shown(report, one.key, threshold) for threshold in THRESHOLDS),
            shown(spread(report.by_round(one.key, Figure.MAIN_CPU_US).values()), number),
        )
        for one in report.present()
    ]
    return Table(
        "Summary",
        f"{report.plan.workers} workers. Median over the rounds, lowest and highest in brackets. METG is the smallest"
        " task, in µs of CPU time, at which that part of the usable cores does useful work: less is better.",
        ("", "no-op tasks/s", "round trip p50, µs", "p99, µs", "METG(50 %), µs", "METG(90 %), µs", "main CPU, µs/task"),
        tuple(rows),
        (),
    )


def aims(report: BenchReport) -> Table:
    """The figures that Driven is built for, each beside its rival."""
    return Table(
        "Against the aims",
        "Ratios are made round by round. An aim is a ratio in one run, never a figure of one machine.",
        ("figure", "ours", "rival", "its figure", "ratio", "aim", "measured by"),
        tuple(_aims(report)),
        (),
    )


def ceiling(report: BenchReport) -> Table:
    """How near the bus comes to what bounds it, and how far that is above the rivals."""
    return Table(
        "Against the ceiling",
        "What bare rings, and a bare ordered bus over them, do without keeping any promise. Where these are not above a"
        " rival by the ratio that is aimed at, no program in pure Python is.",
        TITLES,
        tuple(ceiling_rows(report)),
        (),
    )


def _aims(report: BenchReport) -> Iterator[tuple[str, ...]]:
    def by_metg(key: str) -> dict[int, float]:
        return metgs(report, key, THRESHOLDS[0])

    def by(figure: Figure) -> Callable[[str], dict[int, float]]:
        return lambda key: report.by_round(key, figure)

    rivals = {"ppe": "ProcessPoolExecutor", "pool": "multiprocessing.Pool"}
    compared: tuple[tuple[str, Measure, Callable[[str], dict[int, float]], str, float], ...] = (
        ("METG(50 %), µs", Measure.METG, by_metg, "ppe", 20),
        ("METG(50 %), µs", Measure.METG, by_metg, "pool", 5),
        ("no-op tasks/s, strict order", Measure.THROUGHPUT, by(Figure.RATE), "ppe", 10),
        ("no-op tasks/s, strict order", Measure.THROUGHPUT, by(Figure.RATE), "pool", 4),
        ("round trip p50, µs", Measure.ROUND_TRIP, by(Figure.P50_US), "ppe", 5),
    )
    for title, measure, look, rival, aim in compared:
        ours, theirs = look("bus"), look(rival)
        is_more_better = measure is Measure.THROUGHPUT
        found = ratio(theirs, ours) if is_more_better else ratio(ours, theirs)
        if found is not None:
            cells = (shown(spread(ours.values()), number), rivals[rival], shown(spread(theirs.values()), number))
            yield (title, *cells, shown(found, times), f">= {aim:g} x", typed(measure, ("bus", rival)))
    if thread := report.by_round("bus", Figure.THREAD_CPU_US):
        cost = shown(spread(thread.values()), number)
        by_command = typed(Measure.THROUGHPUT, ("bus",))
        yield ("CPU of the bus thread per worker command, µs", cost, "", "", "", "<= 12", by_command)
    yield from _price_of_order(report)


def _price_of_order(report: BenchReport) -> Iterator[tuple[str, ...]]:
    strict = report.by_round("bus", Figure.MIXED_RATE)
    for key, name in (("bus-keyed", "keyed order"), ("executor", "driven.Executor, no order")):
        free = report.by_round(key, Figure.MIXED_RATE)
        price = spread(1 - strict[each] / free[each] for each in strict.keys() & free.keys())
        if price is not None:
            cells = (shown(spread(strict.values()), number), name, shown(spread(free.values()), number))
            by_command = typed(Measure.ORDER, ("bus", key))
            yield ("price of order, mixed tasks/s", *cells, shown(price, percent), "<= 5 %", by_command)


def round_trips(report: BenchReport) -> Table:
    """One lone no-op task, submitted and awaited."""
    figures = (Figure.P50_US, Figure.P99_US, Figure.P999_US)
    return Table(
        "Round trip",
        "One lone no-op task, submitted and awaited, in µs. p99.9 needs 1,000 round trips in a round.",
        ("", "p50", "p99", "p99.9"),
        _rows(report, figures),
        (Measure.ROUND_TRIP,),
    )


def granularities(report: BenchReport) -> Table:
    """What lies behind METG: the efficiency at each duration, as the median of neighbouring points."""
    rows = tuple(
        (one.name, *(metg_shown(report, one.key, threshold) for threshold in THRESHOLDS))
        for one in report.present()
        if report.curves(one.key)
    )
    return Table(
        "METG",
        f"Useful CPU work per wall time; 100 % is {report.noise.calibration.usable_cores:.2f} cores, the peak of bare"
        " loops side by side (one core for what runs inline). `<` and `>`: beyond what was measured.",
        ("", "METG(50 %), µs", "METG(90 %), µs"),
        rows,
        (Measure.METG,),
    )


def echoes(report: BenchReport) -> Table:
    """Time of an echo by size."""
    return _by_size(report, "Payload, time", "A body there and back, one at a time, in µs.", lambda us, _: us)


def bandwidths(report: BenchReport) -> Table:
    """The same as bytes per second."""
    text = "The same in MB/s (millions of bytes per second, counted in one direction)."
    return _by_size(report, "Payload, bandwidth", text, lambda us, body: body / us * 1e6 / MEGABYTE)


def _by_size(report: BenchReport, title: str, text: str, value: Callable[[float, float], float]) -> Table:
    sizes = report.parameters(Figure.ECHO_US)
    rows = []
    for one in report.present():
        found = [(body, report.by_round(one.key, Figure.ECHO_US, body)) for body in sizes]
        if any(by_round for _, by_round in found):
            cells = (spread(value(us, body) for us in by_round.values()) for body, by_round in found)
            rows.append((one.name, *(NOTHING if cell is None else number(cell.median) for cell in cells)))
    return Table(title, text, ("", *(size(int(body)) for body in sizes)), tuple(rows), (Measure.PAYLOAD,))


def mixed(report: BenchReport) -> Table:
    """A mix of durations."""
    return Table(
        "Order",
        "Tasks of 20 µs to 2 ms, the same list for everybody, per second: strict order waits for the slow ones.",
        ("", "mixed tasks/s"),
        _rows(report, (Figure.MIXED_RATE,)),
        (Measure.ORDER,),
    )


def scaled(report: BenchReport) -> Table:
    """More workers."""
    counts = report.parameters(Figure.SCALED_RATE)
    rows = tuple(
        (
            one.name,
            *(shown(spread(report.by_round(one.key, Figure.SCALED_RATE, count).values()), number) for count in counts),
        )
        for one in report.present()
        if any(report.by_round(one.key, Figure.SCALED_RATE, count) for count in counts)
    )
    titles = ("", *(counted(int(count), "worker") for count in counts))
    return Table("Scaling", "Tasks of 500 µs per second.", titles, rows, (Measure.SCALING,))


def footnotes(report: BenchReport) -> Table:
    """What batching in the pool itself brings."""
    batched = [one for one in report.entrants if one.is_batched]
    text = "Many tasks in one message: a lone task then waits for its batch, so these are no rivals of the above."
    return Table(
        "Footnote: batches", text, ("", "no-op tasks/s"), _rows(report, (Figure.RATE,), batched), (Measure.THROUGHPUT,)
    )


def _rows(
    report: BenchReport, figures: tuple[Figure, ...], entrants: list[Entrant] | None = None
) -> tuple[tuple[str, ...], ...]:
    rows = []
    for one in report.present() if entrants is None else entrants:
        found = [spread(report.by_round(one.key, figure).values()) for figure in figures]
        if any(found):
            rows.append((one.name, *(shown(each, number) for each in found)))
    return tuple(rows)
