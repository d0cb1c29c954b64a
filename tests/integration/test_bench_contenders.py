"""Every contender that is installed, in a process of its own: it runs tasks, and nothing of it is left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from driven.entrypoints.bench.contenders import CATALOGUE
from driven.entrypoints.bench.custody import Custody, descendants
from driven.entrypoints.bench.plan import Plan
from driven.entrypoints.bench.runner import run_bench
from driven.entrypoints.bench.samples import Figure, Measure

if TYPE_CHECKING:
    from pathlib import Path

BOUND_S = 60.0
TASKS = 20
TWO_WORKERS = 2

CONTRACT = """
import json, os, sys
from driven.entrypoints.bench.contenders import contender
from driven.entrypoints.bench.contenders.port import Task

if __name__ == "__main__":
    with contender(sys.argv[1]).open(2) as session:
        session.flood(Task.NOTHING, range(int(sys.argv[2])))
        session.flood(Task.COMPUTE, [100] * int(sys.argv[2]))
        session.flood(Task.ECHO, [b"x" * 1000] * int(sys.argv[2]))
        echoed = session.trips(Task.ECHO, b"\\0body\\xff", 3)
        nothing = session.trips(Task.NOTHING, 1, 2)
        print(json.dumps([echoed.answer.hex(), nothing.answer, len(echoed.durations_ns), min(echoed.durations_ns) > 0]))
"""


@pytest.mark.parametrize("key", [one.key for one in CATALOGUE])
def test_a_contender_runs_tasks_and_leaves_nothing_behind(key: str, tmp_path: Path) -> None:
    """W7: the contract of `contenders.port`, and after it no process that descends from there, orphans included."""
    (one,) = (one for one in CATALOGUE if one.key == key)
    if not one.version():
        pytest.skip(f"{one.name} is not installed")
    program = tmp_path / "contract.py"
    program.write_text(CONTRACT, "utf-8")

    with Custody():
        before = descendants()
        done = subprocess.run(
            [sys.executable, str(program), key, str(TASKS)],
            capture_output=True,
            text=True,
            timeout=BOUND_S,
            check=False,
        )
        left = psutil.wait_procs(descendants() - before, 5.0)[1]

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [b"\0body\xff".hex(), None, 3, True]
    assert left == []


def test_a_contender_that_fails_is_told_once_and_the_run_goes_on() -> None:
    """The others have all their rounds, and the error is in the record."""
    (ray,) = (one for one in CATALOGUE if one.key == "ray")
    if ray.version():
        pytest.skip("Ray is installed here, so opening it would not fail")
    said: list[str] = []
    plan = Plan(
        is_quick=True,
        rounds=2,
        seconds=1.0,
        part_s=0.1,
        most_s=BOUND_S,
        workers=TWO_WORKERS,
        measures=(Measure.THROUGHPUT, Measure.ROUND_TRIP),
        contenders=("ray", "bus", "pool"),
    )

    report = run_bench(plan, "driven bench", said.append)

    assert [(one.contender, one.round) for one in report.problems] == [("ray", 1)]
    assert "No module named 'ray'" in report.problems[0].reason
    assert any("Ray failed" in text for text in said)
    for key in ("bus", "pool"):
        assert report.by_round(key, Figure.RATE).keys() == {1, 2}
        assert all(rate > 0 for rate in report.by_round(key, Figure.RATE).values())
        assert all(time_us > 0 for time_us in report.by_round(key, Figure.P50_US).values())
    assert report.is_ok


STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) == 1:
    child = subprocess.Popen([sys.executable, __file__, "child"], start_new_session=True, stdout=subprocess.PIPE)
    child.stdout.readline()
    print(child.pid, flush=True)
    if os.environ.get("STUBBORN") == "leaves":
        sys.exit(3)
print("deaf", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("way", ["leaves", "stays"])
def test_custody_ends_what_ignores_signals_in_a_session_of_its_own(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P4: whether the one that started it is gone already or has to be killed as well."""
    program = tmp_path / "stubborn.py"
    program.write_text(STUBBORN, "utf-8")
    monkeypatch.setenv("STUBBORN", way)
    before = descendants()
    output = tmp_path / "output"

    with Custody() as custody:
        if way == "leaves":
            assert custody.run([sys.executable, str(program)], stdin=b"", output=output, timeout_s=BOUND_S) == 3
        else:
            timeout_s = 1.5
            while not output.exists() or not output.read_bytes():  # where CPUs are busy it may not have begun by then
                timeout_s *= 2
                with pytest.raises(subprocess.TimeoutExpired):
                    custody.run([sys.executable, str(program)], stdin=b"", output=output, timeout_s=timeout_s)

        assert descendants() == before
    child = int(output.read_text("utf-8").split()[0])
    assert not psutil.pid_exists(child)
