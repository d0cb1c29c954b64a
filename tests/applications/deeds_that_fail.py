"""An application whose commands fail in every way that a worker knows, and whose failures are events."""

from __future__ import annotations

import os
import time

from driven import Aggregate, Application, Command, Context, Event, Placement, UnitOfWork

app = Application("failing")


class Work(Command):
    """Comes from outside."""

    name: str
    deed: str


class Order(Command):
    """Leads to `Work` of the same name and deed."""

    name: str
    deed: str


class Ordered(Event):
    name: str
    deed: str


class Worked(Event):
    name: str


class WorkFailed(Event):
    """What a failed `Work` becomes."""

    name: str
    error_type: str
    reason: str
    deed: str = ""

    def __post_init__(self) -> None:
        """Refuse one name."""
        if self.name == "unspeakable":
            raise ValueError("that name again")


class Comfort(Command):
    """What somebody does about a failure."""

    name: str


class Comforted(Event):
    name: str


class Ledger(Aggregate):
    count: int = 0


@app.handles(Order)
def order(command: Order) -> Ordered:
    """Inline, so that what it leads to is internal."""
    return Ordered(command.name, command.deed)


@app.reacts_to(Ordered)
def work_on_it(event: Ordered) -> Work:
    """An internal command."""
    return Work(event.name, event.deed)


@app.handles(
    Work, key="name", placement=Placement.WORKER, emits=(Worked,), on_failure=WorkFailed, timeout_s=0.5, max_attempts=2
)
def work(command: Work, context: Context, uow: UnitOfWork) -> None:
    """Change state and tell so, then do the deed."""
    ledger = uow.find(Ledger, command.name)
    if ledger is None:
        uow.add(ledger := Ledger(command.name))
    ledger.count += 1
    ledger.record(Worked(command.name))
    if command.deed == "raise" or (command.deed == "raise once" and context.attempt == 1):
        raise ValueError(f"refused {command.name}")
    if command.deed == "die":
        os._exit(3)
    while command.deed == "never end":
        time.sleep(0.01)


@app.reacts_to(WorkFailed)
def comfort(event: WorkFailed) -> Comfort:
    """The workflow goes on."""
    return Comfort(event.name)


@app.handles(Comfort)
def comforted(command: Comfort) -> Comforted:
    """And comes to an end."""
    return Comforted(command.name)
