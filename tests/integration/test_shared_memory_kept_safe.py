"""Shared memory over a long life: nothing leaks, nothing changes under its reader, and nobody else gets hold of it."""

from __future__ import annotations

import ast
import contextlib
import os
import pickle
import random
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import psutil
import pytest

import driven
import driven_worker
from driven import Settings, WorkerSettings, open_bus
from driven.errors import RingBroken
from driven.ring.channel import Channel
from driven.wire import Completion, EncodedMessage, Succeeded, decode_completion, decode_submission, encode
from worker_test_app import Do, Done, app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.ring.segment import Backing

LEFT_BYTES = 8 << 20
HANG_S = 60
"""Longer than any exit takes on any machine, and shorter than what hangs."""

SHORT_BUS = """
import psutil
from driven import Settings, WorkerSettings, open_bus_sync
from worker_test_app import Do, app
with open_bus_sync(app, Settings(workers=WorkerSettings(count=2))) as bus:
    modules = bus.handle(Do("tell modules")).events[0].text.split()
    started = [child for worker in bus.statistics().workers for child in psutil.Process(worker.pid).children()]
assert "multiprocessing.resource_tracker" not in modules
assert started == []
print("done", flush=True)
"""


@pytest.mark.timeout(0)
@pytest.mark.parametrize("count", [5, pytest.param(200, marks=pytest.mark.stress)])
def test_short_programs_end_when_they_are_done(count: int) -> None:
    """S4: none hangs between its last line and its exit, and no worker has started a tracker."""
    lasted_s = []
    for _ in range(count):
        with subprocess.Popen(
            [sys.executable, "-W", "error", "-c", SHORT_BUS],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=subprocess.PIPE,
        ) as program:
            try:
                assert program.stdout is not None
                assert program.stdout.readline() == b"done\n"
                ends_s = time.monotonic()
                assert program.wait(HANG_S) == 0
                lasted_s.append(time.monotonic() - ends_s)
            finally:
                program.kill()
    sys.stdout.write(f"{count} programs, the slowest took {max(lasted_s):.3f} s to exit\n")
    assert max(lasted_s) < HANG_S


async def test_workers_hold_nothing_that_the_bus_s_resource_tracker_waits_for() -> None:
    """S4: the tracker ends when the last write end of its pipe is closed, and no worker has one."""
    async with open_bus(app, Settings(workers=WorkerSettings(count=2))) as bus:
        await bus.handle(Do("echo"))
        pipes = {worker.pid: _pipes_of(worker.pid) for worker in bus.statistics().workers}
        trackers = [child for child in psutil.Process().children() if "resource_tracker" in " ".join(child.cmdline())]
        for tracker in trackers:
            for pid, own in pipes.items():
                assert not own & _pipes_of(tracker.pid), pid


def _opened(pid: int) -> dict[Path, str]:
    """What a process has open, as the kernel shows it."""
    found = {}
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing itself
            found[link] = str(link.readlink())
    return found


def _pipes_of(pid: int) -> set[str]:
    """Pipes that a process has open, but for those that every test process inherits as standard streams."""
    standard = {target for link, target in _opened(os.getpid()).items() if link.name in {"0", "1", "2"}}
    return {target for target in _opened(pid).values() if target.startswith("pipe:")} - standard


@pytest.mark.timeout(600)
@pytest.mark.parametrize("backing", ["shared_memory", "memfd"])
@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.stress)])
def test_rings_may_be_opened_and_closed_for_ever(count: int, backing: Backing) -> None:
    """S5: descriptors and memory are constant, and closing warns of nothing, with records that nobody read."""
    process = psutil.Process()
    for number in range(count):
        if number == count // 10:
            memory_before, descriptors_before = process.memory_info().rss, process.num_fds()
        with Channel.create(4_096, backing=backing) as bus, Channel.attach(bus.handoff().duplicated()) as worker:
            assert bus.send(1, b"taken")
            assert bus.send(2, b"left")
            assert bus.send(3, bytes(2_000))
            assert worker.receive() == (1, b"taken")
    assert process.num_fds() == descriptors_before
    assert process.memory_info().rss - memory_before < LEFT_BYTES


class Mixed(msgspec.Struct, frozen=True):
    """Every kind of field whose value could lie in memory that is not its own."""

    text: str
    data: bytes
    view: memoryview


