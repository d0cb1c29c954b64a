"""What was made in scope APP for a worker ends with it, where it leaves in order; and holds nobody up."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from driven import Settings, WorkerSettings, open_bus
from finalised_test_app import Use, Used, app
from watched_lane import PATIENCE_S, both_kinds

if TYPE_CHECKING:
    from pathlib import Path

    from driven import MessageBus
    from driven.pool.kinds import Kind


@pytest.fixture
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where each worker says that it has finalised what it had."""
    monkeypatch.setenv("FINALISED_MARKS", str(tmp_path))
    monkeypatch.delenv("FINALISED_ENDS", raising=False)
    return tmp_path


async def use(bus: MessageBus) -> str:
    """Run one command; who ran it."""
    (event,) = (await bus.handle(Use())).events
    assert isinstance(event, Used)
    return event.by


def finalised(marks: Path) -> set[str]:
    """Who has said so."""
    return {mark.name for mark in marks.iterdir()}


@both_kinds
async def test_workers_that_leave_with_their_bus_finalise_what_they_have(kind: Kind, marks: Path) -> None:
    """X4, W9: each that has made the object, once; and the bus is closed only when all have."""
    async with open_bus(app, Settings(workers=WorkerSettings(count=2, kind=kind))) as bus:
        async with asyncio.timeout(PATIENCE_S):
            users: set[str] = set()
            while len(users) < 2:
                receipts = await bus.submit_all([Use()] * 8)
                users |= {(await receipt.handled()).events[0].by for receipt in receipts}  # type: ignore[attr-defined]
        assert finalised(marks) == set()

    assert finalised(marks) == users


@both_kinds
async def test_a_worker_that_is_recycled_finalises_what_it_has(kind: Kind, marks: Path) -> None:
    """P13: connections of scope APP do not pile up with the workers that had them."""
    async with (
        open_bus(app, Settings(workers=WorkerSettings(count=1, kind=kind, recycle_after_commands=1))) as bus,
        asyncio.timeout(PATIENCE_S),
    ):
        users = [await use(bus)]
        while users[0] not in finalised(marks):
            users.append(await use(bus))

    assert finalised(marks) == set(users)


async def test_a_worker_that_dies_finalises_nothing(marks: Path) -> None:
    """W5: nobody is left to do it; the one that follows does it for itself."""
    async with open_bus(app, Settings(workers=WorkerSettings(count=1))) as bus:
        dead = await use(bus)
        os.kill(int(dead.partition("-")[0]), signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_S):
            while (heir := await use(bus)) == dead:
                continue

    assert finalised(marks) == {heir}


@pytest.mark.parametrize("ends", ["badly", "never"])
async def test_an_end_that_fails_or_lasts_holds_nobody_up(
    ends: str, marks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X4, D11: it has as long as a worker has to stop; then the process is ended, and nothing is lost by that."""
    monkeypatch.setenv("FINALISED_ENDS", ends)
    settings = Settings(workers=WorkerSettings(count=1, stop_timeout_s=0.5, grace_s=0.2, heartbeat_timeout_s=0.2))
    async with asyncio.timeout(PATIENCE_S):
        async with open_bus(app, settings) as bus:
            receipt = await bus.submit(Use())
        assert receipt.is_settled

    assert finalised(marks) == set()
