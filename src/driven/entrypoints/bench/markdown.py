"""A run as Markdown: the summary first, then the machine, then each table with its chart and its command. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from driven.entrypoints.bench.cells import command, number, percent
from driven.entrypoints.bench.tables import Table, aims, ceiling, summary, tables
from driven.entrypoints.words import size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.entrypoints.bench.record import BenchReport

CHART_OF: Final = {
    "Summary": "throughput.png",
    "Round trip": "round-trip.png",
    "METG": "metg.png",
    "Payload, time": "payload.png",
    "Order": "order.png",
    "Scaling": "scaling.png",
}
"""The chart below each table, when it was drawn."""


def markdown(report: BenchReport) -> str:
    """The whole report."""
    return "\n".join(_lines(report)) + "\n"


def aims_markdown(report: BenchReport) -> str:
    """The table of aims alone, for a page of documentation."""
    return "\n".join(_grid(aims(report))) + "\n"


def ceiling_markdown(report: BenchReport) -> str:
    """The table of the ceiling alone."""
    return "\n".join(_grid(ceiling(report))) + "\n"


def summary_markdown(report: BenchReport) -> str:
    """The table of contenders alone."""
    return "\n".join(_grid(summary(report))) + "\n"


def machine_sentence(report: BenchReport) -> str:
    """What was measured on, and how quiet it was, in two sentences."""
    machine, noise = report.machine, report.noise
    steal = "unknown" if noise.steal is None else percent(noise.steal)
    return (
        f"{machine.processor}, {machine.cpus} CPUs to use ({noise.calibration.usable_cores:.2f} cores of work side by"
        f" side), {machine.python}, {machine.system}, Driven {machine.driven}. The same loop varied by"
        f" {percent(noise.variation)}, others took {steal} of the CPU time, the load average was"
        f" {noise.load_before:.1f} before and {noise.load_after:.1f} after."
    )


def _lines(report: BenchReport) -> Iterator[str]:
    yield "# Driven, measured here"
    yield ""
    kind = "A quick run" if report.plan.is_quick else "A full run"
    yield f"{kind} of {report.plan.rounds} rounds, {report.took_s:.0f} s. Figures of one machine at one time. Made by:"
    yield from ("", "```sh", report.command, "```", "")
    if report.notes:  # before the first figure, as they say what the figures are worth
        yield from ("To bear in mind:", "", *(f"- {note}" for note in report.notes), "")
    made = tables(report)
    for table in made[:1]:
        yield from _section(report, table)
    yield from _machine(report)
    for table in made[1:]:
        yield from _section(report, table)
    yield from _contenders(report)
    yield from _problems(report)


def _section(report: BenchReport, table: Table) -> Iterator[str]:
    yield from (f"## {table.title}", "", table.explanation, "")
    yield from _grid(table)
    chart = CHART_OF.get(table.title, "")
    if chart in report.files:
        yield from ("", f"![{table.title}]({chart})")
    for measure in table.measures:
        yield from ("", f"Measured by `{command(measure)}`.")
    yield ""


def _grid(table: Table) -> Iterator[str]:
    yield _row(table.titles)
    yield _row(["---" if place == 0 or table.is_text else "---:" for place in range(len(table.titles))])
    yield from (_row(row) for row in table.rows)


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _machine(report: BenchReport) -> Iterator[str]:
    machine, noise = report.machine, report.noise
    rows = (
        ("processor", machine.processor),
        ("CPUs to use", f"{machine.cpus}: {machine.cpus_because}"),
        ("usable cores", f"{noise.calibration.usable_cores:.2f}, of bare loops side by side, one per worker"),
        ("memory", size(machine.memory_bytes)),
        ("system", machine.system),
        ("Python", machine.python),
        ("Driven", machine.driven),
        ("one iteration of work", f"{number(noise.calibration.ns_per_iteration)} ns of CPU time"),
        ("noise", f"the same loop, {noise.loops:,} times: coefficient of variation {percent(noise.variation)}"),
        ("steal time", "unknown here" if noise.steal is None else percent(noise.steal)),
        ("load average", f"{noise.load_before:.2f} before, {noise.load_after:.2f} after"),
    )
    yield from _grid_section("Machine", ("", ""), rows)


def _contenders(report: BenchReport) -> Iterator[str]:
    there = {sample.contender for sample in report.samples}
    rows = tuple((one.name, one.version, one.remark) for one in report.entrants if one.key in there)
    yield from _grid_section("Contenders", ("", "version", "how it is used"), rows)
    absent = [one.name for one in report.entrants if not one.version]
    if absent:
        yield from (f"Not installed: {', '.join(absent)}.", "")


def _problems(report: BenchReport) -> Iterator[str]:
    if not report.problems:
        return
    yield from ("## Problems", "")
    names = {one.key: one.name for one in report.entrants}
    for problem in report.problems:
        yield from (f"{names[problem.contender]}, round {problem.round}:", "", "```text", problem.reason, "```", "")


def _grid_section(title: str, titles: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> Iterator[str]:
    yield from (f"## {title}", "")
    yield from _grid(Table(title, "", titles, rows, (), is_text=True))
    yield ""
