"""The census over HTTP: ``driven run census.api:api``.

`StartSurvey` is the one command that can be reached from outside; what can be asked is the table that it fills.
"""

from typing import Annotated

import msgspec

from census import errors
from census.app import app
from census.table import FileTable
from driven import AggregateExists
from driven.entrypoints.http import Api

api = Api(app, version="1", refusals=[AggregateExists, *errors.SurveyRefused.__subclasses__()])


class RankedFile(msgspec.Struct, frozen=True):
    """One line of the table."""

    path: str
    worst_complexity: int
    worst_function: str
    functions: int
    lines: int


class Standing(msgspec.Struct, frozen=True):
    """How far a survey is, and its most complex files so far."""

    root: str
    done: int
    expected: int
    is_finished: bool
    most_complex: list[RankedFile]


@api.query("/surveys/{survey_id}")
def standing(
    survey_id: str, table: FileTable, *, top: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 10
) -> Standing | None:
    """How far a survey is, and its most complex files; 404 where none of that id has started."""
    rows = table.find(survey_id)
    if rows is None:
        return None
    files = [
        RankedFile(path, each.worst_complexity, each.worst_function, each.functions, each.lines)
        for path, each in rows.most_complex(top)
    ]
    return Standing(rows.root, rows.done, rows.expected, rows.is_finished, files)
