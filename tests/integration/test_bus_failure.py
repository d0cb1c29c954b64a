"""What fails: one command and nothing else (F1), internal messages set aside in order (F2), loops that end (F5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from both_loops import on_both_loops, until
from driven import (
    Aggregate,
    Application,
    BusClosed,
    BusSettings,
    Command,
    CommandFailed,
    CommandParked,
    Context,
    Event,
    Middleware,
    OnExhausted,
    Settings,
    UnitOfWork,
    WorkerSettings,
    open_bus,
)
from driven.adapters.stores.memory import MemoryStore
from driven.service.event_store import LoggedOutcome, Status

if TYPE_CHECKING:
    from driven import Envelope
    from driven.service.event_store import LogRecord


def inline(**bus: int) -> Settings:
    """No workers; the rest as given."""
    return Settings(workers=WorkerSettings(count=0), bus=BusSettings(**bus))  # type: ignore[arg-type]


class Account(Aggregate):
    balance: int = 0


class Deposit(Command):
    account: str
    amount: int


class Deposited(Event):
    account: str
    amount: int


class Pay(Command):
    """Comes from outside, and leads to deposits."""

    deposits: list[tuple[str, int]]


class Paid(Event):
    deposits: list[tuple[str, int]]


class Note(Command):
    """Comes from a second reaction."""

    text: str


class Noted(Event):
    text: str


class Refused(Exception):
    """The bank's word."""


UNLUCKY = 13
"""The amount that is always refused."""


def bank(on_exhausted: OnExhausted = OnExhausted.PARK) -> tuple[Application, list[tuple[int, int]]]:
    """Deposits by account; and every attempt at one, as (amount, attempt)."""
    app = Application("bank")
    attempts: list[tuple[int, int]] = []

    @app.handles(Deposit, key="account", on_exhausted=on_exhausted, retries=2)
    def deposit(command: Deposit, context: Context, uow: UnitOfWork) -> Deposited:
        attempts.append((command.amount, context.attempt))
        account = uow.find(Account, command.account)
        if account is None:
            account = Account(command.account)
            uow.add(account)
        account.balance += command.amount
        account.record(Deposited(command.account, command.amount))
        if command.amount == UNLUCKY:
            raise Refused(f"no {UNLUCKY}")
        if command.amount == -context.attempt:
            raise Refused("not the first time")
        return Deposited(command.account, -command.amount)

    @app.handles(Pay)
    def pay(command: Pay) -> Paid:
        return Paid(command.deposits)

    @app.reacts_to(Paid)
    def deposit_each(event: Paid) -> list[Deposit]:
        return [Deposit(account, amount) for account, amount in event.deposits]

    @app.handles(Note)
    def note(command: Note) -> Noted:
        return Noted(command.text)

    return app, attempts


def balance(store: MemoryStore, account: str) -> int | None:
    """What the store says."""
    body = store.load("bank.Account", account).body
    return None if body is None else msgspec.msgpack.decode(body, type=Account).balance


def log_of(store: MemoryStore) -> list[tuple[str, Status]]:
    """Name and status of every message, in order."""
    return [(record.message.name.rpartition(".")[2], status_of(record)) for record in store.read(0, 10_000)]


def status_of(record: LogRecord) -> Status:
    """How it retired."""
    assert record.outcome is not None
    return record.outcome.status


# ---------------------------------------------------------------------- F1, U1: a command from outside


@on_both_loops
async def test_a_failed_command_raises_to_its_submitter_and_nothing_it_did_exists() -> None:
    """F1, U1, B3: the traceback comes along; state and events that were recorded before it raised do not."""
    app, _ = bank()
    store = MemoryStore()
    async with open_bus(app, inline(), store=store) as bus:
        await bus.handle(Deposit("ann", 5))

        with pytest.raises(CommandFailed) as failure:
            await bus.handle(Deposit("ann", UNLUCKY))

        assert failure.value.command == "bank.Deposit"
        assert failure.value.error_type.endswith("Refused")
        assert failure.value.error_message == f"no {UNLUCKY}"
        assert "raise Refused" in failure.value.remote_traceback
        assert (await bus.handle(Deposit("ann", 6))).events, "the bus goes on"
    assert balance(store, "ann") == 11
    assert log_of(store) == [
        ("Deposit", Status.SUCCEEDED),
        ("Deposited", Status.SUCCEEDED),
        ("Deposited", Status.SUCCEEDED),
        ("Deposit", Status.FAILED),
        ("Deposit", Status.SUCCEEDED),
        ("Deposited", Status.SUCCEEDED),
        ("Deposited", Status.SUCCEEDED),
    ]


