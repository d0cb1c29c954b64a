"""What was typed wrongly is refused before anything is measured, with what can be typed instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driven.entrypoints.bench.asking import NotMeasurable, bench, contenders_of, measures_of
from driven.entrypoints.bench.contenders import CATALOGUE
from driven.entrypoints.bench.samples import Measure

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_typed_means_everything_that_is_there() -> None:
    """What is not installed is left out without a word; the report lists it."""
    there = [one.key for one in CATALOGUE if one.version()]

    assert measures_of([]) == list(Measure)
    assert contenders_of([]) == there
    assert {"bus", "inline", "ppe", "pool"} <= set(there)


def test_the_order_of_the_report_is_not_that_of_typing() -> None:
    """Ours first, always."""
    assert contenders_of(["pool", "bus"]) == ["bus", "pool"]
    assert measures_of(["metg", "round-trip"]) == [Measure.ROUND_TRIP, Measure.METG]


def test_an_unknown_measure_is_refused_with_those_there_are() -> None:
    """The name that is wrong, and the names that are right."""
    with pytest.raises(NotMeasurable, match="no measure 'speed'; --only takes round-trip, throughput, metg"):
        measures_of(["metg", "speed"])


def test_an_unknown_contender_is_refused_with_those_there_are() -> None:
    """As above."""
    with pytest.raises(NotMeasurable, match="no contender 'celery'; --contenders takes bus, bus-keyed, executor"):
        contenders_of(["celery"])


def test_a_contender_that_is_not_installed_is_refused_with_the_command_that_installs_it() -> None:
    """Who asks for it by name wants to know why it is not there."""
    absent = [one.key for one in CATALOGUE if not one.version()]
    if not absent:
        pytest.skip("every contender is installed here")

    with pytest.raises(NotMeasurable, match=r"is not installed.*pip install 'driven-bus\[bench\]'"):
        contenders_of(absent[:1])


@pytest.mark.parametrize("workers", [0, -1, 5_000])
def test_a_number_of_workers_that_cannot_be_is_refused(workers: int, tmp_path: Path) -> None:
    """With the numbers that can."""
    with pytest.raises(NotMeasurable, match=f"{workers} workers cannot be measured; give --workers"):
        bench(is_quick=True, folder=tmp_path, only=[], contenders=[], workers=workers, typed="")


def test_a_folder_that_cannot_be_made_is_found_out_before_anything_is_measured(tmp_path: Path) -> None:
    """Not after a quarter of an hour."""
    (tmp_path / "file").touch()

    with pytest.raises(NotMeasurable, match=r"cannot be made .*; give --report another folder"):
        bench(is_quick=True, folder=tmp_path / "file" / "report", only=[], contenders=[], workers=1, typed="")
