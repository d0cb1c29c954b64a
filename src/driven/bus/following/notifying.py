"""A notifier that runs: a thread with a place in the log, which calls outside and cannot hold up anybody.

::

    log --events(position, ...)--> [ up to 256 ] --one by one--> the user's function --> the world
                                                  ^   raised: waits, and calls again, with the same event
    place in the store <-- between two batches ---'   succeeded: the next one

Nothing is queued for it: it reads what it has not delivered from the store, so that being slow costs it time, and the
bus nothing. It lives from the opening of the bus until it has delivered everything, or cannot in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterable, Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from driven.bus.following.notifier_statistics import NotifierStatistics
from driven.bus.receipts import Milestone
from driven.service.event_store import Cursor
from driven.service.notifier import Delivery, Patience

if TYPE_CHECKING:
    from driven.service.event_store import EventStore, LoggedMessage, TableConnection
    from driven.service.notifier import Notifier
    from driven.service.registry import Registry

Attempts: TypeAlias = AsyncIterable[AbstractContextManager[object]]
"""Contexts, one for each call for an event: it is over when one is left without an exception, or raises the last."""
AttemptsOf: TypeAlias = Callable[[Patience], Attempts]

logger = logging.getLogger("driven.bus")

CHUNK: Final = 256
"""Positions that are read at a time."""
UNKEPT: Final = 10_000
"""Positions without an event for it after which its place is kept all the same."""
LAST_CALLS: Final = 3
"""Calls for one event that may fail while the bus closes, before it is left to the next bus."""
KEPT: Final = "kept"
"""What the cursor of a notifier says: it may stand at 0."""


class _Leaving(BaseException):
    """A call failed, and there is no time for another."""


class RunningNotifier:
    """One notifier of one bus. The bus thread makes it and tells it; it runs on a thread of its own."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it reads, writes, and calls
        self,
        notifier: Notifier,
        registry: Registry,
        store: EventStore,
        on_store_thread: Callable[[Callable[[], object]], object],
        on_bus_thread: Callable[[Callable[[], object]], object],
        attempts_of: AttemptsOf,
    ) -> None:
        """Construct what its function asks for, and find its place."""
        self._attempts_of: Final = attempts_of
        self._notifier: Final = notifier
        self._catalog: Final = registry.catalog
        self._given: Final = {
            parameter: registry.injector.container.get(annotation)
            for parameter, annotation in notifier.injected.items()
        }
        self._names: Final = frozenset(
            entry.name for event in notifier.events if (entry := registry.catalog.entry_of(event)) is not None
        )
        self._store: Final = store
        self._on_store_thread: Final = on_store_thread
        self._on_bus_thread: Final = on_bus_thread
        self._cursor: Final = f"notifier/{notifier.name}"
        self._key: Final = f"{store.log_id}/{notifier.name}/"
        kept = store.cursor(self._cursor)
        self._end = store.last_position
        since = self._end if notifier.since is None else notifier.since
        self.position = kept.position if kept.state else min(since, self._end)
        self.stopped_by: str | None = None
        self.ended: Final = Milestone()
        """Reached when its thread is over."""
        self._delivered = 0
        self._attempts = 0
        self._last_error: str | None = None
        self._kept = self.position
        self._is_keeping = False
        self._is_idle = False
        self._is_finishing = False
        self._is_stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._woken: asyncio.Event
        self._thread: Final = threading.Thread(target=self._run, name=f"driven-notifier {notifier.name}", daemon=True)

    # Told by the bus thread.

    def start(self) -> None:
        """Begin; its place is in the store before anything that comes later is."""
        self._keep(self.position)
        self._thread.start()

    def appended(self, end: int) -> None:
        """The log ends there now; all of it is in the store."""
        self._end = end
        if self._is_idle:
            self._tell(self._wake)

    def finish(self) -> None:
        """Deliver what is there, unless `LAST_CALLS` for one event fail, and end."""
        self._is_finishing = True
        self._tell(self._hurry)

    def stop(self) -> None:
        """End before the next call; one that is being made is left to itself, and made again by the next bus."""
        if not self.ended.is_reached:
            logger.warning("Notifier %s is left at position %d of %d.", self._notifier.name, self.position, self._end)
        self._is_stopping = True
        self._tell(self._cancel)

    def statistics(self) -> NotifierStatistics:
        """How far it is; from any thread."""
        return NotifierStatistics(
            name=self._notifier.name,
            position=self.position,
            lag=max(0, self._end - self.position),
            delivered=self._delivered,
            attempts=self._attempts,
            last_error=self._last_error,
            stopped_by=self.stopped_by,
        )

    def _tell(self, what: Callable[[], object]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # its thread is over
                self._loop.call_soon_threadsafe(what)

    # On its own thread.

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            if not self._is_stopping:
                self.stopped_by = f"{type(error).__name__}: {error}"
                logger.exception("Notifier %s ends at position %d.", self._notifier.name, self.position)
        finally:
            with contextlib.suppress(RuntimeError):  # the event loop of the bus was closed: nobody waits
                self._on_bus_thread(self.ended.reach)

    async def _main(self) -> None:
        self._woken = asyncio.Event()
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()  # from here on it can be told things
        with contextlib.suppress(asyncio.CancelledError, _Leaving):
            await self._deliver_all()
        self._keep(self.position)

    async def _deliver_all(self) -> None:
        while self.stopped_by is None and not self._is_stopping:
            if self.position < self._end:
                await self._deliver_chunk(min(self.position + CHUNK, self._end))
            elif self._is_finishing:
                return
            else:
                await self._sleep()

    async def _sleep(self) -> None:
        """Until there is more; the end of the log is looked at once more after saying so."""
        self._is_idle = True
        try:
            if self.position >= self._end and not self._is_finishing:
                await self._woken.wait()
        finally:
            self._is_idle = False
            self._woken.clear()

    async def _deliver_chunk(self, up_to: int) -> None:
        for message in self._store.events(self._names, self.position, up_to):
            if self._is_stopping:
                return
            try:
                await self._deliver(message)
            except (asyncio.CancelledError, _Leaving):
                raise
            except BaseException as error:  # noqa: BLE001 - SystemExit too: the bus and the other notifiers go on
                self._stand(message, error)
                return
            self._delivered += 1
            self._attempts = 0
            self.position = message.envelope.position
            self._keep(self.position)
        self.position = up_to
        if up_to - self._kept >= UNKEPT:
            self._keep(up_to)

    async def _deliver(self, message: LoggedMessage) -> None:
        event = self._catalog.decode_logged(message.name, message.version, message.body)
        patience = self._notifier.patience
        if patience.attempts == 1:
            self._call(event, message)
            return
        async for attempt in self._attempts_of(patience):
            with attempt:
                self._call(event, message)

    def _call(self, event: Any, message: LoggedMessage) -> None:  # noqa: ANN401 - one of its events
        delivery = Delivery(f"{self._key}{message.envelope.position}", self._attempts + 1, message.envelope)
        try:
            self._notifier.target(event, **self._given, **dict.fromkeys(self._notifier.deliveries, delivery))
        except Exception as error:
            self._attempts += 1
            self._last_error = f"{type(error).__name__}: {error}"
            if self._is_finishing and self._attempts >= LAST_CALLS:
                raise _Leaving from error
            raise

    def _stand(self, message: LoggedMessage, error: BaseException) -> None:
        """It goes no further: what comes behind may not be told before this."""
        self.stopped_by = f"{type(error).__name__}: {error}"
        self.position = max(self.position, message.envelope.position - 1)
        logger.error(
            "Notifier %s gives up on position %d and is stopped before it; mend it and open the bus again.",
            self._notifier.name,
            message.envelope.position,
            exc_info=error,
        )

    def _wake(self) -> None:
        self._woken.set()

    def _hurry(self) -> None:
        self._woken.set()
        if self._attempts >= LAST_CALLS:  # it waits to call again
            self._cancel()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    # Its place in the store.

    def _keep(self, position: int) -> None:
        """Have it kept soon; of several before that the last."""
        self._kept = position
        if not self._is_keeping:
            self._is_keeping = True
            self._on_store_thread(self._write)

    def _write(self) -> None:
        """On the thread that appends."""
        self._is_keeping = False
        try:
            self._store.advance(self._moved)
        except Exception:
            logger.exception("The place of notifier %s is not kept; some is delivered again.", self._notifier.name)

    def _moved(self, _: TableConnection) -> tuple[Cursor, ...]:
        return (Cursor(self._cursor, self._kept, KEPT),)


def running_notifiers(
    registry: Registry,
    store: EventStore,
    on_store_thread: Callable[[Callable[[], object]], object],
    on_bus_thread: Callable[[Callable[[], object]], object],
    attempts_of: AttemptsOf,
) -> list[RunningNotifier]:
    """The notifiers of an application, not started yet."""
    return [
        RunningNotifier(one, registry, store, on_store_thread, on_bus_thread, attempts_of) for one in registry.notifiers
    ]
