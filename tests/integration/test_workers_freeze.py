"""A freeze of the whole machine or container harms nobody; a worker that alone is stopped or silent is ended."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from driven import WorkerSettings
from watched_lane import PATIENCE_S, watched_lane
from worker_test_app import Do

if TYPE_CHECKING:
    from pathlib import Path

FREEZE_S = 3.0

PROGRAM = """
import asyncio
from driven import WorkerSettings
from watched_lane import watched_lane
from worker_test_app import Do

async def until_thawed(last):
    loop = asyncio.get_running_loop()
    while loop.time() - last < 1:
        last = loop.time()
        await asyncio.sleep(0.05)
    for _ in range(10):  # the pool has looked at its workers meanwhile
        await asyncio.sleep(0.05)

async def main():
    async with watched_lane({"default": 2}, WorkerSettings(heartbeat_timeout_s=2.0)) as lane:
        position = lane.send(Do("sleep", "1"), 1, timeout_s=2.0)
        await lane.until_older(position, 0.2)  # the pool has seen it run
        last = asyncio.get_running_loop().time()  # before anybody can freeze us
        print(*(one.pid for one in lane.lane.vitals()), flush=True)
        await until_thawed(last)
        print("thawed", flush=True)
        await lane.until(lambda: bool(lane.gone) or (position, 1) in lane.completions)
        print("killed" if lane.gone else "left alone", flush=True)

asyncio.run(main())
"""


def test_a_freeze_times_nobody_out() -> None:
    """P7: stopped for longer than each limit, the bus awakes first and looks at workers that are still frozen."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
    with subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True) as bus:
        assert bus.stdout is not None
        workers = [int(pid) for pid in bus.stdout.readline().split()]
        for pid in (bus.pid, *workers):
            os.kill(pid, signal.SIGSTOP)
        time.sleep(FREEZE_S)  # this is the freeze, and no waiting for something
        os.kill(bus.pid, signal.SIGCONT)
        thawed = bus.stdout.readline()
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        ended = bus.stdout.readline()

    assert (thawed, ended) == ("thawed\n", "left alone\n")


async def test_an_idle_worker_that_is_silent_for_too_long_is_replaced_and_nobody_blamed() -> None:
    """W5: what is sent to it meanwhile goes elsewhere."""
    async with watched_lane(settings=WorkerSettings(heartbeat_timeout_s=0.5)) as lane:
        await lane.text(Do("echo"))
        async with asyncio.timeout(PATIENCE_S):
            while lane.lane.vitals()[0].completed != 1:  # counted right after it is told
                await asyncio.sleep(0.005)
        os.kill(lane.pid(), signal.SIGSTOP)
        waiting = lane.send(Do("echo"), 1)
        await lane.until(lambda: 1 in lane.gone and bool(lane.ready))
        blamed, cause, outstanding = lane.gone[1]

        assert (blamed, outstanding) == (None, {(waiting, 1)})
        assert cause.message == "its worker gave no sign of life for 0.5 s while it had nothing to do"


async def test_a_worker_that_is_stopped_while_it_runs_is_ended_and_its_command_blamed(tmp_path: Path) -> None:
    """W5: whoever stops a worker for so long costs the command one attempt; nothing stands still for ever."""
    async with watched_lane(settings=WorkerSettings(heartbeat_timeout_s=0.5)) as lane:
        running = lane.send(Do("wait for file", str(tmp_path / "go")))
        await lane.until_there(tmp_path / "go.begun")
        os.kill(lane.pid(), signal.SIGSTOP)
        await lane.until(lambda: 1 in lane.gone and bool(lane.ready))
        blamed, cause, _ = lane.gone[1]

        assert blamed == (running, 1)
        assert "was stopped from outside (SIGSTOP) for 0.5 s" in cause.message


async def test_a_command_may_be_silent_for_as_long_as_it_takes(tmp_path: Path) -> None:
    """W5: C code that holds the interpreter beats no heart, and is no reason to end anything without a timeout."""
    async with watched_lane(settings=WorkerSettings(heartbeat_timeout_s=0.2)) as lane:
        position = lane.send(Do("hold interpreter", str(tmp_path / "held")))
        await lane.until_there(tmp_path / "held")
        await lane.until_older(position, 1.0)

        assert lane.gone == {}
        await lane.lane.stop(0.0)
