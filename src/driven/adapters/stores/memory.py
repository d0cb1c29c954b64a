"""The memory store: a log and aggregates in this process, gone with it. For tests, demos, and work that may be lost.

It never waits for anything, so the bus calls it on its own thread. Others may read it meanwhile: a lock keeps them from
seeing half of an append.
"""

from __future__ import annotations

import threading
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from driven.adapters.stores.memory_aggregates import STORE, MemoryAggregates
from driven.adapters.stores.memory_aside import MemoryAside
from driven.adapters.stores.memory_tables import MemoryTables
from driven.errors import LogBusy, StoreFailed
from driven.service.event_store import (
    Batch,
    Cursor,
    LoggedOutcome,
    LoggedType,
    LogRecord,
    MessageKind,
    ParkedRecord,
    Status,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from driven.service.aside import DueId, DueKey, DueMessage
    from driven.service.event_store import Advance, LoggedMessage
    from driven.wire import AggregateState

_PARKED: Final = Status.PARKED
"""As a plain global: finding a member in its enumeration costs more than comparing it."""


class MemoryStore:
    """An `EventStore` of lists and dictionaries; one bus at a time, one process."""

    is_blocking: Final = False
    durability: Final = "group"

    def __init__(self, log_id: str = "memory") -> None:
        """`log_id` seeds the ids that handlers make; two logs of the same id make the same ids."""
        self.log_id: Final = log_id
        self._messages: list[LoggedMessage] = []
        self._outcomes: dict[int, LoggedOutcome] = {}
        self._retired: list[LoggedOutcome] = []
        self._aggregates: Final = MemoryAggregates(self._messages)
        self._by_command_id: dict[str, int] = {}
        self._redriven: dict[int, int] = {}
        """By the position that is redriven, that of the message which stands instead of it."""
        self._started: dict[int, int] = {}
        """By the position of a command that has started, that of its outcome; 0: it has not retired."""
        self._looked_at = 0
        """How many retirements `_started` knows of."""
        self._aside: Final = MemoryAside(STORE)
        self._is_open = False
        self._lock = threading.Lock()
        self._tables: Final = MemoryTables(STORE)

    @property
    def last_position(self) -> int:
        """The highest position in the log."""
        return len(self._messages)

    def open(self) -> None:
        """Take the log; that of an earlier bus is still there.

        Raises:
            LogBusy: a bus has it open.

        """
        with self._lock:
            if self._is_open:
                raise LogBusy(STORE, "in this process")
            self._is_open = True

    def append(self, batch: Batch) -> None:
        """Check the whole batch, then keep it.

        Raises:
            StoreFailed: the store is not open, or the batch does not continue the log.

        """
        with self._lock:
            aside = _aside_of(batch)
            given_ids = self._check(batch, aside)
            self._aside.keep(aside)
            self._messages += batch.admitted
            self._by_command_id.update(given_ids)
            self._redriven.update((one.redrives, one.envelope.position) for one in aside.admitted if one.redrives)
            self._retired += batch.retired
            for outcome in batch.retired:
                self._outcomes[outcome.position] = outcome
                if outcome.changes:
                    for change in outcome.changes:
                        self._aggregates.change(change, outcome.caused[0])

    def load(self, name: str, aggregate_id: str) -> AggregateState:
        """An aggregate as last appended; version 0 when there is none."""
        with self._lock:
            return self._aggregates.load(name, aggregate_id)

    def keep_snapshots(self, schemas: Mapping[str, str]) -> None:
        """Discard the snapshots of any other schema."""
        with self._lock:
            self._aggregates.keep_snapshots(schemas)

    def read(self, after: int, limit: int) -> Sequence[LogRecord]:
        """At most `limit` records behind position `after`."""
        with self._lock:
            return self._records(after, limit)

    def retired(self, after: int, limit: int) -> Sequence[LogRecord]:
        """At most `limit` records in the order of retirement, without the first `after`."""
        with self._lock:
            outcomes = self._retired[after : after + limit]
            return [LogRecord(self._messages[outcome.position - 1], outcome) for outcome in outcomes]

    def find(self, command_id: str) -> LogRecord | None:
        """The command accepted under this id, if any."""
        with self._lock:
            position = self._by_command_id.get(command_id)
            return None if position is None else self._records(position - 1, 1)[0]

    def events(self, names: Collection[str], after: int, up_to: int) -> Sequence[LoggedMessage]:
        """The events of these names between two positions."""
        with self._lock:
            messages = self._messages[after : max(after, up_to)]
        return [message for message in messages if message.kind is MessageKind.EVENT and message.name in names]

    def cursor(self, name: str) -> Cursor:
        """How far the follower of this name is."""
        return self._tables.cursor(name)

    def advance(self, write: Advance) -> None:
        """Let followers write; all of it or nothing.

        Raises:
            StoreFailed: the store is not open.

        """
        if not self._is_open:
            raise StoreFailed(STORE, "it is not open")
        self._tables.advance(write)

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What a reading statement finds in the tables of followers."""
        return self._tables.query(sql, parameters)

    def message_types(self) -> Collection[LoggedType]:
        """What there are messages of."""
        with self._lock:
            return {LoggedType(one.kind, one.name, one.version) for one in self._messages}

    def unretired(self, after: int, limit: int) -> Sequence[LoggedMessage]:
        """At most `limit` messages without an outcome, behind position `after`."""
        with self._lock:
            behind = islice(self._messages, after, None)
            return list(islice((one for one in behind if one.envelope.position not in self._outcomes), limit))

    def unfinished(self) -> Sequence[int]:
        """Positions of the commands that have started, and whose outcome has not retired."""
        with self._lock:
            self._catch_up_with_started()
            return sorted(position for position, outcome in self._started.items() if not outcome)

    def finished(self, position: int) -> LogRecord | None:
        """The command that has the outcome of the one that started at `position`, if it has retired."""
        with self._lock:
            self._catch_up_with_started()
            found = self._started.get(position, 0)
            return self._records(found - 1, 1)[0] if found else None

    def parked_keys(self) -> Mapping[str, int]:
        """The keys of which something is parked, each with the lowest position of it."""
        with self._lock:
            found: dict[str, int] = {}
            for position in sorted(one for one, is_released in self._aside.parked.items() if not is_released):
                key = self._messages[position - 1].envelope.key
                if key is not None:
                    found.setdefault(key, position)
            return found

    def parked(self, after: int, limit: int, key: str | None = None) -> Sequence[ParkedRecord]:
        """At most `limit` parked messages behind position `after`, of one key or of all."""
        with self._lock:
            found: list[ParkedRecord] = []
            for position in self._aside.parked_behind(after):
                if len(found) >= limit:
                    break
                message = self._messages[position - 1]
                if key in {None, message.envelope.key}:
                    found.append(ParkedRecord(message, self._outcomes[position], self._aside.parked[position]))
            return found

    def redriven(self, position: int) -> LogRecord | None:
        """The message that redrives the one at `position`, if any."""
        with self._lock:
            found = self._redriven.get(position)
            return None if found is None else self._records(found - 1, 1)[0]

    def due(self, after: DueKey | None, limit: int) -> Sequence[DueMessage]:
        """At most `limit` messages due later, behind `after`."""
        with self._lock:
            return self._aside.due(after, limit)

    def find_due(self, due_id: DueId) -> DueMessage | None:
        """One message due later."""
        with self._lock:
            return self._aside.find_due(due_id)

    def close(self) -> None:
        """Take no more; what is there can still be read."""
        with self._lock:
            self._is_open = False

    # Under the lock.

    def _catch_up_with_started(self) -> None:
        """Note what has started and what has finished since the last look: `append` is not to pay for it."""
        since, self._looked_at = self._retired[self._looked_at :], len(self._retired)
        for outcome in since:
            if outcome.status is Status.STARTED:
                self._started.setdefault(outcome.position, 0)
            elif self._started:
                message = self._messages[outcome.position - 1]
                cause = message.envelope.causation
                if message.kind is MessageKind.COMMAND and self._started.get(cause) == 0:
                    self._started[cause] = outcome.position

    def _records(self, after: int, limit: int) -> list[LogRecord]:
        messages = self._messages[after : after + limit]
        return [LogRecord(message, self._outcomes.get(message.envelope.position)) for message in messages]

    def _check(self, batch: Batch, aside: Batch) -> dict[str, int]:
        """Refuse what does not continue the log; the ids that callers gave, with their positions."""
        if not self._is_open:
            raise StoreFailed(STORE, "it is not open")
        given_ids = self._checked_ids(batch.admitted)
        self._check_retirements(batch.retired, len(self._messages) + len(batch.admitted))
        self._aggregates.check(batch)
        self._aside.check(aside)
        return given_ids

    def _checked_ids(self, admitted: Sequence[LoggedMessage]) -> dict[str, int]:
        given: dict[str, int] = {}
        for expected, message in enumerate(admitted, len(self._messages) + 1):
            envelope = message.envelope
            if envelope.position != expected:
                raise StoreFailed(STORE, f"position {envelope.position} does not continue the log; {expected} is next")
            command_id = envelope.id
            if command_id[0] != "@":  # else it is the bus's own, and as unique as the position
                if command_id in self._by_command_id or command_id in given:
                    raise StoreFailed(STORE, f"id {command_id!r} of position {expected} is in the log already")
                given[command_id] = expected
        return given

    def _check_retirements(self, retired: Sequence[LoggedOutcome], last_position: int) -> None:
        positions: set[int] = set()
        for outcome in retired:
            if not 0 < outcome.position <= last_position:
                raise StoreFailed(STORE, f"position {outcome.position} retires, but was never admitted")
            if outcome.position in self._outcomes or outcome.position in positions:
                raise StoreFailed(STORE, f"position {outcome.position} retires twice")
            positions.add(outcome.position)


def _aside_of(batch: Batch) -> Batch:
    """What of a batch has to do with messages that stand aside, which is next to nothing."""
    return Batch(
        [one for one in batch.admitted if one.due or one.redrives],
        [one for one in batch.retired if one.aside is not None or one.status is _PARKED],
    )
