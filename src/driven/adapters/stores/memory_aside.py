"""What stands aside in a memory store: positions of parked messages, and messages due later in their order.

Owned by one store, which keeps the messages themselves and holds a lock around every call.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from itertools import chain, islice
from typing import TYPE_CHECKING

from driven.errors import StoreFailed
from driven.service.aside import DueId, DueKey, DueMessage
from driven.service.event_store import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from driven.service.event_store import Batch, LoggedMessage


class MemoryAside:
    """Who stands aside."""

    def __init__(self, store: str) -> None:
        """Nobody does; `store` is named in complaints."""
        self._store = store
        self.parked: dict[int, bool] = {}
        """Positions of parked messages, and whether each is released."""
        self._ascending: list[int] | None = None
        """These positions in order, once somebody has asked; None: since then it has changed."""
        self._due: dict[DueId, DueMessage] = {}
        self._order: list[DueKey] = []

    def check(self, batch: Batch) -> None:
        """Raise StoreFailed unless all that the batch takes from aside stands there."""
        due_ids = [due_id_of(message) for message in batch.admitted if message.due]
        for outcome in batch.retired:
            if outcome.aside is not None:
                due_ids += outcome.aside.cancelled
                for position in chain(outcome.aside.entered, outcome.aside.given_up, outcome.aside.released):
                    if position not in self.parked:
                        told = f"position {outcome.position} redrives position {position}, which is not parked"
                        raise StoreFailed(self._store, told)
        for number, due_id in enumerate(due_ids):
            if due_id not in self._due or due_id in due_ids[:number]:
                told = f"number {due_id.number} of what position {due_id.cause} scheduled is not due later"
                raise StoreFailed(self._store, told)

    def keep(self, batch: Batch) -> None:
        """Take over what the batch says; it was checked."""
        for message in batch.admitted:
            if message.due:
                self._forget(due_id_of(message))
        for outcome in batch.retired:
            if outcome.status is Status.PARKED:
                self.parked[outcome.position] = False
                self._ascending = None
            if outcome.aside is None:
                continue
            self._ascending = None
            for position in chain(outcome.aside.entered, outcome.aside.given_up):
                del self.parked[position]
            self.parked.update(dict.fromkeys(outcome.aside.released, True))
            for number, scheduled in enumerate(outcome.aside.scheduled, 1):
                due = DueMessage(DueId(outcome.position, number), scheduled)
                self._due[due.id] = due
                insort(self._order, due.key)
            for due_id in outcome.aside.cancelled:
                self._forget(DueId(*due_id))

    def parked_behind(self, after: int) -> Iterator[int]:
        """Positions of parked messages behind one, ascending."""
        if self._ascending is None:
            self._ascending = sorted(self.parked)
        return islice(self._ascending, bisect_right(self._ascending, after), None)

    def due(self, after: DueKey | None, limit: int) -> Sequence[DueMessage]:
        """Messages due later, in order."""
        first = 0 if after is None else bisect_right(self._order, after)
        return [self._due[DueId(key.cause, key.number)] for key in self._order[first : first + limit]]

    def find_due(self, due_id: DueId) -> DueMessage | None:
        """One message due later."""
        return self._due.get(due_id)

    def _forget(self, due_id: DueId) -> None:
        due = self._due.pop(due_id)
        del self._order[bisect_right(self._order, due.key) - 1]


def due_id_of(message: LoggedMessage) -> DueId:
    """As what a message that enters now was due later."""
    return DueId(message.envelope.causation, message.due)
