"""What the release of today records: cents, and who brought them."""

from __future__ import annotations

from typing import Any

from driven import Application, Command, Event, EventSourcedAggregate, Placement, UnitOfWork, applies


class Deposit(Command):
    """To an account."""

    message_version = 2
    account: str
    cents: int


class Deposited(Event):
    """In an account."""

    message_version = 3
    account: str
    cents: int
    by: str


class Account(EventSourcedAggregate[Deposited]):
    """Of cents."""

    snapshot_every = 3
    cents: int = 0
    brought_by: tuple[str, ...] = ()

    @applies(Deposited)
    def _deposited(self, event: Deposited) -> None:
        self.cents += event.cents
        self.brought_by += (event.by,)


class Total:
    """A read model in memory."""

    def __init__(self) -> None:
        self.cents = 0


app = Application("bank")
app.binds(Total)


@app.upcasts("bank.Deposit", version=1)
@app.upcasts("bank.Deposited", version=1)
def count_in_cents(fields: dict[str, Any]) -> dict[str, Any]:
    """Of both."""
    return {"account": fields["account"], "cents": fields["euros"] * 100}


@app.upcasts("bank.Deposited", version=2)
def name_who(fields: dict[str, Any]) -> dict[str, Any]:
    """Nobody asked then."""
    return {**fields, "by": "unknown"}


@app.handles(Deposit, key="account", placement=Placement.WORKER, loads={Account: "account"}, emits=(Deposited,))
def deposit(command: Deposit, uow: UnitOfWork) -> None:
    """Say what there was before."""
    account = uow.find(Account, command.account)
    if account is None:
        account = Account(command.account)
        uow.add(account)
    account.record(Deposited(command.account, command.cents, f"{account.cents} before"))


@app.projects(Deposited)
def add_up(event: Deposited, total: Total) -> None:
    """Of all accounts."""
    total.cents += event.cents
