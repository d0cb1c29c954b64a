"""The benchmark of durability: a small run of it says everything that the page shows."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.durable import COMMANDS, RIVAL, Run, commands_table, main, report
from benchmarks.page import PERFORMANCE

if TYPE_CHECKING:
    from pathlib import Path


def test_a_small_run_tells_each_contender(tmp_path: Path) -> None:
    """docs/explanation/performance.md: one line for each, and who it is compared with."""
    text = report(tmp_path, rounds=1, count=600, transactions={1: 3, 100: 2})

    for name in (*COMMANDS, f"| events/s | Driven | {RIVAL} | ratio |"):
        assert name in text
    assert "append, 100 per transaction" in text
    assert "read all, in order" in text


def test_the_ratio_is_taken_within_each_round() -> None:
    """Figures of different rounds are of different moments of the machine."""
    runs: dict[str, list[Run]] = {"memory": [], "none": [], "group": [], "each": []}
    runs["group"] = [Run(1_000, 20, 5, 50), Run(4_000, 20, 5, 50)]
    runs["each"] = [Run(100, 80, 100, 1), Run(200, 80, 100, 1)]

    assert "15.0 (10.0 - 20.0) times as many" in commands_table(
        {name: one or runs["each"] for name, one in runs.items()}
    )


def test_without_its_rival_it_is_measured_alone_and_says_how_to_have_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Style: the culprit by name, and the remedy; and a page with a column missing is not written."""
    monkeypatch.setitem(sys.modules, RIVAL, None)  # as the import system has it where there is none
    before = PERFORMANCE.read_bytes()

    text = report(tmp_path, rounds=1, count=600, transactions={1: 3, 100: 2})
    with pytest.raises(SystemExit):
        main(["--page"])

    assert "| events/s | Driven |\n| --- | ---: |\n" in text
    assert text.endswith("its column is left out; pip install 'eventsourcing>=9.4', or the extra dev of Driven\n")
    assert "pip install 'eventsourcing>=9.4'" in capsys.readouterr().err
    assert PERFORMANCE.read_bytes() == before
