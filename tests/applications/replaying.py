"""A log, run again one message after the other, in the order in which it says that things happened.

What O9 promises of every run, whatever its order: whoever does what the log says, alone and in its order, gets the same
events, the same changes, the same failures and the same commands from reactions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from driven.service.built_in import built_in
from driven.service.event_store import MessageKind, Status, retired_records
from driven.service.execution import Execution
from driven.service.on_failure import event_of_failure
from driven.wire import AggregateState, Change, EncodedMessage, Failed, Failure, Submission, Succeeded

if TYPE_CHECKING:
    from driven import EventStore
    from driven.service.event_store import LoggedMessage, LogRecord
    from driven.service.registry import Registry

State = dict[tuple[str, str], AggregateState]


class Replay:
    """One log, replayed against state of its own."""

    def __init__(self, store: EventStore, registry: Registry) -> None:
        """Nothing has been replayed."""
        self.registry = registry
        self.execution = Execution(registry, store.log_id)
        self.state: State = {}
        self.in_order = list(retired_records(store))
        self.records = {record.message.envelope.position: record for record in store.read(0, 1_000_000)}

    def check(self, store: EventStore) -> None:
        """Run everything, compare everything."""
        for record in self.in_order:
            if built_in(record.message) is not None or record.message.kind is MessageKind.REPEATED:
                continue  # the bus itself did it, and of a repeated event only some reactions
            if record.message.kind is MessageKind.EVENT:
                self._check_reactions(record)
            elif record.outcome is not None and record.outcome.status in {Status.SUCCEEDED, Status.FAILED}:
                self._check_command(record)
        for (name, aggregate_id), state in self.state.items():
            assert store.load(name, aggregate_id) == state

    def _check_command(self, record: LogRecord) -> None:
        assert record.outcome is not None
        outcome, (type_id, body) = record.outcome, self._encoded(record.message)
        submission = Submission(self._runs_as(record).envelope, 1, outcome.attempts, type_id, body)
        result = self.execution.execute(submission, self._load)
        where = f"position {outcome.position}"
        if isinstance(result, Succeeded):
            assert outcome.status is Status.SUCCEEDED, where
            assert result.changes == outcome.changes, where
            assert self._caused(outcome.caused) == list(result.events), where
            self._apply(result.changes)
        else:
            assert isinstance(result, Failed)
            assert outcome.status is Status.FAILED, where
            assert told(result.failure) == told(outcome.failures[0]), where
            event, _ = event_of_failure(self.registry.handlers[type_id], body, result.failure, self.registry.catalog)
            assert self._caused(outcome.caused) == ([event] if event else []), where

    def _check_reactions(self, record: LogRecord) -> None:
        assert record.outcome is not None
        type_id, body = self._encoded(record.message)
        event = self.registry.catalog.decode(type_id, body)
        issued = []
        if record.outcome.failures or record.outcome.status is not Status.SUCCEEDED:
            return
        for reaction in self.registry.reactions.get(type_id, ()):
            drafts = self.execution.react(reaction, event, record.message.envelope, 1)
            assert not isinstance(drafts, Failure)
            issued += [EncodedMessage(draft.type_id, draft.body) for draft in drafts]
        assert self._caused(record.outcome.caused) == issued, f"position {record.outcome.position}"

    def _runs_as(self, record: LogRecord) -> LoggedMessage:
        """The message whose envelope its handler sees: of a late outcome, that of the command which started (O9)."""
        cause = self.records.get(record.message.envelope.causation)
        if cause is not None and cause.outcome is not None and cause.outcome.status is Status.STARTED:
            return cause.message
        return record.message

    def _caused(self, caused: tuple[int, int]) -> list[EncodedMessage]:
        first, count = caused
        messages = [self.records[position].message for position in range(first, first + count)]
        return [EncodedMessage(*self._encoded(message)) for message in messages]

    def _encoded(self, message: LoggedMessage) -> tuple[int, bytes]:
        entry = self.registry.catalog.named(message.name)
        assert entry is not None
        return entry.type_id, message.body

    def _load(self, name: str, aggregate_id: str) -> AggregateState:
        return self.state.get((name, aggregate_id)) or AggregateState(name, aggregate_id, 0, None)

    def _apply(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            state = AggregateState(change.name, change.id, change.expected_version + 1, change.body)
            self.state[change.name, change.id] = state


def told(failure: Failure) -> tuple[str, str]:
    """What a failure says, wherever it happened."""
    return failure.error_type, failure.message


def check_replay(store: EventStore, registry: Registry) -> None:
    """Raise AssertionError where a log and its replay differ."""
    Replay(store, registry).check(store)
