"""Hazards: which commands may start before those in front of them have retired (O4).

The name is the processor designer's: two instructions that touch the same register must not overlap. Here
the register is a key::

    no unit of work          -> None          conflicts with nothing
    unit of work, and a key  -> the key       conflicts with the same key, and with every UNKEYED
    unit of work, no key     -> UNKEYED       conflicts with everything that has a unit of work

Conflicting commands leave in the order in which they came, whatever the order of the others, so queues suffice: each
command is looked at a bounded number of times, however many wait::

    a1 b2 a3 | UNKEYED 4 | b5 c6 | UNKEYED 7 | a8         _in_front = 3, _behind = [[b5, c6], [a8]]

Pure: no clock, no I/O.
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

    __slots__ = ("_behind", "_in_front", "_per_key", "_unkeyed")

    def __init__(self) -> None:
        """Nothing is waiting yet."""
        self._unkeyed: deque[int] = deque()
        self._behind: deque[list[tuple[int, str]]] = deque()
        """What has a key and came behind each of the unkeyed commands, up to the next one."""
        self._in_front = 0
        """How many have a key and came before the first unkeyed command."""
        self._per_key: dict[str, deque[int]] = {}

    def admit(self, position: int, footprint: Footprint) -> bool:
        """Take in the command at `position`, higher than all before it; True: no earlier command conflicts."""
        if footprint is None:
            return True
        if footprint is UNKEYED:
            self._unkeyed.append(position)
            self._behind.append([])
            return not self._in_front and len(self._unkeyed) == 1
        key = str(footprint)
        queue = self._per_key.get(key)
        if queue is None:
            queue = self._per_key[key] = deque()
        queue.append(position)
        if self._behind:
            self._behind[-1].append((position, key))
            return False
        self._in_front += 1
        return len(queue) == 1

    def retire(self, position: int, footprint: Footprint) -> list[int]:
        """Let go of a command that nothing stood in the way of; the positions of which that is true now, ascending."""
        if footprint is None:
            return []
        if footprint is UNKEYED:
            queue, is_blocked = self._unkeyed, self._in_front > 0
        else:
            queue = self._per_key[str(footprint)]
            is_blocked = bool(self._unkeyed) and self._unkeyed[0] < position
        if is_blocked or queue[0] != position:
            text = f"position {position} retired while an earlier command stood in its way"
            raise RuntimeError(text)
        queue.popleft()
        return self._freed_by_unkeyed() if footprint is UNKEYED else self._freed_by_key(str(footprint), queue)

    def _freed_by_key(self, key: str, queue: deque[int]) -> list[int]:
        self._in_front -= 1
        if not queue:
            del self._per_key[key]
        if self._unkeyed and not self._in_front:
            return [self._unkeyed[0]]
        if queue and (not self._unkeyed or queue[0] < self._unkeyed[0]):
            return [queue[0]]
        return []

    def _freed_by_unkeyed(self) -> list[int]:
        """The first of each key up to the next unkeyed command, or that one if it comes first."""
        behind = self._behind.popleft()
        self._in_front = len(behind)
        if not behind:
            return [self._unkeyed[0]] if self._unkeyed else []
        return [position for position, key in behind if self._per_key[key][0] == position]
