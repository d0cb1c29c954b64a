"""The survey: the aggregate that knows when the last file is in.

It is stored anew with each file it counts, so it holds counts and no lists, and stays a few bytes long however
large the tree is.
"""

from typing import Self

from census.errors import SurveyOver
from census.messages import SurveyFinished, SurveyStarted
from driven import Aggregate


class Survey(Aggregate):
    """One census of one source tree, from its first file to its last."""

    remaining: int
    measured: int = 0
    unreadable: int = 0

    @classmethod
    def start(cls, survey_id: str, root: str, paths: tuple[str, ...]) -> Self:
        """A survey of the files at `paths`, none of which is counted yet."""
        survey = cls(survey_id, remaining=len(paths))
        survey.record(SurveyStarted(survey_id, root, paths))
        return survey

    def tally(self, path: str, *, readable: bool) -> None:
        """Count one file; the last one finishes the survey.

        Raises:
            SurveyOver: every file was counted already.

        """
        if not self.remaining:
            raise SurveyOver(self.id, path)
        self.remaining -= 1
        self.measured += readable
        self.unreadable += not readable
        if not self.remaining:
            self.record(SurveyFinished(self.id, self.measured, self.unreadable))
