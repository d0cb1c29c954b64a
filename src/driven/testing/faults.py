"""Faults at numbered points: a store that fails, or ends the process, wherever a test of recovery wants it to.

::

    open  append 1  append 2 ...     an append has two points: before it, nothing of the batch is kept; after it, all
      1     2   3     4   5          of it is, but nobody has been told. Opening has one, before it.

    fault = Fault()                      faulty_store(store, fault) has a run without a fault: `fault.passed` points
    fault = Fault(4)                     raises StoreFailed at the fourth
    fault = Fault(5, strike=die)         kills this process at the fifth, by SIGKILL: nothing runs any more

A point is passed by ``fault.passes()``, so a handler or a middleware of a test can have points as well. As long-lived
as one run.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any, Final, cast

from driven.errors import StoreFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.service.event_store import Batch, EventStore


def fail(point: int) -> None:
    """Raise `StoreFailed`, as a disk that is full would."""
    raise StoreFailed("of a test", f"it was told to fail at point {point}")


def die(_point: int) -> None:
    """End this process as a power cut would: no handler runs, nothing is flushed."""
    os.kill(os.getpid(), signal.SIGKILL)


class Fault:
    """What happens at one of the points that are passed, counted from 1."""

    def __init__(self, point: int = 0, strike: Callable[[int], None] = fail) -> None:
        """`strike` is called with the number of the point; 0: there is no fault."""
        self._point: Final = point
        self._strike: Final = strike
        self.passed = 0
        """How many points have been come to."""

    def passes(self) -> None:
        """A point is here."""
        self.passed += 1
        if self.passed == self._point:
            self._strike(self._point)


def faulty_store(store: EventStore, fault: Fault) -> EventStore:
    """The same store, with a point before it opens, and one before and one after each append."""
    return cast("EventStore", _FaultyStore(store, fault))


class _FaultyStore:
    """Passes everything on to a store."""

    def __init__(self, store: EventStore, fault: Fault) -> None:
        self._store: Final = store
        self._fault: Final = fault

    def open(self) -> None:
        self._fault.passes()
        self._store.open()

    def append(self, batch: Batch) -> None:
        self._fault.passes()
        self._store.append(batch)
        self._fault.passes()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        return getattr(self._store, name)
