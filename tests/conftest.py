"""What every test runs under: nothing is left behind, nothing forks, and how hard properties are tried.

Imported once per test process (one per xdist node). The guard around each test module compares the children of this
process and the shared-memory names of the machine before and after, so a leak is reported with the module that made it.
It also says whether code of ours forked this process meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import psutil
import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Thing = TypeVar("Thing")

VANISH_S = 5.0
POLL_S = 0.02
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux keeps POSIX shared memory, only looked at
OUR_SEGMENTS = ("psm_", "driven")
# The interpreter's own helper: it lives as long as the process that started it.
RESOURCE_TRACKER = "multiprocessing.resource_tracker"

HERE = Path(__file__).resolve().parents[1]
OURS = tuple(str(HERE / name) for name in ("src", "workers"))
RIVALS = str(HERE / "src/driven/entrypoints/bench/contenders")
forks: list[str] = []
"""Where code of ours has forked this process."""

# Who starts us in the background makes ^C ignored, for us and for all programs that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long examples take to draw and to try says how busy the machine is, and nothing about us.
settings.register_profile("driven", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", parent=settings.get_profile("driven"), max_examples=2_000)
settings.load_profile("driven")


def note_fork() -> None:
    """Called before any fork of this process; who is to blame is the nearest caller in this repository."""
    frames = traceback.extract_stack(sys._getframe(1))  # noqa: SLF001 - documented under this name
    callers = [frame for frame in frames if frame.filename.startswith(str(HERE)) and ".venv" not in frame.filename]
    if callers and callers[-1].filename.startswith(OURS) and not callers[-1].filename.startswith(RIVALS):
        forks.append(f"{callers[-1].filename}:{callers[-1].lineno}")


os.register_at_fork(before=note_fork)


def children() -> dict[psutil.Process, str]:
    """Every descendant of this process, zombies included, with the words to blame it by."""
    found = {}
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            command = "(a zombie)" if child.status() == psutil.STATUS_ZOMBIE else " ".join(child.cmdline())
            if RESOURCE_TRACKER not in command:
                found[child] = f"process {child.pid}: {command}"
    return found


def segments() -> dict[str, str]:
    """Every shared-memory name that may be one of ours, with the words to blame it by."""
    names = [path.name for path in SHARED_MEMORY.iterdir()] if SHARED_MEMORY.is_dir() else []
    whose = "of this module, or of one that ran beside it"
    return {name: f"shared memory {SHARED_MEMORY / name} {whose}" for name in names if name.startswith(OUR_SEGMENTS)}


def still_there(look: Callable[[], dict[Thing, str]], before: dict[Thing, str]) -> dict[Thing, str]:
    """What was not there `before` and does not vanish within `VANISH_S` seconds."""
    deadline = time.monotonic() + VANISH_S
    left = {thing: words for thing, words in look().items() if thing not in before}
    while left and time.monotonic() < deadline:
        time.sleep(POLL_S)
        left = {thing: words for thing, words in look().items() if thing in left}
    return left


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """W7, S3: when the tests of a module are over, so are their processes and their shared memory."""
    children_before, segments_before = children(), segments()
    yield
    processes, names = still_there(children, children_before), still_there(segments, segments_before)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    if processes or names:
        pytest.fail("left behind: " + "; ".join([*processes.values(), *names.values()]), pytrace=False)


@pytest.fixture(scope="module", autouse=True)
def nothing_of_ours_forks() -> Iterator[None]:
    """D12: what a fork copies of this process, with its threads and locks, may hang, then or later."""
    forks.clear()
    yield
    if forks:
        pytest.fail("code of ours forked this process: " + ", ".join(forks), pytrace=False)
