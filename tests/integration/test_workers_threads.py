"""Worker threads: what they share with the bus and what not, what they refuse, and what becomes of one that hangs.

What they have in common with worker processes is tested beside those, for both kinds; what is not is listed here.
"""

from __future__ import annotations

import ast
import asyncio
import gc
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

import thread_test_app
from driven import (
    BusClosed,
    BusSettings,
    CommandFailed,
    CommandSettings,
    Settings,
    SettingsError,
    WorkerSettings,
    WorkersUnavailable,
    open_bus,
    open_bus_sync,
)
from driven.pool import readiness
from driven.pool.worker_lane import WorkerLane
from driven.service.wiring import Recipe
from thread_test_app import Ask, Meet, Pause, PauseThenRead, Submit, Told, caller
from watched_lane import MAKERS, PATIENCE_S, RECIPE, WatchedLane, watched_lane
from worker_test_app import Do

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = Settings(workers=WorkerSettings(count=2, kind="threads"))
HASTY = Settings(
    bus=BusSettings(drain_timeout_s=0.0), workers=WorkerSettings(count=1, kind="threads", stop_timeout_s=0.0)
)
APPLICATIONS = Path(__file__).parents[1] / "applications"

PROCESSES_ONLY = {
    "test_a_lane_works_in_any_event_loop": "it kills a worker; for threads see test_worker_threads_work_in_any_loop",
    "test_a_process_that_a_handler_forked_does_not_answer_as_well": "Python warns of forks beside threads",
    "test_a_worker_loads_nothing_of_the_bus": "a thread is in the process that has loaded everything",
    "test_numeric_libraries_are_capped_before_they_are_imported": "in a thread they are imported already",
    "test_what_handlers_start_sees_the_users_python_path": "a thread's environment is the program's, untouched",
    "test_a_worker_leads_its_own_process_group_and_leaves_interrupts_to_the_bus": "a thread has no process group",
    "test_the_application_under_test_is_importable_by_name": "no worker in it",
    "test_workers_die_with_a_bus_that_is_killed": "threads end with their process, as the kernel has it",
    "test_the_children_of_workers_die_with_a_bus_that_is_killed": "what threads start is the program's to end",
    "test_workers_die_although_a_copy_of_the_bus_holds_their_lifelines": "threads have no lifeline",
    "test_workers_outlive_the_thread_in_which_the_bus_was_started": "nothing ties a thread to the one that started it",
    "test_a_lane_can_be_stopped_from_eight_threads_at_once": "it is the lane that is stopped, whatever its workers are",
    "test_a_lane_can_be_stopped_while_it_tells_of_a_death": "it kills a worker",
    "test_a_loop_that_is_closed_without_stopping_takes_the_workers_along": "threads end with their process",
    "test_a_command_that_does_not_end_is_killed_when_time_is_up": "a thread is abandoned: see below",
}
"""Tests of workers that are run with processes alone, and why."""


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


def worker_threads() -> list[str]:
    """The names of all worker threads of this process."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("driven-worker")]


@pytest.mark.parametrize("file", ["test_workers_run.py", "test_workers_vanish.py"])
def test_every_test_of_workers_is_for_both_kinds_or_says_why_not(file: str) -> None:
    """W9: one loop, one ring, the same tests."""
    tree = ast.parse((Path(__file__).parent / file).read_text("utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    tests = {
        one.name: {argument.arg for argument in one.args.args} for one in functions if one.name.startswith("test_")
    }
    for_one = {name for name, arguments in tests.items() if "kind" not in arguments}

    assert for_one == tests.keys() & PROCESSES_ONLY.keys()


async def test_a_bus_on_threads_starts_no_process_and_leaves_no_thread() -> None:
    """W9: workers are in this very process, and gone with the bus."""
    before = set(psutil.Process().children(recursive=True))
    frozen = gc.get_freeze_count()
    async with open_bus(thread_test_app.app, THREADS) as bus:
        await bus.handle(Ask())

        assert {worker.pid for worker in bus.statistics().workers} == {os.getpid()}
        new = set(psutil.Process().children(recursive=True)) - before
        assert [child.cmdline() for child in new if "resource_tracker" not in " ".join(child.cmdline())] == []
        assert len(worker_threads()) == 2
        assert gc.get_freeze_count() == frozen
    assert worker_threads() == []


def test_worker_threads_work_in_any_loop() -> None:
    """W2, W9: on uvloop, in a thread of the bus's own."""
    with open_bus_sync(thread_test_app.app, THREADS) as bus:
        told = bus.handle(Ask()).events[0]
    assert isinstance(told, Told)
    assert told.thread.startswith("driven-worker-")


