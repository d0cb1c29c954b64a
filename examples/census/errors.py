"""What the census refuses, in one tree; each message names the culprit and ends in the remedy.

::

    CensusError
    |- SurveyRefused       the survey cannot be: shown to whoever asked for it
    |  |- RootMissing        the root cannot be reached
    |  |- RootNotFolder      the root is something else than a folder
    |  |- EmptyTree          there is no Python file below the root
    |  `- SurveyOver         a file was counted after the last one
    |- SurveyIncomplete    not every file came in
    |- LogsThere           the folder to keep logs in has some already
    `- Unreadable          one file cannot be measured: becomes the event `FileUnreadable`, never a failure

Errors hold the values they speak of and render them; nothing here does any work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class CensusError(Exception):
    """The root of every error that the census raises on purpose."""


class SurveyRefused(CensusError):
    """The survey cannot begin, or cannot go on."""


class RootMissing(SurveyRefused):
    """The root of the tree cannot be reached; `reason` is what the operating system says."""

    def __init__(self, root: str, reason: str) -> None:
        self.root = root
        self.reason = reason
        super().__init__(f"the root {root!r} cannot be opened ({reason}); give a folder that exists and may be read")


class RootNotFolder(SurveyRefused):
    """The root of the tree is there, but it is not a folder."""

    def __init__(self, root: str) -> None:
        self.root = root
        super().__init__(f"the root {root!r} is not a folder; give the folder that holds the Python files")


class EmptyTree(SurveyRefused):
    """The root of the tree is a folder without a single Python file to measure."""

    def __init__(self, root: str) -> None:
        self.root = root
        super().__init__(
            f"there is no Python file below {root!r} (hidden folders, __pycache__ and site-packages are not "
            f"searched); give a folder that holds *.py files"
        )


class SurveyOver(SurveyRefused):
    """A file was counted although all files of the survey had been counted."""

    def __init__(self, survey_id: str, path: str) -> None:
        self.survey_id = survey_id
        self.path = path
        super().__init__(f"survey {survey_id!r} is over and cannot count {path!r}; start a new survey for it")


class SurveyIncomplete(CensusError):
    """Everything has settled, and yet only `done` of `expected` files came in: the others were set aside."""

    def __init__(self, done: int, expected: int) -> None:
        self.done = done
        self.expected = expected
        super().__init__(
            f"only {done:,} of {expected:,} files came in, the commands of the others failed and were parked; "
            f"what the bus logged says why: mend that and run again"
        )


class LogsThere(CensusError):
    """The folder to keep the logs of this run in holds those of an earlier one."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder = folder
        self.names = tuple(names)
        super().__init__(
            f"{', '.join(names)} in {str(folder)!r} would be added to; remove them, or give another folder"
        )


class Unreadable(CensusError):
    """One file cannot be read, decoded or parsed; `reason` says why, in words fit for a report."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)
