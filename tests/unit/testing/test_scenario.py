"""Scenarios: what they take for the same, and how they say what is not."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from driven import (
    Aggregate,
    AggregateExists,
    AggregateNotFound,
    Application,
    Command,
    Context,
    EmptyKey,
    Event,
    EventSourcedAggregate,
    Later,
    MisuseError,
    RegistrationError,
    UnitOfWork,
    applies,
)
from driven.testing import Clock, given, given_aggregate, history
from driven.testing.clock import START


class Deposit(Command):
    account_id: str
    cents: int


class Withdraw(Command):
    account_id: str
    cents: int


class Deposited(Event):
    account_id: str
    balance: int
    at: datetime


class Overdrawn(Event):
    account_id: str
    reason: str


class Account(Aggregate):
    balance: int = 0

    def withdraw(self, cents: int) -> None:
        """Refuse what is not there, and tell of it when nothing is left."""
        if cents > self.balance:
            text = f"only {self.balance} cents"
            raise ValueError(text)
        self.balance -= cents
        if not self.balance:
            self.record(Overdrawn(self.id, "empty"))


class Opened(Event):
    book_id: str


class Lent(Event):
    book_id: str
    to: str


class Book(EventSourcedAggregate[Opened | Lent]):
    lent_to: str = ""

    @applies(Opened)
    def opened(self, event: Opened) -> None:
        """Nothing to note."""

    @applies(Lent)
    def lent(self, event: Lent) -> None:
        """Note to whom."""
        self.lent_to = event.to


class Lend(Command):
    book_id: str
    to: str


app = Application("bank")
app.keeps(Book)


@app.handles(Deposit, key="account_id")
def deposit(command: Deposit, uow: UnitOfWork, context: Context) -> Deposited:
    """More, in an account that is there or not."""
    account = uow.find(Account, command.account_id)
    if account is None:
        account = Account(command.account_id)
        uow.add(account)
    account.balance += command.cents
    return Deposited(account.id, account.balance, context.now)


@app.handles(Withdraw, key="account_id", on_failure=Overdrawn, emits=(Overdrawn,))
def withdraw(command: Withdraw, uow: UnitOfWork) -> None:
    """Less."""
    uow.get(Account, command.account_id).withdraw(command.cents)


@app.handles(Lend, emits=(Opened, Lent))
def lend(command: Lend, uow: UnitOfWork) -> None:
    """Once."""
    book = uow.get(Book, command.book_id)
    if book.lent_to:
        raise ValueError(book.lent_to)
    book.record(Lent(book.id, command.to))


@app.reacts_to(Deposited)
def round_up(event: Deposited) -> Deposit | None:
    """Fill up to a whole unit."""
    missing = -event.balance % 100
    return Deposit(event.account_id, missing) if missing else None


def test_a_command_finds_what_was_given_and_what_it_does_is_kept() -> None:
    """X1: the events, the state, what changed; and the next command goes on from there."""
    scenario = given(app, Account("a", balance=130), Account("b", balance=1))

    first = scenario.when(Deposit("a", 70))
    first.then(Deposited("a", 200, START)).then_state(Account("a", balance=200)).then_changed("Account a")

    first.when(Withdraw("a", 200)).then(Overdrawn("a", "empty")).then_state(Account("a"), Account("b", balance=1))


def test_a_command_that_is_due_later_is_told_with_its_time() -> None:
    """O3: as `after_s` or as the moment that this is; another time is another command."""

    def remind(event: Opened) -> list[Later[Lend]]:
        return [Later(Lend(event.book_id, "Ada"), after_s=60)]

    patient = Application("patient")
    patient.handles(Lend, emits=(Opened, Lent))(lend)
    patient.keeps(Book)
    patient.reacts_to(Opened)(remind)

    followed = given(patient).when(Opened("b"))

    followed.then(Later(Lend("b", "Ada"), after_s=60))
    followed.then(Later(Lend("b", "Ada"), at=START + timedelta(seconds=60)))
    for wrong in (Later(Lend("b", "Ada"), after_s=61), Lend("b", "Ada"), Later(Lend("b", "Eva"), after_s=60)):
        with pytest.raises(AssertionError, match=r"commands are not what was expected:\n  1. expected"):
            followed.then(wrong)


def test_an_event_is_followed_by_the_commands_of_its_reactions() -> None:
    """R2: and by nothing where they put nothing on the bus."""
    given(app).when(Deposited("a", 130, START)).then(Deposit("a", 70))
    given(app).when(Deposited("a", 200, START)).then()
    given(app).when(Overdrawn("a", "no reaction")).then()


def test_a_failure_is_told_by_its_type_and_text_and_leaves_nothing() -> None:
    """U1, F1: the event of `on_failure` is there for who asks."""
    scenario = given(app, Account("a", balance=5))

    refused = scenario.when(Withdraw("a", 6)).then_fails(ValueError, "only 5").then_changed()
    assert refused.messages == (Overdrawn("a", "only 5 cents"),)

    scenario.when(Withdraw("nobody", 6)).then_fails(AggregateNotFound).then_fails("driven.errors.AggregateNotFound")
    refused.then_state(Account("a", balance=5))


def test_what_is_added_though_it_is_there_fails_as_on_a_bus() -> None:
    """O5: a handler that does not look finds out at the head."""
    forgetful = Application("bank")

    @forgetful.handles(Deposit)
    def open_anew(command: Deposit, uow: UnitOfWork) -> None:
        uow.add(Account(command.account_id, command.cents))

    given(forgetful, Account("a")).when(Deposit("a", 5)).then_fails(AggregateExists, "exists already").then_changed()
    given(forgetful, Account("b")).when(Deposit("a", 5)).then().then_changed("Account a")


def test_an_event_sourced_aggregate_has_the_past_that_is_given() -> None:
    """X2: its state is what its events make of it, before and after."""
    scenario = given(app, history(Book("b"), Opened("b")), history(Book("c"), Opened("c"), Lent("c", "Ada")))

    lent = scenario.when(Lend("b", "Eva")).then(Lent("b", "Eva")).then_changed("Book b")
    lent.then_state(Book("b", lent_to="Eva"), Book("c", lent_to="Ada"))
    lent.when(Lend("c", "Eva")).then_fails(ValueError, "Ada")


def test_a_workflow_goes_on_until_nothing_more_follows() -> None:
    """O3: events in the order of the log, state at the end, time from the clock."""
    clock = Clock(step_s=60)

    settled = given(app, Account("a", balance=30), clock=clock).when_settled(Deposit("a", 100))

    first, second = settled.events
    settled.then_happened(first, second).then_state(Account("a", balance=200))
    assert [one.balance for one in (first, second)] == [130, 200]
    assert (second.at - first.at).total_seconds() == 120


def test_the_past_may_be_commands_and_is_not_part_of_what_happened() -> None:
    """O3: what they led to is there."""
    given(app, Deposit("a", 130)).when_settled(Withdraw("a", 200)).then_happened(Overdrawn("a", "empty")).then_state(
        Account("a")
    )


def test_what_fails_in_a_workflow_cannot_be_overlooked() -> None:
    """F1, F2: it has to be said that it was expected."""
    settled = given(app).when_settled(Withdraw("a", 5))

    with pytest.raises(AssertionError, match=r"something failed:\n  bank.Withdraw at position 1 failed: driven"):
        settled.then_happened()
    with pytest.raises(AssertionError, match=r"expected bank.Deposit\n  got\n  bank.Withdraw at position 1 failed"):
        settled.then_failed("bank.Deposit")
    settled.then_failed("bank.Withdraw")
    assert [type(one) for one in settled.events] == [Overdrawn]


def test_the_difference_is_told_place_by_place() -> None:
    """Style: nobody has to compare two long lines by eye."""
    followed = given(app, Account("a", balance=130)).when(Deposit("a", 70))

    with pytest.raises(AssertionError) as told:
        followed.then(Deposited("a", 210, START))
    assert str(told.value) == "events are not what was expected:\n  1. Deposited.balance: expected 210, got 200"

    with pytest.raises(AssertionError, match=r"1\. expected Overdrawn\(.*\n     but got  Deposited\("):
        followed.then(Overdrawn("a", ""))
    with pytest.raises(
        AssertionError, match=r"2\. missing: Overdrawn\(.*\n  expected: Deposited, Overdrawn\n  got:      Dep"
    ):
        followed.then(Deposited("a", 200, START), Overdrawn("a", ""))
    with pytest.raises(AssertionError, match=r"1\. not expected: Deposited\("):
        followed.then()
    with pytest.raises(AssertionError, match=r"1\. Account.balance: expected 1, got 200"):
        followed.then_state(Account("a", balance=1))
    with pytest.raises(AssertionError, match=r"there is no Account 'x'"):
        followed.then_state(Account("x"))
    with pytest.raises(AssertionError, match=r"expected Account b\n  got Account a"):
        followed.then_changed("Account b")


def test_a_failure_that_was_not_expected_comes_with_its_traceback_and_one_that_was_must_come() -> None:
    """W6: where the handler raised is what one wants to know."""
    refused = given(app).when(Withdraw("a", 5))

    with pytest.raises(AssertionError, match=r"it failed: driven.errors.AggregateNotFound: (.|\n)*uow.get\(Account"):
        refused.then()
    with pytest.raises(AssertionError, match=r"expected ValueError: ...gone...\n  got      driven.errors.Aggregate"):
        refused.then_fails(ValueError, "gone")
    with pytest.raises(AssertionError, match=r"expected to fail with ValueError, and gave \[Deposited"):
        given(app).when(Deposit("a", 5)).then_fails(ValueError)


def test_what_a_bus_would_refuse_is_refused() -> None:
    """R1, O4: the same checks as when a bus opens and takes a command."""
    with pytest.raises(EmptyKey):
        given(app).when(Deposit("", 5))
    with pytest.raises(MisuseError, match="neither a command nor an event"):
        given(app).when(Account("a"))  # type: ignore[arg-type]  # what is tested
    with pytest.raises(MisuseError, match="the past is made of aggregates and commands"):
        given(app, Opened("b"))  # type: ignore[arg-type]  # what is tested
    with pytest.raises(MisuseError, match="has no past; make one with history"):
        given(app, Book("b"))
    faulty = Application("faulty")
    faulty.handles(Deposit)(deposit)
    faulty.handles(Deposit)(deposit)
    with pytest.raises(RegistrationError):
        given(faulty)


# One aggregate alone.


def test_an_aggregate_alone_tells_what_was_done_to_it() -> None:
    """U1: what it records, what it raises, what it is then; what it recorded before is its past."""
    account = given_aggregate(Account("a", balance=10))

    account.when(lambda it: it.withdraw(4)).then().then_fields(balance=6)
    account.when(lambda it: it.withdraw(7)).then_fails(ValueError, "only 6").then_fields(balance=6)
    account.when(lambda it: it.withdraw(6)).then(Overdrawn("a", "empty"))

    book = given_aggregate(history(Book("b"), Opened("b")))
    book.when(lambda it: it.record(Lent("b", "Ada"))).then(Lent("b", "Ada")).then_fields(lent_to="Ada")


def test_an_aggregate_alone_says_what_is_not_as_expected() -> None:
    """Style: the same words as of a command."""
    account = given_aggregate(Account("a", balance=10))

    with pytest.raises(AssertionError, match="it raised ValueError"):
        account.when(lambda it: it.withdraw(11)).then()
    with pytest.raises(AssertionError, match=r"expected to raise ValueError, and recorded \[Overdrawn"):
        account.when(lambda it: it.withdraw(10)).then_fails(ValueError)
    with pytest.raises(AssertionError, match="where KeyError was expected"):
        account.when(lambda it: it.withdraw(1)).then_fails(KeyError)
    with pytest.raises(AssertionError, match=r"1\. Account.balance: expected 3, got 0"):
        account.then_fields(balance=3)


def test_a_clock_stands_still_until_it_is_told_to_go_on() -> None:
    """O6: handlers see the time of the clock and nothing else."""
    scenario = given(app)

    scenario.when(Deposit("a", 1)).then(Deposited("a", 1, START))
    scenario.clock.advance(90.5)
    (event,) = scenario.when(Deposit("a", 1)).messages

    assert (event.at - START).total_seconds() == 90.5
    assert event.at == scenario.clock.now
