"""Stopping while every ring is full and every worker is in another kind of trouble: bounded, in a known order (D11).

What the bound is made of is not seconds, which a busy machine stretches, but steps: at the deadline one SIGTERM to each
that is still there, all in the same look; after the grace one SIGKILL to each that outlived it; then nobody is left.
The commands would last for hours: a stop that waited for any of them would never come back, and the test would say so.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from driven import BusClosed, BusSettings, Settings, WorkerSettings, open_bus
from driven.pool.process_worker import ProcessWorker
from driven.pool.worker_lane import WorkerLane
from watched_lane import PATIENCE_S, RECIPE, WatchedLane
from worker_test_app import Do, app

if TYPE_CHECKING:
    from driven.pool.worker import Plan

HOURS_S = "36000"
TINY = 1 << 12
HELD = Do("sleep", HOURS_S, b"x" * 400)
"""What fills the rings to the workers."""


def noting(steps: list[tuple[str, int]]) -> type[ProcessWorker]:
    """Worker processes whose pool's signals are written down."""

    class Noted(ProcessWorker):
        def __init__(self, worker_id: int, group: str, plan: Plan) -> None:
            super().__init__(worker_id, group, plan)

        def terminate(self) -> None:
            steps.append(("TERM", self.worker_id))
            super().terminate()

        def kill(self) -> None:
            if psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE:  # else what is left of its group
                steps.append(("KILL", self.worker_id))
            super().kill()

    return Noted


def fill(lane: WatchedLane, worker: int, do: Do) -> None:
    """Send until the ring to this worker has no room left."""
    position = 1_000 * worker
    while lane.try_send(worker, lane.submission(do, position)):
        position += 1
    assert position > 1_000 * worker
    lane.lane.ring()


async def until_begun(lane: WatchedLane, *workers: int) -> None:
    """Wait until each of these runs something."""
    while not all(one.position for one in lane.lane.vitals() if one.worker_id in workers):
        await asyncio.sleep(0.005)


async def until_deaf(pid: int) -> None:
    """Wait until a process ignores SIGTERM, as the kernel says: proc(5), SigIgn."""
    while True:
        lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()  # noqa: ASYNC240 - no disk is read
        ignored = next(int(line.split()[1], 16) for line in lines if line.startswith("SigIgn"))
        if ignored & 1 << signal.SIGTERM - 1:
            return
        await asyncio.sleep(0.005)


async def test_stopping_is_bounded_with_every_ring_full_whatever_the_workers_do() -> None:
    """D11, X4: computing, deaf to SIGTERM, stopped, dead, and unable to tell; each once, nobody blamed for it."""
    steps: list[tuple[str, int]] = []
    settings = WorkerSettings(ring_bytes=TINY, grace_s=0.3, heartbeat_timeout_s=0)
    lane = WorkerLane(settings, {"default": 5}, RECIPE, "log", noting(steps))
    watched = WatchedLane(lane)
    async with asyncio.timeout(2 * PATIENCE_S):
        await lane.start(watched)
        computing, deaf, stopped, dead, untold = sorted(watched.ready)
        watched.send(Do("ignore sigterm"), deaf)
        for worker in (computing, deaf, stopped, dead):
            fill(watched, worker, HELD)
        await until_begun(watched, computing, deaf, stopped, dead)
        os.kill(watched.pid(stopped), signal.SIGSTOP)
        fill(watched, untold, Do("echo", data=b"x" * 900))  # and so is its ring to the bus, which does not listen
        os.kill(watched.pid(dead), signal.SIGKILL)
        await until_deaf(watched.pid(deaf))
        stopping = asyncio.create_task(lane.stop(PATIENCE_S))
        while untold in [one.worker_id for one in lane.vitals()]:
            await asyncio.sleep(0.005)
        assert steps == []
        await lane.stop(0.0)  # time is up
        await stopping

    terminated, killed = list(dict.fromkeys(steps))[:3], list(dict.fromkeys(steps))[3:]
    assert terminated == [("TERM", worker) for worker in (computing, deaf, stopped)]
    assert {("KILL", deaf), ("KILL", stopped)} <= set(killed) <= {("KILL", worker) for _, worker in terminated}
    assert set(watched.left) == {untold}
    assert {worker: blamed is None for worker, (blamed, *_) in watched.gone.items()} == {
        computing: True,
        deaf: True,
        stopped: True,
        dead: False,
    }
    assert lane.vitals() == ()


async def test_closing_a_bus_is_bounded_with_every_ring_full() -> None:
    """D11, X4: nothing fits into any ring any more, and nothing will ever be done; whoever waits is told."""
    settings = Settings(
        bus=BusSettings(drain_timeout_s=0.1), workers=WorkerSettings(count=3, ring_bytes=TINY, grace_s=0.3)
    )
    in_flight = 0
    while in_flight <= 3 * 3:  # what seems long, as on a busy machine, does not fill any ring
        async with asyncio.timeout(2 * PATIENCE_S):
            async with open_bus(app, settings) as bus:
                for _ in range(60):
                    await bus.handle(Do("echo"))
                receipts = await bus.submit_all([HELD] * 200)
                while sum(bool(one.position) for one in bus.statistics().workers) < 3:
                    await asyncio.sleep(0.005)
                in_flight = bus.statistics().in_flight
            answers = await asyncio.gather(*(receipt.handled() for receipt in receipts), return_exceptions=True)
        assert {type(answer) for answer in answers} == {BusClosed}
