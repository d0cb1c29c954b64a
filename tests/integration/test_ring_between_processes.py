"""The ring between real processes: stopped at random, killed at each point, and leaving nothing behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from driven.errors import RingBroken
from driven.ring.channel import Channel
from driven.ring.ring_buffer import LOOKS_BEFORE_BROKEN
from shared_names import left_in_shared_memory, shared_memory_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.ring.channel import Body

RING_BYTES = 8_192
PATIENCE_S = 60
LARGE = random.Random(1).randbytes(100_000)

ATTACH = """
import os, signal, sys, time
from driven.ring.channel import Channel, Handoff
worker = Channel.attach(Handoff.from_json(sys.argv[1]))
"""

ECHO = (
    ATTACH
    + """
while True:
    record = worker.receive()
    if record is None:
        worker.wait()
        continue
    if record == (1, b"stop"):
        break
    while not worker.send(*record):
        time.sleep(0)
worker.close()
"""
)


def environment() -> dict[str, str]:
    """This process's environment, and the places from which it imports."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@contextmanager
def running(script: str, *arguments: str, pass_fds: tuple[int, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    """Run a script in a process of its own, warnings being errors; it is gone afterwards, whatever happens."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(), pass_fds=pass_fds, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def worker_of(bus: Channel, script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script that attaches to the worker's end."""
    handoff = bus.handoff()
    with running(script, handoff.to_json(), *arguments, pass_fds=handoff.descriptors) as process:
        bus.close_remote_descriptors()
        yield process


def received(bus: Channel, count: int, worker: subprocess.Popen[str]) -> list[tuple[int, Body]]:
    """Receive `count` records from a worker that lives."""
    records: list[tuple[int, Body]] = []
    while len(records) < count:
        record = bus.receive()
        if record is not None:
            records.append(record)
            continue
        assert worker.poll() is None, worker.communicate()
        bus.wait()
    return records


def received_from_the_dead(bus: Channel) -> list[tuple[int, Body]]:
    """Receive what a worker that is gone has left behind."""
    records = []
    while (record := bus.receive()) is not None:
        records.append(record)
    return records


# Content and order.


@pytest.mark.parametrize("backing", ["shared_memory", "memfd"])
def test_a_worker_process_echoes_what_it_is_sent_large_bodies_too(backing: str) -> None:
    """W1, W2: the worker gets descriptors, never names, and ends without a word on standard error."""
    with Channel.create(RING_BYTES, backing=backing) as bus, worker_of(bus, ECHO) as worker:  # type: ignore[arg-type]
        records = [(number % 9 + 1, LARGE[: number * number]) for number in range(250)]
        for record in records:
            while not bus.send(*record):
                assert worker.poll() is None
            assert received(bus, 1, worker) == [record]
        assert bus.send(1, b"stop")
        _, errors = worker.communicate(timeout=PATIENCE_S)
        assert (worker.returncode, errors) == (0, "")


def test_a_body_of_hundreds_of_megabytes_goes_there_and_back() -> None:
    """§6: what does not fit into the ring has a segment of its own, of any size."""
    body = LARGE * 2_000
    with Channel.create(RING_BYTES) as bus, worker_of(bus, ECHO) as worker:
        assert bus.send(1, body)
        assert received(bus, 1, worker) == [(1, body)]


EXCHANGE = """
import collections, random, subprocess, sys
from driven.ring.channel import Channel

records, seed = int(sys.argv[1]), int(sys.argv[2])
chance = random.Random(seed)

def body():
    dice = chance.random()
    if dice < 0.002:
        return chance.randbytes(chance.randrange(2_049, 50_000))
    return chance.randbytes(chance.randrange(2_048 if dice < 0.05 else 300))

with Channel.create(8_192) as bus:
    handoff = bus.handoff()
    worker = subprocess.Popen([sys.executable, "-W", "error", "-c", sys.argv[3], handoff.to_json()],
                              pass_fds=handoff.descriptors)
    bus.close_remote_descriptors()
    print(worker.pid, flush=True)
    expected = collections.deque()
    sent = 0
    pending = (1 + sent % 100, body())
    while sent < records or expected:
        if sent < records and bus.send(*pending):
            expected.append(pending)
            sent += 1
            pending = (1 + sent % 100, body())
        echo = bus.receive()
        if echo is not None:
            assert echo == expected.popleft(), "content or order is wrong"
        elif sent == records:
            bus.wait()
    while not bus.send(1, b"stop"):
        pass
    assert worker.wait(60) == 0
print("exchanged", sent)
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_both_sides_may_be_stopped_at_any_instruction(seed: int) -> None:
    """W2, P7: 60,000 records each way while both processes are stopped and continued at random; none is wrong."""
    chance = random.Random(seed)
    with running(EXCHANGE, "60000", str(seed), ECHO) as bus:
        assert bus.stdout is not None
        pids = [bus.pid, int(bus.stdout.readline())]
        stops = 0
        while bus.poll() is None:
            stopped = chance.sample(pids, chance.choice([1, 1, 2]))
            for stop, for_up_to_s in ((signal.SIGSTOP, 0.004), (signal.SIGCONT, 0.008)):
                for pid in stopped:
                    with suppress(ProcessLookupError):
                        os.kill(pid, stop)
                with suppress(subprocess.TimeoutExpired):
                    bus.wait(chance.uniform(0, for_up_to_s))
            stops += 1
        output, errors = bus.communicate(timeout=PATIENCE_S)

    assert (output, errors) == ("exchanged 60000\n", "")
    assert stops > 1


# Death at each point.

DEATHS = {
    "before it writes": ("", 3),
    "in the middle of a body": ("claim = outgoing.try_claim(9, 100); claim[:50] = b'x' * 50", 3),
    "after the body, before it is published": ("claim = outgoing.try_claim(9, 100); claim[:] = b'x' * 100", 3),
    "after it is published, before the bell": ("outgoing.try_write(9, b'x' * 100)", 4),
    "after a large body, before its record": (
        "worker._large_bodies.try_pass(b'x' * 9_000, outgoing.try_claim(9 | 0x8000, 16))",
        3,
    ),
}


@pytest.mark.parametrize("point", DEATHS)
def test_a_killed_worker_leaves_what_it_published_and_nothing_else(point: str) -> None:
    """D1, D8: SIGKILL at each point; what was published is received, what was not is never seen, nothing hangs."""
    last_words, count = DEATHS[point]
    script = f"""{ATTACH}
outgoing = worker._outgoing
sent = [worker.send(1, b"first"), worker.send(2, b"second" * 2_000), worker.send(3, b"third")]
assert all(sent)
{last_words}
os.kill(os.getpid(), signal.SIGKILL)
"""
    with Channel.create(RING_BYTES) as bus, worker_of(bus, script) as worker:
        assert worker.wait(PATIENCE_S) == -signal.SIGKILL, worker.communicate()
        records = received_from_the_dead(bus)
        assert records == [(1, b"first"), (2, b"second" * 2_000), (3, b"third"), (9, b"x" * 100)][:count]
        assert [bus.receive() for _ in range(LOOKS_BEFORE_BROKEN + 1)] == [None] * (LOOKS_BEFORE_BROKEN + 1)


def test_a_worker_that_dies_between_tail_and_record_is_found_out() -> None:
    """D1: the tail was moved and the record never came, as no worker of ours does it: broken, in a bounded time."""
    script = f"""{ATTACH}
worker.send(1, b"whole")
worker._outgoing._cursors[0] += 128
os.kill(os.getpid(), signal.SIGKILL)
"""
    with Channel.create(RING_BYTES) as bus, worker_of(bus, script) as worker:
        assert worker.wait(PATIENCE_S) == -signal.SIGKILL, worker.communicate()
        assert bus.receive() == (1, b"whole")
        assert [bus.receive() for _ in range(LOOKS_BEFORE_BROKEN - 1)] == [None] * (LOOKS_BEFORE_BROKEN - 1)
        with pytest.raises(RingBroken, match="has not come to match in 1,000 looks"):
            bus.receive()


def test_a_tail_that_comes_before_its_record_delivers_it_when_it_is_there() -> None:
    """W2: publish before body, in another process, one store at a time: delivered whole, or not yet."""
    script = f"""{ATTACH}
from driven.ring.layout import RING_HEADER_BYTES
from driven.ring.ring_buffer import RingBuffer
outgoing = worker._outgoing
elsewhere = bytearray(RING_HEADER_BYTES + outgoing.capacity_bytes)
RingBuffer(memoryview(elsewhere)).try_write(1, b"late, and whole")
outgoing._cursors[0] = 40
for at in (24, 16, 8, 0, 32):
    input()
    outgoing._data[at : at + 8] = elsewhere[RING_HEADER_BYTES + at : RING_HEADER_BYTES + at + 8]
    print("stored", flush=True)
input()
"""
    with Channel.create(RING_BYTES) as bus, worker_of(bus, script) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        for _ in range(5):
            assert bus.receive() is None
            worker.stdin.write("\n")
            worker.stdin.flush()
            assert worker.stdout.readline() == "stored\n"
        assert bus.receive() == (1, b"late, and whole")


def test_a_killed_worker_is_blamed_for_the_command_it_ran() -> None:
    """W3: the status words of a worker that is gone say which command it was."""
    script = f"""{ATTACH}
worker.status.pid = os.getpid()
worker.status.begin(41, 1, time.monotonic_ns())
worker.status.end()
worker.status.begin(42, 3, time.monotonic_ns())
os.kill(os.getpid(), signal.SIGKILL)
"""
    with Channel.create(RING_BYTES) as bus, worker_of(bus, script) as worker:
        assert worker.wait(PATIENCE_S) == -signal.SIGKILL, worker.communicate()
        running_command = bus.status.running()
        assert running_command is not None
        assert (running_command.position, running_command.generation) == (42, 3)
        assert (bus.status.pid, bus.status.completed) == (worker.pid, 1)


# What is left behind.


def test_a_worker_never_starts_the_resource_tracker_and_passes_no_descriptor_on() -> None:
    """S4, P1: not for a large body either; and what it starts itself inherits nothing of the channel."""
    script = f"""{ATTACH}
assert worker.send(1, bytes(100_000))
assert "multiprocessing" not in sys.modules, "the tracker was imported"
descriptors = Handoff.from_json(sys.argv[1]).descriptors
print([os.get_inheritable(descriptor) for descriptor in descriptors] == [False] * len(descriptors))
worker.close()
"""
    with Channel.create(RING_BYTES) as bus, worker_of(bus, script) as worker:
        output, errors = worker.communicate(timeout=PATIENCE_S)
        assert (output, errors) == ("True\n", "")


@pytest.mark.parametrize("end", ["bus.close()", "pass", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_bus_leaves_nothing_in_shared_memory_however_it_ends(end: str) -> None:
    """S3, W7: closed, forgotten or killed; and no tracker complains of leaked objects."""
    script = f"""
import os, signal
from driven.ring.channel import Channel
bus = Channel.create(1 << 20, backing="shared_memory")
assert bus.send(1, b"unread") and bus.send(2, bytes(1 << 20))
print("made", flush=True)
{end}
"""
    before = shared_memory_names()
    with running(script) as bus:
        output, errors = bus.communicate(timeout=PATIENCE_S)
    assert output == "made\n"
    assert "leaked" not in errors
    assert "resource_tracker" not in errors
    assert not left_in_shared_memory(before)


def test_a_channel_for_which_there_are_not_enough_descriptors_leaves_none_open() -> None:
    """S5: whichever of them is refused, those before it are closed; then the channel can be made."""
    script = """
import os, resource
from driven.errors import SegmentUnavailable
from driven.ring.channel import Channel
Channel.create(4_096).close()
before = sorted(os.listdir("/proc/self/fd"))
refused = 0
for limit in range(len(before), 200):
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, 1_024))
    try:
        channel = Channel.create(4_096)
    except (OSError, SegmentUnavailable):
        refused += 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, 1_024))
        assert sorted(os.listdir("/proc/self/fd")) == before
    else:
        channel.close()
        break
print(refused > 3)
"""
    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not list the open descriptors in /proc/self/fd")
    before = shared_memory_names()
    with running(script) as bus:
        output, errors = bus.communicate(timeout=PATIENCE_S)
    assert (output, bus.returncode) == ("True\n", 0), errors
    assert "leaked" not in errors
    assert not left_in_shared_memory(before)
