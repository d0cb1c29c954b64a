"""A program that opens a bus, gives it work and waits for ever; told to end, it says what came of the work.

Started as ``python -m endless_program JSON``; see `Plan`. It prints ``READY`` and its workers' process ids, then what
Driven logs, and at its end, as JSON, what came of each command.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sys
import time
from typing import TYPE_CHECKING

import msgspec

import driven
from driven import Application, BusClosed, BusSettings, Command, Event, Placement, Settings, WorkerSettings
from driven.program import ending_of_program

if TYPE_CHECKING:
    from driven import Receipt

app = Application("endless")


class Compute(Command):
    number: int
    seconds: float
    padding: str = ""


class Computed(Event):
    number: int


class Occupy(Command):
    """The bus thread, from which nothing is heard meanwhile."""

    seconds: float


@app.handles(Compute, placement=Placement.WORKER)
def compute(command: Compute) -> Computed:
    """Be busy with CPU work for so long."""
    until = time.monotonic() + command.seconds
    while time.monotonic() < until:
        hashlib.sha256(b"work" * 1_000).digest()
    return Computed(command.number)


@app.handles(Occupy)
def occupy(command: Occupy) -> None:
    """Be busy on the bus thread, and say so, and say when a signal has come."""
    print("OCCUPIED", flush=True)  # noqa: T201 - this program talks to the test
    until, is_told = time.monotonic() + command.seconds, False
    while time.monotonic() < until:
        time.sleep(0.01)
        if ending_of_program().cause is not None and not is_told:
            is_told = True
            print("TOLD", flush=True)  # noqa: T201 - as above


class Plan(msgspec.Struct, frozen=True):
    """What the program is to do."""

    workers: int = 2
    commands: int = 0
    seconds: float = 0.0
    padding: int = 0
    ring_bytes: int = 1 << 20
    drain_timeout_s: float = 10.0
    is_occupied: bool = False
    keeps_submitting: bool = False


async def main(plan: Plan) -> None:
    """Open, submit, wait for ever."""
    settings = Settings(
        bus=BusSettings(drain_timeout_s=plan.drain_timeout_s),
        workers=WorkerSettings(count=plan.workers, ring_bytes=plan.ring_bytes),
    )
    receipts: list[Receipt] = []
    try:
        async with driven.open_bus(app, settings) as bus:
            for number in range(plan.commands):
                command = Compute(number, plan.seconds, "x" * plan.padding)
                receipts.append(await bus.submit(command))
            print("READY", *(worker.pid for worker in bus.statistics().workers), flush=True)  # noqa: T201
            if plan.is_occupied:
                await bus.submit(Occupy(60.0))
            while plan.keeps_submitting:
                receipts.append(await bus.submit(Compute(len(receipts), 0.0)))
                await asyncio.sleep(0.01)
            await asyncio.Event().wait()
    finally:
        print(json.dumps([await what_came_of(receipt) for receipt in receipts]), flush=True)  # noqa: T201


async def what_came_of(receipt: Receipt) -> str:
    """In a word."""
    try:
        outcome = await receipt.handled()
    except BusClosed:
        return "given up"
    return f"computed {outcome.events[0].number}"  # type: ignore[attr-defined]


if __name__ == "__main__":
    import endless_program  # the module, whose application workers can import, and not this script

    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    driven.run(endless_program.main(msgspec.json.decode(sys.argv[1], type=endless_program.Plan)))
