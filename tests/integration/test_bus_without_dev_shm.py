"""The whole bus where /dev/shm is full, tiny, read-only or missing, and where no memory can be shared at all."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from namespaces import LONGEST_RUN_S, in_a_namespace, why_no_namespace

if TYPE_CHECKING:
    from pathlib import Path

in_namespaces = pytest.mark.skipif(bool(why_no_namespace()), reason=why_no_namespace())

NULL = "mknod -m 666 /dev/null c 1 3"
PLACES = {
    "of 64 kB": "mount -t tmpfs -o size=64k tmpfs /dev/shm",
    "read-only and empty": "mount -t tmpfs -o ro tmpfs /dev/shm",
    "missing": f"mount -t tmpfs tmpfs /dev && {NULL}",
    "full": "mount -t tmpfs -o size=8m tmpfs /dev/shm && dd if=/dev/zero of=/dev/shm/full bs=1M 2>/dev/null; :",
    "of 64 MB, with rings for one": "mount -t tmpfs -o size=64m tmpfs /dev/shm",
    "missing, all else read-only, as on Lambda": (
        "mount -t tmpfs tmpfs $TMPDIR && mount -t tmpfs tmpfs /dev && "
        f"{NULL} && mount -t tmpfs -o ro tmpfs /proc/sys && mount -t tmpfs -o ro tmpfs /sys && "
        "mount --bind / / && mount -o remount,bind,ro /"
    ),
}

SCRIPT = """
import asyncio, logging, os, sys
from driven import Settings, WorkerSettings, open_bus, open_bus_sync
from ordering import app
from ordering_draws import drawn_commands, ticking_clock
from shared_names import left_in_shared_memory, shared_memory_names
import worker_test_app as deeds

logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
logging.getLogger("driven.bus").setLevel(logging.ERROR)  # some of the commands are made to be parked
ring_bytes = int(sys.argv[1])
before = shared_memory_names()

async def digest(workers):
    settings = Settings(workers=WorkerSettings(count=workers, ring_bytes=ring_bytes))
    async with open_bus(app, settings, clock_ns=ticking_clock()) as bus:
        for receipt in [await bus.submit(command) for command in drawn_commands(7)]:
            await receipt.settled()
        seen = bus.statistics()
        print(len(seen.workers), "workers", seen.inline_because)
        return bus.log_digest()

assert asyncio.run(digest(0)) == asyncio.run(digest(2))
with open_bus_sync(deeds.app, Settings(workers=WorkerSettings(count=2, ring_bytes=ring_bytes))) as bus:
    data = os.urandom(3 << 20)
    assert bus.handle(deeds.Do("echo", data=data)).events[0].data == data
print("left behind:", sorted(left_in_shared_memory(before)))
"""


@in_namespaces
@pytest.mark.parametrize("place", PLACES)
def test_a_bus_with_workers_does_not_care_what_dev_shm_is_like(place: str, tmp_path: Path) -> None:
    """S1, S2, W8: same log as inline, large bodies both ways, no word said, nothing left."""
    ring_bytes = 1 << (24 if "rings for one" in place else 20)
    finished = in_a_namespace(PLACES[place], SCRIPT, str(ring_bytes), TMPDIR=str(tmp_path))
    assert finished.stderr == ""
    assert finished.stdout == "0 workers \n2 workers \nleft behind: []\n"
    assert finished.returncode == 0


NO_MEMORY_FILES = """
import ctypes, platform, struct
number = {"x86_64": 319, "aarch64": 279}[platform.machine()]  # memfd_create(2)
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]  # else EPERM
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack("=H6xQ", len(steps), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(program)), 0, 0) == 0, ctypes.get_errno()  # PR_SET_SECCOMP
"""
"""Forbids this process and its children to make memory files, as the seccomp filter of a sandbox does."""


@in_namespaces
@pytest.mark.skipif(platform.machine() not in {"x86_64", "aarch64"}, reason="the filter is written for two machines")
def test_a_bus_with_workers_does_without_memory_files_as_well(tmp_path: Path) -> None:
    """S1, W8: without /dev/shm and without memfd_create, rings and large bodies lie in files that have no name."""
    script = NO_MEMORY_FILES + SCRIPT
    finished = in_a_namespace(PLACES["read-only and empty"], script, str(1 << 20), TMPDIR=str(tmp_path))
    assert finished.stderr == ""
    assert finished.stdout == "0 workers \n2 workers \nleft behind: []\n"
    assert list(tmp_path.iterdir()) == []


@in_namespaces
@pytest.mark.skipif(platform.machine() not in {"x86_64", "aarch64"}, reason="the filter is written for two machines")
def test_where_there_is_no_place_for_a_file_either_everything_runs_inline(tmp_path: Path) -> None:
    """S1, W8: no /dev/shm, no memfd_create, and every folder read-only."""
    script = NO_MEMORY_FILES + SCRIPT
    mount = f"{PLACES['read-only and empty']} && mount --bind / / && mount -o remount,bind,ro / && cd /"
    finished = in_a_namespace(mount, script, str(1 << 20), TMPDIR=str(tmp_path))
    assert finished.returncode == 0
    assert finished.stderr.count("WARNING Every command runs inline") == finished.stderr.count("\n") == 2
    assert "0 workers no shared memory" in finished.stdout


def without_any_memory(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script under a limit on the size of files, which holds for shared memory and memory files as well."""
    limited = ["sh", "-c", 'ulimit -f 64 && exec "$@"', "sh", sys.executable, "-W", "error", "-c", script, *arguments]
    return subprocess.run(
        limited,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=LONGEST_RUN_S,
        check=False,
    )


NO_MEMORY = r"no shared memory of 2,\d{3},\d{3} bytes"
"""Two rings of 1 MiB, and what else is in a segment."""

SMALL_SCRIPT = SCRIPT.replace("3 << 20", "3 << 10")


def test_where_no_memory_can_be_shared_everything_runs_inline_and_one_warning_says_so_for_each_bus() -> None:
    """W8, S2: the log is the same, and log and statistics say what, why, and what to do about it."""
    finished = without_any_memory(SMALL_SCRIPT, str(1 << 20))
    warnings = finished.stderr.splitlines()
    assert finished.returncode == 0, finished.stderr
    assert len(warnings) == 2  # two buses wanted workers
    assert warnings[0].startswith("WARNING Every command runs inline, in this process and on one CPU, as workers ")
    assert re.search(NO_MEMORY + ": shared_memory said File too large", warnings[0])
    assert warnings[0].endswith("To run like this without a warning, set [workers] count = 0.")
    first, second, left = finished.stdout.splitlines()
    assert (first, left) == ("0 workers ", "left behind: []")
    assert re.match(f"0 workers {NO_MEMORY}: ", second)


TIMED_SCRIPT = """
from driven import CommandSettings, Settings, WorkerSettings, WorkersUnavailable, open_bus_sync
import worker_test_app as deeds

settings = Settings(workers=WorkerSettings(count=2), commands={"deeds.Do": CommandSettings(timeout_s=30)})
try:
    with open_bus_sync(deeds.app, settings):
        print("opened")
except WorkersUnavailable as error:
    print(error)
"""


def test_where_no_memory_can_be_shared_a_bus_with_a_timeout_does_not_open() -> None:
    """W5, W8: inline nothing could end the command, so whoever asked for that is told before anything runs."""
    finished = without_any_memory(TIMED_SCRIPT)
    assert finished.stderr == ""
    assert re.search(NO_MEMORY, finished.stdout)
    assert "Inline, nothing could end what has a timeout: deeds.Do (30 s)" in finished.stdout
    assert "[workers] count = 0" in finished.stdout
