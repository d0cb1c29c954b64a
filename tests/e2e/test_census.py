"""The census from end to end: the real program, real files, real workers, and what happens when they are killed.

Every test starts the demonstration, or a program of its own, as a user would: in a process, with a folder to survey.
"""

from __future__ import annotations

import asyncio as small_package
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from shared_names import left_in_shared_memory, shared_memory_names

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[2]
SMALL_TREE = Path(small_package.__file__).parent
STANDARD_LIBRARY = SMALL_TREE.parent
BOUND_S = 60.0
LONGEST_RUN_S = 110.0
MOST_KILLS = 8
"""Then a census is let be: where CPUs are busy it lasts for long, and each kill makes it last longer."""


def environment() -> dict[str, str]:
    """Where the program and its example are."""
    folders = [str(REPOSITORY / name) for name in ("examples", "src", "workers")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(folders), "COLUMNS": "110"}


def census(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the demonstration to its end."""
    command = [sys.executable, "-W", "error", "-m", "census", *map(str, arguments)]
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=LONGEST_RUN_S, check=False
    )


def digest(*arguments: object) -> str:
    """The log digest of one run."""
    done = census(*arguments, "--once", "--json")
    assert done.returncode == 0, done.stderr
    found: str = json.loads(done.stdout)["digest"]
    return found


def wait_until(claim: Callable[[], object], what: str) -> None:
    """Look until it is so."""
    deadline = time.monotonic() + BOUND_S
    while not claim():
        assert time.monotonic() < deadline, f"it never came to be that {what}"
        time.sleep(0.01)


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    """The worker processes below a process."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in process.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if "driven_worker" in " ".join(child.cmdline()):
                    found.append(child)
    return found


def has_worked(worker: psutil.Process) -> bool:
    """Whether a worker has used more CPU time than getting ready takes, and has measured files for as long again.

    Where CPUs are busy two workers may not get that much in half a second. Killed as soon as they were ready they would
    hardly come forward, and one census would take minutes.
    """
    try:
        return worker.cpu_times().user > 0.6
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_three_runs_with_workers_have_the_digest_of_the_inline_run(workers: int) -> None:
    """O6: the log of the census does not show how many workers there were."""
    expected = digest(SMALL_TREE, "--workers", 0)

    assert {digest(SMALL_TREE, "--workers", workers) for _ in range(3)} == {expected}


@pytest.mark.timeout(300)
def test_the_census_survives_a_worker_killed_twice_a_second() -> None:
    """W3, W5, D1: `kill -9` of random workers costs time and nothing else; the digest is that of the inline run."""
    expected = digest(STANDARD_LIBRARY, "--workers", 0)
    chance = random.Random(11)
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "census",
        str(STANDARD_LIBRARY),
        "--once",
        "--json",
        "--workers",
        "2",
    ]

    patient = {**environment(), "DRIVEN_WORKERS_MAX_ATTEMPTS": "100"}  # the same file may be hit again and again
    with subprocess.Popen(command, env=patient, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        kills = 0
        process = psutil.Process(run.pid)
        due = time.monotonic()
        while run.poll() is None:
            if (
                kills < MOST_KILLS
                and time.monotonic() >= due
                and (busy := [one for one in workers_of(process) if has_worked(one)])
            ):
                with contextlib.suppress(psutil.NoSuchProcess):
                    chance.choice(busy).kill()
                    kills += 1
                due = time.monotonic() + 0.5
            time.sleep(0.02)
        output, complaints = run.communicate()

    assert run.returncode == 0, complaints
    assert kills >= 3
    assert json.loads(output)["digest"] == expected


def test_nothing_is_left_of_a_census_whose_main_process_is_killed(tmp_path: Path) -> None:
    """W7, S3, P1: after `kill -9` of the bus there is no worker and no segment; only the log it wrote to."""
    before = shared_memory_names()
    command = [sys.executable, "-m", "census", str(STANDARD_LIBRARY), "--once", "--workers", "2"]
    to_here = {**environment(), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=to_here, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        process = psutil.Process(run.pid)
        wait_until(lambda: len(workers_of(process)) == 2, "two workers are up")
        workers = workers_of(process)
        wait_until(lambda: any(one.cpu_times().user > 0.5 for one in workers), "a worker is at work")
        run.kill()
        run.wait()

    wait_until(lambda: not any(one.is_running() for one in workers), "the workers are gone")
    assert not left_in_shared_memory(before)
    assert [path.name for path in tmp_path.glob("census-*/*.db")] == ["driven.db"]


def test_an_interrupted_census_leaves_cleanly() -> None:
    """P5: one ^C ends it with code 130, without a traceback and without leftovers."""
    command = [sys.executable, "-m", "census", str(STANDARD_LIBRARY), "--once", "--workers", "2"]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, process_group=0
    ) as run:
        process = psutil.Process(run.pid)
        wait_until(lambda: len(workers_of(process)) == 2, "two workers are up")
        workers = workers_of(process)
        wait_until(lambda: any(one.cpu_times().user > 0.5 for one in workers), "a worker is at work")
        os.killpg(run.pid, signal.SIGINT)
        _, complaints = run.communicate(timeout=BOUND_S)

    assert run.returncode == 130
    assert "Traceback" not in complaints
    assert not any(one.is_running() for one in workers)


PROGRAM = """
from driven import Settings, WorkerSettings, open_bus_sync
from census.app import app
from census.messages import StartSurvey
from census.table import FileTable

bus_of_workers = open_bus_sync(app, Settings(workers=WorkerSettings(count=2)))
bus = bus_of_workers.__enter__()
settlement = bus.submit(StartSurvey("s", {root!r})).settled()
print("settled", settlement.messages, len(bus.resolve(FileTable).survey("s").measured) > 20)
bus_of_workers.__exit__(None, None, None)
"""


def test_a_bus_with_workers_opens_from_the_command_line_without_a_main_guard() -> None:
    """W1: `python -c` has no module to import again, and needs none."""
    program = PROGRAM.format(root=str(SMALL_TREE))

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert re.search(r"settled \d+ True", done.stdout)


def test_a_bus_with_workers_opens_from_an_interactive_session() -> None:
    """W1: line by line, as in a REPL or a notebook."""
    program = PROGRAM.format(root=str(SMALL_TREE))

    done = subprocess.run(
        [sys.executable, "-i", "-q"],
        input=program,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )

    assert re.search(r"settled \d+ True", done.stdout), done.stderr
    assert "Error" not in done.stderr


def test_output_that_is_piped_is_plain() -> None:
    """What goes to a file or a pipe has no control characters, and says that both logs are equal."""
    done = census(SMALL_TREE, "--workers", 2)

    assert done.returncode == 0, done.stderr
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", done.stdout)
    assert "equal" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["missing", "file", "empty"])
