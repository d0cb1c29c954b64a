"""How a check looks: the faults; or the parts of the application, and the drawing of its messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driven.entrypoints.drawing.graph import message_tree
from driven.entrypoints.drawing.page import Heading, Numbered, Paragraph, Phrase, Table, Tone, line
from driven.entrypoints.words import counted, short
from driven.placement import Placement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from driven.entrypoints.drawing.page import Block, Line, Page
    from driven.entrypoints.reports.check import CheckReport, CommandReport, EventReport

NOTHING = line("-", Tone.FAINT)
"""Stands in a cell that would be empty."""


def check_page(report: CheckReport) -> Page:
    """Draw a check."""
    if report.faults:
        count = counted(len(report.faults), "fault")
        return (
            Heading(f"application {report.application}", f"{report.reference}; {count}, and a bus would not open"),
            Numbered(report.faults, Tone.BAD),
        )
    return tuple(_parts(report))


def _parts(report: CheckReport) -> Iterator[Block]:
    yield Heading(f"application {report.application}", f"{report.reference}; no faults")
    yield Heading("commands")
    titles = ("command", "handler", "placement", "state", "key", "loads")
    yield Table(titles, tuple(_command(report, command) for command in report.commands))
    if report.events:
        yield Heading("events")
        columns = ("event", "reactions", "projectors", *(["notifiers"] if report.notifiers else []))
        yield Table(columns, tuple(_event(report, event) for event in report.events))
    if report.warm_ups:
        yield Heading("warm-ups", "called in each worker before its first command, in this order")
        yield Paragraph(tuple(line(name) for name in report.warm_ups))
    yield Heading("messages", "what leads to what")
    yield message_tree(report)
    if report.cycles:
        yield Heading("cycles", "legal; one that never ends by itself is ended by [bus] max_hops")
        yield Paragraph(tuple(line(_cycle(report, cycle), Tone.CAUTION) for cycle in report.cycles))
    if report.notes:
        yield Heading("notes")
        yield Numbered(report.notes, Tone.CAUTION)


def _command(report: CheckReport, command: CommandReport) -> tuple[Line, ...]:
    is_inline = command.placement is Placement.INLINE
    loads = ", ".join(f"{short(name, report.application)} by {field}" for name, field in command.loads.items())
    return (
        line(short(command.name, report.application), Tone.COMMAND),
        line(command.handler),
        line(command.placement.value, Tone.FAINT if is_inline else Tone.PLAIN),
        line("stateful" if command.is_stateful else "stateless", Tone.PLAIN if command.is_stateful else Tone.FAINT),
        _cell(command.key),
        _cell(loads),
    )


def _event(report: CheckReport, event: EventReport) -> tuple[Line, ...]:
    return (
        line(short(event.name, report.application), Tone.EVENT),
        _cell(", ".join(event.reactions)),
        _cell(", ".join(event.projectors)),
        *([_cell(", ".join(event.notifiers))] if report.notifiers else []),
    )


def _cycle(report: CheckReport, cycle: Iterable[str]) -> str:
    return " -> ".join(short(name, report.application) for name in cycle)


def _cell(text: str | None) -> Line:
    return (Phrase(text),) if text else NOTHING
