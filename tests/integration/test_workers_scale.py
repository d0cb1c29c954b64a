"""The number of workers follows the work, with real processes; whether CPUs are idle is the test's word."""

from __future__ import annotations

import asyncio
import threading
from itertools import count
from typing import TYPE_CHECKING

from driven import Settings, WorkerSettings, open_bus
from driven.pool.cpus import available_cpus
from driven.pool.machine import MachineWatch
from driven.pool.scaler import Scaler
from driven.pool.scaling import Bounds
from watched_lane import PATIENCE_S, watched_lane
from worker_test_app import Do

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.bus.lane import Lane


def idle_cpus() -> Callable[[], tuple[float, float]]:
    """Counters of a machine whose CPUs have nothing to do."""
    looks = count(1)
    return lambda: (float(look := next(looks)), float(look))


def scaler(lane: Lane, bounds: Bounds, *, has_waiting: Callable[[], bool]) -> Scaler:
    """A scaler of a lane with one worker."""
    return Scaler(
        lane=lane,
        group="default",
        members=1,
        bounds=bounds,
        watch=MachineWatch(environ={"DRIVEN_CPUS": "2"}, cpu_seconds=idle_cpus()),
        has_waiting=has_waiting,
        call_on_bus_thread=asyncio.get_running_loop().call_soon_threadsafe,
    )


async def test_a_worker_comes_when_work_waits_and_leaves_when_there_is_none() -> None:
    """Scaling: need adds a worker, up to the CPUs there are; an idle time takes one away, down to the least."""
    waiting = threading.Event()
    cpus = available_cpus(environ={"DRIVEN_CPUS": "2"}).count
    async with watched_lane() as lane:
        scaling = scaler(lane.lane, Bounds(1, None, idle_timeout_s=0.5), has_waiting=waiting.is_set)
        scaling.start()
        waiting.set()
        await lane.until(lambda: len(lane.ready) == cpus)
        waiting.clear()
        await lane.until(lambda: len(lane.left) == cpus - 1)
        scaling.stop()

        assert len(lane.ready) == 1
        assert lane.gone == {}


async def test_work_that_does_not_wait_adds_nobody_and_a_worker_at_work_does_not_leave() -> None:
    """Scaling: whoever is busy stays, whatever its idle time is."""
    async with watched_lane({"default": 1}) as lane:
        scaling = scaler(lane.lane, Bounds(1, 8, idle_timeout_s=0.001), has_waiting=lambda: False)
        scaling.start()
        await lane.text(Do("sleep", "1.5"))
        scaling.stop()

        assert len(lane.ready) == 1
        assert lane.leaving == []


async def test_a_bus_lets_idle_workers_go_and_still_answers() -> None:
    """Scaling: `count = "auto"` opens with a worker for each CPU, and keeps `min_count` of those with nothing to do."""
    async with open_bus(
        "worker_test_app:app", Settings(workers=WorkerSettings(count="auto", idle_timeout_s=0.1))
    ) as bus:
        at_first = len(bus.statistics().workers)
        async with asyncio.timeout(PATIENCE_S):
            while len(bus.statistics().workers) != 1:
                await asyncio.sleep(0.02)
        outcome = await bus.handle(Do("echo", "still there"))

        assert at_first == available_cpus().count
        assert len(outcome.events) == 1
