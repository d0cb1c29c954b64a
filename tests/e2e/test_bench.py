"""`driven bench` as it is typed: a short run, wrong words, and ^C in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import psutil

import driven
import driven_worker
from driven.entrypoints.bench.record import BenchReport
from driven.entrypoints.bench.samples import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence

BOUND_S = 100.0
INTERRUPTED = 130
SHORT = ("bench", "--quick", "--workers", "1", "--only", "round-trip")


def environment() -> dict[str, str]:
    """Of a user who has installed Driven and set nothing else."""
    roots = (str(Path(package.__path__[0]).parent) for package in (driven, driven_worker))
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("DRIVEN_", "PYTHON"))}
    return {**ours, "PYTHONPATH": os.pathsep.join(roots)}


def start(folder: Path, arguments: Sequence[str]) -> subprocess.Popen[str]:
    """Type a command in this folder."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "driven", *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_wrong_words_are_refused_at_once(tmp_path: Path) -> None:
    """Exit code 2, the reason on standard error, and no folder."""
    with start(tmp_path, ["bench", "--contenders", "celery"]) as process:
        out, err = process.communicate(timeout=BOUND_S)

    assert (process.returncode, out) == (2, "")
    assert err.startswith("driven: there is no contender 'celery'; --contenders takes bus,")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_no_process_and_no_report(tmp_path: Path) -> None:
    """P5: ^C while a contender is open ends it and all that it started; exit code 130, no traceback."""
    with start(tmp_path, ["bench", "--contenders", "pool", "bus", "--report", "report"]) as process:
        assert process.stderr is not None
        line = ""
        while "round 1 of 7: Driven bus" not in line:
            line = process.stderr.readline()
            assert line, "the run ended before it began"
        tree = wait_for_tree(process.pid, processes=2)

        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=BOUND_S)

    assert (process.returncode, out) == (INTERRUPTED, "")
    assert "Traceback" not in err
    assert psutil.wait_procs(tree, 5.0)[1] == []
    assert list((tmp_path / "report").iterdir()) == []


def wait_for_tree(pid: int, processes: int) -> list[psutil.Process]:
    """The descendants of a process, when there are at least so many: the visit, and a worker."""
    deadline = time.monotonic() + BOUND_S
    while len(tree := psutil.Process(pid).children(recursive=True)) < processes:
        assert time.monotonic() < deadline, "no contender was opened"
    return tree


def test_a_run_says_what_it_does_and_prints_its_record(tmp_path: Path) -> None:
    """Progress goes to standard error, so that standard output is the record alone."""
    with start(tmp_path, [*SHORT, "--contenders", "pool", "--json"]) as process:
        out, err = process.communicate(timeout=BOUND_S)

    assert process.returncode == 0, err
    report = msgspec.json.decode(out, type=BenchReport)
    assert report.command == "driven bench --quick --only round-trip --contenders pool --workers 1"
    assert report.by_round("pool", Figure.P50_US).keys() == {1, 2, 3}
    assert "driven bench: round 3 of 3: multiprocessing.Pool" in err
    assert (tmp_path / "driven-bench" / "report.md").is_file()
