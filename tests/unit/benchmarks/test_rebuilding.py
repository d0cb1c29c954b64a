"""The benchmark of rebuilds: a small one is killed, resumed, read meanwhile and compared with the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import rebuilding

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_small_rebuild_is_resumed_whole_and_bounded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """B14: what `make rebuild` shows of a million events, with 30,000; the rival is left to the long run."""
    monkeypatch.setattr(rebuilding, "rival_pace", lambda _database, _events: None)

    assert rebuilding.measured(tmp_path, 30_000)

    printed = capsys.readouterr().out
    assert "30,000 events" in printed
    assert "all there: True" in printed
    assert "in a running bus: " in printed