async def test_handlers_run_at_the_same_time_in_several_threads() -> None:
    """W9: while one waits or is in C code that releases the GIL, another goes on; `benchmarks.kinds` has figures."""
    async with open_bus(thread_test_app.app, THREADS) as bus:
        for receipt in [await bus.submit(Meet()), await bus.submit(Meet())]:
            await receipt.handled()


async def test_handlers_in_threads_see_neither_the_submitters_context_nor_each_others_tools() -> None:
    """W9: context variables are empty, and objects of scope APP are one per worker, as in processes."""
    caller.set("the submitter")
    async with open_bus(thread_test_app.app, THREADS) as bus:
        receipts = [await bus.submit(Ask()) for _ in range(40)]
        told = [event for receipt in receipts for event in (await receipt.handled()).events]

    seen = {(one.thread, one.tool) for one in told if isinstance(one, Told)}
    assert {one.caller for one in told if isinstance(one, Told)} == {"nobody"}
    assert len(seen) == len({thread for thread, _ in seen}) == len({tool for _, tool in seen}) == 2


async def test_threads_are_recycled_by_count_and_nothing_is_lost() -> None:
    """P13, D3: a thread that has done its share ends, and another goes on with tools of its own."""
    settings = Settings(workers=WorkerSettings(count=1, kind="threads", recycle_after_commands=5))
    async with open_bus(thread_test_app.app, settings) as bus:
        told = [event for _ in range(30) for event in (await bus.handle(Ask())).events]

    seen = [(one.thread, one.tool) for one in told if isinstance(one, Told)]
    assert len(seen) == 30
    assert len({thread for thread, _ in seen}) > 2


def test_a_handler_in_a_thread_cannot_reach_the_bus_while_others_can() -> None:
    """O7: each thread is inside its own handler, and nobody else is."""
    with open_bus_sync(thread_test_app.app, THREADS) as bus:
        thread_test_app.bus_of_the_test[:] = [bus]
        refused = bus.submit(Submit())
        others = [bus.submit(Ask()) for _ in range(20)]

        with pytest.raises(CommandFailed, match="ReentrantDispatch"):
            refused.handled()
        assert all(receipt.handled().events for receipt in others)
        thread_test_app.bus_of_the_test.clear()


async def test_a_timeout_is_refused_where_nothing_could_keep_it() -> None:
    """W9, W5: all of them are listed when the bus opens, with what to do instead."""
    commands = {name: CommandSettings(timeout_s=2.0) for name in ("Ask", "Pause")}
    settings = Settings(workers=WorkerSettings(count=1, kind="threads"), commands=commands)

    with pytest.raises(SettingsError) as refused:
        async with open_bus(thread_test_app.app, settings):
            pass

    faults = str(refused.value)
    assert "threads.Ask has timeout_s = 2 (by [commands.Ask])" in faults
    assert "threads.Pause has timeout_s = 2" in faults
    assert '[workers] kind = "processes"' in faults


async def test_a_thread_that_never_comes_back_is_abandoned_and_said_to_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """W9, B11, X4: stopping has a deadline; what goes on is named, with the line at which it is."""
    go = tmp_path / "go"
    with caplog.at_level(logging.ERROR, "driven.pool"):
        async with open_bus(thread_test_app.app, HASTY) as bus:
            receipt = await bus.submit(Pause(str(go)))
            while not (tmp_path / "go.begun").exists():
                await asyncio.sleep(0.005)
    with pytest.raises(BusClosed):
        await receipt.handled()

    (abandoned,) = bus.statistics().workers
    (line,) = caplog.messages
    assert (abandoned.state, abandoned.position) == ("abandoned", 1)
    assert "is abandoned" in line
    assert "in wait_for" in line
    go.touch()
    until(lambda: worker_threads() == [])
    assert bus.statistics().workers == ()


