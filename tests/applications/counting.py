"""Counters in one SQLite file, and a program over them: `python counting.py <file> <durability> [clients]`.

It opens a bus, prints "open", and so many clients at once submit command after command, each printing the position that
it was told, until somebody ends the process. With no clients it only holds the log.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from typing import TYPE_CHECKING

from driven import (
    Aggregate,
    Application,
    Command,
    Event,
    Settings,
    StoreSettings,
    UnitOfWork,
    WorkerSettings,
    open_bus,
)

if TYPE_CHECKING:
    from pathlib import Path

    from driven import MessageBus
    from driven.settings import Durability


class Counter(Aggregate):
    count: int = 0


class Increase(Command):
    counter: str


class Increased(Event):
    counter: str
    count: int


counters = Application("counters")


@counters.handles(Increase, key="counter")
def increase(command: Increase, uow: UnitOfWork) -> Increased:
    """One more."""
    counter = uow.find(Counter, command.counter)
    if counter is None:
        counter = Counter(command.counter)
        uow.add(counter)
    counter.count += 1
    return Increased(command.counter, counter.count)


def on(path: Path | str, durability: Durability = "group") -> Settings:
    """Settings of a bus without workers over this file."""
    store = StoreSettings(url=f"sqlite:///{path}", durability=durability)
    return Settings(workers=WorkerSettings(count=0), store=store)


async def _submit_for_ever(bus: MessageBus, counter: str) -> None:
    for _ in itertools.count():
        receipt = await bus.submit(Increase(counter))
        print(receipt.position, flush=True)  # noqa: T201 - that is what it is for


async def _main(path: str, durability: Durability, clients: int) -> None:
    async with open_bus(counters, on(path, durability)) as bus:
        print("open", flush=True)  # noqa: T201 - as above
        if clients:
            await asyncio.gather(*(_submit_for_ever(bus, str(number)) for number in range(clients)))
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3])))  # type: ignore[arg-type]  # a test gives it well
