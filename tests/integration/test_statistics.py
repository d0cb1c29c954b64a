"""A bus with workers, watched while it works: from within, from another process, and by `driven top`."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from both_loops import until
from driven import GroupStatistics, PoolStatistics, Progress, Settings, WorkerSettings, open_bus, read_statistics
from progress_app import Wait, WaitInline, app

if TYPE_CHECKING:
    from pathlib import Path

    from driven import BusStatistics, MessageBus

ONE_WORKER = Settings(workers=WorkerSettings(count=1))
LOOKING_S = 60.0


def top(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `driven top` on this process."""
    return subprocess.run(
        [sys.executable, "-m", "driven", "top", str(os.getpid()), *arguments],
        capture_output=True,
        text=True,
        timeout=LOOKING_S,
        check=False,
    )


async def parsing(bus: MessageBus) -> BusStatistics:
    """What the bus says when a worker has said that it is parsing."""
    looks: list[BusStatistics] = []

    def is_parsing() -> bool:
        looks.append(bus.statistics())
        return any(one.progress == Progress(0.4, "parsing") for one in looks[-1].workers)

    await until(is_parsing)
    return looks[-1]


def is_shown_parsing() -> bool:
    """Whether what this process shows to others has come to that."""
    return any(one.progress is not None for one in read_statistics(os.getpid()).workers)


async def test_progress_of_a_worker_is_seen_with_what_the_head_waits_for(tmp_path: Path) -> None:
    """context.progress shows in statistics, without touching the order; what blocks the head, and for how long."""
    async with open_bus(app, ONE_WORKER) as bus:
        first = await bus.submit(Wait(str(tmp_path / "go")))
        second = await bus.submit(Wait())
        told = await parsing(bus)
        (tmp_path / "go").touch()
        await first.settled()
        await second.settled()
        await until(lambda: bus.statistics().workers[0].state == "idle")  # it says so right after its last outcome
        after = bus.statistics()

    (worker,) = told.workers
    assert (worker.state, worker.command, worker.position) == ("running", "progress.Wait", first.position)
    assert told.head is not None
    assert (told.head.position, told.head.progress) == (first.position, Progress(0.4, "parsing"))
    assert told.head.blocked_by.startswith(f"runs on worker {worker.worker_id} for ")
    assert told.head.age_s > 0
    assert after.workers[0].progress is None
    assert told.pool == PoolStatistics("processes", (GroupStatistics("default", 1, 1, 0, 1, 0, 0),))
    assert (after.head, after.commands[0].running.count, after.commands[0].waiting.count) == (None, 2, 2)
    assert after.commands[0].running.longest_s >= worker.age_s


async def test_top_shows_to_another_process_what_statistics_says(tmp_path: Path) -> None:
    """The shared statistics segment, read by the command line: plain text where there is no terminal, and JSON."""
    async with open_bus(app, ONE_WORKER) as bus:
        receipt = await bus.submit(Wait(str(tmp_path / "go")))
        await parsing(bus)
        await until(is_shown_parsing)
        page, record = await _both_looks()
        (tmp_path / "go").touch()
        await receipt.settled()

    assert page.returncode == record.returncode == 0, page.stderr + record.stderr
    assert "progress  process" in page.stdout
    assert "[####......] 40% parsing" in page.stdout
    told: dict[str, Any] = json.loads(record.stdout)
    assert told["bus"]["workers"][0]["progress"] == {"fraction": 0.4, "text": "parsing"}
    assert told["bus"]["head"]["blocked_by"].startswith("runs on worker 1 for ")


async def _both_looks() -> tuple[subprocess.CompletedProcess[str], subprocess.CompletedProcess[str]]:
    return await asyncio.gather(asyncio.to_thread(top), asyncio.to_thread(top, "--json"))


async def test_a_handler_that_holds_up_the_bus_thread_shows_its_progress_to_others(tmp_path: Path) -> None:
    """Nobody in this process could look while an inline handler runs; others can."""
    async with open_bus(app, Settings(workers=WorkerSettings(count=0))) as bus:
        watcher = subprocess.Popen(  # noqa: ASYNC220 - it runs beside the bus, and that is the point
            [sys.executable, "-c", WATCHER, str(os.getpid()), str(tmp_path / "go")], stdout=subprocess.PIPE, text=True
        )
        await bus.handle(WaitInline(str(tmp_path / "go")))
        seen, _ = watcher.communicate(timeout=LOOKING_S)

    assert seen == "runs on the bus thread 0.4 parsing\n"


WATCHER = """
import pathlib, sys, time
from driven import StatisticsUnavailable, read_statistics
deadline = time.monotonic() + 40
while time.monotonic() < deadline:
    try:
        head = read_statistics(int(sys.argv[1])).head
    except StatisticsUnavailable:
        head = None
    if head is not None and head.progress is not None:
        print(head.blocked_by, head.progress.fraction, head.progress.text)
        break
    time.sleep(0.02)
pathlib.Path(sys.argv[2]).touch()
"""


@pytest.mark.parametrize("workers", [0, 1])
async def test_the_log_is_the_same_with_progress_and_without(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """O6: progress is no part of an outcome."""
    digests = []
    for silent in (True, False):
        if silent:
            monkeypatch.setenv("PROGRESS_IS_SILENT", "1")
        else:
            monkeypatch.delenv("PROGRESS_IS_SILENT")
        settings = Settings(workers=WorkerSettings(count=workers))
        clock = iter(range(1_000_000_000, 2_000_000_000)).__next__
        async with open_bus(app, settings, clock_ns=clock) as bus:
            receipts = [await bus.submit(command) for command in (Wait(), WaitInline(), Wait())]
            for receipt in receipts:
                await receipt.settled()
            digests.append(bus.log_digest())

    assert digests[0] == digests[1]


async def test_top_on_a_terminal_draws_again_and_again_until_the_bus_is_gone(tmp_path: Path) -> None:
    """A live view ends by itself, and says why."""
    drawn = tmp_path / "drawn"
    environment = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
    async with open_bus(app, Settings(workers=WorkerSettings(count=0))):
        with drawn.open("wb") as file:
            program = [sys.executable, "-m", "driven", "top", str(os.getpid())]
            live = subprocess.Popen(program, stdout=file, stderr=subprocess.PIPE, env=environment)  # noqa: ASYNC220 - as above
        await until(lambda: drawn.read_bytes().count(b"messages retired") >= 2)
    _, complaint = await asyncio.to_thread(live.communicate, timeout=LOOKING_S)

    assert live.returncode == 2
    assert b"it has no open bus" in complaint


def test_top_of_a_process_without_a_bus_says_so() -> None:
    """Exit code 2: nothing could be found out, and what to do about it."""
    result = top("--once")

    assert result.returncode == 2
    assert result.stderr == (
        f"driven: no statistics of a bus in process {os.getpid()}: it has no open bus; "
        "give the process id of the program that opened one\n"
    )
