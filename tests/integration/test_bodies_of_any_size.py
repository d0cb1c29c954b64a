"""Bodies from no byte to a gibibyte, through a real bus and a real worker, both ways; and what is left of them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from driven import CommandFailed, Settings, WorkerSettings, open_bus
from driven.adapters.stores.memory import MemoryStore
from worker_test_app import Do, Done, app

if TYPE_CHECKING:
    from driven import MessageBus
    from driven.service.event_store import Batch

RING_BYTES = 1 << 16
QUARTER = RING_BYTES // 4
MIB = 1 << 20
SIZES = (0, 1, 7, 8, 9, RING_BYTES - 1, RING_BYTES, RING_BYTES + 1, MIB - 1, MIB, MIB + 1, 64 * MIB)
AROUND_A_QUARTER = range(QUARTER - 160, QUARTER + 2)
"""What travels around a body of data takes fewer than 160 bytes, so the last that fits is among these, both ways."""

SETTLED_S = 20.0
LEFT_BYTES = 24 * MIB
"""What an allocator may keep of bodies of 64 MiB; one that is kept as a whole shows."""


class ForgettingStore(MemoryStore):
    """Keeps nothing of what it is given, so that what is left is the bus's own."""

    def append(self, batch: Batch) -> None:
        """Forget it."""


async def echoed(bus: MessageBus, data: bytes) -> bytes:
    """Send data through a worker and return what comes back."""
    outcome = await bus.handle(Do("echo", data=data))
    (event,) = outcome.events
    assert isinstance(event, Done)
    return event.data


def one_worker(max_attempts: int = 3) -> Settings:
    """One worker with small rings."""
    return Settings(workers=WorkerSettings(count=1, ring_bytes=RING_BYTES, max_attempts=max_attempts))


def resident_bytes(pid: int) -> dict[str, int]:
    """What bus and worker have in memory."""
    return {"bus": psutil.Process().memory_info().rss, "worker": psutil.Process(pid).memory_info().rss}


def descriptors(pid: int) -> dict[str, int]:
    """How many descriptors bus and worker have open."""
    return {"bus": psutil.Process().num_fds(), "worker": psutil.Process(pid).num_fds()}


async def test_a_body_of_any_size_comes_back_as_it_was_sent() -> None:
    """W2, D13: in the ring, beside it, and at every size at which one becomes the other."""
    async with open_bus(app, one_worker(), store=ForgettingStore()) as bus:
        for size in (*SIZES, *AROUND_A_QUARTER):
            data = os.urandom(min(size, MIB)) * (size // MIB or 1)
            assert await echoed(bus, data + bytes(size - len(data))) == data + bytes(size - len(data)), size


async def test_nothing_is_left_of_large_bodies_in_the_bus_or_in_the_worker() -> None:
    """S5, P13: memory and descriptors are given back, after each one."""
    async with open_bus(app, one_worker(), store=ForgettingStore()) as bus:
        data = os.urandom(MIB) * 64
        assert await echoed(bus, data[:MIB]) == data[:MIB]
        (worker,) = bus.statistics().workers  # not asked again: whoever asks has the pool open /proc in its thread
        memory_before, descriptors_before = resident_bytes(worker.pid), descriptors(worker.pid)
        for _ in range(3):
            assert hashlib.blake2b(await echoed(bus, data)).digest() == hashlib.blake2b(data).digest()
        deadline_s = time.monotonic() + SETTLED_S
        while True:
            await bus.handle(Do("echo"))  # what was sent last is forgotten when the next one is received
            grown = _grown(memory_before, resident_bytes(worker.pid))
            opened = _opened(descriptors_before, descriptors(worker.pid))
            if not (grown or opened) or time.monotonic() > deadline_s:
                break
        assert not grown
        assert not opened


def _grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {who: after[who] - before[who] for who in before if after[who] - before[who] > LEFT_BYTES}


def _opened(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {who: after[who] - before[who] for who in before if after[who] > before[who]}


async def test_a_worker_without_memory_fails_a_command_and_lives_on() -> None:
    """W6, S2: what a handler cannot make is its command's failure."""
    async with open_bus(app, one_worker()) as bus:
        before = bus.statistics().workers[0].pid
        await bus.handle(Do("limit memory", str(160 * MIB)))
        for size in (200 * MIB, 100 * MIB):
            with pytest.raises(CommandFailed, match="MemoryError"):
                await bus.handle(Do("make", str(size)))
        assert await echoed(bus, b"on it goes") == b"on it goes"
        assert bus.statistics().workers[0].pid == before


BUS_WITHOUT_MEMORY = """
import asyncio, resource
from pathlib import Path
from driven import CommandFailed, Settings, WorkerSettings, open_bus
from worker_test_app import Do, app

UNLIMITED = (resource.RLIM_INFINITY,) * 2

async def main():
    async with open_bus(app, Settings(workers=WorkerSettings(count=1, max_attempts=2))) as bus:
        await bus.handle(Do("echo"))
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        for room in (40 << 20, 130 << 20, 250 << 20, 380 << 20):
            resource.setrlimit(resource.RLIMIT_AS, (mapped + room, resource.RLIM_INFINITY))
            try:
                await bus.handle(Do("make", str(120 << 20)))
            except Exception as error:
                print(room >> 20, type(error).__name__)
            assert (await bus.handle(Do("echo", "still here"))).events[0].text == "still here"
            for worker in bus.statistics().workers:  # one that was started meanwhile has our limit
                resource.prlimit(worker.pid, resource.RLIMIT_AS, UNLIMITED)
        resource.setrlimit(resource.RLIMIT_AS, UNLIMITED)
        assert len((await bus.handle(Do("make", str(120 << 20)))).events[0].data) == 120 << 20
        print("goes on")

asyncio.run(main())
"""


def test_a_bus_without_memory_fails_single_commands_and_goes_on() -> None:
    """S2, W6: too little to map an outcome, or to decode it: each time one command fails, and none is left."""
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", BUS_WITHOUT_MEMORY],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    *failed, last = finished.stdout.splitlines()
    assert last == "goes on"
    assert failed[0] == "40 CommandFailed"
    assert all(line.endswith(("CommandFailed", "MemoryError")) for line in failed)


@pytest.mark.stress
@pytest.mark.timeout(900)
async def test_an_outcome_of_a_gibibyte_arrives() -> None:
    """W2, S5: about six gibibytes are needed at the peak, and none are kept."""
    needed_bytes = 10 << 30
    if psutil.virtual_memory().available < needed_bytes:
        pytest.skip(f"{needed_bytes >> 30} GiB of free memory are needed")
    async with open_bus(app, one_worker(), store=ForgettingStore()) as bus:
        await bus.handle(Do("make", "1"))
        pid = bus.statistics().workers[0].pid
        before = resident_bytes(pid)
        for size in (512 * MIB, 1024 * MIB):
            outcome = await bus.handle(Do("make", str(size)))
            (event,) = outcome.events
            assert isinstance(event, Done)
            assert len(event.data) == size
            expected = Done("made", event.data[:999_983])
            assert hashlib.blake2b(event.data[-(size % 999_983) :]).digest() == (
                hashlib.blake2b(expected.data[: size % 999_983]).digest()
            )
            del outcome, event
        await bus.handle(Do("echo"))
        assert not _grown(before, resident_bytes(pid))
