"""A verification with real workers: what they die of, what they ask for, what is left of them (W3, W5, X2)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from driven import CommandSettings, Settings, WorkerSettings, open_bus_sync, verify
from driven.adapters.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APPLICATION = """
import os
import time

from driven import Aggregate, Application, Command, Event, Placement, UnitOfWork

app = Application("mortal")


class Work(Command):
    number: int


class Worked(Event):
    number: int
    before: int


class Sum(Aggregate):
    total: int = 0


@app.handles(Work, placement=Placement.WORKER, timeout_s=20)
def work(command: Work, uow: UnitOfWork) -> Worked:
    total = uow.find(Sum, "all")
    if total is None:
        total = Sum("all")
        uow.add(total)
    before = total.total
    total.total += command.number
    {deed}
    return Worked(command.number, before)
"""


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryStore]:
    """The log of twenty commands, each of which reads what the one before has changed."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mortal_app", raising=False)
    (tmp_path / "mortal_app.py").write_text(APPLICATION.format(deed="pass"))
    store = MemoryStore()
    with open_bus_sync("mortal_app:app", Settings(workers=WorkerSettings(count=0)), store=store) as bus:
        from mortal_app import Work  # type: ignore[import-not-found]  # noqa: PLC0415 - it was written just now

        for number in range(20):
            bus.submit(Work(number)).settled(30)
    yield store
    sys.modules.pop("mortal_app", None)


def changed(tmp_path: Path, deed: str) -> None:
    """Let the handler do something else from now on."""
    (tmp_path / "mortal_app.py").write_text(APPLICATION.format(deed=deed))
    del sys.modules["mortal_app"]


async def test_workers_are_told_what_was_there_and_nothing_is_left_of_them(recorded: MemoryStore) -> None:
    """X2, U2: twenty commands of one aggregate run at the same time, each with the state of then."""
    settings = Settings(workers=WorkerSettings(count=2))

    report = await verify("mortal_app:app", settings, store=recorded)

    assert (report.workers, report.same, report.different) == (2, 20, 0)
    assert not [child for child in psutil.Process().children() if "driven_worker" in " ".join(child.cmdline())]


async def test_a_command_that_kills_its_workers_today_is_the_only_one_that_differs(
    recorded: MemoryStore, tmp_path: Path
) -> None:
    """W3, W5: as often as it may; what waited behind it runs elsewhere."""
    changed(tmp_path, "command.number == 7 and os._exit(3)")
    settings = Settings(workers=WorkerSettings(count=2, max_attempts=2))

    report = await verify("mortal_app:app", settings, store=recorded)

    (difference,) = report.differences
    assert (report.same, report.different) == (19, 1)
    assert difference.given == "number=7"
    assert difference.fields[0].recorded == "succeeded"
    assert "driven.errors.WorkerDied" in difference.fields[0].now
    assert "exit code 3" in difference.fields[0].now


async def test_a_command_that_takes_too_long_today_is_ended_and_differs(recorded: MemoryStore, tmp_path: Path) -> None:
    """W5: its timeout is that of a bus."""
    changed(tmp_path, "command.number == 7 and time.sleep(600)")
    commands = {"Work": CommandSettings(timeout_s=3.0, max_attempts=1)}

    report = await verify(
        "mortal_app:app", Settings(workers=WorkerSettings(count=1), commands=commands), store=recorded
    )

    assert (report.same, report.different) == (19, 1)
    assert "WorkerDied" in report.differences[0].fields[0].now
