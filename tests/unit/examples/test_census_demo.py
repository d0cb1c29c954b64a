"""The demonstration as a command line: what it prints, and with which exit code it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import census
from census.app import app
from census.demo import LOGS, exit_code, main, run_census
from census.errors import SurveyIncomplete
from census.progress import NoView
from census.report import Run
from census.table import SurveyRows
from census.tree import DiskTree, SourceTree
from driven.adapters.stores.sqlite.store import SqliteStore
from driven.service.event_store import log_digest


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of two files, one of them binary."""
    (tmp_path / "good.py").write_text("def f(): return a or b\n")
    (tmp_path / "binary.py").write_bytes(b"\0\1\2")
    return tmp_path


def test_the_report_is_printed_after_the_run(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Progress, ranking, summary and digest, in that order, and nothing on the error output."""
    code = main([str(tree), "--workers", "0"])

    output, complaints = capsys.readouterr()
    parts = [output.index(part) for part in ("100 %  2 of 2 files", "The most complex", "2: 1 measured", "log digest")]
    assert (code, complaints) == (0, "")
    assert parts == sorted(parts)


def test_json_is_all_there_is_to_read(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another program reads it, so it is the only output."""
    code = main([str(tree), "--workers", "0", "--json"])

    result = json.loads(capsys.readouterr().out)
    assert code == 0
    assert result.pop("seconds") > 0
    assert len(bytes.fromhex(result.pop("digest"))) >= 16
    assert result == {"root": str(tree), "workers": 0, "files": 2, "unreadable": 1, "inline": None}


def test_the_run_with_workers_is_compared_with_the_one_without(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """O6: both runs leave the same log, which is what the demonstration is about."""
    code = main([str(tree), "--workers", "1"])

    output, _ = capsys.readouterr()
    assert code == 0
    assert re.search(r"^1 worker .*\ninline ", output, re.MULTILINE)
    assert "log digests  equal" in output


@pytest.mark.parametrize(
    ("root", "remedy"), [("nowhere", "give a folder that exists"), ("empty", "give a folder that holds *.py files")]
)
def test_a_root_that_cannot_be_surveyed_is_one_line_and_code_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], root: str, remedy: str
) -> None:
    """What the user did wrong is said without a traceback, and what to do instead."""
    (tmp_path / "empty").mkdir()

    code = main([str(tmp_path / root), "--workers", "0", "--json"])

    output, complaints = capsys.readouterr()
    assert (code, output) == (2, "")
    assert len(complaints.splitlines()) == 1
    assert complaints.startswith("error: ")
    assert str(tmp_path / root) in complaints
    assert remedy in complaints


@pytest.mark.parametrize("arguments", [["--workers", "many"], ["--workers", "-1"], ["--top", "0"], ["--top", "x"]])
def test_a_wrong_argument_is_named_and_code_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is started before the command line is right."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_logs_that_differ_are_a_failure() -> None:
    """O6 broken must be seen by whoever reads exit codes."""
    one, other = (Run(workers, 1.0, digest, SurveyRows()) for workers, digest in ((2, "ab"), (0, "cd")))

    assert exit_code(one, other) == 1
    assert exit_code(one, one) == exit_code(one, None) == 0


def test_the_logs_are_kept_where_that_is_asked_for(
    tree: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """U4: both runs leave a file each, and an earlier one is not added to."""
    folder = tmp_path_factory.mktemp("kept")
    arguments = [str(tree), "--workers", "1", "--json", "--keep", str(folder)]

    first, second = main(arguments), main(arguments)

    result = json.loads(capsys.readouterr().out)
    kept = [SqliteStore(folder / name) for name in LOGS]
    digests = [log_digest(store) for store in kept]
    for store in kept:
        store.close()
    assert (first, second) == (0, 2)
    assert digests == [result["digest"]] * 2


class HalfBrokenTree(DiskTree):
    """A tree whose reader has a fault for one of two files."""

    def read(self, root: str, path: str) -> bytes:
        """Read, unless it is the binary one."""
        if path == "binary.py":
            message = "a fault of the reader"
            raise ZeroDivisionError(message)
        return super().read(root, path)


async def test_a_survey_that_cannot_be_completed_is_no_success(
    tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """F2: a command that fails for good is set aside, and the report of the others would not be the whole truth."""
    broken = app.copy()
    broken.binds(SourceTree, to=HalfBrokenTree)

    with pytest.raises(SurveyIncomplete, match="only 1 of 2 files came in"):
        await run_census(broken, str(tree), 0, NoView(), tmp_path_factory.mktemp("log"))


def test_interrupting_ends_without_a_traceback_and_with_code_130(tmp_path: Path) -> None:
    """X4, P5: one ^C ends the run."""
    for n in range(2_000):
        (tmp_path / f"{n}.py").write_text("def f(): pass\n" * 100)
    with subprocess.Popen(
        [sys.executable, "-m", "census", str(tmp_path), "--workers", "0"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(census.__file__).parents[1]), *sys.path])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        while "files/s" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "interrupted" in complaints
    assert "Traceback" not in complaints
