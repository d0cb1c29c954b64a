"""How a run of benchmarks looks: its tables, ours in strong letters; what went wrong, and where the rest is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driven.entrypoints.bench.markdown import machine_sentence
from driven.entrypoints.bench.tables import tables
from driven.entrypoints.drawing.page import Heading, Numbered, Paragraph, Table, Tone, line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from driven.entrypoints.bench.record import BenchReport
    from driven.entrypoints.drawing.page import Block, Line, Page

SHOWN = ("Summary", "Against the aims")
"""The tables that a terminal shows; the others are in the report."""


def bench_page(report: BenchReport, folder: Path) -> Page:
    """Draw what was measured."""
    return tuple(_parts(report, folder))


def _parts(report: BenchReport, folder: Path) -> Iterator[Block]:
    ours = {entrant.name for entrant in report.entrants if entrant.is_ours}
    for table in tables(report):
        if table.title in SHOWN:
            yield Heading(table.title, table.explanation)
            rows = tuple(tuple(_cell(cell, row[0] in ours) for cell in row[:6]) for row in table.rows)
            yield Table(table.titles[:6], rows)
    yield Heading("Machine")
    yield Paragraph((line(machine_sentence(report), Tone.FAINT),))
    if report.notes or report.problems:
        names = {entrant.key: entrant.name for entrant in report.entrants}
        failed = (f"{names[one.contender]} failed in round {one.round}: {_last(one.reason)}" for one in report.problems)
        yield Heading("Problems")
        yield Numbered((*report.notes, *failed), Tone.CAUTION)
    yield Heading("Report")
    yield Paragraph((line(f"{folder}: {', '.join(report.files)}"),))


def _cell(text: str, is_ours: bool) -> Line:  # noqa: FBT001 - one tone or the other
    return line(text, Tone.STRONG if is_ours else Tone.PLAIN)


def _last(reason: str) -> str:
    return reason.splitlines()[-1]
