"""Workers end with their bus, however it ends, and nothing is left: no process, no descriptor, no shared memory."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from driven import WorkerSettings
from driven.pool.worker_lane import WorkerLane
from driven.program import new_event_loop
from driven.wire import Failed
from shared_names import left_in_shared_memory, shared_memory_names
from watched_lane import PATIENCE_S, RECIPE, WatchedLane, both_kinds, watched_lane
from worker_test_app import Do

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from driven.pool.kinds import Kind
    from driven.wire import Completion, Failure

APPLICATIONS = Path(__file__).parents[1] / "applications"
VANISH_S = 2.0


@contextmanager
def doomed_bus(
    deed: str, argument: Path, *options: str
) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """A process that holds a lane, and its two workers, both at the deed; then its forked copy, if it has one."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
    command = [sys.executable, str(APPLICATIONS / "doomed_bus.py"), deed, str(argument), *options]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as bus:
        try:
            assert bus.stdout is not None
            pids = [int(pid) for pid in bus.stdout.readline().split()]
            assert len(pids) == 2 + len(options)
            yield bus, [psutil.Process(pid) for pid in pids]
        finally:
            bus.kill()


def until(condition: Callable[[], bool], within_s: float = PATIENCE_S) -> bool:
    """Wait until something is so; whether it came to be in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def is_gone(process: psutil.Process) -> bool:
    """Whether it is dead; whoever inherited it may not have waited for it yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("deed", ["echo", "wait for file", "hold interpreter"])
def test_workers_die_with_a_bus_that_is_killed(deed: str, tmp_path: Path) -> None:
    """W7, P1, S3: idle, running Python, and inside C code that holds the interpreter."""
    before = shared_memory_names()
    with doomed_bus(deed, tmp_path / "deed") as (bus, workers):
        if deed != "echo":
            assert until(lambda: len([path for path in tmp_path.iterdir() if path.suffix != ".part"]) == 2)
        bus.kill()
        bus.wait()

        assert until(lambda: all(is_gone(worker) for worker in workers), VANISH_S)
        assert not left_in_shared_memory(before)


def test_the_children_of_workers_die_with_a_bus_that_is_killed(tmp_path: Path) -> None:
    """W7, P1: whatever a handler started goes as well."""
    with doomed_bus("start child", tmp_path / "child") as (bus, workers):
        assert until(lambda: all((tmp_path / f"child-{worker}").exists() for worker in (1, 2)))
        children = [psutil.Process(int((tmp_path / f"child-{worker}").read_text("ascii"))) for worker in (1, 2)]
        bus.kill()
        bus.wait()

        assert until(lambda: all(is_gone(process) for process in (*workers, *children)), VANISH_S)


def test_workers_die_although_a_copy_of_the_bus_holds_their_lifelines(tmp_path: Path) -> None:
    """W7, P1: the second line, for a bus that somebody forked; children included."""
    with doomed_bus("start child", tmp_path / "child", "forked") as (bus, (*workers, copy)):
        try:
            assert until(lambda: all((tmp_path / f"child-{worker}").exists() for worker in (1, 2)))
            children = [psutil.Process(int((tmp_path / f"child-{worker}").read_text("ascii"))) for worker in (1, 2)]
            bus.kill()
            bus.wait()

            assert until(lambda: all(is_gone(process) for process in (*workers, *children)), VANISH_S)
        finally:
            copy.kill()


def test_workers_outlive_the_thread_in_which_the_bus_was_started() -> None:
    """P2: the kernel ties them to the thread that starts them; that is the pool's, and it lives as long as the pool."""
    loop = new_event_loop()
    lane = WorkerLane(WorkerSettings(), {"default": 1}, RECIPE, "log")
    watched = WatchedLane(lane)
    starter = threading.Thread(target=lambda: loop.run_until_complete(lane.start(watched)))
    starter.start()
    starter.join()
    try:
        assert until(lambda: not any(thread.ident == starter.ident for thread in threading.enumerate()))
        assert loop.run_until_complete(watched.text(Do("echo", "still here"))) == "still here"
        assert watched.gone == {}
    finally:
        loop.run_until_complete(lane.stop(PATIENCE_S))
        loop.close()


