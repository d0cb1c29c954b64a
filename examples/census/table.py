"""The table: the read model that reports and progress are made of.

Projectors write it as events retire; it lives in the main process, as long as the bus.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from census.measuring import BAND_LIMITS

if TYPE_CHECKING:
    from census.measuring import Measures


@dataclass(frozen=True)
class Totals:
    """What all measured files of a survey add up to."""

    lines: int
    functions: int
    complexity: int
    documented: int
    documentable: int
    bands: tuple[int, ...]


@dataclass
class SurveyRows:
    """What is known of one survey: measures and reasons by path, in the order in which files retired."""

    root: str = ""
    expected: int = 0
    measured: dict[str, Measures] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    is_finished: bool = False

    @property
    def done(self) -> int:
        """Files that are in, readable or not."""
        return len(self.measured) + len(self.unreadable)

    def most_complex(self, count: int) -> list[tuple[str, Measures]]:
        """The `count` files with the most complex function; of equals, the more complex file, then by path."""

        def rank(row: tuple[str, Measures]) -> tuple[int, int, str]:
            path, measures = row
            return (-measures.worst_complexity, -measures.total_complexity, path)

        return sorted(self.measured.items(), key=rank)[:count]

    def totals(self) -> Totals:
        """Add up all measured files."""
        every = self.measured.values()
        return Totals(
            lines=sum(each.lines for each in every),
            functions=sum(each.functions for each in every),
            complexity=sum(each.total_complexity for each in every),
            documented=sum(each.documented for each in every),
            documentable=sum(each.documentable for each in every),
            bands=tuple(sum(each.bands[band] for each in every) for band in range(len(BAND_LIMITS) + 1)),
        )


class FileTable:
    """All surveys of one bus, by id."""

    def __init__(self) -> None:
        self._surveys: dict[str, SurveyRows] = {}

    def survey(self, survey_id: str) -> SurveyRows:
        """The rows of a survey; empty, and filling later, where it has not started."""
        return self._surveys.setdefault(survey_id, SurveyRows())

    def find(self, survey_id: str) -> SurveyRows | None:
        """The rows of a survey that has started; None if there is none of that id."""
        return self._surveys.get(survey_id)
