"""One process that runs commands without a bus: registry, execution and stored aggregates of an application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from driven.domain.messages import Envelope
from driven.service.execution import Execution
from driven.service.intake import draft
from driven.service.registry import build_registry
from driven.wire import AggregateState, Failure, Outcome, Submission, encode_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from driven import Aggregate, Application, Command, Event
    from driven.service.intake import Draft

EPOCH_NS = 1_700_000_000_000_000_000


class Process:
    """Runs commands of one application one after the other, and commits nothing."""

    def __init__(self, app: Application, log_id: str) -> None:
        self.registry = build_registry(app)
        self.execution = Execution(self.registry, log_id)
        self.stored: dict[tuple[str, str], AggregateState] = {}
        self.asked: list[tuple[str, str]] = []

    def store(self, aggregate: Aggregate, version: int = 1) -> None:
        """Have `aggregate` be there at `version`."""
        name = self.registry.aggregate_name(type(aggregate))
        self.stored[name, aggregate.id] = AggregateState(name, aggregate.id, version, encode_body(aggregate))

    def run(
        self, command: Command, *, position: int = 1, attempt: int = 1, along: tuple[AggregateState, ...] = ()
    ) -> Outcome:
        """The outcome of one attempt of `command`; the states in `along` travel with it."""
        drafted = draft(self.registry, command)
        submission = Submission(envelope(position), 1, attempt, drafted.type_id, drafted.body, along)
        return self.execution.execute(submission, self.ask)

    def react(self, event: Event, *, position: int = 1, attempt: int = 1) -> list[list[Draft] | Failure]:
        """What each reaction to `event` says, in the order of registration."""
        entry = self.registry.catalog.entry_of(type(event))
        assert entry is not None
        reactions = self.registry.reactions[entry.type_id]
        return [self.execution.react(reaction, event, envelope(position), attempt) for reaction in reactions]

    def decoded(self, messages: Any) -> list[Any]:  # noqa: ANN401 - encoded messages or drafts, and whatever they are
        """Messages, out of what was encoded."""
        return [self.registry.catalog.decode(message.type_id, message.body) for message in messages]

    def ask(self, name: str, aggregate_id: str) -> AggregateState:
        """What is stored, as the bus would say."""
        self.asked.append((name, aggregate_id))
        return self.stored.get((name, aggregate_id)) or AggregateState(name, aggregate_id, 0, None)


def envelope(position: int) -> Envelope:
    """The passport of a root command, admitted one second per position after the epoch of these tests."""
    return Envelope(position, f"@{position}", position, 0, 0, None, EPOCH_NS + position * 1_000_000_000)


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """Start a process for an application; what it constructed is finalised after the test."""
    started: list[Process] = []

    def run(app: Application, log_id: str = "log") -> Process:
        started.append(Process(app, log_id))
        return started[-1]

    yield run
    for process in started:
        process.registry.injector.close()