@both_kinds
async def test_stopping_lets_the_running_command_finish_and_begins_no_other(tmp_path: Path, kind: Kind) -> None:
    """X4, D11: what waits stays with the bus, unblamed."""
    async with watched_lane(kind=kind) as lane:
        running = lane.send(Do("wait for file", str(tmp_path / "go")))
        waiting = [lane.send(Do("echo")) for _ in range(3)]
        await lane.until_there(tmp_path / "go.begun")
        worker = lane.worker
        stopping = asyncio.create_task(lane.lane.stop(PATIENCE_S))
        await lane.until_leaving()
        (tmp_path / "go").touch()
        await stopping

        assert set(lane.completions) == {(running, 1)}
        assert lane.left == {worker: {(position, 1) for position in waiting}}
        assert lane.gone == {}
        assert not lane.try_send(worker, lane.submission(Do("echo"), 99))


@both_kinds
async def test_stopping_with_full_rings_does_not_wait_for_what_is_in_them(tmp_path: Path, kind: Kind) -> None:
    """D11: the ring to the worker is as full as the lane makes it, and STOP is seen after the running command."""
    async with watched_lane(settings=WorkerSettings(ring_bytes=1 << 12), kind=kind) as lane:
        lane.send(Do("wait for file", str(tmp_path / "go")))
        await lane.until_there(tmp_path / "go.begun")
        position = 100
        while lane.try_send(lane.worker, lane.submission(Do("sleep", "60"), position)):
            position += 1
        stopping = asyncio.create_task(lane.lane.stop(PATIENCE_S))
        await lane.until_leaving()
        (tmp_path / "go").touch()
        await stopping

        assert position > 103
        assert len(lane.completions) == 1


@both_kinds
async def test_stopping_takes_the_outcomes_of_workers_that_cannot_get_rid_of_them(kind: Kind) -> None:
    """D11: both rings full, the bus has not listened for a while; the workers are not killed for it."""
    async with watched_lane({"default": 2}, WorkerSettings(ring_bytes=1 << 12), kind=kind) as lane:
        position = 0
        for worker in lane.ready:
            while lane.try_send(worker, lane.submission(Do("echo", data=b"x" * 900), position := position + 1)):
                continue
        time.sleep(0.2)  # noqa: ASYNC251 - the bus is to be deaf
        await lane.lane.stop(PATIENCE_S)

        assert (len(lane.left), lane.gone) == (2, {})


async def test_a_command_that_does_not_end_is_killed_when_time_is_up(tmp_path: Path) -> None:
    """X4: nobody is blamed, as it was the bus that had enough."""
    async with watched_lane() as lane:
        lane.send(Do("start child", str(tmp_path / "child")))
        await lane.until_there(tmp_path / "child")
        child = psutil.Process(int((tmp_path / "child").read_text("ascii")))
        await lane.lane.stop(0.1)

        assert [(blamed, cause.message) for blamed, cause, _ in lane.gone.values()] == [
            (None, "its worker was stopped")
        ]
        assert until(lambda: is_gone(child))


@both_kinds
async def test_stopping_twice_and_at_once_is_the_same_as_once(kind: Kind) -> None:
    """D4: idempotent, and whoever calls again waits along."""
    async with watched_lane({"default": 2}, kind=kind) as lane:
        await asyncio.gather(*(lane.lane.stop(PATIENCE_S) for _ in range(8)))
        await lane.lane.stop(PATIENCE_S)

        assert (len(lane.left), lane.gone) == (2, {})


