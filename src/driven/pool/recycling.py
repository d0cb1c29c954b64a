"""Recycling: when a worker has done its share and should make room for a fresh one. Owned by a lane. Pure.

What leaks in a worker, such as a cache without a bound, memory that a library never gives back, ends with its process.
How worn a worker is, is a number::

    0.0 ........... 1.0 ..................................... 2.0
    fresh           it is due: a successor is started         it leaves at once, successor or not
                    it works on until that is ready

So neither is a group short of workers for as long as one takes to start, nor does a worker go on for ever where none
can be started. Limits differ from worker to worker by up to a fifth, so that those that began together do not leave
together; by how much follows from the worker's number, the same in every run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from driven.settings import WorkerSettings

DUE: Final = 1.0
OVERDUE: Final = 2.0

JITTER: Final = 0.2
"""The part of a limit by which it may be higher or lower."""

_SPREAD: Final = 0x9E3779B1
_SPREAD_RANGE: Final = 1 << 32
"""Neighbouring numbers are spread over the whole range (Knuth's multiplicative hash)."""


class Recycling:
    """The limits of one lane."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._commands: Final = settings.recycle_after_commands
        self._growth_bytes: Final = settings.recycle_after_growth_bytes
        self.is_wanted: Final = bool(self._commands or self._growth_bytes)
        """Whether there is any limit."""

    def wear(self, worker_id: int, completed: int, growth_bytes: int) -> float:
        """How worn a worker is that has completed so many commands, and takes so much more memory than at first."""
        share = jitter(worker_id)
        by_count = completed / max(1, round(self._commands * share)) if self._commands else 0.0
        by_growth = growth_bytes / (self._growth_bytes * share) if self._growth_bytes else 0.0
        return max(by_count, by_growth)


def jitter(worker_id: int) -> float:
    """The factor of this worker's limits, from 1 - `JITTER` to 1 + `JITTER`."""
    return 1.0 - JITTER + 2.0 * JITTER * (worker_id * _SPREAD % _SPREAD_RANGE) / _SPREAD_RANGE
