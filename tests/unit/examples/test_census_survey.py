"""The survey aggregate: it counts down, and the last file finishes it."""

from __future__ import annotations

import msgspec
import pytest

from census.errors import SurveyOver
from census.messages import SurveyFinished, SurveyStarted
from census.survey import Survey
from driven.domain.aggregate import recorded_events


def test_a_survey_starts_by_naming_its_files() -> None:
    """U1: what happened is told by an event, once."""
    survey = Survey.start("s1", "/srv", ("a.py", "b.py"))

    assert survey.remaining == 2
    assert recorded_events(survey) == [SurveyStarted("s1", "/srv", ("a.py", "b.py"))]


def test_the_last_file_finishes_the_survey() -> None:
    """Only the aggregate knows which file is the last."""
    survey = Survey.start("s1", "/srv", ("a.py", "b.py", "c.py"))
    recorded_events(survey).clear()

    survey.tally("a.py", readable=True)
    survey.tally("b.py", readable=False)
    assert recorded_events(survey) == []

    survey.tally("c.py", readable=True)
    assert recorded_events(survey) == [SurveyFinished("s1", measured=2, unreadable=1)]


def test_a_survey_that_is_over_counts_no_more() -> None:
    """A file counted twice would make the totals a lie."""
    survey = Survey.start("s1", "/srv", ("a.py",))
    survey.tally("a.py", readable=True)

    with pytest.raises(SurveyOver, match=r"'s1' is over and cannot count 'a\.py'; start a new survey"):
        survey.tally("a.py", readable=True)

    assert (survey.measured, survey.remaining) == (1, 0)


def test_a_survey_is_stored_in_a_few_bytes_however_many_files_it_has() -> None:
    """U2: the state is written with every command, so it must not grow with the tree."""
    survey = Survey.start("s1", "/srv", tuple(f"{n}.py" for n in range(100_000)))

    assert len(msgspec.msgpack.encode(survey)) < 100
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(survey), type=Survey).remaining == 100_000
