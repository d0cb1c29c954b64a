"""The memory store: a log and aggregates in this process, gone with it. For tests, demos, and work that may be lost.

It never waits for anything, so the bus calls it on its own thread.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from driven.errors import StoreFailed
from driven.service.event_store import Batch, LoggedOutcome, LogRecord
from driven.wire import AggregateState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driven.service.event_store import LoggedMessage

STORE = "memory://"


class MemoryStore:
    """An `EventStore` of lists and dictionaries; one bus at a time, one process."""

    is_blocking: Final = False

    def __init__(self, log_id: str = "memory") -> None:
        """`log_id` seeds the ids that handlers make; two logs of the same id make the same ids."""
        self.log_id: Final = log_id
        self._messages: list[LoggedMessage] = []
        self._outcomes: dict[int, LoggedOutcome] = {}
        self._aggregates: dict[tuple[str, str], AggregateState] = {}
        self._by_command_id: dict[str, int] = {}
        self._is_open = False

    @property
    def last_position(self) -> int:
        """The highest position in the log."""
        return len(self._messages)

    def open(self) -> None:
        """Nothing to get ready; the log of an earlier bus is still there."""
        self._is_open = True

    def append(self, batch: Batch) -> None:
        """Check the whole batch, then keep it."""
        self._check(batch)
        for message in batch.admitted:
            self._messages.append(message)
            if not message.envelope.id.startswith("@"):
                self._by_command_id[message.envelope.id] = message.envelope.position
        for outcome in batch.retired:
            self._outcomes[outcome.position] = outcome
            for change in outcome.changes:
                state = AggregateState(change.name, change.id, change.expected_version + 1, change.body)
                self._aggregates[change.name, change.id] = state

    def load(self, name: str, aggregate_id: str) -> AggregateState:
        """An aggregate as last appended; version 0 when there is none."""
        return self._aggregates.get((name, aggregate_id)) or AggregateState(name, aggregate_id, 0, None)

    def read(self, after: int, limit: int) -> Sequence[LogRecord]:
        """At most `limit` records behind position `after`."""
        messages = islice(self._messages, after, after + limit)
        return [LogRecord(message, self._outcomes.get(message.envelope.position)) for message in messages]

    def find(self, command_id: str) -> LogRecord | None:
        """The command accepted under this id, if any."""
        position = self._by_command_id.get(command_id)
        return None if position is None else self.read(position - 1, 1)[0]

    def close(self) -> None:
        """Take no more; what is there can still be read."""
        self._is_open = False

    def _check(self, batch: Batch) -> None:
        if not self._is_open:
            raise StoreFailed(STORE, "it is not open; open() it first")
        for expected, message in enumerate(batch.admitted, self.last_position + 1):
            if message.envelope.position != expected:
                reason = f"position {message.envelope.position} does not continue the log; {expected} is next"
                raise StoreFailed(STORE, reason)
        last = self.last_position + len(batch.admitted)
        versions: dict[tuple[str, str], int] = {}
        for outcome in batch.retired:
            if outcome.position > last or outcome.position in self._outcomes:
                raise StoreFailed(STORE, f"position {outcome.position} retires twice, or was never admitted")
            for change in outcome.changes:
                place = (change.name, change.id)
                version = versions.get(place, self.load(*place).version)
                if change.expected_version != version:
                    reason = f"{change.name} {change.id!r} is at version {version}, not {change.expected_version}"
                    raise StoreFailed(STORE, reason)
                versions[place] = version + 1
