"""A thread for a projection that writes elsewhere: what it waits for, nobody else waits for.

::

    own thread:   events --> the user's functions --> the world        as long as it takes
                               `-- then: its place --> store thread    between two batches; waited for

So a place is kept after what it stands for is done: after a crash the last events are shown again (U6). Made by
`Followers`, one for each such projection; it ends with the bus, or with what it is doing then.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Final

from driven.bus.following.edition import ELSEWHERE
from driven.bus.following.following import Following
from driven.errors import BusClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from driven.service.event_store import Advance, Cursor, EventStore, LoggedMessage
    from driven.service.registry import Registry

KEEPING_S: Final = 60.0
"""Seconds that the store thread has for keeping a place."""


class OwnThread:
    """Does one thing after the other."""

    def __init__(self, name: str) -> None:
        """It begins with the first thing to do; `name` is that of the projection."""
        self._work: Final[queue.SimpleQueue[Callable[[], object] | None]] = queue.SimpleQueue()
        self._thread: Final = threading.Thread(target=self._run, name=f"driven-projection {name}", daemon=True)
        self._is_started = False

    def soon(self, work: Callable[[], object]) -> None:
        """Do `work`, which raises nothing, after what is there already; the first time on the bus thread."""
        self._work.put(work)
        if not self._is_started:
            self._is_started = True
            self._thread.start()

    def close(self) -> None:
        """End after what is there already; nobody waits for it."""
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()


class StoreFromElsewhere:
    """What the projections of a thread of their own need of a store: reading, and having places kept."""

    def __init__(self, store: EventStore, on_store_thread: Callable[[Callable[[], object]], object]) -> None:
        """`on_store_thread` runs something where batches are appended."""
        self._store: Final = store
        self._on_store_thread: Final = on_store_thread
        self._is_closed = False

    def close(self) -> None:
        """Have nothing kept any more."""
        self._is_closed = True

    @property
    def last_position(self) -> int:
        """The highest position in the log."""
        return self._store.last_position

    def events(self, names: Collection[str], after: int, up_to: int) -> Sequence[LoggedMessage]:
        """As the store."""
        return self._store.events(names, after, up_to)

    def cursor(self, name: str) -> Cursor:
        """As the store."""
        return self._store.cursor(name)

    def advance(self, write: Advance) -> None:
        """As the store, where batches are appended; returns when it is done.

        Raises:
            BusClosed: nobody is left to do it.

        """
        done: Future[None] = Future()

        def advance() -> None:
            try:
                self._store.advance(write)
            except BaseException as error:  # noqa: BLE001 - it is for who waits
                done.set_exception(error)
            else:
                done.set_result(None)

        if self._is_closed:
            raise BusClosed
        self._on_store_thread(advance)
        with contextlib.suppress(TimeoutError):
            done.result(KEEPING_S)
            return
        raise BusClosed


def followings_of(
    registry: Registry,
    store: EventStore,
    on_store_thread: Callable[[Callable[[], object]], object],
    on_bus_thread: Callable[[Callable[[], object]], object],
) -> list[Following]:
    """The projections of an application that last: those with tables together, each other on a thread of its own."""
    with_tables = [one for one in registry.projections if one.tables]
    found = [Following(with_tables, registry, store, on_store_thread, on_bus_thread)] if with_tables else []
    for one in registry.projections:
        if not one.tables:
            there, thread = StoreFromElsewhere(store, on_store_thread), OwnThread(one.name)
            let_go = partial(_let_go, there, thread)
            found.append(Following((one,), registry, there, thread.soon, on_bus_thread, pace=ELSEWHERE, let_go=let_go))
    return found


def _let_go(there: StoreFromElsewhere, thread: OwnThread) -> None:
    there.close()
    thread.close()
