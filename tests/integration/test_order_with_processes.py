"""O6 with real workers: the log of any number of them, some of them killed, is that of the inline run.

The applications are those of the simulated property test, drawn from seeds here, with commands that take time and
commands that end their worker on first sight. `tests/stress` runs the same for longer.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from typing import TYPE_CHECKING

import psutil
import pytest

from driven import BusSettings, Settings, WorkerSettings, open_bus
from driven.adapters.stores.memory import MemoryStore
from driven.program import new_event_loop
from driven.service.event_store import Status
from driven.service.registry import build_registry
from ordering import Plan, app, command_of
from ordering_draws import drawn_commands, ticking_clock
from replaying import check_replay

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driven import Command, MessageBus
    from driven.pool.kinds import Kind

SEEDS = range(24)
WORKERS = (1, 2, 4)


async def run_all(
    commands: list[Command], settings: Settings, trouble: Callable[[MessageBus], object] | None = None
) -> str:
    """Submit everything, wait for everything, and return the digest of the log."""
    async with open_bus(app, settings, clock_ns=ticking_clock()) as bus:
        receipts = [await bus.submit(command) for command in commands]
        if trouble is not None:
            trouble(bus)
        for receipt in receipts:
            await receipt.settled()
        return bus.log_digest()


def digest_of(commands: list[Command], workers: int, kind: Kind = "processes") -> str:
    """One run on a loop of its own."""
    settings = Settings(workers=WorkerSettings(count=workers, kind=kind, max_attempts=100, ring_bytes=1 << 14))
    with asyncio.Runner(loop_factory=new_event_loop if workers % 2 else asyncio.new_event_loop) as runner:
        return runner.run(run_all(commands, settings))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_log_of_worker_processes_is_that_of_the_inline_run(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O6, B6, D8: with 1, 2 or 4 processes, deaths on the way, stale reads and small rings."""
    commands = drawn_commands(seed)
    expected = digest_of(commands, 0)

    monkeypatch.setenv("ORDERING_DEATH_MARKS", str(tmp_path))

    assert digest_of(commands, WORKERS[seed % len(WORKERS)]) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_the_log_of_worker_threads_is_that_of_the_inline_run(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """O6, W9: with 1, 2 or 4 threads, stale reads and small rings; a thread's death would be everybody's."""
    monkeypatch.delenv("ORDERING_DEATH_MARKS", raising=False)
    commands = drawn_commands(seed)

    assert digest_of(commands, WORKERS[seed % len(WORKERS)], "threads") == digest_of(commands, 0)


def test_the_log_survives_workers_killed_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """O6, D1, B6: whatever instruction a worker is at when it is killed, nothing is lost, doubled or reordered."""
    monkeypatch.delenv("ORDERING_DEATH_MARKS", raising=False)
    commands = [command for seed in range(4) for command in drawn_commands(1_000 + seed)]
    expected = digest_of(commands, 0)
    kills: list[int] = []

    async def killing() -> str:
        settings = Settings(workers=WorkerSettings(count=2, max_attempts=100))
        async with open_bus(app, settings, clock_ns=ticking_clock()) as bus:
            receipts = [await bus.submit(command) for command in commands]
            killer = asyncio.create_task(kill_now_and_then(bus, kills))
            for receipt in receipts:
                await receipt.settled()
            killer.cancel()
            return bus.log_digest()

    assert asyncio.run(killing()) == expected
    assert kills


async def kill_now_and_then(bus: MessageBus, kills: list[int]) -> None:
    """Kill a random worker whenever some more messages have retired."""
    chance = random.Random(7)
    retired = 0
    while True:
        await asyncio.sleep(0)
        statistics = bus.statistics()
        if statistics.workers and statistics.retired - retired >= 60:
            retired = statistics.retired
            victim = chance.choice(statistics.workers).pid
            if psutil.pid_exists(victim):
                os.kill(victim, signal.SIGKILL)
                kills.append(victim)


@pytest.mark.parametrize("seed", range(100, 104))
async def test_the_log_of_the_keyed_mode_is_that_of_a_serial_run_in_its_own_order(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O9, B6, D8: with processes that die; whatever order it was, one who does it alone in that order gets the same."""
    monkeypatch.setenv("ORDERING_DEATH_MARKS", str(tmp_path))
    store = MemoryStore()
    settings = Settings(bus=BusSettings(ordering="keyed"), workers=WorkerSettings(count=2, max_attempts=100))

    async with open_bus(app, settings, store=store, clock_ns=ticking_clock()) as bus:
        for receipt in [await bus.submit(command) for command in drawn_commands(seed)]:
            await receipt.settled()
        monkeypatch.delenv("ORDERING_DEATH_MARKS")

    check_replay(store, build_registry(app))


@pytest.mark.parametrize("seed", range(200, 204))
async def test_long_commands_start_and_are_done_on_worker_processes_that_die(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O9, W4, X4: each starts once and is done once; closing the bus waits for those that nobody waits for."""
    monkeypatch.setenv("ORDERING_DEATH_MARKS", str(tmp_path))
    store = MemoryStore()
    long_ones: list[Command] = [
        command_of(Plan(kind=kind, key=key, touches=("a",), spin_us=20_000, ends="kill" if number == 1 else ""))
        for number, (kind, key) in enumerate([("long", "a"), ("long keyed", "b"), ("long keyed", "a")])
    ]

    async with open_bus(
        app,
        Settings(workers=WorkerSettings(count=2, max_attempts=100)),
        store=store,
        clock_ns=ticking_clock(),
    ) as bus:
        receipts = [await bus.submit(command) for command in (*long_ones, *drawn_commands(seed))]
        await receipts[0].started()
    monkeypatch.delenv("ORDERING_DEATH_MARKS")

    outcomes = [record.outcome for record in store.retired(0, 100_000)]
    assert [outcome.position for outcome in outcomes if outcome] == list(range(1, store.last_position + 1))
    assert [outcome.status for outcome in outcomes[:3] if outcome] == [Status.STARTED] * 3
    assert all(receipt.is_settled for receipt in receipts)
    check_replay(store, build_registry(app))
