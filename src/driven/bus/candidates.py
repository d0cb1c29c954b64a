"""Candidates: commands that may start, in the order of their positions, until a worker is chosen for them.

::

    push, nearly always in order --> [ 7 8 9 12 13 ]  row   --.
    push of one that was late -----> [ 4 6 ]          late  --+--> pop: the oldest of both

Most commands may start the moment they get their position, so a plain row serves them without a comparison; those that
waited for a hazard or come back from a dead worker are older than the last of the row and go into a heap beside it.
A queue belongs to a group of workers, or to a sticky key. Pure.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import Generic, Protocol, TypeVar


class Candidate(Protocol):
    """What a scheduler has to know of a command; the sequencer's `Entry` is one, so nothing is made per command."""

    load_ns: float
    """What it is expected to take, while a worker holds it or a key waits with it; the scheduler's own."""

    @property
    def position(self) -> int:
        """Its place in the total order."""

    @property
    def type_id(self) -> int:
        """What kind of command it is."""

    @property
    def key(self) -> str | None:
        """What it sticks to a worker by, if its type is sticky."""


CandidateT = TypeVar("CandidateT", bound=Candidate)


class CandidateQueue(Generic[CandidateT]):
    """Candidates, the oldest position first."""

    __slots__ = ("late", "row")

    def __init__(self) -> None:
        """Nobody waits."""
        self.row: deque[CandidateT] = deque()
        """Ascending."""
        self.late: list[tuple[int, CandidateT]] = []
        """A heap by position; pairs, as the interpreter compares numbers faster than it calls a method of ours."""

    def __len__(self) -> int:
        """How many wait."""
        return len(self.row) + len(self.late)

    def push(self, candidate: CandidateT) -> None:
        """Put one where its position belongs."""
        row = self.row
        if not row or candidate.position > row[-1].position:
            row.append(candidate)
        else:
            heapq.heappush(self.late, (candidate.position, candidate))

    @property
    def first(self) -> int:
        """The position of the oldest. Not to be asked when nobody waits."""
        if not self.late:
            return self.row[0].position
        return min(self.row[0].position, self.late[0][0]) if self.row else self.late[0][0]

    def pop(self) -> CandidateT:
        """Take out the oldest. Not to be called when nobody waits."""
        if self.late and not (self.row and self.row[0].position < self.late[0][0]):
            return heapq.heappop(self.late)[1]
        return self.row.popleft()
