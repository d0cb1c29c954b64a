"""An application that parks: what is broken fails, until somebody mends it. Each key remembers what was done to it.

What is broken stands in this module, so it is for workers that live in this process: those of a simulation, or none.
"""

from __future__ import annotations

from driven import Aggregate, Application, Command, Event, Placement, UnitOfWork

BROKEN: set[int] = set()
"""Numbers that fail."""
STUCK: set[int] = set()
"""Numbers to which the second reaction raises."""


class Begin(Command):
    """Stateless; a root whose children are parked."""

    items: tuple[tuple[str, int], ...]


class Begun(Event):
    items: tuple[tuple[str, int], ...]


class Apply(Command):
    """Stateful, ordered by key."""

    key: str
    number: int


class Applied(Event):
    key: str
    number: int


class Note(Command):
    """Stateful, without a key."""

    number: int


class Ponder(Command):
    """Stateful, ordered by key, and detached."""

    key: str
    number: int


class Ledger(Aggregate):
    """What was done to one key, in order."""

    numbers: list[int] = []  # noqa: RUF012 - a field, which msgspec copies

    def add(self, number: int) -> None:
        """One more."""
        self.numbers.append(number)


app = Application("parking")


def ledger_of(uow: UnitOfWork, key: str) -> Ledger:
    """The ledger of a key, new if there is none."""
    ledger = uow.find(Ledger, key)
    if ledger is None:
        uow.add(ledger := Ledger(key))
    return ledger


def check(number: int) -> None:
    """Fail while it is broken."""
    if number in BROKEN:
        raise ValueError(f"{number} is broken")


@app.handles(Begin, placement=Placement.WORKER, exposed=True)
def begin(command: Begin) -> Begun:
    """Lead to what is in it."""
    return Begun(command.items)


@app.handles(Apply, key="key", placement=Placement.WORKER, retries=1, loads={Ledger: "key"}, exposed=True)
def apply(command: Apply, uow: UnitOfWork) -> Applied:
    """Note the number under its key."""
    check(command.number)
    ledger_of(uow, command.key).add(command.number)
    return Applied(command.key, command.number)


@app.handles(Note, placement=Placement.WORKER, retries=0)
def note(command: Note, uow: UnitOfWork) -> None:
    """Note the number under no key."""
    check(command.number)
    ledger_of(uow, "notes").add(command.number)


@app.handles(Ponder, key="key", placement=Placement.WORKER, retries=0, detached=True)
def ponder(command: Ponder, uow: UnitOfWork) -> None:
    """Note the number under its key, taking time."""
    check(command.number)
    ledger_of(uow, f"pondered {command.key}").add(command.number)


@app.reacts_to(Begun)
def apply_each(event: Begun) -> list[Apply]:
    """Each item."""
    return [Apply(key, number) for key, number in event.items]


@app.reacts_to(Begun)
def note_each(event: Begun) -> list[Note | Ponder]:
    """A second reaction, which raises as long as it is stuck."""
    numbers = [number for _, number in event.items]
    if STUCK.intersection(numbers):
        raise ValueError("stuck")
    return [Note(number) if number % 2 else Ponder(key, number) for key, number in event.items]
