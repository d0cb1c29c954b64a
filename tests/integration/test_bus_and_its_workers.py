"""A whole bus whose workers die, are killed and time out: what the table of failures promises, from outside."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from typing import TYPE_CHECKING

from driven import CommandFailed, CommandSettings, Settings, WorkerSettings, open_bus
from driven.adapters.stores.memory import MemoryStore
from watched_lane import PATIENCE_S
from worker_test_app import Do, app

if TYPE_CHECKING:
    from pathlib import Path

    from driven import MessageBus, Receipt

NUMBER = 500
ATTEMPTS = 3
WORKER_DIED = "driven.errors.WorkerDied"
DEEDS = [("sleep", "600"), *[("echo", "")] * 9]


def settings(count: int, timeout_s: float | None = None) -> Settings:
    """So many workers, and as much time for each attempt of a command."""
    route = CommandSettings(timeout_s=timeout_s, max_attempts=ATTEMPTS)
    return Settings(workers=WorkerSettings(count=count), commands={"Do": route})


async def outcomes_of(receipts: list[Receipt]) -> list[object]:
    """What came of each: its outcome, or the error that its submitter is told."""
    async with asyncio.timeout(2 * PATIENCE_S):
        return await asyncio.gather(*(receipt.handled() for receipt in receipts), return_exceptions=True)


def died(bus: MessageBus) -> int:
    """How many workers the bus has lost."""
    pool = bus.statistics().pool
    assert pool is not None
    return sum(group.died for group in pool.groups)


async def test_a_command_that_segfaults_among_500_fails_alone() -> None:
    """P15, P14: 499 succeed, as many workers are lost as it has attempts, and the error says what it died of."""
    async with open_bus(app, settings(2)) as bus:
        deeds = ["crash" if number == NUMBER // 2 else "echo" for number in range(NUMBER)]
        receipts = [await bus.submit(Do(deed)) for deed in deeds]
        outcomes = await outcomes_of(receipts)
        lost = died(bus)

    failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert [outcomes.index(error) for error in failed] == [NUMBER // 2]
    assert isinstance(failed[0], CommandFailed)
    assert failed[0].error_type == WORKER_DIED
    assert "SIGSEGV" in str(failed[0])
    assert "in _crash" in str(failed[0])
    assert lost == ATTEMPTS


async def test_what_waits_behind_a_command_that_times_out_completes() -> None:
    """D7, W5: one worker, and each of them has the same time; only the one that used it up is to blame."""
    async with open_bus(app, settings(1, timeout_s=0.5)) as bus:
        receipts = [await bus.submit(Do(deed, argument)) for deed, argument in DEEDS]
        outcomes = await outcomes_of(receipts)

    assert isinstance(outcomes[0], CommandFailed)
    assert outcomes[0].error_type == WORKER_DIED
    assert [outcome for outcome in outcomes[1:] if isinstance(outcome, BaseException)] == []
    assert "timed out after 0.5 s" in str(outcomes[0])


async def test_a_worker_that_is_killed_with_many_in_flight_loses_none_and_doubles_none(tmp_path: Path) -> None:
    """D8, D5: each has one outcome; what it had goes elsewhere, and nobody has to submit for that to begin."""
    async with open_bus(app, settings(1)) as bus:
        for attempt in itertools.count():  # nothing is put behind a command that seems long, as on a busy machine
            await outcomes_of([await bus.submit(Do("echo")) for _ in range(20)])
            go = tmp_path / f"go {attempt}"
            receipts = [await bus.submit(Do("wait for file", str(go)))]
            receipts += [await bus.submit(Do("echo", str(number))) for number in range(50)]
            async with asyncio.timeout(PATIENCE_S):
                while not (tmp_path / f"go {attempt}.begun").exists():
                    await asyncio.sleep(0.005)
            if bus.statistics().in_flight > 1:
                break
            go.touch()
            await outcomes_of(receipts)
        os.kill(bus.statistics().workers[0].pid, signal.SIGKILL)
        go.touch()
        outcomes = await outcomes_of(receipts)
        statistics = bus.statistics()

    assert [outcome for outcome in outcomes if isinstance(outcome, BaseException)] == []
    assert [outcome.events[0].text for outcome in outcomes[1:]] == [str(number) for number in range(50)]  # type: ignore[attr-defined]
    assert (statistics.queued, statistics.in_flight, statistics.retired) == (0, 0, statistics.admitted)


async def test_a_command_that_is_alone_is_in_the_log_while_it_runs(tmp_path: Path) -> None:
    """U4, X4: it was sent before it was in the log, which it gets into all the same, however long it takes."""
    go, store = tmp_path / "go", MemoryStore()
    async with open_bus(app, settings(1), store=store) as bus:
        await bus.handle(Do("echo"))  # from here on nothing is due that would give it a turn
        before = store.last_position
        receipt = await bus.submit(Do("wait for file", str(go)))
        async with asyncio.timeout(PATIENCE_S):
            while store.last_position == before:
                await asyncio.sleep(0.005)
        (record,) = store.read(before, 10)
        go.touch()
        await receipt.handled()

    assert record.outcome is None
    assert store.read(before, 1)[0].outcome is not None