async def test_an_abandoned_thread_that_asks_the_bus_is_told_and_ends(tmp_path: Path) -> None:
    """W9: nobody answers any more, and its memory is its own until it has ended."""
    go = tmp_path / "go"
    async with open_bus(thread_test_app.app, HASTY) as bus:
        await bus.submit(PauseThenRead(str(go)))
        while not (tmp_path / "go.begun").exists():
            await asyncio.sleep(0.005)
    assert len(worker_threads()) == 1

    go.touch()
    until(lambda: worker_threads() == [])

    assert "given this worker up" in (tmp_path / "go.refused").read_text("utf-8")


async def test_an_application_that_is_not_ready_in_time_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W8: never a hang, and the error shows where it hangs; a thread that is given up before it begins never begins."""
    monkeypatch.syspath_prepend(str(tmp_path))
    go = tmp_path / "go"
    (tmp_path / "slow_to_start.py").write_text(
        "import pathlib, time, worker_test_app\n"
        "def make():\n"
        f"    while not pathlib.Path({str(go)!r}).exists():\n"
        "        time.sleep(0.005)\n"
        "    return worker_test_app.app\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(readiness, "FAILED_STARTS", 1)
    recipe = Recipe("slow_to_start:make", (), RECIPE.wiring)
    reason, timeout_s = "", 0.05
    try:
        while "in make" not in reason:  # on a busy machine time may be up before the thread has come there
            timeout_s *= 2
            assert timeout_s < PATIENCE_S
            settings = WorkerSettings(start_timeout_s=timeout_s)
            lane = WorkerLane(settings, {"default": 1}, recipe, "log", MAKERS["threads"])
            with pytest.raises(WorkersUnavailable) as refused:
                await lane.start(WatchedLane(lane))
            reason = refused.value.reason
            assert f"was not ready within {timeout_s:g} s" in reason
    finally:
        go.touch()
        until(lambda: worker_threads() == [])


@pytest.mark.parametrize("kind_of_record", ["19", "9999"])
async def test_a_thread_that_writes_what_it_must_not_is_replaced(kind_of_record: str) -> None:
    """D10, W3: what it sent means nothing; it is blamed, asked to leave, and followed by another."""
    async with watched_lane(kind="threads") as lane:
        guilty, behind = lane.send(Do("garble", kind_of_record)), lane.send(Do("echo"))
        await lane.until(lambda: bool(lane.gone) and bool(lane.ready))
        ((blamed, _, outstanding),) = lane.gone.values()

        assert blamed == (guilty, 1)
        assert outstanding == {(guilty, 1), (behind, 1)}
        assert await lane.text(Do("echo", "on it goes")) == "on it goes"


async def test_threads_that_cannot_be_had_are_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """W8: a process that may start no thread more says so, and keeps no descriptor."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    original = threading.Thread.start
    monkeypatch.setattr(
        threading.Thread, "start", lambda self: refuse(self) if "driven-worker" in self.name else original(self)
    )

    with pytest.raises(WorkersUnavailable, match="can't start new thread"):
        async with watched_lane(kind="threads"):
            pass


def test_a_program_ends_although_a_thread_was_abandoned(tmp_path: Path) -> None:
    """W9, X4: neither the interpreter's end nor the thread's memory waits for it or breaks."""
    program = (
        "import thread_test_app as a, time, pathlib\n"
        "from driven import *\n"
        "workers = WorkerSettings(count=1, kind='threads', stop_timeout_s=0)\n"
        "s = Settings(bus=BusSettings(drain_timeout_s=0), workers=workers)\n"
        "with open_bus_sync(a.app, s) as bus:\n"
        f"    bus.submit(a.Pause({str(tmp_path / 'go')!r}))\n"
        f"    while not pathlib.Path({str(tmp_path / 'go.begun')!r}).exists(): time.sleep(0.005)\n"
        "print(bus is not None, flush=True)\n"
    )
    places = [str(APPLICATIONS), *(place for place in sys.path if place)]
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(places)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (0, "True\n"), ended.stderr
    assert ended.stderr.count("is abandoned") == 1
