"""The reorder buffer: outcomes that arrived before their turn.

Workers finish in any order; a command becomes visible only in the order of positions (O2). Each dispatch
of a command has a generation, and only the outcome of the latest one counts, so that a
worker that was given up on cannot speak any more (W4). The term is from Smith & Pleszkun, "Implementing Precise
Interrupts in Pipelined Processors" (1988). Pure: no clock, no I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from driven.wire import Completion


class ReorderBuffer:
    """Outcomes of dispatched commands, held until each one's position is at the head."""

    __slots__ = ("_arrived", "_expected")

    def __init__(self) -> None:
        """Nothing was dispatched yet."""
        self._expected: dict[int, int] = {}
        self._arrived: dict[int, Completion] = {}

    def __len__(self) -> int:
        """The number of outcomes that wait for their turn."""
        return len(self._arrived)

    @property
    def in_flight(self) -> int:
        """The number of dispatched commands without an outcome yet."""
        return len(self._expected)

    def expect(self, position: int, generation: int) -> None:
        """The command at `position` was dispatched; whatever an earlier dispatch of it gave is void."""
        self._arrived.pop(position, None)
        self._expected[position] = generation

    def accept(self, completion: Completion) -> bool:
        """Take an outcome; False, and nothing changes, when it is not of the latest dispatch."""
        position = completion.position
        if self._expected.get(position) != completion.generation:
            return False
        del self._expected[position]
        self._arrived[position] = completion
        return True

    def retire(self, position: int) -> Completion | None:
        """Hand out what came of `position`, which is at the head; None when nothing has come yet."""
        return self._arrived.pop(position, None)

    def holds(self, position: int) -> bool:
        """Whether the outcome of `position` has come."""
        return position in self._arrived

    def forget(self, position: int) -> None:
        """The command at `position` retires without its outcome; what still comes of it is dropped."""
        self._expected.pop(position, None)
        self._arrived.pop(position, None)
