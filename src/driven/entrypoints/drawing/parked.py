"""How parked messages look: one row each; one with its fields and failures; and what a redrive has done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from driven.entrypoints.drawing.page import Heading, Paragraph, Table, Tone, line
from driven.entrypoints.words import counted, ranges

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.bus.parked_messages import ParkedMessage
    from driven.entrypoints.drawing.page import Block, Line, Page
    from driven.entrypoints.parked import DetailsReport, ParkedReport, RedriveReport

TITLES: Final = ("position", "message", "key", "reason")


def parked_page(report: ParkedReport) -> Page:
    """Draw what is parked."""
    if not report.messages:
        return (Paragraph((line("nothing is parked", Tone.GOOD),)),)
    table = Table(TITLES, tuple(_row(one) for one in report.messages))
    heading = Heading("parked", counted(len(report.messages), "message"))
    if report.is_all:
        return (heading, table)
    more = f"there are more; ask again with --after {report.messages[-1].position}"
    return (heading, table, Paragraph((line(more, Tone.CAUTION),)))


def _row(message: ParkedMessage) -> tuple[Line, ...]:
    key = "-" if message.key is None else message.key
    return (
        line(f"{message.position}"),
        line(message.name, Tone.EVENT if message.is_event else Tone.COMMAND),
        line(f"{key} (released)" if message.is_released else key, Tone.FAINT if message.key is None else Tone.PLAIN),
        line(message.reason),
    )


def details_page(report: DetailsReport) -> Page:
    """Draw one message."""
    return tuple(_details(report))


def _details(report: DetailsReport) -> Iterator[Block]:
    message = report.message
    yield Heading(message.name, f"parked at position {message.position}")
    facts = {
        "key": "none" if message.key is None else message.key + (", released" if message.is_released else ""),
        "root": str(message.root),
        "accepted": message.accepted_at.isoformat(timespec="milliseconds"),
        "attempts": str(message.attempts),
        "parked before": f"at position {message.redrives}" if message.redrives else "no",
    }
    yield Table((), tuple((line(name, Tone.FAINT), line(text)) for name, text in facts.items()))
    if report.body is None:
        yield Paragraph((line("the application cannot read it any more", Tone.BAD),))
    elif report.body:
        yield Heading("fields")
        yield Table((), tuple((line(name), line(_shown(value))) for name, value in report.body.items()))
    for failure in report.failures:
        yield Heading("failure", failure.reaction)
        told = failure.traceback.rstrip() or f"{failure.error_type}: {failure.text}"
        yield Paragraph(tuple(line(one) for one in told.splitlines()))


def redrive_page(report: RedriveReport) -> Page:
    """Draw what a redrive has done."""
    rows = [("entered again", report.entered), ("given up", report.given_up), ("released", report.released)]
    table = Table((), tuple((line(name), line(ranges(positions))) for name, positions in rows if positions))
    heading = Heading(report.verb, f"position {report.position}")
    if report.is_ok:
        return (heading, table)
    told = f"{counted(report.parked, 'message')} parked again, {report.failed:,} failed"
    return (heading, table, Paragraph((line(told, Tone.BAD),)))


def _shown(value: object) -> str:
    return msgspec.json.encode(value).decode(errors="backslashreplace")
