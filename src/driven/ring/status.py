"""`WorkerStatus`: what one worker says about itself in its segment, one word for each thing.

The worker writes it, the bus reads it; each holds an object of its own over the same 128 bytes, for as long as the
segment is open. It is how the bus knows whom to blame: the command whose position stands here when the worker dies, and
no other (W3).

**The order of the stores is the meaning.** `begin` writes the position last and `end` takes it away first. A process
that dies has made its stores up to some point and none after, and its death makes them visible; so a position that
stands here is that of a command whose handler may have begun and has not ended, with the right generation and start.
In every other moment there is no position, and nobody is blamed.

While the worker lives the bus may look in the middle of it, and on a weakly ordered CPU see the stores in another
order: an old start beside a new position would look like a command that has run for far too long. Therefore `begin`
also writes a check over the three, and `running` returns them only when they match.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from driven.errors import RingBroken
from driven.ring.layout import STATUS_BYTES, WORD_BYTES

if TYPE_CHECKING:
    from typing import Self

_POSITION: Final = 0
_GENERATION: Final = 1
_STARTED: Final = 2
_CHECK: Final = 3
_STATE: Final = 4
_HEARTBEAT: Final = 5
_COMPLETED: Final = 6
_PID: Final = 7

_NO_POSITION: Final = 0
"""Memory that was never written says "none"; positions are stored one higher."""

_WORD_MASK: Final = (1 << 8 * WORD_BYTES) - 1
"""Keeps what `hash` makes of three integers to a word: the same in every process of one interpreter, and quick."""

_write_begun: Final = struct.Struct("@3Q").pack_into
"""Generation, start and check: they are neighbours, are cleared first, and each is then stored as a whole.

Not the state, which is their neighbour as well: cleared, it would say that the worker is starting."""


class WorkerState(IntEnum):
    """What a worker is doing."""

    STARTING = 0
    """Importing, or not there yet: what memory that was never written says."""
    IDLE = 1
    """Waiting for a command."""
    RUNNING = 2
    """Running a command."""
    WAITING = 3
    """Running a command that asked the bus for something and waits for the answer."""
    STOPPING = 4
    """Taking nothing more."""


_IDLE: Final = int(WorkerState.IDLE)
_RUNNING: Final = int(WorkerState.RUNNING)
"""As plain integers: these are stored for each command."""


class RunningCommand(NamedTuple):
    """The command that a worker runs: its place in the log, which dispatch of it, and when the worker began."""

    position: int
    generation: int
    started_ns: int


class WorkerStatus:
    """One side's view of a worker's status block. Times are nanoseconds of `time.monotonic_ns`, one clock for all.

    The properties that can be set are set by the worker only. `memory` is what `layout.status_block` cuts out; `close`
    releases it.
    """

    __slots__ = ("_memory", "_words")

    def __init__(self, memory: memoryview) -> None:
        if len(memory) != STATUS_BYTES:
            raise ValueError(f"a status block of {len(memory)} bytes: it takes {STATUS_BYTES}")
        self._memory = memory
        self._words = memory.cast("Q")

    def begin(self, position: int, generation: int, now_ns: int) -> None:
        """Say that the command at `position` is about to run: from here on its death is that command's (W3)."""
        check = hash((position, generation, now_ns)) & _WORD_MASK
        _write_begun(self._memory, _GENERATION * WORD_BYTES, generation, now_ns, check)
        words = self._words
        words[_STATE] = _RUNNING
        words[_POSITION] = position + 1

    def end(self) -> None:
        """Say that the command ran, and its outcome is with the bus: nothing is blamed on it any more."""
        words = self._words
        words[_POSITION] = _NO_POSITION
        words[_COMPLETED] += 1
        words[_STATE] = _IDLE

    def running(self) -> RunningCommand | None:
        """Return the command that runs, or None: between two commands, and in the instants in which one begins or ends.

        After the worker's death the answer is final. While it lives, ask again at the next look.
        """
        words = self._words
        position = words[_POSITION] - 1
        found = RunningCommand(position, words[_GENERATION], words[_STARTED])
        if position < 0 or words[_CHECK] != hash(found) & _WORD_MASK or words[_POSITION] - 1 != position:
            return None
        return found

    @property
    def position(self) -> int | None:
        """The position of the command that runs, None when none does."""
        stored: int = self._words[_POSITION]
        return None if stored == _NO_POSITION else stored - 1

    @property
    def generation(self) -> int:
        """Which dispatch of its command the worker began last (W4)."""
        return self._words[_GENERATION]

    @property
    def started_ns(self) -> int:
        """When the worker began the last command; beside `position` in a living worker, `running` is what to ask."""
        return self._words[_STARTED]

    @property
    def completed(self) -> int:
        """How many commands the worker ran to their end."""
        return self._words[_COMPLETED]

    @property
    def heartbeat_ns(self) -> int:
        """When the worker last said that it is there; 0 before the first time."""
        return self._words[_HEARTBEAT]

    @heartbeat_ns.setter
    def heartbeat_ns(self, now_ns: int) -> None:
        self._words[_HEARTBEAT] = now_ns

    @property
    def pid(self) -> int:
        """The worker's process id as the worker knows it; 0 until it wrote it."""
        return self._words[_PID]

    @pid.setter
    def pid(self, pid: int) -> None:
        self._words[_PID] = pid

    @property
    def state(self) -> WorkerState:
        """What the worker does. RingBroken when the word is no state at all."""
        stored = self._words[_STATE]
        try:
            return WorkerState(stored)
        except ValueError:
            raise RingBroken(f"a worker's state is {stored:,}, and states end at {max(WorkerState):d}") from None

    @state.setter
    def state(self, state: WorkerState) -> None:
        self._words[_STATE] = state

    def close(self) -> None:
        """Let go of the memory; may be called twice."""
        self._words.release()
        self._memory.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
