"""An application of keys that know nothing of each other: what a command does, and leads to, is its key's own."""

from __future__ import annotations

import msgspec

from driven import Aggregate, Application, Command, Event, Placement, UnitOfWork

MODULUS = 2**31 - 1
KEYS = ("a", "b", "c", "d")


class Step(msgspec.Struct, frozen=True):
    """What one command does, and what follows from it."""

    amount: int
    fails: str = "never"
    """``never``, ``always`` or ``odd`` (when the balance is odd)."""
    then: tuple[Step, ...] = ()


class Move(Command):
    """Stateful, ordered by key."""

    key: str
    step: Step


class Moved(Event):
    key: str
    balance: int
    then: tuple[Step, ...]


class Sweep(Command):
    """Stateful, without a key: touches every account."""

    amount: int


class Swept(Event):
    balances: tuple[int, ...]


class Idle(Command):
    """Stateless."""

    number: int


class Idled(Event):
    number: int


class Account(Aggregate):
    """A balance that remembers the order of what was done to it."""

    balance: int = 0

    def mix(self, amount: int) -> int:
        """Not commutative."""
        self.balance = (self.balance * 31 + amount) % MODULUS
        return self.balance


app = Application("keys")


def account_of(uow: UnitOfWork, key: str) -> Account:
    """The account of a key, new if there is none."""
    account = uow.find(Account, key)
    if account is None:
        uow.add(account := Account(key))
    return account


@app.handles(Move, key="key", placement=Placement.WORKER, retries=1)
def move(command: Move, uow: UnitOfWork) -> Moved:
    """Change the account of the key, and no other."""
    balance = account_of(uow, command.key).mix(command.step.amount)
    if command.step.fails == "always" or (command.step.fails == "odd" and balance % 2):
        raise ValueError(f"refused at {balance}")
    return Moved(command.key, balance, command.step.then)


@app.handles(Sweep, placement=Placement.WORKER)
def sweep(command: Sweep, uow: UnitOfWork) -> Swept:
    """Change every account."""
    return Swept(tuple(account_of(uow, key).mix(command.amount) for key in KEYS))


@app.handles(Idle, placement=Placement.WORKER)
def idle(command: Idle) -> Idled:
    """Touch nothing."""
    return Idled(command.number)


@app.reacts_to(Moved)
def go_on(event: Moved) -> list[Move]:
    """What follows is of the same key."""
    return [Move(event.key, step) for step in event.then]
