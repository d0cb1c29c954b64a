"""An application that does whatever its commands tell it to: random graphs for the property tests of order.

A command carries a plan: which accounts to touch and how, what to emit, when to fail, how long to compute, and which
commands its events lead to. State is mixed so that no two orders give the same result, and what a
handler reads next depends on what it has read, so that stale reads show.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import time

import msgspec

from driven import Aggregate, Application, Command, Context, Event, OnExhausted, Placement, UnitOfWork

MODULUS = 2**31 - 1


class Plan(msgspec.Struct, frozen=True):
    """What one command does."""

    kind: str = "stateless"
    """``stateless``, ``keyed``, ``unkeyed``, ``forgiving`` (keyed, and a failure of it becomes an event),
    ``long`` (stateless and detached) or ``long keyed`` (detached)."""
    key: str = "a"
    touches: tuple[str, ...] = ()
    """Accounts that it changes, beside its own."""
    amount: int = 1
    fails: str = "never"
    """``never``, ``always``, ``first`` (its first attempt only) or ``odd`` (when the balance is odd)."""
    spin_us: int = 0
    ends: str = ""
    """How its first run in a worker ends that worker: ``kill``, ``crash``, ``exit``, ``hang`` (until it is made to
    end), ``bus`` (with its bus), or not at all."""
    children: tuple[Plan, ...] = ()


class Compute(Command):
    """Stateless."""

    plan: Plan


class Deposit(Command):
    """Stateful, ordered by key."""

    key: str
    plan: Plan


class Audit(Command):
    """Stateful, without a key: conflicts with all that is stateful."""

    plan: Plan


class Try(Command):
    """Stateful, ordered by key; a failure of it is an event."""

    key: str
    plan: Plan


class Ponder(Command):
    """Stateless, and detached."""

    plan: Plan


class Transfer(Command):
    """Stateful, ordered by key, and detached."""

    key: str
    plan: Plan


class GaveUp(Event):
    """What a failed `Try` becomes; the children of its plan follow all the same."""

    key: str
    plan: Plan
    error_type: str
    reason: str


class Happened(Event):
    """Something was done; its children follow."""

    by: str
    result: int
    children: tuple[Plan, ...]


class Noted(Event):
    """An account changed."""

    account: str
    balance: int


class Refused(Exception):
    """The plan says no."""


class Account(Aggregate):
    """A balance that remembers the order of what was done to it."""

    balance: int = 0

    def mix(self, amount: int) -> int:
        """Not commutative: two orders of the same amounts give two balances."""
        self.balance = (self.balance * 31 + amount) % MODULUS
        self.record(Noted(self.id, self.balance))
        return self.balance


app = Application("ordering")


@app.handles(Compute, placement=Placement.WORKER, on_exhausted=OnExhausted.SKIP)
def compute(command: Compute, context: Context) -> Happened:
    """Compute something from the plan and the context alone."""
    plan = command.plan
    act(plan, context)
    result = (plan.amount * 7 + context.random.randrange(1000) + context.new_id().int) % MODULUS
    check(plan, context, result)
    return Happened("compute", result, plan.children)


@app.handles(Deposit, key="key", placement=Placement.WORKER, loads={Account: "key"}, emits=(Noted,))
def deposit(command: Deposit, context: Context, uow: UnitOfWork) -> Happened:
    """Change the account of the key, which travels along, and others, which are asked for."""
    return change(command.plan, (command.key, *command.plan.touches), context, uow, "deposit")


@app.handles(Audit, placement=Placement.WORKER, emits=(Noted,))
def audit(command: Audit, context: Context, uow: UnitOfWork) -> Happened:
    """Change any accounts."""
    return change(command.plan, command.plan.touches, context, uow, "audit")


@app.handles(Try, key="key", placement=Placement.WORKER, emits=(Noted,), on_failure=GaveUp, retries=1)
def attempt(command: Try, context: Context, uow: UnitOfWork) -> Happened:
    """Change the account of the key, and others, all of which are asked for."""
    return change(command.plan, (command.key, *command.plan.touches), context, uow, "attempt")


@app.handles(Ponder, placement=Placement.WORKER, detached=True)
def ponder(command: Ponder, context: Context) -> Happened:
    """As `compute`."""
    act(command.plan, context)
    result = (command.plan.amount * 7 + context.random.randrange(1000) + context.new_id().int) % MODULUS
    check(command.plan, context, result)
    return Happened("ponder", result, command.plan.children)


@app.handles(Transfer, key="key", placement=Placement.WORKER, emits=(Noted,), detached=True)
def transfer(command: Transfer, context: Context, uow: UnitOfWork) -> Happened:
    """As `deposit`."""
    return change(command.plan, (command.key, *command.plan.touches), context, uow, "transfer")


def change(plan: Plan, accounts: tuple[str, ...], context: Context, uow: UnitOfWork, by: str) -> Happened:
    """Mix the amount into each account; the balance decides which account is looked at in between."""
    act(plan, context)
    result = plan.amount
    for account_id in accounts:
        account = uow.find(Account, account_id)
        if account is None:
            account = Account(account_id)
            uow.add(account)
        result = account.mix(plan.amount + result)
        glance = uow.find(Account, f"{'abc'[result % 3]}")
        result += glance.balance if glance is not None else 0
    check(plan, context, result)
    return Happened(by, result % MODULUS, plan.children)


def act(plan: Plan, context: Context) -> None:
    """Take time; or end the worker, the first time it is tried in one that says how."""
    if plan.spin_us:
        until = time.perf_counter() + plan.spin_us / 1e6
        while time.perf_counter() < until:
            pass
    marks = os.environ.get("ORDERING_SCRIBBLE_MARKS")
    if marks and context.envelope.position % 3 == 0:
        scribble_once(marks, context.envelope.position)
    marks = os.environ.get("ORDERING_DEATH_MARKS")
    if plan.ends and marks:
        mark = os.path.join(marks, str(context.envelope.position))  # noqa: PTH118 - one import fewer in workers
        if not os.path.exists(mark):  # noqa: PTH110
            open(mark, "w").close()  # noqa: PTH123
            end(plan.ends)


def end(how: str) -> None:
    """Be the end of this process."""
    match how:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "crash":
            faulthandler._sigsegv()  # type: ignore[attr-defined]  # noqa: SLF001 - a crash in C code
        case "exit":
            os._exit(3)
        case "bus":
            os.kill(int(os.environ["ORDERING_BUS_PID"]), signal.SIGKILL)
            time.sleep(60)  # a worker without its bus does not live that long
        case _:
            while True:
                time.sleep(1.0)


def scribble_once(marks: str, position: int) -> None:
    """Garble the memory that this worker shares with the bus, the first time that the command is tried."""
    from scribbles import scribble  # noqa: PLC0415 - what most tests do without

    mark = os.path.join(marks, str(position))  # noqa: PTH118 - as above
    if not os.path.exists(mark):  # noqa: PTH110 - as above
        with open(mark, "w") as told:  # noqa: PTH123 - as above
            seed = int(os.environ["ORDERING_SCRIBBLE_SEED"]) * 1_000_000 + position
            told.write(scribble(seed, int(os.environ["ORDERING_SCRIBBLE_RING_BYTES"])))


def check(plan: Plan, context: Context, result: int) -> None:
    """Fail as planned."""
    if (
        plan.fails == "always"
        or (plan.fails == "first" and context.attempt == 1)
        or (plan.fails == "odd" and result % 2 == 1)
    ):
        text = f"refused with {result}"
        raise Refused(text)


@app.reacts_to(Happened)
def follow(event: Happened) -> list[Compute | Deposit | Audit | Try | Ponder | Transfer]:
    """Every child of the plan, in order."""
    return [command_of(plan) for plan in event.children]


@app.reacts_to(GaveUp)
def go_on(event: GaveUp) -> list[Compute | Deposit | Audit | Try | Ponder | Transfer]:
    """Every child of the plan that failed, in order."""
    return [command_of(plan) for plan in event.plan.children]


@app.reacts_to(Noted)
def round_numbers(event: Noted) -> Compute | None:
    """A second reaction with a condition of its own."""
    return Compute(Plan(amount=event.balance % 97)) if event.balance % 5 == 0 else None


def command_of(plan: Plan) -> Compute | Deposit | Audit | Try | Ponder | Transfer:
    """The command that a plan is for."""
    if plan.kind == "keyed":
        return Deposit(plan.key, plan)
    if plan.kind == "forgiving":
        return Try(plan.key, plan)
    if plan.kind == "long":
        return Ponder(plan)
    if plan.kind == "long keyed":
        return Transfer(plan.key, plan)
    return Audit(plan) if plan.kind == "unkeyed" else Compute(plan)
