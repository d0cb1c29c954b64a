"""How a rebuild looks when it is over: one row for each projection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from driven.entrypoints.drawing.page import Heading, Paragraph, Table, Tone, line
from driven.entrypoints.drawing.top import duration

if TYPE_CHECKING:
    from driven.entrypoints.drawing.page import Page
    from driven.entrypoints.rebuild import RebuildReport

TITLES: Final = ("projection", "version", "up to position", "began at", "took")


def rebuild_page(report: RebuildReport) -> Page:
    """Draw what was built."""
    if not report.projections:
        return (Paragraph((line("the application has no projection that lasts", Tone.CAUTION),)),)
    rows = (
        (
            line(one.projection, Tone.STRONG),
            line(str(one.version)),
            line(f"{one.position:,}"),
            line(f"{one.resumed_at:,}"),
            line(duration(one.took_s)),
        )
        for one in report.projections
    )
    return (Heading("built anew"), Table(TITLES, tuple(rows)))
