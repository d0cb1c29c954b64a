"""A freeze of the whole machine or container times nobody out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

FREEZE_S = 3.0

PROGRAM = """
import asyncio
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
    async with watched_lane() as lane:
        position = lane.send(Do("sleep", "1"), timeout_s=2.0)
        await lane.until_older(position, 0.2)  # the pool has seen it run
        last = asyncio.get_running_loop().time()  # before anybody can freeze us
        print(lane.pid(), flush=True)
        await until_thawed(last)
        print("thawed", flush=True)
        await lane.until(lambda: bool(lane.gone) or (position, 1) in lane.completions)
        print("killed" if lane.gone else "left alone", flush=True)

asyncio.run(main())
"""


def test_a_freeze_times_nobody_out() -> None:
    """P7: stopped for longer than the timeout, the bus awakes first and looks at a worker that is still frozen."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
    with subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True) as bus:
        assert bus.stdout is not None
        worker = int(bus.stdout.readline())
        for pid in (bus.pid, worker):
            os.kill(pid, signal.SIGSTOP)
        time.sleep(FREEZE_S)  # this is the freeze, and no waiting for something
        os.kill(bus.pid, signal.SIGCONT)
        thawed = bus.stdout.readline()
        os.kill(worker, signal.SIGCONT)
        ended = bus.stdout.readline()

    assert (thawed, ended) == ("thawed\n", "left alone\n")
