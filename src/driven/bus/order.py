"""The order in which messages retire: the strategy behind `[bus] ordering`.

::

    strict     queue  [ 7  8  9  10  11 ]     7, and nobody before it, whatever is done already

    keyed      ready  { 8  10  11 }           whoever has what to retire with, the oldest first; a command gets
                                              here only when nothing of its key is left in front of it
               head   9                       but while one must run with nothing changing meanwhile: it alone

The conductor asks who is next, and brings that one a step further. Everything else is the same for both: hazards,
outcomes, retirement. Strict order has nothing to remember, so nobody tells it anything: its `ready` is None. Pure.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.bus.sequencer import Entry, Sequencer
    from driven.settings import Ordering


class Order(Protocol):
    """Who retires next."""

    @property
    def ready(self) -> Callable[[int], None] | None:
        """Takes the position of a message that may have what to retire with; None: nobody need be told."""

    @property
    def head(self) -> Entry | None:
        """The message before which nothing else retires, if there is one."""

    def next(self) -> Entry | None:
        """The message to bring one step further."""

    def may_be_passed(self, entry: Entry) -> bool:
        """Whether others may retire while this one, which was next, has to wait."""

    def again(self, entry: Entry) -> None:
        """This one was next, has not retired, and waits for nothing."""

    def make_head(self, entry: Entry) -> None:
        """Let nothing retire between the next run of this command and its own retirement (O5)."""


class StrictOrder:
    """Position order (O2): the head of the queue, and nobody else."""

    __slots__ = ("_queue",)

    ready = None

    def __init__(self, sequencer: Sequencer) -> None:
        """All there is to know is in the queue."""
        self._queue = sequencer.queue

    @property
    def head(self) -> Entry | None:
        """The oldest message."""
        return self._queue[0] if self._queue else None

    def next(self) -> Entry | None:
        """The oldest message."""
        return self._queue[0] if self._queue else None

    def may_be_passed(self, entry: Entry) -> bool:  # noqa: ARG002 - of the protocol
        """Never."""
        return False

    def again(self, entry: Entry) -> None:
        """It is next already."""

    def make_head(self, entry: Entry) -> None:
        """It is, or will be when its turn comes."""


class KeyedOrder:
    """Order per key (O9): hazards decide who must wait for whom, and nothing else does."""

    __slots__ = ("_find", "_heads", "_ready")

    def __init__(self, sequencer: Sequencer) -> None:
        """Nothing is ready yet."""
        self._find = sequencer.find
        self._ready: list[int] = []
        self._heads: deque[Entry] = deque()

    def ready(self, position: int) -> None:
        """The message at `position` may have what to retire with."""
        heapq.heappush(self._ready, position)

    @property
    def head(self) -> Entry | None:
        """The first that asked for it; what retires meanwhile would make its next run stale again."""
        while self._heads and self._heads[0].is_retired:
            self._heads.popleft()
        return self._heads[0] if self._heads else None

    def next(self) -> Entry | None:
        """The head, else the oldest that is ready."""
        if (head := self.head) is not None:
            return head
        while self._ready:
            entry = self._find(heapq.heappop(self._ready))
            if entry is not None:
                return entry
        return None

    def may_be_passed(self, entry: Entry) -> bool:
        """Unless it is the head."""
        return entry is not self.head

    def again(self, entry: Entry) -> None:
        """It is ready."""
        self.ready(entry.position)

    def make_head(self, entry: Entry) -> None:
        """As soon as no other one is."""
        if entry not in self._heads:
            self._heads.append(entry)


def order_of(ordering: Ordering, sequencer: Sequencer) -> Order:
    """What `[bus] ordering` names."""
    return StrictOrder(sequencer) if ordering == "strict" else KeyedOrder(sequencer)
