"""The composition root: the only place that knows everyone. It opens a bus, and closes it in the right order.

::

    settings -> registry (R1) -> store -> execution -> routes -> lane (workers) -> conductor -> bus

Closing: the entrance shuts; what was accepted drains, to a deadline; workers stop; the store gets the last batch;
injected objects are finalised (X4).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from driven.adapters.retrying import attempts_of, check_retrying
from driven.adapters.stores.choice import store_at
from driven.bus.committer import DirectCommitter, ThreadCommitter
from driven.bus.conductor import Conductor
from driven.bus.followers import followers_of
from driven.bus.inline_progress import InlineProgress
from driven.bus.loop_thread import LoopThread
from driven.bus.message_bus import MessageBus
from driven.bus.middleware import Hooks
from driven.bus.routing import routes
from driven.bus.sync_bus import SyncBus
from driven.configuration import load_settings, validate
from driven.errors import RegistrationError, SettingsError
from driven.program import ending_of_program, new_event_loop
from driven.service.execution import Execution
from driven.service.graph import message_graph
from driven.service.registry import application_reference, build_registry, resolve_application
from driven.service.upcasting import log_faults
from driven.service.warming import warm_up
from driven.settings import DEFAULT_GROUP, Settings
from driven.workforce import Workforce, worker_groups

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from driven.bus.committer import Committer
    from driven.bus.followers import Followers
    from driven.bus.middleware import Middleware
    from driven.pool.worker_lane import WorkerLane
    from driven.service.application import Application
    from driven.service.event_store import EventStore

logger = logging.getLogger("driven")


@asynccontextmanager
async def open_bus(
    application: Application | str,
    settings: Settings | None = None,
    *,
    store: EventStore | None = None,
    middleware: Sequence[Middleware] = (),
    clock_ns: Callable[[], int] = time.time_ns,
) -> AsyncIterator[MessageBus]:
    """Open a bus in the running event loop, with its workers; leaving the block drains and closes it.

    Args:
        application: the application, or where it is, as ``"package.module:attribute"``.
        settings: the configuration; None: ``driven.toml`` in the current folder, and the environment.
        store: where the log is; None: as the settings say.
        middleware: hooks, called in this order.
        clock_ns: nanoseconds since the epoch, read once per admission.

    Raises:
        RegistrationError: the application is faulty; every fault is listed.
        SettingsError: the configuration is.
        WorkersUnavailable: workers cannot be started; or there is no memory for their rings, and a command has a
            timeout. Without such a command everything runs inline then, which is said in the log and in statistics.
        LogBusy, StoreFailed: the log cannot be opened.

    """
    assembly = _Assembly(application, settings or load_settings(), store, Hooks(middleware), clock_ns)
    async with assembly.running() as bus:
        yield bus


@contextmanager
def open_bus_sync(
    application: Application | str,
    settings: Settings | None = None,
    *,
    store: EventStore | None = None,
    middleware: Sequence[Middleware] = (),
    clock_ns: Callable[[], int] = time.time_ns,
) -> Iterator[SyncBus]:
    """Open a bus in a thread of its own, for code without an event loop; otherwise as `open_bus`."""
    opened: Any = open_bus(application, settings, store=store, middleware=middleware, clock_ns=clock_ns)
    with contextlib.closing(LoopThread(new_event_loop)) as loop:
        bus: MessageBus = loop.call(opened.__aenter__()).result()
        try:
            yield SyncBus(bus, loop)
        except BaseException:
            if sys.is_finalizing():
                raise  # it was left open until the interpreter ended, and its thread with it; its workers vanish (W7)
            if not loop.call(opened.__aexit__(*sys.exc_info())).result():
                raise
        else:
            loop.call(opened.__aexit__(None, None, None)).result()


class _Assembly:
    """The parts of one bus, put together in order and taken apart in the reverse order."""

    def __init__(
        self,
        application: Application | str,
        settings: Settings,
        store: EventStore | None,
        hooks: Hooks,
        clock_ns: Callable[[], int],
    ) -> None:
        if faults := validate(settings):
            raise SettingsError("given in code", faults)
        self.settings: Final = settings
        self.application: Final = application if not isinstance(application, str) else resolve_application(application)
        self.reference: Final = application if isinstance(application, str) else application_reference(application)
        self.registry: Final = build_registry(self.application)
        check_retrying(self.registry)
        groups = worker_groups(settings)
        table = routes(self.registry, settings, groups)
        self.workforce: Final = Workforce(self.registry, self.reference, settings, groups, table)
        self.store: Final = store_at(settings.store) if store is None else store
        self.hooks: Final = hooks
        self.clock_ns: Final = clock_ns
        for cycle in message_graph(self.registry).cycles:
            logger.info("Application %s has a cycle of messages: %s.", self.application.name, " -> ".join(cycle))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[MessageBus]:
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(self.registry.injector.close)
            self.store.open()
            cleanup.callback(self.store.close)
            self._check_log()
            self.store.keep_snapshots(self.registry.snapshot_schemas)
            committer = self._committer()
            cleanup.callback(committer.close)
            async with self._bus(committer) as bus:
                yield bus

    def _check_log(self) -> None:
        """Refuse a log with messages that this application cannot read (X3)."""
        held = self.store.message_types()
        if faults := list(log_faults(held, self.registry.catalog, self.application.forgotten)):
            raise RegistrationError(self.application.name, faults)

    @asynccontextmanager
    async def _bus(self, committer: Committer) -> AsyncIterator[MessageBus]:
        lane = self.workforce.lane(self.store.log_id)
        on_bus_thread = asyncio.get_running_loop().call_soon_threadsafe
        followers = followers_of(self.registry, self.store, committer, on_bus_thread, attempts_of)
        await followers.catch_up(self.store)
        progress = InlineProgress()
        conductor = Conductor(
            registry=self.registry,
            execution=Execution(self.registry, self.store.log_id, progress.tell),
            store=self.store,
            committer=committer,
            followers=followers,
            routes=self.workforce.routes,
            settings=self.settings.bus,
            clock_ns=self.clock_ns,
            hooks=self.hooks,
            lane=lane,
            groups=self.workforce.groups,
            wake=lambda: bus.wake(),  # noqa: PLW0108 - the bus is made after its conductor
            turn_now=lambda: bus.turn_now(),  # noqa: PLW0108 - as above
        )
        conductor.recover()
        bus = MessageBus(
            registry=self.registry,
            conductor=conductor,
            store=self.store,
            followers=followers,
            lane=lane,
            settings=self.settings.bus,
            progress=progress,
            inline_because=self.workforce.inline_because,
        )
        ending = ending_of_program()
        drain_timeout_s = self.settings.bus.drain_timeout_s
        with ending.watching(bus, drain_timeout_s):
            is_left_well = False
            try:
                if lane is not None:
                    await lane.start(conductor.traffic)
                else:
                    warm_up(self.registry)  # nobody else does, and handlers are to find what they would find there
                followers.start()
                bus.wake()  # what was taken up goes on by itself
                with self._scaling(lane, conductor), self._pinned():
                    yield bus
                is_left_well = True
            finally:
                left_s = ending.left_s(bus, otherwise_s=drain_timeout_s if is_left_well else 0.0)
                await self._close(bus, lane, followers, committer, left_s)

    async def _close(
        self, bus: MessageBus, lane: WorkerLane | None, followers: Followers, committer: Committer, left_s: float
    ) -> None:
        """Drain, end the workers and the followers, together in `left_s` seconds; then let the store finish."""
        now_s = asyncio.get_running_loop().time
        deadline_s = now_s() + left_s
        try:
            await bus.drain(left_s)
        finally:
            bus.give_up()
            try:
                if lane is not None:
                    await lane.stop(min(self.settings.workers.stop_timeout_s, max(0.0, deadline_s - now_s())))
            finally:
                await followers.finish(max(0.0, deadline_s - now_s()))
                committer.close()
                await bus.see_off()

    def _scaling(self, lane: WorkerLane | None, conductor: Conductor) -> contextlib.AbstractContextManager[None]:
        """The number of workers moves meanwhile, if the settings say so."""
        if lane is None or self.settings.workers.count != "auto":
            return contextlib.nullcontext()
        from driven.pool.scaler import scaling  # noqa: PLC0415 - what runs inline starts without it

        return scaling(
            lane,
            self.workforce.workers,
            members=self.workforce.groups[DEFAULT_GROUP],
            has_waiting=partial(conductor.has_waiting, DEFAULT_GROUP),
            call_on_bus_thread=asyncio.get_running_loop().call_soon_threadsafe,
        )

    def _pinned(self) -> contextlib.AbstractContextManager[None]:
        """Keep the bus thread on its CPUs, once all threads and workers are there that must not inherit them."""
        if not self.workforce.bus_cpus:
            return contextlib.nullcontext()
        from driven.pool.affinity import pinned_thread  # noqa: PLC0415 - few pin anything

        return pinned_thread(self.workforce.bus_cpus)

    def _committer(self) -> Committer:
        if not self.store.is_blocking:
            return DirectCommitter(self.store, asyncio.get_running_loop().call_soon_threadsafe)
        return ThreadCommitter(self.store, asyncio.get_running_loop().call_soon_threadsafe)
