"""A store that forgets: it counts positions and keeps a running digest, and nothing that grows with the log.

For runs so long that a log in memory would be all that is measured. No aggregate and no command id is ever found in it,
so it is for stateless commands without ids of the caller.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from driven.errors import StoreFailed
from driven.service.event_store import Cursor
from driven.wire import AggregateState

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from driven.service.aside import DueId, DueKey, DueMessage
    from driven.service.event_store import Advance, Batch, LoggedMessage, LoggedType, LogRecord, ParkedRecord

NAME: Final = "forgetful"


class ForgetfulStore:
    """An `EventStore` for one bus; whoever made it reads `last_retired` and `digest` afterwards."""

    is_blocking: Final = False
    durability: Final = "group"
    log_id: Final = NAME

    def __init__(self) -> None:
        """An empty log."""
        self.last_position = 0
        self.last_retired = 0
        """Position of the last message that retired."""
        self._digest: Final = hashlib.blake2b(digest_size=16)

    @property
    def digest(self) -> str:
        """Of positions and outcomes, in the order in which they retired."""
        return self._digest.hexdigest()

    def open(self) -> None:
        """Nothing is to be opened."""

    def append(self, batch: Batch) -> None:
        """Check that positions have no gap on either side, and forget the rest.

        Raises:
            StoreFailed: there is a gap, or something retires out of order.

        """
        for message in batch.admitted:
            self._expect(message.envelope.position, self.last_position + 1, "was admitted")
            self.last_position += 1
        for outcome in batch.retired:
            self._expect(outcome.position, self.last_retired + 1, "retired")
            self.last_retired += 1
            self._digest.update(b"%d %s\n" % (outcome.position, outcome.status.value.encode()))

    def load(self, name: str, aggregate_id: str) -> AggregateState:
        """No aggregate is there."""
        return AggregateState(name, aggregate_id, 0, None)

    def keep_snapshots(self, schemas: Mapping[str, str]) -> None:
        """None is kept."""
        del schemas

    def read(self, after: int, limit: int) -> Sequence[LogRecord]:
        """Nothing is left to read."""
        del after, limit
        return ()

    def retired(self, after: int, limit: int) -> Sequence[LogRecord]:
        """As little."""
        del after, limit
        return ()

    def find(self, command_id: str) -> None:
        """No command is known."""
        del command_id

    def events(self, names: Collection[str], after: int, up_to: int) -> Sequence[LoggedMessage]:
        """As little."""
        del names, after, up_to
        return ()

    def cursor(self, name: str) -> Cursor:
        """Nobody follows."""
        return Cursor(name)

    def advance(self, write: Advance) -> None:
        """There are no tables.

        Raises:
            StoreFailed: always.

        """
        del write
        raise StoreFailed(NAME, "it has no tables")

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """There are no tables.

        Raises:
            StoreFailed: always.

        """
        del sql, parameters
        raise StoreFailed(NAME, "it has no tables")

    def message_types(self) -> Collection[LoggedType]:
        """None can be read again."""
        return ()

    def unretired(self, after: int, limit: int) -> Sequence[LoggedMessage]:
        """Nothing is left to take up."""
        del after, limit
        return ()

    def unfinished(self) -> Sequence[int]:
        """As little."""
        return ()

    def finished(self, position: int) -> None:
        """None is known."""
        del position

    def parked_keys(self) -> Mapping[str, int]:
        """No key is parked."""
        return {}

    def parked(self, after: int, limit: int, key: str | None = None) -> Sequence[ParkedRecord]:
        """Nothing stands aside."""
        del after, limit, key
        return ()

    def due(self, after: DueKey | None, limit: int) -> Sequence[DueMessage]:
        """As little."""
        del after, limit
        return ()

    def redriven(self, position: int) -> None:
        """As little."""
        del position

    def find_due(self, due_id: DueId) -> None:
        """As little."""
        del due_id

    def close(self) -> None:
        """Nothing is to be closed."""

    def _expect(self, position: int, expected: int, what: str) -> None:
        if position != expected:
            raise StoreFailed(NAME, f"position {position} {what}, where {expected} was next")
