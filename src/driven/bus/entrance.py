"""The entrance: the one place with back-pressure, first come first served (F4).

Commands from outside wait here, or are turned away, while the bus holds as many unretired messages as it may. What is
caused inside never passes here, so the bus cannot block itself (D13). Owned by the bus's event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from driven.errors import BusFull

if TYPE_CHECKING:
    from collections.abc import Callable


class Entrance:
    """A door that knows how many are inside."""

    __slots__ = ("_capacity", "_inside", "_promised", "_waiting")

    def __init__(self, capacity: int, inside: Callable[[], int]) -> None:
        """`capacity` messages at most; `inside` counts them."""
        self._capacity = capacity
        self._inside = inside
        self._promised = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def places(self) -> int:
        """How many may come in now without waiting; 0 as long as others wait, or are on their way in."""
        return 0 if self._waiting or self._promised else max(0, self._capacity - self._inside())

    async def enter(self, wait_s: float | None) -> None:
        """Return when there is room; the caller must use it before it awaits anything else.

        Args:
            wait_s: seconds to wait for room; None: as long as it takes; 0: not at all.

        Raises:
            BusFull: there was no room in time.

        """
        never_waits = wait_s is not None and wait_s <= 0
        is_anybody_before = self._waiting or self._promised  # who is promised a place is still on his way to it
        if self._has_room() and (never_waits or not is_anybody_before):
            return
        if never_waits:
            raise BusFull(self._inside(), self._capacity)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        has_given_up = True
        try:
            async with asyncio.timeout(wait_s):
                await turn
            has_given_up = False
        except TimeoutError:
            raise BusFull(self._inside(), self._capacity) from None
        finally:
            self._leave_queue(turn)
            if has_given_up:  # perhaps a place that was promised already: then it is the next one's
                self.open_up()

    def open_up(self) -> None:
        """Let in as many as there is room for; called when something retired, and when somebody has come in."""
        while self._waiting and self._has_room():
            turn = self._waiting.popleft()
            if not turn.done():
                self._promised += 1
                turn.set_result(None)

    def close(self) -> None:
        """Wake everybody, room or not: they will find the bus closed."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                self._promised += 1
                turn.set_result(None)

    def _has_room(self) -> bool:
        return self._inside() + self._promised < self._capacity

    def _leave_queue(self, turn: asyncio.Future[None]) -> None:
        """Give back the promised place, whether it is used now or was given up."""
        if turn.done() and not turn.cancelled():
            self._promised -= 1
        elif turn in self._waiting:
            self._waiting.remove(turn)
