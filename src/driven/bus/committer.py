"""Committers: how a batch gets into the store, on the bus thread or on a store thread of its own.

A store that waits for a disk or a network is called from one store thread, so one batch becomes durable while the
bus fills the next (U8). A store that never waits is called on the spot: a thread would only
add its hand-over to every command.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from driven.errors import StoreFailed

if TYPE_CHECKING:
    from driven.service.event_store import Batch, EventStore

logger = logging.getLogger("driven.bus")

Done = Callable[[StoreFailed | None], None]
"""Called on the bus thread when a batch is in the store (None), or is not (why)."""


class Committer(Protocol):
    """Takes one batch at a time."""

    def commit(self, batch: Batch, done: Done) -> None:
        """Append `batch` and call `done`; not called again before that, but at the end."""

    def between(self, work: Callable[[], object]) -> None:
        """Run `work`, which raises nothing, where batches are appended, after what is there already; from any thread.

        What comes after `close` is not run.
        """

    def close(self) -> None:
        """Wait for the batch that is under way, then let go; closing twice is harmless."""


def _append(store: EventStore, batch: Batch) -> StoreFailed | None:
    try:
        store.append(batch)
    except StoreFailed as failure:
        return failure
    except Exception as error:  # noqa: BLE001 - an adapter's bug stops the bus like any other failure of the store
        return StoreFailed(type(store).__name__, f"{type(error).__name__}: {error}")
    return None


def _at_once(work: Callable[[], object]) -> None:
    work()


class DirectCommitter:
    """Appends on the bus thread."""

    def __init__(self, store: EventStore, soon: Callable[[Callable[[], object]], object] = _at_once) -> None:
        """`store` must not block; `soon` runs something on the bus thread, and may be called from any thread."""
        self._store = store
        self._soon = soon

    def commit(self, batch: Batch, done: Done) -> None:
        """Append `batch`, then call `done`."""
        done(_append(self._store, batch))

    def between(self, work: Callable[[], object]) -> None:
        """Run `work` soon, on the bus thread."""
        with contextlib.suppress(RuntimeError):  # its event loop was closed: nobody needs it any more
            self._soon(work)

    def close(self) -> None:
        """Nothing is under way."""


class ThreadCommitter:
    """Appends on the store thread, which lives as long as this object."""

    def __init__(self, store: EventStore, on_bus_thread: Callable[[Callable[[], None]], object]) -> None:
        """`on_bus_thread` runs a callable there, soon, and may be called from any thread."""
        self._store = store
        self._on_bus_thread = on_bus_thread
        self._batches: queue.SimpleQueue[tuple[Batch, Done] | Callable[[], object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="driven-store", daemon=True)
        self._thread.start()

    def commit(self, batch: Batch, done: Done) -> None:
        """Hand `batch` to the store thread."""
        self._batches.put((batch, done))

    def between(self, work: Callable[[], object]) -> None:
        """Hand `work` to the store thread."""
        self._batches.put(work)

    def close(self) -> None:
        """Wait until the store thread has appended what it was given."""
        self._batches.put(None)
        self._thread.join()

    @staticmethod
    def _do(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException:  # a follower's `raise KeyboardInterrupt` is no reason to append nothing any more
            logger.exception("What was to be done between two batches was not.")

    def _run(self) -> None:
        while (work := self._batches.get()) is not None:
            if not isinstance(work, tuple):
                self._do(work)
                continue
            batch, done = work
            try:
                failure = _append(self._store, batch)
            except BaseException as error:  # noqa: BLE001 - on a thread of its own it would end nothing but the waiting
                failure = StoreFailed(type(self._store).__name__, f"{type(error).__name__}: {error}")
            with contextlib.suppress(RuntimeError):  # its event loop was closed: nobody is left to be told
                self._on_bus_thread(partial(done, failure))
