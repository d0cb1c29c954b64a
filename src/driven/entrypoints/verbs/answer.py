"""What a verb found out. It lives until it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from driven.entrypoints.drawing.page import Page


class Report(Protocol):
    """A frozen record; printed as JSON, it is what programs get."""

    @property
    def is_ok(self) -> bool:
        """Whether all is well; if not, the exit code is 1."""
        ...


class Answer(NamedTuple):
    """What a verb found out, for programs and for people."""

    report: Report
    page: Page
    unknown: str = ""
    """Why nothing could be found out, if nothing could: told on standard error, and the exit code is 2."""
