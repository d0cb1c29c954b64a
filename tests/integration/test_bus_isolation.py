"""What one caller does, or one handler sees too early, is nobody else's trouble."""

from __future__ import annotations

import asyncio
import decimal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from driven import Application, Command, Event, Settings, WorkerSettings, open_bus

if TYPE_CHECKING:
    from pathlib import Path

INLINE = Settings(workers=WorkerSettings(count=0))


class Divide(Command):
    """One divided by a number."""

    by: int


class Divided(Event):
    """The result, as text."""

    result: str


app = Application("isolation")


@app.handles(Divide)
def divide(command: Divide) -> Divided:
    """As exactly as the decimal context of the handler says."""
    return Divided(str(decimal.Decimal(1) / command.by))


class OddText(str):
    """Text that is not what it seems."""

    __slots__ = ()

    def __str__(self) -> str:
        return "odd"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"command_id": "lone \ud800"}, ValueError),
        ({"trace": "lone \udc80"}, ValueError),
        ({"trace": None}, TypeError),
        ({"trace": {"traceparent": "00"}}, TypeError),
        ({"command_id": 5}, TypeError),
        ({"command_id": "@1"}, ValueError),
    ],
)
async def test_an_id_or_a_trace_that_cannot_be_stored_is_its_callers_error(
    arguments: dict[str, Any], error: type[Exception]
) -> None:
    """O6, W6: refused at the door, and the bus goes on for everybody else."""
    async with open_bus(app, INLINE) as bus:
        with pytest.raises(error):
            await bus.submit(Divide(3), **arguments)

        assert (await bus.submit(Divide(3), command_id=OddText("plain"), trace=OddText("t"))).id == "plain"
        assert (await bus.handle(Divide(1))).position == 2


async def test_handlers_do_not_see_the_context_of_whoever_submitted() -> None:
    """O6: a context variable set by one caller would rule the commands of all others, inline only."""
    async with open_bus(app, INLINE) as bus:

        async def in_a_context_of_its_own(by: int) -> str:
            decimal.setcontext(decimal.Context(prec=5))
            (event,) = (await bus.handle(Divide(by))).events
            assert isinstance(event, Divided)
            return event.result

        async with asyncio.TaskGroup() as tasks:
            other = tasks.create_task(in_a_context_of_its_own(7))
        (event,) = (await bus.handle(Divide(7))).events

    assert isinstance(event, Divided)
    assert other.result() == event.result
    assert len(event.result) > 20


async def test_one_pump_is_due_however_often_the_bus_is_woken() -> None:
    """B11: pumps that multiply would keep the event loop from everybody else."""
    loop = asyncio.get_running_loop()
    async with open_bus(app, INLINE) as bus:
        receipts = [await bus.submit(Divide(3)) for _ in range(2_000)]
        for _ in range(50):
            bus.wake()
            bus.turn_now()
        due = [handle for handle in loop._ready if "_pump" in repr(handle)]  # type: ignore[attr-defined]  # noqa: SLF001
        for receipt in receipts:
            await receipt.handled()

    assert len(due) == 1


EARLY = """
import os, time
from driven import Aggregate, Application, Command, Placement, UnitOfWork

app = Application("early")

class Tool(Aggregate):
    pass

class Prepare(Command):
    key: str

class Use(Command):
    key: str

@app.handles(Prepare, key="key", placement=Placement.WORKER)
def prepare(command: Prepare, uow: UnitOfWork) -> None:
    time.sleep(0.3)
    uow.add(Tool("t"))

@app.handles(Use, key="key", placement=Placement.WORKER)
def use(command: Use, uow: UnitOfWork) -> None:
    if uow.find(Tool, "t") is None:
        os._exit(3)
"""
MAIN = """
import asyncio
from driven import Settings, WorkerSettings, open_bus, run
from early import Prepare, Use, app

async def main():
    settings = Settings(workers=WorkerSettings(count=2, max_attempts=1))
    async with open_bus(app, settings) as bus:
        prepared, used = await bus.submit(Prepare("a")), await bus.submit(Use("b"))
        await prepared.handled()
        print((await used.handled()).position)

run(main())
"""


def test_a_death_on_state_that_order_would_not_show_does_not_count(tmp_path: Path) -> None:
    """O5, O6: what an early command read was stale; it dies for good only of what it sees at the head."""
    (tmp_path / "early.py").write_text(EARLY)
    (tmp_path / "main.py").write_text(MAIN)

    done = subprocess.run(
        [sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout == "2\n", done.stderr
