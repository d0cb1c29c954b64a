"""How schemas look: what is recorded, or what became of it since the baseline, with what breaks at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driven.entrypoints.drawing.page import Heading, Numbered, Paragraph, Table, Tone, line
from driven.entrypoints.words import counted, short

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.entrypoints.drawing.page import Block, Line, Page
    from driven.entrypoints.schema.comparison import TypeChange
    from driven.entrypoints.schema.report import SchemaReport

NOTHING = line("-", Tone.FAINT)
"""Stands in a cell that would be empty."""

YES = line("yes", Tone.GOOD)


def schema_page(report: SchemaReport) -> Page:
    """Draw what is recorded."""
    return tuple(_parts(report))


def _parts(report: SchemaReport) -> Iterator[Block]:
    yield Heading(f"schemas of {report.application}", report.reference)
    if report.baseline is None:
        yield Table(("name", "what", "version"), tuple(_recorded(report)))
    else:
        yield from _compared(report)
    if report.written is not None:
        yield Paragraph((line(f"written to {report.written}"),))


def _recorded(report: SchemaReport) -> Iterator[tuple[Line, ...]]:
    for name, message in report.document.messages.items():
        tone = Tone.COMMAND if message.kind == "command" else Tone.EVENT
        yield line(short(name, report.application), tone), line(message.kind), line(str(message.version))
    for name, aggregate in report.document.aggregates.items():
        yield line(short(name, report.application)), line(aggregate.kind), NOTHING


def _compared(report: SchemaReport) -> Iterator[Block]:
    moved = [change for change in report.changes if change.change != "same"]
    same = counted(len(report.changes) - len(moved), "type")
    yield Heading(f"since {report.baseline}", f"{same} unchanged")
    if moved:
        yield Table(
            ("name", "what", "change", "reads the past", "read by the past"),
            tuple(_row(report, change) for change in moved),
        )
    if remarks := [_told(report, one) for one in moved if one.reasons and not one.is_breaking]:
        yield Heading("good to know")
        yield Numbered(tuple(remarks), Tone.FAINT)
    if breaking := [f"{_told(report, one)}; {one.remedy}" for one in moved if one.is_breaking]:
        yield Heading("what breaks", "logs may hold what nobody could read")
        yield Numbered(tuple(breaking), Tone.BAD)
    else:
        yield Paragraph((line("every log of the baseline can be read", Tone.GOOD),))


def _told(report: SchemaReport, change: TypeChange) -> str:
    return f"{short(change.name, report.application)}: {'; '.join(change.reasons)}"


def _row(report: SchemaReport, change: TypeChange) -> tuple[Line, ...]:
    return (
        line(short(change.name, report.application)),
        line(change.what),
        line(change.change),
        YES if change.is_backward else line("no", Tone.BAD if change.is_breaking else Tone.CAUTION),
        YES if change.is_forward else line("no", Tone.CAUTION),
    )
