"""Following: the projections that last, of one bus, and when which of them goes on.

::

    bus thread                               the thread that appends
    appended(position) --.
    rebuild, cancel ------+--> one step ---> Editions.step      one at a time, between two batches
    moved <---------------'-------------'
      `-> who waits for a projection, or for a rebuild

One step at a time, of whichever projection is next in turn: a batch waits for one step at most, however many
projections there are. Owned by `Followers`, as long-lived as the bus; all of it on the bus thread, but for what says
otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from driven.bus.following.edition import BESIDE_OTHERS, Pace, StoreOfEditions
from driven.bus.following.editions import Editions
from driven.bus.following.rebuild import Rebuild, RebuildProgress
from driven.bus.projections import ProjectionStatistics
from driven.bus.receipts import Milestone
from driven.errors import BusClosed, ProjectionStopped

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from driven.service.projection import LastingProjection
    from driven.service.registry import Registry

    OnThread = Callable[[Callable[[], object]], object]
    """Runs something on another thread, soon; from any thread."""

logger = logging.getLogger("driven.bus")


class StoreOfFollowing(StoreOfEditions, Protocol):
    """What following needs of a store."""

    @property
    def last_position(self) -> int:
        """As `EventStore.last_position`."""


class _Waiter(NamedTuple):
    """Somebody who waits until a projection is done with everything up to a position."""

    editions: Editions
    position: int
    reached: Milestone

    @property
    def is_over(self) -> bool:
        return self.editions.live.position >= self.position or self.editions.is_stuck


class Following:
    """The projections that last."""

    def __init__(  # noqa: PLR0913 - what it reads, where it runs, and how
        self,
        projections: Iterable[LastingProjection],
        registry: Registry,
        store: StoreOfFollowing,
        on_store_thread: OnThread,
        on_bus_thread: OnThread,
        *,
        pace: Pace = BESIDE_OTHERS,
        let_go: Callable[[], None] = lambda: None,
    ) -> None:
        """Find where each of them is; none goes on before `start`.

        `on_store_thread` runs something where these projections are written: for tables, where batches are appended.
        `let_go` is called when it closes.
        """
        self._let_go: Final = let_go
        self._pace: Final = pace
        self._editions: Final = {one.name: Editions(one, registry, store) for one in projections}
        self._turns: list[Editions] = list(self._editions.values())
        self._on_store_thread: Final = on_store_thread
        self._on_bus_thread: Final = on_bus_thread
        self._end = store.last_position
        self._is_stepping = False
        self._failure: BusClosed | None = None
        self._waiters: list[_Waiter] = []
        self._rebuilds: list[tuple[Editions, int, Rebuild]] = []
        self._lock: Final = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """Of its projections."""
        return tuple(self._editions)

    def start(self) -> None:
        """Go on from where an earlier bus was."""
        self._on_store_thread(self._take_up)

    def appended(self, end: int) -> None:
        """The log ends there now; all of it is in the store."""
        self._end = end
        if not self._is_stepping:
            self._go_on()

    @property
    def is_idle(self) -> bool:
        """Whether every projection that can is at the end of the log; one that is being built does not count."""
        return not any(one.live.is_behind(self._end) for one in self._editions.values())

    def statistics(self) -> tuple[ProjectionStatistics, ...]:
        """How far each is."""
        return tuple(
            ProjectionStatistics(
                name,
                one.live.position,
                one.live.stopped_by,
                version=one.live.state.version,
                lag=max(0, self._end - one.live.position),
                rebuild=self._progress(one),
            )
            for name, one in self._editions.items()
        )

    # Waiting, from any event loop.

    async def caught_up(self, names: Collection[str]) -> None:
        """Wait until the projections of these names are done with everything that is in the store now.

        Raises:
            ProjectionStopped: one of them stands before that, and goes no further.
            BusClosed: the bus closed before.

        """
        end = self._end
        for name in names:
            editions = self._editions[name]
            waiter = _Waiter(editions, end, Milestone())
            with self._lock:
                if self._failure is None:
                    self._waiters.append(waiter)
            if waiter.is_over or self._failure is not None:  # before anybody could have told
                waiter.reached.reach()
            await waiter.reached.wait()
            live = editions.live
            if live.position < end:
                if self._failure is not None or live.stopped_by is None:
                    raise BusClosed(self._failure.reason if self._failure else "")
                raise ProjectionStopped(name, live.position, live.stopped_by)

    async def rebuild(self, name: str) -> Rebuild:
        """Build a projection anew, beside the one that is read.

        Raises:
            BusClosed: the bus is closed.

        """
        begun: Future[Rebuild] = Future()
        with self._lock:  # whoever closes lets what was asked before be done, and nothing after it
            if self._failure is not None:
                raise BusClosed(self._failure.reason)
            self._on_store_thread(partial(self._begin, self._editions[name], begun))
        return await asyncio.wrap_future(begun)

    async def finish(self) -> None:
        """Wait until those that can are at the end of the log."""
        for name, one in self._editions.items():
            if one.live.stopped_by is None:
                with contextlib.suppress(ProjectionStopped, BusClosed):
                    await self.caught_up((name,))

    def close(self, failure: BusClosed) -> None:
        """Go no further; whoever waits is told why."""
        with self._lock:
            self._failure = self._failure or failure
        self._tell()
        self._let_go()

    def _ask_to_cancel(self, editions: Editions, number: int) -> None:
        self._on_store_thread(partial(self._cancel, editions, number))

    # On the thread that appends.

    def _take_up(self) -> None:
        for name, one in self._editions.items():
            try:
                one.take_up()
            except Exception:
                logger.exception("Projection %s cannot be built anew.", name)
        self._on_bus_thread(self._moved)

    def _begin(self, editions: Editions, begun: Future[Rebuild]) -> None:
        try:
            number = editions.begin()
        except Exception as error:  # noqa: BLE001 - it is for whoever asked
            if begun.set_running_or_notify_cancel():
                self._on_bus_thread(partial(begun.set_exception, error))
        else:
            self._on_bus_thread(partial(self._begun, editions, number, begun))

    def _cancel(self, editions: Editions, number: int) -> None:
        try:
            editions.cancel(number)
        except Exception:
            logger.exception("The tables of an edition of %s are still there.", editions.projection.name)
        self._on_bus_thread(self._moved)

    def _step(self, editions: Editions, end: int) -> None:
        try:
            editions.step(end, self._pace)
        except BaseException as error:
            editions.stop(error)
            raise
        finally:
            with contextlib.suppress(RuntimeError):  # its event loop was closed: nobody is left to be told
                self._on_bus_thread(self._stepped)

    # On the bus thread.

    def _begun(self, editions: Editions, number: int, begun: Future[Rebuild]) -> None:
        rebuild = Rebuild(partial(self._looked, editions), partial(self._ask_to_cancel, editions, number))
        self._rebuilds.append((editions, number, rebuild))
        if begun.set_running_or_notify_cancel():  # else whoever asked has gone away, and it goes on
            begun.set_result(rebuild)
        self._moved()

    def _stepped(self) -> None:
        self._is_stepping = False
        self._moved()

    def _moved(self) -> None:
        self._tell()
        if not self._is_stepping:
            self._go_on()

    def _go_on(self) -> None:
        """Let whoever has waited longest for a turn and is behind do one step."""
        if self._failure is not None:
            return
        for place, one in enumerate(self._turns):
            if one.is_behind(self._end):
                self._turns.append(self._turns.pop(place))
                self._is_stepping = True
                self._on_store_thread(partial(self._step, one, self._end))
                return

    def _tell(self) -> None:
        """Wake who waits for what is so now."""
        with self._lock:
            over = [one for one in self._waiters if one.is_over or self._failure is not None]
            self._waiters = [one for one in self._waiters if one not in over] if over else self._waiters
        for waiter in over:
            waiter.reached.reach()
        for one in tuple(self._rebuilds):
            if self._is_over(*one):
                self._rebuilds.remove(one)

    def _is_over(self, editions: Editions, number: int, rebuild: Rebuild) -> bool:
        building = editions.next
        if editions.live.state.number >= number:
            rebuild.end(None, is_live=True)
        elif building is None or building.state.number != number:
            rebuild.end(None, is_live=False)
        elif building.stopped_by is not None:
            rebuild.end(
                ProjectionStopped(editions.projection.name, building.position, building.stopped_by), is_live=False
            )
        elif self._failure is not None:
            rebuild.end(self._failure, is_live=False)
        else:
            return False
        return True

    def _looked(self, editions: Editions) -> RebuildProgress:
        return self._progress(editions) or RebuildProgress(editions.projection.name, editions.live.position, self._end)

    def _progress(self, editions: Editions) -> RebuildProgress | None:
        building = editions.next
        if building is None:
            return None
        return RebuildProgress(editions.projection.name, building.position, self._end, building.stopped_by)
