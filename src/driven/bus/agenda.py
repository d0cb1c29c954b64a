"""The agenda: what is due later. The next of it is in memory, all of it is in the store.

::

    in the store   10 12 15 15 20 | 31 40 55 ...        by due time, position of the cause, number there
    in memory      10 12 15 15 20 |                     the window; what is added beyond its end stays in the store,
                                                        and is read when the window is empty
    10:00 has come --> 10 enters at the tail, then 12, ...

Never early: what enters is due by the clock that gives messages their time. That clock may jump. What it jumps over is
late by as much as the bus sleeps at most, and what it goes back before waits again. Owned by the conductor; on the bus
thread.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

from driven.service.aside import DueId, DueMessage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from driven.service.aside import DueKey, Scheduled
    from driven.service.event_store import EventStore

WINDOW: Final = 1_024
"""Messages that are read from the store at once; twice as many are kept in memory at most."""


class Agenda:
    """Who enters when."""

    def __init__(self, store: EventStore, window: int = WINDOW) -> None:
        """Nothing was read yet."""
        self._store: Final = store
        self._window: Final = window
        self._order: list[DueKey] = []
        """A heap."""
        self._known: dict[DueId, DueMessage] = {}
        """What is in the window and has neither entered nor been cancelled."""
        self._end: DueKey | None = None
        """The window holds everything up to here; None: everything."""
        self._unsettled: Final[set[DueId]] = set()
        """What the store may not know yet: it was scheduled, has entered or was cancelled in a batch on the way."""
        self._is_open = False

    def open(self) -> None:
        """Read what an earlier bus left."""
        self._is_open = True
        self._fill(None)

    def close(self) -> None:
        """Let nothing enter any more; all of it is in the store."""
        self._is_open = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing can become due."""
        return not self._is_open or (not self._order and self._end is None)

    @property
    def next_due_ns(self) -> int | None:
        """When the next one is due; None: nothing is."""
        while not self.is_empty:
            if not self._order:
                self._fill(self._end)
            elif self._id_of(self._order[0]) in self._known:
                return self._order[0].due_at_ns
            else:
                heapq.heappop(self._order)
        return None

    def take_due(self, now_ns: int) -> DueMessage | None:
        """The next one that is due by now; it is not on the agenda any more, which `settled` tells the store has."""
        due_ns = self.next_due_ns
        if due_ns is None or due_ns > now_ns:
            return None
        due_id = self._id_of(heapq.heappop(self._order))
        self._unsettled.add(due_id)
        return self._known.pop(due_id)

    def expect(self, cause: int, scheduled: Iterable[Scheduled]) -> list[DueMessage]:
        """The message at `cause` retires and schedules these; `add` them when the store has them."""
        found = [DueMessage(DueId(cause, number), one) for number, one in enumerate(scheduled, 1)]
        self._unsettled.update(one.id for one in found)
        return found

    def add(self, messages: Iterable[DueMessage]) -> None:
        """These are in the store now."""
        for message in messages:
            self._unsettled.discard(message.id)
            if self._end is None or message.key <= self._end:
                self._keep(message)
        if len(self._known) > 2 * self._window:
            self._shrink()

    def cancel(self, due_id: DueId) -> bool:
        """Take it off the agenda, until the store has done so too; False: it is not there, or has entered."""
        if due_id in self._unsettled or self._store.find_due(due_id) is None:
            return False
        self._unsettled.add(due_id)
        self._known.pop(due_id, None)
        return True

    def settled(self, due_id: DueId) -> None:
        """The store knows that it has entered or was cancelled."""
        self._unsettled.discard(due_id)

    def _keep(self, message: DueMessage) -> None:
        self._known[message.id] = message
        heapq.heappush(self._order, message.key)

    def _fill(self, after: DueKey | None) -> None:
        """Read the next window."""
        messages = self._store.due(after, self._window)
        self._end = messages[-1].key if len(messages) == self._window else None
        for message in messages:
            if message.id not in self._unsettled:
                self._keep(message)

    def _shrink(self) -> None:
        """Leave the later half to the store."""
        messages = sorted(self._known.values(), key=lambda message: message.key)[: self._window]
        self._end = messages[-1].key
        self._known = {message.id: message for message in messages}
        self._order = [message.key for message in messages]

    @staticmethod
    def _id_of(key: DueKey) -> DueId:
        return DueId(key.cause, key.number)
