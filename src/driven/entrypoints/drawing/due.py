"""How commands that are due later look: a row each; and what a cancel has done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from driven.entrypoints.drawing.page import Heading, Paragraph, Table, Tone, line
from driven.entrypoints.words import counted

if TYPE_CHECKING:
    from driven.bus.due_messages import DueCommand
    from driven.entrypoints.drawing.page import Line, Page
    from driven.entrypoints.due import CancelReport, DueReport

TITLES: Final = ("due", "message", "key", "cause", "number", "root")


def due_page(report: DueReport) -> Page:
    """Draw what is due later."""
    if not report.commands:
        return (Paragraph((line("nothing is due later", Tone.GOOD),)),)
    heading = Heading("due later", counted(len(report.commands), "command"))
    table = Table(TITLES, tuple(_row(one) for one in report.commands))
    if report.is_all:
        return (heading, table)
    more = f"there are more; ask again with --limit {2 * len(report.commands)}"
    return (heading, table, Paragraph((line(more, Tone.CAUTION),)))


def _row(one: DueCommand) -> tuple[Line, ...]:
    return (
        line(one.due_at.isoformat(sep=" ", timespec="milliseconds")),
        line(one.name, Tone.COMMAND),
        line("-", Tone.FAINT) if one.key is None else line(one.key),
        line(f"{one.cause}"),
        line(f"{one.number}"),
        line(f"{one.root}"),
    )


def cancel_page(report: CancelReport) -> Page:
    """Draw what a cancel has done."""
    told = f"number {report.number} of what position {report.cause} scheduled will not enter"
    return (Heading("cancel", f"position {report.position}"), Paragraph((line(told),)))
