"""How a verification looks: one line that says it all, counts by command, and the first differences, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from driven.entrypoints.drawing.page import Heading, Paragraph, Phrase, Table, Tone, line
from driven.entrypoints.drawing.top import duration
from driven.entrypoints.words import counted, short

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.entrypoints.drawing.page import Block, Line, Page
    from driven.verification.report import CommandDifference, FieldDifference, VerificationReport

TITLES: Final = ("command", "run again", "same", "different", "not compared")

BESIDE: Final = 64
"""Characters of both sides of a difference that still stand beside each other."""

TRACEBACK_LINES: Final = 6
"""Of the end of a traceback, where the culprit is."""

NOTHING: Final = "(nothing)"


def verify_page(report: VerificationReport) -> Page:
    """Draw what was found."""
    return tuple(_parts(report))


def _parts(report: VerificationReport) -> Iterator[Block]:
    part = f"log {report.log_id}, positions {report.first_position:,} to {report.last_position:,}"
    yield Heading(f"verification of {report.application}", part)
    yield Paragraph((_verdict(report),))
    if report.commands:
        yield Heading("commands")
        rows = (
            (
                line(short(one.name, report.application), Tone.COMMAND),
                line(f"{one.runs:,}"),
                line(f"{one.same:,}"),
                _count(one.different, Tone.BAD),
                _count(one.not_comparable, Tone.CAUTION),
            )
            for one in report.commands
        )
        yield Table(TITLES, tuple(rows))
    if report.reasons:
        yield Heading("not compared")
        reasons = ((short(one.name, report.application), f"{one.count:,}", one.reason) for one in report.reasons)
        yield Table((), tuple(tuple(map(line, row)) for row in reasons))
    if report.differences:
        told = "all" if len(report.differences) == report.different else f"the first {len(report.differences)}"
        yield Heading("differences", f"{told} of {report.different:,}: recorded -> now")
        for difference in report.differences:
            yield Paragraph(tuple(_difference(difference, report.application)))


def _verdict(report: VerificationReport) -> Line:
    ran = report.compared
    where = f"on {counted(report.workers, 'worker')}" if report.workers else "in this process"
    what = f"{counted(ran, 'command')} run again {where} in {duration(report.took_s)}: "
    if not ran:
        return line("no command of this part of the log could be run again", Tone.CAUTION)
    if report.different:
        return (Phrase(what), Phrase(f"{report.different:,} different", Tone.BAD))
    return (Phrase(what), Phrase("all do what they did", Tone.GOOD))


def _count(number: int, tone: Tone) -> Line:
    return line(f"{number:,}", tone if number else Tone.FAINT)


def _difference(difference: CommandDifference, application: str) -> Iterator[Line]:
    root = difference.correlation
    origin = "" if root == difference.position else f", of the root at {root:,}"
    given = "" if difference.id.startswith("@") else f", id {difference.id}"
    name = Phrase(short(difference.name, application), Tone.COMMAND)
    yield (name, Phrase(f" at position {difference.position:,}{given}{origin}", Tone.STRONG))
    if difference.given:
        yield line(f"  {difference.given}", Tone.FAINT)
    for field in difference.fields:
        yield from _field(field)
    if difference.more:
        yield line(f"  and {counted(difference.more, 'further place')}", Tone.FAINT)
    for text in difference.traceback.rstrip().splitlines()[-TRACEBACK_LINES:]:
        yield line(f"    {text}", Tone.FAINT)


def _field(field: FieldDifference) -> Iterator[Line]:
    then, now = field.recorded or NOTHING, field.now or NOTHING
    if len(then) + len(now) <= BESIDE:
        arrow = Phrase(" -> ", Tone.FAINT, " → ")
        yield (Phrase(f"  {field.place}: "), Phrase(then, Tone.BAD), arrow, Phrase(now, Tone.GOOD))
        return
    yield line(f"  {field.place}:")
    yield line(f"    - {then}", Tone.BAD)
    yield line(f"    + {now}", Tone.GOOD)