@both_kinds
async def test_a_stop_that_is_cancelled_goes_on(kind: Kind) -> None:
    """D4: giving up waiting is no way to leave processes behind."""
    async with watched_lane(kind=kind) as lane:
        stopping = asyncio.create_task(lane.lane.stop(PATIENCE_S))
        await asyncio.sleep(0)
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)
        await lane.until(lambda: bool(lane.left))

        assert stopping.cancelled()


@both_kinds
async def test_a_lane_can_be_stopped_from_what_it_tells(kind: Kind) -> None:
    """D4: from inside the listener."""
    async with watched_lane(kind=kind) as lane:
        stops: list[asyncio.Task[None]] = []
        original = lane.completed

        def completed_and_stop(worker_id: int, completions: Sequence[Completion]) -> None:
            original(worker_id, completions)
            stops.append(asyncio.get_running_loop().create_task(lane.lane.stop(PATIENCE_S)))

        lane.completed = completed_and_stop  # type: ignore[method-assign]
        lane.send(Do("echo"))
        await lane.until(lambda: bool(lane.left))
        await asyncio.gather(*stops)

        assert len(lane.completions) == 1


async def test_a_lane_can_be_stopped_while_it_tells_of_a_death() -> None:
    """D4: from where a failure is handled; the dead one is not replaced, and the other leaves by its own will."""
    async with watched_lane({"default": 2}) as lane:
        stops: list[asyncio.Task[None]] = []
        original = lane.worker_gone

        def gone_and_stop(worker_id: int, blamed: tuple[int, int] | None, cause: Failure) -> None:
            original(worker_id, blamed, cause)
            stops.append(asyncio.get_running_loop().create_task(lane.lane.stop(PATIENCE_S)))

        lane.worker_gone = gone_and_stop  # type: ignore[method-assign]
        lane.send(Do("kill oneself"), 1)
        await lane.until(lambda: bool(lane.left))
        await asyncio.gather(*stops)

        assert (set(lane.gone), set(lane.left), lane.ready) == ({1}, {2}, {})


async def test_a_lane_can_be_stopped_from_eight_threads_at_once() -> None:
    """D4: each of them waits until nothing is left."""
    async with watched_lane({"default": 2}) as lane:
        loop = asyncio.get_running_loop()
        all_there = threading.Barrier(8)
        left: list[int] = []

        def stop() -> None:
            all_there.wait(PATIENCE_S)
            asyncio.run_coroutine_threadsafe(lane.lane.stop(PATIENCE_S), loop).result(PATIENCE_S)
            left.append(len(lane.lane.vitals()))

        with ThreadPoolExecutor(8) as threads:
            await asyncio.gather(*(loop.run_in_executor(threads, stop) for _ in range(8)))

        assert left == [0] * 8
        assert (len(lane.left), lane.gone) == (2, {})


def test_a_loop_that_is_closed_without_stopping_takes_the_workers_along() -> None:
    """W7: the pool finds nobody to tell, and ends what it has."""
    loop = asyncio.new_event_loop()
    lane = WorkerLane(WorkerSettings(), {"default": 2}, RECIPE, "log")
    watched = WatchedLane(lane)
    loop.run_until_complete(lane.start(watched))
    first, second = (psutil.Process(one.pid) for one in lane.vitals())
    loop.close()

    first.kill()

    assert until(lambda: is_gone(first) and is_gone(second))
    assert until(lambda: not [thread for thread in threading.enumerate() if thread.name == "driven-pool"])


@both_kinds
async def test_short_lives_leave_nothing(kind: Kind) -> None:
    """S3, S4, S5: see what `watched_lane` checks; here again and again, with deaths where there are any."""
    for number in range(10):
        async with watched_lane(kind=kind) as lane:
            position = lane.send(Do("kill oneself" if number % 2 and kind == "processes" else "echo"))
            await lane.until(lambda position=position: bool(lane.gone) or (position, 1) in lane.completions)  # type: ignore[misc]
        assert not any(isinstance(completion.outcome, Failed) for completion in lane.completions.values())
