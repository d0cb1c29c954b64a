"""A program with a bus over a file, which ends where it is told to: `python doomed_program.py <errand as JSON>`.

It submits the commands of a seed under the ids c0, c1, ..., says on its output what it was answered, and ends when
all has settled. Started again with the same errand it does the same again: what is known by its id is not done twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

import ordering
from driven import BusSettings, Delivery, Settings, Tables, WorkerSettings, open_bus
from driven.errors import HandlerError
from fault_points import REDRIVE, Doom, FatalMiddleware, FatalStore, FaultPoint
from ordering import Happened, Plan, command_of

if TYPE_CHECKING:
    from driven import Command, MessageBus, Receipt

ROOTS = 3

app = ordering.app.copy()
deeds = app.projection("deeds", tables=["deeds"])


@deeds.creates
def create(tables: Tables) -> None:
    """One row for each event."""
    tables.execute("CREATE TABLE {deeds} (number INTEGER PRIMARY KEY, by TEXT, result INTEGER)")


@deeds.projects(Happened)
def note(event: Happened, tables: Tables) -> None:
    """One more."""
    tables.execute("INSERT INTO {deeds} (by, result) VALUES (?, ?)", (event.by, event.result))


class Outside:
    """What a notifier calls: a file that remembers positions."""

    def __init__(self) -> None:
        """In a process that ends by itself, if at all."""
        self.file = Path()
        self.doom = Doom(0, 0)


outside = Outside()


@app.notifies(Happened, since=0)
def tell(event: Happened, delivery: Delivery) -> None:
    """One line for each call."""
    outside.doom.at(FaultPoint.BEFORE_NOTIFYING)
    with outside.file.open("a", encoding="ascii") as file:
        file.write(f"{delivery.envelope.position}\n")
    outside.doom.at(FaultPoint.NOTIFIED)


class Errand(msgspec.Struct, frozen=True):
    """What the program is to do, and where it ends."""

    file: str
    seed: int
    workers: int = 0
    at_once: bool = False
    """Whether commands are submitted together; otherwise each when the one before has settled."""
    has_long: bool = False
    """Whether some commands are detached."""
    ordering: Literal["strict", "keyed"] = "strict"
    point: int = 0
    """Where it ends; 0: nowhere."""
    hit: int = 1
    """At the how manieth time that it comes there."""
    is_doomed: bool = True
    """Whether it does end there; the commands are the same if not."""

    def commands(self) -> list[Command]:
        """The same for every process of one seed; some fail for good, so that their keys are parked."""
        chance = random.Random(self.seed)
        kinds = ["stateless", "keyed", "keyed", "unkeyed", "forgiving"] + ["long", "long keyed"] * self.has_long
        fatal = self.hit if self.point == FaultPoint.HANDLER_RUNS else 0
        number = itertools.count(1)

        def drawn(depth: int) -> Plan:
            return Plan(
                kind=chance.choice(kinds),
                key=chance.choice("abcdefgh"),
                touches=tuple(chance.choices("abcdefgh", k=chance.randint(0, 2))),
                amount=chance.randint(0, 50),
                fails=chance.choice(["never"] * 8 + ["odd", "first"]),
                spin_us=chance.choice([0, 0, 100, 1_000]),
                ends="bus" if next(number) == fatal else "",
                children=tuple(drawn(depth - 1) for _ in range(chance.randint(1, 3))) if depth else (),
            )

        plans = [drawn(2) for _ in range(ROOTS)]
        plans[0] = msgspec.structs.replace(plans[0], fails="never")  # there are events, whatever becomes of the others
        parked = Plan(kind="keyed", key="a", fails="always")
        return [command_of(msgspec.structs.replace(one, children=(parked, *one.children))) for one in plans]


def say(*words: object) -> None:
    """A line that is out before anything else happens."""
    sys.stdout.write(" ".join(str(word) for word in words) + "\n")
    sys.stdout.flush()


async def submitted(bus: MessageBus, errand: Errand, doom: Doom) -> None:
    """Submit everything, in one way or the other, and wait until it has settled."""

    async def submit(number: int, command: Command) -> Receipt:
        doom.at(FaultPoint.BEFORE_SUBMIT)
        receipt = await bus.submit(command, command_id=f"c{number}")
        say("accepted", receipt.id, receipt.position)
        doom.at(FaultPoint.ACCEPTED)
        return receipt

    async def finished(receipt: Receipt) -> None:
        with contextlib.suppress(HandlerError):
            await receipt.handled()
        doom.at(FaultPoint.HANDLED)
        settled = await receipt.settled()
        say("settled", receipt.id, settled.messages, settled.failed, settled.parked)
        doom.at(FaultPoint.SETTLED)

    commands = errand.commands()
    if errand.at_once:
        for receipt in await asyncio.gather(*(submit(number, one) for number, one in enumerate(commands))):
            await finished(receipt)
    else:
        for number, one in enumerate(commands):
            await finished(await submit(number, one))


async def redriven(bus: MessageBus, store: FatalStore) -> None:
    """Let what is parked of one key enter again, once: what an earlier process asked for is in the log."""
    if not any(record.message.name == REDRIVE for record in store.read(0, 1_000_000)):
        receipt = await bus.parked.retry(key="a")
        await receipt.settled()


async def main(errand: Errand) -> None:
    """Until all has settled, or to the bitter end."""
    os.environ["ORDERING_BUS_PID"] = str(os.getpid())
    doom = Doom(errand.point if errand.is_doomed else 0, errand.hit)
    if not errand.is_doomed:
        del os.environ["ORDERING_DEATH_MARKS"]
    settings = Settings(
        bus=BusSettings(ordering=errand.ordering),
        workers=WorkerSettings(count=errand.workers, max_attempts=1_000_000),
    )
    store = FatalStore(Path(errand.file), doom)
    outside.file, outside.doom = Path(errand.file).with_suffix(".told"), doom
    async with open_bus("doomed_program:app", settings, store=store, middleware=[FatalMiddleware(doom)]) as bus:
        await submitted(bus, errand, doom)
        await redriven(bus, store)


if __name__ == "__main__":
    import doomed_program  # as the bus imports it: what the notifier calls is there

    asyncio.run(doomed_program.main(msgspec.json.decode(sys.argv[1], type=doomed_program.Errand)))
