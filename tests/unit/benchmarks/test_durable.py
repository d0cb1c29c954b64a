"""The benchmark of durability: a small run of it says everything that the page shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.durable import COMMANDS, MARKED, PAGE, RECORDERS, Run, commands_table, report, spread

if TYPE_CHECKING:
    from pathlib import Path


def test_a_small_run_tells_each_contender(tmp_path: Path) -> None:
    """docs/explanation/performance.md: one line for each, and who it is compared with."""
    text = report(tmp_path, rounds=1, count=600, transactions={1: 3, 100: 2})

    for name in (*COMMANDS, *RECORDERS):
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
    assert spread([1, 3, 2]) == "2.0 (1.0 - 3.0)"


def test_the_page_has_a_place_for_it() -> None:
    """`--page` replaces what stands between the marks, and nothing else."""
    assert len(MARKED.findall(PAGE.read_text("utf-8"))) == 1
