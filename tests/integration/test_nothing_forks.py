"""Nothing here forks the process that holds a bus, an executor, or the tests (D12).

A fork copies locks that other threads hold and leaves those threads behind. Three nets: one program that does all that
starts workers, under a hook that the interpreter calls before any fork of its own; the same hook over every module of
tests, in `conftest`; and from Python 3.12 on the interpreter's warning, which is an error in every test.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import logging, os, signal, sys, threading, traceback
import driven
from driven import Settings, WorkerSettings, open_bus_sync
from worker_test_app import Do, app

def told(event, arguments):
    if event in ("os.fork", "os.forkpty"):
        traceback.print_stack()

os.register_at_fork(before=traceback.print_stack)
sys.addaudithook(told)
held = threading.Lock()
threading.Thread(target=lambda: held.acquire() and threading.Event().wait(), daemon=True).start()

logging.getLogger('driven').setLevel(logging.CRITICAL)
settings = Settings(workers=WorkerSettings(count=2, recycle_after_commands=5, memory_limit_bytes=1 << 30))
with open_bus_sync(app, settings) as bus:
    for _ in range(30):
        bus.handle(Do("echo"))
    os.kill(bus.statistics().workers[0].pid, signal.SIGKILL)
    assert len(bus.handle(Do("make", str(4 << 20))).events[0].data) == 4 << 20
with driven.Executor(2) as executor:
    assert list(executor.map(abs, range(-4, 0))) == [4, 3, 2, 1]
with open_bus_sync(app, Settings(workers=WorkerSettings(count=2, kind="threads"))) as bus:
    bus.handle(Do("echo"))
print("ran")
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program in which every warning is an error."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_program_that_starts_kills_and_recycles_workers_never_forks() -> None:
    """D12: the bus with worker processes and threads, a large body, an executor; the hook would print where."""
    told = run(PROGRAM)

    assert (told.stderr, told.stdout, told.returncode) == ("", "ran\n", 0)


@pytest.mark.parametrize("fork", ["os.fork() or os._exit(0)", "pty.fork()[0] or os._exit(0)"])
def test_the_hook_sees_a_fork(fork: str) -> None:
    """D12: or the test above would prove nothing."""
    hooked = PROGRAM.partition("settings =")[0].replace("import logging,", "import logging, pty,")

    told = run(hooked + "import warnings\nwarnings.simplefilter('ignore')\n" + fork)

    assert 'File "<string>"' in told.stderr


def test_every_warning_is_an_error_in_every_test() -> None:
    """D12, and Python's own deprecations: that of forking a process with threads is one of them."""
    options = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]["ini_options"]
    excused = [path.name for path in ROOT.glob("tests/**/*.py") if "mark.filterwarnings" in path.read_text("utf-8")]

    assert options["filterwarnings"] == ["error"]
    assert [name for name in excused if name != Path(__file__).name] == []
