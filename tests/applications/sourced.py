"""An application with event-sourced aggregates whose balance depends on the order of everything that happened to them.

Beside them a state-stored one, which is changed in the same commands, so that neither can be ahead of the other.
"""

from __future__ import annotations

from driven import (
    Aggregate,
    Application,
    Command,
    Event,
    EventSourcedAggregate,
    Placement,
    UnitOfWork,
    applies,
)

MODULUS = 2**31 - 1


class Opened(Event):
    """An account is there."""

    account: str
    tags: list[str] = []  # noqa: RUF012 - copied by msgspec


class Mixed(Event):
    """An amount was mixed in."""

    account: str
    amount: int


class Tagged(Event):
    """A tag was added."""

    account: str
    tag: str


class Counted(Event):
    """Of no account: it stands between events that are."""

    number: int


class Account(EventSourcedAggregate[Opened | Mixed | Tagged]):
    """Not commutative: two orders of the same events give two balances."""

    aggregate_name = "sourced.Account"
    snapshot_every = 4
    balance: int = 0
    tags: list[str] = []  # noqa: RUF012 - copied by msgspec

    @classmethod
    def opened(cls, account: str) -> Account:
        """A new one."""
        found = cls(account)
        found.record(Opened(account, ["new"]))
        return found

    def mix(self, amount: int) -> int:
        """Change the balance, and tag the account when that has become round."""
        self.record(Mixed(self.id, amount))
        if self.balance % 3 == 0:
            self.record(Tagged(self.id, f"round {self.balance}"))
        return self.balance

    @applies(Opened)
    def _opened(self, event: Opened) -> None:
        self.tags = event.tags

    @applies(Mixed)
    def _mixed(self, event: Mixed) -> None:
        self.balance = (self.balance * 31 + event.amount) % MODULUS

    @applies(Tagged)
    def _tagged(self, event: Tagged) -> None:
        self.tags.append(event.tag)


class Count(Aggregate):
    """How many commands there were for an account."""

    number: int = 0


class Mix(Command):
    """Stateful, ordered by key; touches other accounts as well."""

    key: str
    amount: int
    touches: tuple[str, ...] = ()
    fails: bool = False
    children: int = 0


class Look(Command):
    """Reads, and changes nothing."""

    key: str


class Seen(Event):
    """What `Look` found."""

    key: str
    balance: int
    tags: tuple[str, ...]


app = Application("sourced")
app.keeps(Account)


@app.handles(
    Mix,
    key="key",
    placement=Placement.WORKER,
    loads={Account: "key"},
    emits=(Opened, Mixed, Tagged, Counted),
)
def mix(command: Mix, uow: UnitOfWork) -> Counted:
    """Mix the amount into each account; what an account holds decides what goes into the next."""
    amount = command.amount
    for account_id in (command.key, *command.touches):
        account = uow.find(Account, account_id)
        if account is None:
            account = Account.opened(account_id)
            uow.add(account)
        amount = account.mix(amount)
    count = uow.find(Count, command.key)
    if count is None:
        count = Count(command.key)
        uow.add(count)
    count.number += 1
    if command.fails:
        raise ValueError(amount)
    return Counted(count.number if command.children else 0)


@app.handles(Look, placement=Placement.WORKER)
def look(command: Look, uow: UnitOfWork) -> Seen:
    """Tell what is there."""
    account = uow.find(Account, command.key)
    return Seen(command.key, -1, ()) if account is None else Seen(command.key, account.balance, tuple(account.tags))


@app.reacts_to(Counted)
def go_on(event: Counted) -> Mix | None:
    """Every third command of an account is followed by one more."""
    return Mix("abc"[event.number % 3], event.number) if event.number and event.number % 3 == 0 else None
