"""The messages of the census: what can be asked, and what can have happened.

Annotations are read at run time, to encode and decode, so they are real names here and not text.
"""

import msgspec

from census.measuring import Measures
from census.tree import standard_library
from driven import Command, Event


class StartSurvey(Command):
    """Find the Python files below `root`, by default the standard library, and begin to count them."""

    survey_id: str
    root: str = msgspec.field(default_factory=standard_library)


class SurveyStarted(Event):
    """The files were found: `paths`, relative to `root`, sorted, at least one."""

    survey_id: str
    root: str
    paths: tuple[str, ...]


class MeasureFile(Command):
    """Read one file and measure it."""

    survey_id: str
    root: str
    path: str


class FileMeasured(Event):
    """One file was read and measured."""

    survey_id: str
    path: str
    measures: Measures


class FileUnreadable(Event):
    """One file could not be read, decoded or parsed, for a `reason` that is its own."""

    survey_id: str
    path: str
    reason: str


class TallyFile(Command):
    """Count one file as done."""

    survey_id: str
    path: str
    readable: bool


class SurveyFinished(Event):
    """The last file was counted: `measured` and `unreadable` together are all files."""

    survey_id: str
    measured: int
    unreadable: int