@on_both_loops
async def test_the_failure_of_a_command_is_recorded_with_its_reason() -> None:
    """F1: a root is tried once, its outcome is in the log, and settled counts it."""
    app, attempts = bank()
    store = MemoryStore()
    async with open_bus(app, inline(), store=store) as bus:
        receipt = await bus.submit(Deposit("ann", UNLUCKY))
        settlement = await receipt.settled()

        assert (settlement.messages, settlement.failed, settlement.parked) == (1, 1, 0)
    outcome = store.read(0, 1)[0].outcome
    assert outcome is not None
    assert (outcome.status, outcome.attempts, outcome.changes) == (Status.FAILED, 1, ())
    assert [failure.message for failure in outcome.failures] == [f"no {UNLUCKY}"]
    assert attempts == [(UNLUCKY, 1)]


# ---------------------------------------------------------------------- F2: a command that was caused


@on_both_loops
async def test_an_internal_command_that_fails_once_is_tried_again_at_the_head() -> None:
    """F2, O2: the second attempt is no second position, and nobody overtakes it."""
    app, attempts = bank()
    store = MemoryStore()
    async with open_bus(app, inline(), store=store) as bus:
        settlement = await (await bus.submit(Pay([("ann", -1), ("ann", 7)]))).settled()

        assert (settlement.failed, settlement.parked) == (0, 0)
    assert attempts == [(-1, 1), (-1, 2), (7, 1)]
    outcome = store.read(2, 1)[0].outcome
    assert outcome is not None
    assert (outcome.status, outcome.attempts) == (Status.SUCCEEDED, 2)
    assert balance(store, "ann") == 6


@on_both_loops
async def test_a_poison_command_is_parked_with_all_that_follows_of_its_key_and_other_keys_go_on() -> None:
    """F2, B9: tried `retries` more times, then set aside, and every later message of its key behind it, in order."""
    app, attempts = bank()
    store = MemoryStore()
    async with open_bus(app, inline(), store=store) as bus:
        settlement = await (await bus.submit(Pay([("ann", UNLUCKY), ("bob", 1), ("ann", 2), ("bob", 3)]))).settled()

        assert (settlement.failed, settlement.parked) == (0, 2)
        with pytest.raises(CommandParked, match="its key 'ann' is parked since position 3"):
            await bus.handle(Deposit("ann", 4))
        await bus.handle(Deposit("bob", 5))
        assert bus.statistics().parked == 3
    assert attempts == [(UNLUCKY, 1), (UNLUCKY, 2), (UNLUCKY, 3), (1, 1), (3, 1), (5, 1)]
    assert (balance(store, "ann"), balance(store, "bob")) == (None, 9)
    parked = [record for record in store.read(0, 100) if status_of(record) is Status.PARKED]
    assert [record.message.envelope.key for record in parked] == ["ann"] * 3
    reasons = [record.outcome.failures[0].message for record in parked if record.outcome]
    assert reasons == [f"no {UNLUCKY}", *["its key 'ann' is parked since position 3"] * 2]


@on_both_loops
async def test_a_handler_may_say_that_its_failures_are_passed_over() -> None:
    """F2: `skip` records the failure and goes on, with the same key too."""
    app, _ = bank(OnExhausted.SKIP)
    store = MemoryStore()
    async with open_bus(app, inline(), store=store) as bus:
        settlement = await (await bus.submit(Pay([("ann", UNLUCKY), ("ann", 2)]))).settled()

        assert (settlement.failed, settlement.parked) == (1, 0)
    assert balance(store, "ann") == 2


@on_both_loops
async def test_a_handler_may_say_that_its_failure_stops_the_bus() -> None:
    """F2: `halt` records the failure, nothing behind it runs, and everybody is told why."""
    app, attempts = bank(OnExhausted.HALT)
    store = MemoryStore()
    async with open_bus(app, inline(), store=store) as bus:
        receipt = await bus.submit(Pay([("ann", UNLUCKY), ("bob", 2)]))

        assert (await receipt.handled()).events
        with pytest.raises(
            BusClosed, match=r"bank.Deposit at position 3 failed and its handler says on_exhausted=HALT"
        ):
            await receipt.settled()
        with pytest.raises(BusClosed, match="on_exhausted=HALT"):
            await bus.submit(Deposit("cid", 1))
    assert [amount for amount, _ in attempts] == [UNLUCKY] * 3
    assert status_of(store.read(2, 1)[0]) is Status.FAILED
    assert store.read(3, 1)[0].outcome is None, "what was behind it is accepted and not lost"


@on_both_loops
async def test_what_was_done_before_the_bus_is_stopped_is_told_as_done() -> None:
    """F2, O2: it retired before the failure that stops the bus, in the same batch; nobody is told that it did not."""
    app, _ = bank(OnExhausted.HALT)

    async with open_bus(app, inline()) as bus:
        unlucky = await bus.submit(Pay([("ann", UNLUCKY)]))
        other = await bus.submit(Deposit("bob", 2))

        settlements = [await receipt.settled() for receipt in (other, unlucky)]
        with pytest.raises(BusClosed, match="on_exhausted=HALT"):
            await bus.submit(Deposit("cid", 1))

    assert [settlement.failed for settlement in settlements] == [0, 1]


