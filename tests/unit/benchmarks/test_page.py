"""Figures go between the marks of a page, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks import model
from benchmarks.page import PERFORMANCE, put

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "place"),
    [("measured", PERFORMANCE), ("durable", PERFORMANCE), ("ways in", PERFORMANCE), ("modelled", model.PAGE)],
)
def test_the_page_has_exactly_one_place_for_each_table(name: str, place: Path, tmp_path: Path) -> None:
    """`--page` replaces what stands between the marks, and nothing else."""
    page = tmp_path / "page.md"
    page.write_text(place.read_text("utf-8"), "utf-8")

    put(name, "measured again\n", page)

    before, _, rest = place.read_text("utf-8").partition(f"<!-- {name} -->\n")
    after = rest.partition(f"<!-- end of {name} -->")[2]
    assert page.read_text("utf-8") == f"{before}<!-- {name} -->\nmeasured again\n<!-- end of {name} -->{after}"


def test_a_page_without_the_marks_is_left_as_it_is(tmp_path: Path) -> None:
    """The error names the page and the marks."""
    page = tmp_path / "page.md"
    page.write_text("nothing marked", "utf-8")

    with pytest.raises(LookupError, match=r"page\.md has no marks <!-- measured -->"):
        put("measured", "text", page)

    assert page.read_text("utf-8") == "nothing marked"