def test_what_was_decoded_never_changes_however_often_the_ring_is_reused() -> None:
    """S6: a thousand laps of a small ring, with bodies beside it, and everything is kept to the end."""
    chance = random.Random(6)
    kept: list[tuple[int, Completion, Mixed]] = []
    sent: list[tuple[str, bytes]] = []
    with Channel.create(4_096) as bus, Channel.attach(bus.handoff().duplicated()) as worker:
        for number in range(4_000):
            size = chance.choice([0, 1, 50, 400, 3_000]) if number % 50 == 0 else chance.randint(0, 300)
            text, data = str(number) * 3, chance.randbytes(size)
            sent.append((text, data))
            body = encode(Mixed(text, data, memoryview(data)))
            assert worker.send(1, encode(Completion(number, 1, 0, Succeeded((EncodedMessage(0, body),)))))
            record = bus.receive()
            assert record is not None
            completion = decode_completion(record[1])
            assert isinstance(completion.outcome, Succeeded)
            kept.append((number, completion, msgspec.msgpack.decode(completion.outcome.events[0].body, type=Mixed)))
    for (number, completion, mixed), (text, data) in zip(kept, sent, strict=True):
        assert (completion.position, mixed.text, mixed.data, bytes(mixed.view)) == (number, text, data, data)


async def test_everything_shared_is_the_owner_s_alone_has_no_name_and_is_not_inherited() -> None:
    """S3: modes 0600, no entry in a folder, and close-on-exec, on both sides."""
    async with open_bus(app, Settings(workers=WorkerSettings(count=1))) as bus:
        await bus.handle(Do("echo", data=bytes(1 << 20)))
        (worker,) = bus.statistics().workers
        for pid in (os.getpid(), worker.pid):
            shared = {link for link, target in _opened(pid).items() if target.startswith(MEMORY)}
            assert shared
            assert {(stat.S_IMODE(link.stat().st_mode), link.stat().st_nlink) for link in shared} == {(0o600, 0)}
            assert not _inherited(pid)


MEMORY = ("/memfd:driven", "/dev/shm/psm_")  # noqa: S108 - as the kernel shows them
"""Segments, what workers say when they crash, and large bodies."""


def _inherited(pid: int) -> set[str]:
    """What a program that this process starts would get, of all that a channel is made of."""
    found = set()
    for link, target in _opened(pid).items():
        if target.startswith((*MEMORY, "socket:", "anon_inode:[eventfd]")):
            told = Path(f"/proc/{pid}/fdinfo/{link.name}").read_text(encoding="ascii")
            flags = next(line.split()[1] for line in told.splitlines() if line.startswith("flags:"))
            if not int(flags, 8) & os.O_CLOEXEC:
                found.add(target)
    return found


CODE_LOADERS = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
PLAIN_CALLABLES = {"executor", "callables", "calls", "joblib_backend"}
"""What carries plain callables for `driven.Executor`, which takes pickle: no bus uses it."""


def _sources() -> Iterator[Path]:
    """Every module of a bus and of a worker that serves one."""
    for package in (driven, driven_worker):
        for place in map(Path, package.__path__):
            for source in place.rglob("*.py"):
                if not PLAIN_CALLABLES & set(source.relative_to(place).with_suffix("").parts):
                    yield source


def test_nothing_that_a_bus_uses_can_unpickle() -> None:
    """D10: only msgspec decodes what crosses the rings of a bus, and it builds nothing but what a type declares."""
    for source in _sources():
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & CODE_LOADERS, source


class Bomb:
    """Would do something if anybody unpickled it."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /nonexistent/driven",)


def test_pickled_bytes_are_refused_and_do_nothing() -> None:
    """D10: they are no MessagePack of the declared type, whatever they are otherwise."""
    bomb = pickle.dumps(Bomb())
    for decode in (decode_submission, decode_completion):
        with pytest.raises(msgspec.DecodeError):
            decode(bomb)


def test_a_segment_of_pickled_bytes_is_no_channel() -> None:
    """D10, W2: the memory map is checked before anything is read from it."""
    with Channel.create(4_096) as bus:
        handoff = bus.handoff().duplicated()
        bomb = pickle.dumps(Bomb())
        os.pwrite(handoff.segment_descriptor, bomb, 0)
        with pytest.raises(RingBroken, match="begins with"):
            Channel.attach(handoff)


async def test_a_message_of_pickled_bytes_is_only_bytes() -> None:
    """D10: they arrive as they were sent."""
    async with open_bus(app, Settings(workers=WorkerSettings(count=1))) as bus:
        bomb = pickle.dumps(Bomb())
        (event,) = (await bus.handle(Do("echo", data=bomb))).events
        assert isinstance(event, Done)
        assert event.data == bomb
