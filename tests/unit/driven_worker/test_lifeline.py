"""The lifeline, armed in processes of this test's own making."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE_S = 60.0

WORKER = """
import pathlib, sys, time
from driven_worker.lifeline import die_with_bus
descriptor, bus_pid, folder = int(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])
(folder / "is there").touch()
while not (folder / "go on").exists():
    time.sleep(0.005)
die_with_bus(descriptor, bus_pid)
(folder / "survived").touch()
time.sleep(600)
"""

BUS = """
import os, subprocess, sys
read, write = os.pipe()
worker = subprocess.Popen(
    [sys.executable, "-c", sys.argv[1], str(read), str(os.getpid()), sys.argv[2]], pass_fds=[read], process_group=0)
print(worker.pid, flush=True)
worker.wait()
"""


@contextmanager
def bus_and_worker(folder: Path) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """A process, and another that it started and that has not armed its lifeline yet."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
    command = [sys.executable, "-c", BUS, WORKER, str(folder)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as bus:
        assert bus.stdout is not None
        worker = psutil.Process(int(bus.stdout.readline()))
        try:
            until_there(folder / "is there")
            yield bus, worker
        finally:
            bus.kill()
            if worker.is_running():
                worker.kill()


def until_there(path: Path) -> None:
    """Wait until there is a file."""
    waiting = "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.005)"
    subprocess.run([sys.executable, "-c", waiting, str(path)], check=True, timeout=PATIENCE_S)


def is_gone(process: psutil.Process) -> bool:
    """Wait until a process has ended; whether it did."""
    try:
        process.wait(PATIENCE_S)
    except psutil.TimeoutExpired:
        return False
    return True


def test_a_worker_dies_when_its_bus_does(tmp_path: Path) -> None:
    """W7, P1: armed, then orphaned."""
    with bus_and_worker(tmp_path) as (bus, worker):
        (tmp_path / "go on").touch()
        until_there(tmp_path / "survived")
        bus.kill()

        assert is_gone(worker)


def test_a_worker_whose_bus_died_before_the_lifeline_was_armed_ends_at_once(tmp_path: Path) -> None:
    """P3: killed between the start of the worker and its first line."""
    with bus_and_worker(tmp_path) as (bus, worker):
        bus.kill()
        bus.wait()
        (tmp_path / "go on").touch()

        assert is_gone(worker)
        assert not (tmp_path / "survived").exists()


@pytest.mark.parametrize("line", ["the pipe is closed", "the parent is another"])
def test_each_line_is_checked_after_it_is_armed(line: str) -> None:
    """P3: either of them alone is enough."""
    read, write = os.pipe()
    bus_pid = os.getpid()
    if line == "the pipe is closed":
        os.close(write)
    else:
        bus_pid += 1
    program = "import sys; from driven_worker.lifeline import die_with_bus; die_with_bus(*map(int, sys.argv[1:]))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}

    ended = subprocess.run(
        [sys.executable, "-c", program, str(read), str(bus_pid)],
        env=environment,
        pass_fds=[read],
        process_group=0,
        check=False,
        timeout=PATIENCE_S,
    )

    os.close(read)
    if line != "the pipe is closed":
        os.close(write)
    assert ended.returncode == -signal.SIGKILL


def test_a_worker_that_does_not_lead_its_group_makes_one(tmp_path: Path) -> None:
    """P4: it must never kill the group of the bus."""
    read, write = os.pipe()
    program = (
        "import os, sys; from driven_worker.lifeline import die_with_bus; "
        "die_with_bus(*map(int, sys.argv[1:])); print(os.getpgrp() == os.getpid())"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}

    told = subprocess.run(
        [sys.executable, "-c", program, str(read), str(os.getpid())],
        env=environment,
        cwd=tmp_path,
        pass_fds=[read],
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )

    os.close(read)
    os.close(write)
    assert told.stdout == "True\n"
