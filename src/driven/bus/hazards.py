"""Hazards: which commands may start before those in front of them have retired (O4).

The name is the processor designer's: two instructions that touch the same register must not overlap. Here
the register is a key::

    no unit of work          -> None          conflicts with nothing
    unit of work, and a key  -> the key       conflicts with the same key, and with every UNKEYED
    unit of work, no key     -> UNKEYED       conflicts with everything that has a unit of work

Because retirement is in position order, stateful commands also leave in the order in which they came, so queues
suffice: each command is looked at a bounded number of times, however many wait. Pure: no clock,
no I/O.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import Final


class Unkeyed(enum.Enum):
    """The footprint of a stateful command without a key."""

    UNKEYED = "unkeyed"


UNKEYED: Final = Unkeyed.UNKEYED

Footprint = str | Unkeyed | None
"""What a command touches: a key value, UNKEYED for all of the state, None for nothing."""


class Hazards:
    """The stateful commands that have not retired, and who of them waits for whom."""

    __slots__ = ("_per_key", "_stateful", "_unkeyed")

    def __init__(self) -> None:
        """Nothing is waiting yet."""
        self._stateful: deque[tuple[int, Footprint]] = deque()
        self._unkeyed: deque[int] = deque()
        self._per_key: dict[str, deque[int]] = {}

    def admit(self, position: int, footprint: Footprint) -> bool:
        """Take in the command at `position`, higher than all before it; True: no earlier command conflicts."""
        if footprint is None:
            return True
        self._stateful.append((position, footprint))
        if footprint is UNKEYED:
            self._unkeyed.append(position)
            return len(self._stateful) == 1
        queue = self._per_key.setdefault(str(footprint), deque())
        queue.append(position)
        return len(queue) == 1 and not self._unkeyed

    def retire(self, position: int, footprint: Footprint) -> list[int]:
        """Let go of the command at `position`; the positions that nothing stands in the way of any more.

        Commands with a footprint retire in the order in which they were admitted.
        """
        if footprint is None:
            return []
        first, _ = self._stateful.popleft()
        if first != position:
            text = f"position {position} retired while {first} was the first with a footprint"
            raise RuntimeError(text)
        if footprint is UNKEYED:
            self._unkeyed.popleft()
            return self._freed_by_unkeyed()
        return self._freed_by_key(str(footprint))

    def _freed_by_key(self, key: str) -> list[int]:
        queue = self._per_key[key]
        queue.popleft()
        if not queue:
            del self._per_key[key]
        barrier = self._unkeyed[0] if self._unkeyed else None
        if barrier is not None and self._stateful[0][0] == barrier:
            return [barrier]
        if queue and (barrier is None or queue[0] < barrier):
            return [queue[0]]
        return []

    def _freed_by_unkeyed(self) -> list[int]:
        """The first of each key up to the next unkeyed command, or that one if it comes first."""
        freed: list[int] = []
        for position, footprint in self._stateful:
            if footprint is UNKEYED:
                return freed or [position]
            if self._per_key[str(footprint)][0] == position:
                freed.append(position)
        return freed
