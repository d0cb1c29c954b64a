"""How the doctor's findings look: a line each, by topic, the verdict first; and what they come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from driven.entrypoints.drawing.page import Heading, Paragraph, Phrase, Table, Tone, line
from driven.entrypoints.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.entrypoints.drawing.page import Block, Line, Page
    from driven.entrypoints.reports.doctor import DoctorReport
    from driven.entrypoints.reports.finding import Finding

VERDICTS: Final = {
    "ok": Phrase("ok", Tone.GOOD, "✓ ok"),
    "note": Phrase("note", Tone.CAUTION, "● note"),
    "problem": Phrase("problem", Tone.BAD, "✗ problem"),
}


def doctor_page(report: DoctorReport) -> Page:
    """Draw what the doctor found."""
    return tuple(_parts(report))


def _parts(report: DoctorReport) -> Iterator[Block]:
    yield Heading(f"Driven {report.version}", "what it finds here")
    for topic in dict.fromkeys(finding.topic for finding in report.findings):
        yield Heading(topic)
        yield Table((), tuple(_finding(finding) for finding in report.findings if finding.topic == topic))
    yield Heading("verdict")
    yield Paragraph((_verdict(report),))


def _finding(finding: Finding) -> tuple[Line, ...]:
    remedy = (Phrase(f"\n-> {finding.remedy}", Tone.STRONG, f"\n→ {finding.remedy}"),) if finding.remedy else ()
    name, summary = _told(finding)
    return ((VERDICTS[finding.verdict],), line(name, Tone.STRONG), (Phrase(summary), *remedy))


def _told(finding: Finding) -> tuple[str, str]:
    """What it is about, and what is said; guarantees share a name, so what each is about stands in its place."""
    if finding.name == "guarantee":
        return str(finding.facts["about"]), str(finding.facts["told"])
    return finding.name.replace("_", " "), finding.summary


def _verdict(report: DoctorReport) -> Line:
    problems = sum(finding.verdict == "problem" for finding in report.findings)
    notes = sum(finding.verdict == "note" for finding in report.findings)
    if problems:
        return line(f"{counted(problems, 'problem')}: Driven does not work here, or not with workers", Tone.BAD)
    return line(f"Driven works here, {counted(notes, 'note')}", Tone.CAUTION if notes else Tone.GOOD)
