"""The read model: rows, ranking and totals."""

from __future__ import annotations

import msgspec

from census.measuring import measure
from census.table import FileTable, SurveyRows

SIMPLE = measure(b"def f(): pass\n")
HARD = msgspec.structs.replace(SIMPLE, worst_complexity=9, total_complexity=9)
HARDER = msgspec.structs.replace(HARD, total_complexity=12)


def test_the_most_complex_files_come_first_and_ties_are_broken_by_total_then_path() -> None:
    """O6: the ranking is the same whatever the order in which the rows came."""
    rows = SurveyRows(measured={"d.py": HARD, "a.py": SIMPLE, "c.py": HARD, "e.py": HARDER})

    assert [path for path, _ in rows.most_complex(3)] == ["e.py", "c.py", "d.py"]


def test_totals_add_up_all_measured_files() -> None:
    """Unreadable files have no measures to add."""
    rows = SurveyRows(measured={"a.py": SIMPLE, "b.py": HARD}, unreadable={"c.py": "binary"})

    totals = rows.totals()

    assert (totals.lines, totals.functions, totals.complexity) == (2, 2, 10)
    assert (totals.documented, totals.documentable) == (0, 4)
    assert totals.bands == (2, 0, 0, 0, 0)
    assert rows.done == 3


def test_totals_of_nothing_are_zero() -> None:
    """A tree of unreadable files still has a report."""
    assert SurveyRows(unreadable={"a.py": "binary"}).totals().bands == (0, 0, 0, 0, 0)


def test_surveys_of_one_bus_do_not_mix() -> None:
    """A read model keeps what belongs to one id under that id."""
    table = FileTable()
    table.survey("one").measured["a.py"] = SIMPLE

    assert table.survey("one").done == 1
    assert table.survey("two").done == 0
