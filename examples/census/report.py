"""The report: what a survey found, and how the run with workers compares with the one without.

Pure rendering: values in, something that rich can print out; nothing is kept, nothing is printed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from census.look import keep_end, printable
from census.measuring import BAND_LIMITS

if TYPE_CHECKING:
    from rich.console import RenderableType

    from census.look import Look
    from census.table import SurveyRows, Totals

REASONS_SHOWN = 5
"""Unreadable files that are named; the others are only counted."""

BAR_COLUMNS = 32
_NUMBER_COLUMNS = 48  # what the table needs beside the names of files and functions
_LEGEND = (
    "worst: cyclomatic complexity of the function; deep: blocks inside one another; "
    "long: lines of the longest function; docs: share with a docstring"
)
_BAND_STYLES = ("green", "green", "yellow", "dark_orange", "red")


@dataclass(frozen=True)
class Run:
    """One run of the census: with how many workers, how long it took, and what came out."""

    workers: int
    seconds: float
    digest: str
    rows: SurveyRows

    @property
    def name(self) -> str:
        """How reports call the run."""
        return "inline" if not self.workers else f"{self.workers} worker{'s' if self.workers > 1 else ''}"

    @property
    def files_per_second(self) -> float:
        """Files that came in per second of the whole run."""
        return self.rows.done / self.seconds


def ranking(rows: SurveyRows, top: int, look: Look, width: int) -> RenderableType:
    """The `top` most complex files, the worst first, in a table at most `width` columns wide."""
    names = max(width - _NUMBER_COLUMNS, 24)
    table = look.table()
    table.add_column("#", justify="right", style="dim")
    table.add_column("file", no_wrap=True)
    table.add_column("worst", justify="right", no_wrap=True)
    table.add_column("function", no_wrap=True)
    for heading in ("defs", "lines", "deep", "long", "docs"):
        table.add_column(heading, justify="right", no_wrap=True)
    for rank, (path, measures) in enumerate(rows.most_complex(top), 1):
        table.add_row(
            str(rank),
            _name(path, names * 11 // 20, look),
            Text(str(measures.worst_complexity), _BAND_STYLES[_band(measures.worst_complexity)]),
            _name(measures.worst_function, names * 9 // 20, look),
            f"{measures.functions:,}",
            f"{measures.lines:,}",
            str(measures.deepest_nesting),
            f"{measures.longest_function_lines:,}",
            _percent(measures.documented, measures.documentable),
        )
    return Group(Text("The most complex files", "bold"), table, Text(_LEGEND, "dim"))


def summary(rows: SurveyRows, look: Look, width: int) -> RenderableType:
    """Totals, the distribution of complexity, and the first files that could not be read."""
    totals = rows.totals()
    parts: list[RenderableType] = [_facts(rows, totals), Text(), _distribution(totals, look)]
    if rows.unreadable:
        parts += [Text(), _unreadable(rows, look, width)]
    return look.frame(f"Census of {printable(rows.root)}", Group(*parts))


def _facts(rows: SurveyRows, totals: Totals) -> Table:
    files = f"{rows.done:,}: {len(rows.measured):,} measured, {len(rows.unreadable):,} unreadable"
    documented = f"{totals.documented:,} of {totals.documentable:,} modules, classes and functions"
    facts = Table.grid(padding=(0, 3, 0, 0))
    facts.add_row(Text("files", "bold"), files)
    facts.add_row(Text("lines", "bold"), f"{totals.lines:,}")
    facts.add_row(Text("functions", "bold"), f"{totals.functions:,}")
    facts.add_row(Text("complexity", "bold"), f"{totals.complexity:,}")
    facts.add_row(Text("docstrings", "bold"), f"{_percent(totals.documented, totals.documentable)}: {documented}")
    return facts


def _distribution(totals: Totals, look: Look) -> RenderableType:
    chart = Table.grid(padding=(0, 2, 0, 0))
    chart.add_column(justify="right")
    chart.add_column(min_width=BAR_COLUMNS)
    chart.add_column(justify="right")
    chart.add_column(justify="right")
    largest = max(totals.bands) or 1
    for name, count, style in zip(_band_names(), totals.bands, _BAND_STYLES, strict=True):
        bar = Text(look.bar(count / largest, BAR_COLUMNS), style)
        chart.add_row(name, bar, f"{count:,}", _percent(count, totals.functions, decimals=1))
    return Group(Text("functions by complexity", "bold"), chart)


def _unreadable(rows: SurveyRows, look: Look, width: int) -> RenderableType:
    shown = sorted(rows.unreadable.items())[:REASONS_SHOWN]
    reasons = Table.grid(padding=(0, 2, 0, 0))
    reasons.add_column(overflow="fold")
    reasons.add_column(overflow="fold", style="dim")
    for path, reason in shown:
        reasons.add_row(_name(path, width * 2 // 5, look), printable(reason))
    heading = "unreadable" if len(shown) == len(rows.unreadable) else f"unreadable, the first {REASONS_SHOWN}"
    return Group(Text(heading, "bold"), reasons)


def comparison(with_workers: Run, inline: Run, look: Look) -> RenderableType:
    """Both runs beside each other: time, speed, and whether their logs are the same to the byte."""
    table = look.table()
    table.add_column("run")
    table.add_column("seconds", justify="right")
    table.add_column("files/s", justify="right")
    table.add_column("log digest", overflow="fold")
    for run in (with_workers, inline):
        table.add_row(run.name, f"{run.seconds:.2f}", f"{run.files_per_second:,.0f}", run.digest)
    return Group(
        table, Text(f"time ratio   {with_workers.seconds / inline.seconds:.2f}"), _verdict(with_workers, inline)
    )


def _verdict(one: Run, other: Run) -> Text:
    equal = one.digest == other.digest
    verdict = Text("equal", "bold green") if equal else Text("DIFFERENT", "bold red")
    return Text("log digests  ").append_text(verdict)


def _name(name: str, width: int, look: Look) -> Text:
    return Text(keep_end(printable(name), width, look.ellipsis))


def _percent(part: int, whole: int, decimals: int = 0) -> str:
    return f"{100 * part / whole:.{decimals}f} %" if whole else "-"


def _band(complexity: int) -> int:
    return sum(complexity > limit for limit in BAND_LIMITS)


def _band_names() -> list[str]:
    lowest = (1, *(limit + 1 for limit in BAND_LIMITS))
    return [*(f"{low}-{high}" for low, high in zip(lowest, BAND_LIMITS, strict=False)), f"{lowest[-1]}+"]