@on_both_loops
async def test_sibling_reactions_run_when_one_raises() -> None:
    """F2: the one that fails is tried again and parked; what its siblings issued is on its way, in their order."""
    app, _ = bank()
    tries: list[int] = []

    @app.reacts_to(Paid)
    def fail(event: Paid, context: Context) -> Note:
        tries.append(context.attempt)
        raise Refused("this reaction always fails")

    @app.reacts_to(Paid)
    def take_note(event: Paid) -> Note:
        return Note("paid")

    @app.reacts_to(Paid)
    def fail_otherwise(event: Paid) -> Note:
        return "no command"  # type: ignore[return-value]

    store = MemoryStore()
    async with open_bus(app, inline(retries=2), store=store) as bus:
        settlement = await (await bus.submit(Pay([("ann", 1)]))).settled()

        assert settlement.parked == 1, "one message is parked, for two reactions"
        assert bus.statistics().parked == 1
    assert tries == [1, 2, 3]
    event = store.read(1, 1)[0]
    assert event.outcome is not None
    assert event.outcome.status is Status.PARKED
    assert [failure.error_type.rpartition(".")[2] for failure in event.outcome.failures] == ["Refused", "WrongReturn"]
    assert [name for name, _ in log_of(store)][2:4] == ["Deposit", "Note"]


@on_both_loops
async def test_a_reaction_that_ends_the_program_ends_itself_only() -> None:
    """F2, W6: SystemExit in a handler or a reaction is a failure like any other."""
    app, _ = bank()

    @app.reacts_to(Paid)
    def leave(event: Paid) -> Note:
        raise SystemExit(3)

    @app.handles(Leave)
    def leave_too(command: Leave) -> Noted:
        raise SystemExit(3)

    async with open_bus(app, inline(retries=0)) as bus:
        assert (await (await bus.submit(Pay([]))).settled()).parked == 1
        with pytest.raises(CommandFailed, match="SystemExit"):
            await bus.handle(Leave())


class Leave(Command):
    """Leave the program."""


# ---------------------------------------------------------------------- F5: loops


class Ping(Command):
    fan_out: int = 1


class Pong(Event):
    fan_out: int


def table_tennis() -> Application:
    """Never ends by itself."""
    app = Application("tennis")

    @app.handles(Ping)
    def ping(command: Ping) -> Pong:
        return Pong(command.fan_out)

    @app.reacts_to(Pong)
    def again(event: Pong) -> list[Ping]:
        return [Ping(event.fan_out)] * event.fan_out

    return app


@on_both_loops
async def test_an_endless_loop_stops_at_the_budget_of_hops_and_shows_its_chain() -> None:
    """F5, B13: parked beyond `max_hops`, with the causes that led there, the root among them."""
    store = MemoryStore()
    async with open_bus(table_tennis(), inline(max_hops=20), store=store) as bus:
        settlement = await (await bus.submit(Ping())).settled()

        assert (settlement.messages, settlement.parked) == (22, 1)
    last = store.read(21, 1)[0]
    assert last.outcome is not None
    assert (last.message.envelope.hop, last.outcome.status) == (21, Status.PARKED)
    reason = last.outcome.failures[0].message
    assert reason.startswith("it is 21 hops from its root and max_hops is 20; caused by tennis.Ping at 21, caused by")
    assert reason.endswith("caused by …, caused by tennis.Ping at 1")
    assert reason.count("caused by") == 12


@on_both_loops
async def test_a_root_that_causes_too_much_is_stopped_at_the_budget_of_descendants() -> None:
    """F5: breadth is bounded as depth is, and another root has a budget of its own."""
    store = MemoryStore()
    async with open_bus(table_tennis(), inline(max_descendants=50, max_hops=1_000), store=store) as bus:
        first = await (await bus.submit(Ping(fan_out=2))).settled()
        second = await (await bus.submit(Ping(fan_out=2))).settled()

        assert (first.messages, first.parked) == (second.messages, second.parked)
        assert first.parked > 0
    names = [status for _, status in log_of(store)]
    assert names[:50] == [Status.SUCCEEDED] * 50


@on_both_loops
async def test_a_loop_does_not_keep_others_waiting() -> None:
    """F5, O3: breadth-first, so a loop and its neighbours take turns."""

    class Retired(Middleware):
        def __init__(self) -> None:
            self.roots: list[int] = []

        def retired(self, name: str, envelope: Envelope, outcome: LoggedOutcome) -> None:
            self.roots.append(envelope.correlation)

    seen = Retired()
    async with open_bus(table_tennis(), inline(max_hops=64), middleware=[seen]) as bus:
        receipts = [await bus.submit(Ping()) for _ in range(3)]
        await until(lambda: all(receipt.is_settled for receipt in receipts))

    assert seen.roots == [1, 2, 3] * 66
