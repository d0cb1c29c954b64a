"""A process with a lane that is there to be killed: `python doomed_bus.py <deed> <argument> [forked]`.

It starts two workers, has each do the deed, with `<argument>-<worker>`, prints the pids of its workers on a line, and
waits for its end. When it is to be forked, a copy of it that holds all its descriptors lives on; its pid comes last.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import warnings

from watched_lane import watched_lane
from worker_test_app import Do


def forked() -> int:
    """Fork a copy that does nothing, and return its pid."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is unwise to fork here is why this test is there
        pid = os.fork()
    if pid == 0:
        time.sleep(600)
        os._exit(0)
    return pid


async def main(deed: str, argument: str, *options: str) -> None:
    """Never returns."""
    async with watched_lane({"default": 2}) as lane:
        for worker in lane.ready:
            lane.send(Do(deed, f"{argument}-{worker}"), worker)
        pids = [one.pid for one in lane.lane.vitals()] + [forked() for _ in options]
        sys.stdout.write(" ".join(str(pid) for pid in pids) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
