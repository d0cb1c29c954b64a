"""What event-sourced aggregates cost: to rehydrate, and to run a command on, by the number of events behind a snapshot.

::

    python benchmarks/streams.py

CPU time of one thread, in one process, the best of several rounds: what a machine does besides has little part in it.
The rival is the same aggregate as a document.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from driven import Aggregate, Application, Command, Event, EventSourcedAggregate, UnitOfWork, applies
from driven.domain.messages import Envelope
from driven.service.execution import Execution
from driven.service.registry import build_registry
from driven.service.sourcing import rehydrated
from driven.wire import AggregateState, StoredEvent, Submission, Succeeded, encode, encode_body

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS: Final = 7
TAILS: Final = (0, 10, 100, 1_000, 10_000)


class Deposited(Event):
    """Money came in."""

    account: str
    cents: int


class Account(EventSourcedAggregate[Deposited]):
    """As a stream."""

    snapshot_every = 0
    owner: str = "Ada"
    cents: int = 0

    @applies(Deposited)
    def _deposited(self, event: Deposited) -> None:
        self.cents += event.cents


class Document(Aggregate):
    """As a document."""

    owner: str = "Ada"
    cents: int = 0


class Deposit(Command):
    """To the stream."""

    account: str


class DepositToDocument(Command):
    """To the document."""

    account: str


app = Application("streams")


@app.handles(Deposit, key="account", loads={Account: "account"}, emits=(Deposited,))
def deposit(command: Deposit, uow: UnitOfWork) -> None:
    """One event."""
    uow.get(Account, command.account).record(Deposited(command.account, 1))


@app.handles(DepositToDocument, key="account", loads={Document: "account"}, emits=(Deposited,))
def deposit_to_document(command: DepositToDocument, uow: UnitOfWork) -> None:
    """One event, and another document."""
    document = uow.get(Document, command.account)
    document.cents += 1
    document.record(Deposited(command.account, 1))


REGISTRY: Final = build_registry(app)


def cost_us(work: Callable[[], object], times: int) -> float:
    """Microseconds of CPU that `work` takes, the best of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began_ns = time.thread_time_ns()
        for _ in range(times):
            work()
        best = min(best, (time.thread_time_ns() - began_ns) / times / 1_000)
    return best


def command_us(command: Command, state: AggregateState, times: int) -> float:
    """What a run of a command costs, that has the state with it."""
    execution = Execution(REGISTRY, "log")
    encoded = REGISTRY.catalog.encode(command)
    envelope = Envelope(1, "@1", 1, 0, 0, "a", 0)
    submission = Submission(envelope, 1, 1, encoded.type_id, encoded.body, (state,))

    def run() -> None:
        outcome = execution.execute(submission, lambda name, one: AggregateState(name, one, 0, None))
        assert isinstance(outcome, Succeeded), outcome

    return cost_us(run, times)


def main() -> None:
    """Print the table."""
    event = StoredEvent("streams.Deposited", 1, REGISTRY.catalog.encode(Deposited("a", 5)).body)
    document = AggregateState("streams.Document", "a", 1, encode_body(Document("a")))
    of_document = command_us(DepositToDocument("a"), document, 2_000)
    print(f"a command on a document: {of_document:.1f} us\n")
    print("| events behind the snapshot | rehydrating it, us | a command on it, us | bytes that travel |")
    print("|---|---|---|---|")
    for tail in TAILS:
        state = AggregateState("streams.Account", "a", 10 + tail, encode_body(Account("a")), (event,) * tail)
        times = max(3, 20_000 // (tail + 10))
        rehydrating = cost_us(lambda state=state: rehydrated(Account, state, REGISTRY.catalog), times)  # type: ignore[misc]
        on_it = command_us(Deposit("a"), state, times)
        print(f"| {tail:,} | {rehydrating:,.1f} | {on_it:,.1f} | {len(encode(state)):,} |")


if __name__ == "__main__":
    main()