def test_a_root_that_cannot_be_surveyed_is_refused_with_a_remedy(kind: str, workers: int, tmp_path: Path) -> None:
    """F1: one line that names the root, exit code 2, no traceback."""
    root = tmp_path / kind
    if kind == "file":
        root.write_text("text")
    elif kind == "empty":
        root.mkdir()

    done = census(root, "--workers", workers)

    assert done.returncode == 2
    assert str(root) in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_odd_files_are_findings_and_harm_nothing(tmp_path: Path) -> None:
    """A binary file, one of over 5 MB, a broken one and one that may not be read lie beside a good one."""
    (tmp_path / "good.py").write_text("def f(x):\n    return x if x else 1\n")
    (tmp_path / "binary.py").write_bytes(bytes(range(256)) * 64)
    (tmp_path / "broken.py").write_text("def f(:\n")
    (tmp_path / "large.py").write_text("x = 1\n" * 900_000)
    (tmp_path / "five_megabytes.py").write_text("#" + "x" * 4_999_998 + "\n")
    (tmp_path / "nested.py").write_text("(" * 10_000 + ")" * 10_000)

    done = census(tmp_path, "--workers", 2, "--json")

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["files"], result["unreadable"]) == (6, 4)
    assert result["digest"] == result["inline"]["digest"]
