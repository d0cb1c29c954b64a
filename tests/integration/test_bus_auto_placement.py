"""AUTO with real workers: what blocks the bus moves to them, and another process can see why."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from driven import CommandSettings, Placement, Settings, WorkerSettings, open_bus
from worker_test_app import Do, Done

PATIENCE_S = 30.0
REPOSITORY = Path(__file__).parents[2]


def ask_from_outside() -> str:
    """What the command line says of this process."""
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(REPOSITORY / part) for part in ("src", "workers", "tests/applications")),
    }
    command = [sys.executable, "-m", "driven", "placement", "worker_test_app:app", "--live", str(os.getpid())]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout


async def test_a_type_that_blocks_the_bus_moves_to_workers_and_the_decision_is_seen_from_outside() -> None:
    """AUTO, O6: measured inline, then on a worker with the same outcome; `driven placement --live` says why."""
    settings = Settings(workers=WorkerSettings(count=1), commands={"Do": CommandSettings(placement=Placement.AUTO)})
    async with open_bus("worker_test_app:app", settings) as bus:
        (inline,) = (await bus.handle(Do("sleep", "0.05"))).events
        (on_worker,) = (await bus.handle(Do("sleep", "0.05"))).events
        (process,) = (await bus.handle(Do("tell process"))).events
        (decision,) = (one for one in bus.statistics().placements if one.command.endswith("Do"))
        told = ""
        async with asyncio.timeout(PATIENCE_S):
            while "inline again below" not in told:  # it posts now and then
                told = " ".join((await asyncio.to_thread(ask_from_outside)).split())

    assert inline == on_worker == Done("slept")
    assert str(os.getpid()) not in str(process)
    assert (decision.runs, decision.changes) == ("worker", 1)
    assert decision.average_s > decision.handover_s > 0
    assert f"decided so far in process {os.getpid()}" in told
