"""The page of figures is made from a report, between its marks."""

from __future__ import annotations

from benchmarks.page import MARKED, PAGE


def test_the_page_has_exactly_one_place_for_figures() -> None:
    """Nothing else on it changes when they are measured again."""
    assert len(MARKED.findall(PAGE.read_text("utf-8"))) == 1
