"""What a release of long ago recorded: whole euros."""

from __future__ import annotations

from driven import Application, Command, Event, EventSourcedAggregate, UnitOfWork, applies


class Deposit(Command):
    """To an account."""

    account: str
    euros: int


class Deposited(Event):
    """In an account."""

    account: str
    euros: int


class Account(EventSourcedAggregate[Deposited]):
    """Of euros."""

    snapshot_every = 3
    euros: int = 0

    @applies(Deposited)
    def _deposited(self, event: Deposited) -> None:
        self.euros += event.euros


app = Application("bank")
app.keeps(Account)


@app.handles(Deposit, key="account", emits=(Deposited,))
def deposit(command: Deposit, uow: UnitOfWork) -> None:
    """Into a new account, if need be."""
    account = uow.find(Account, command.account)
    if account is None:
        account = Account(command.account)
        uow.add(account)
    account.record(Deposited(command.account, command.euros))
