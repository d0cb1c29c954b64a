"""The message bus: the face of the conductor towards tasks and threads.

::

    any loop, any thread --submit--> Entrance --> Conductor.admit
                                                      ^  turn, after every burst
    lane (doorbells) ------------------ wake ---------'
    store thread ---------------------- done ---------'

It owns the rhythm: when something has come in, it gives the conductor a turn. It lives in one event loop, whose thread is
the bus thread; that loop stays responsive, as a turn is bounded. What order is, the conductor knows.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar

from driven.bus.entrance import Entrance
from driven.bus.statistics import BusStatistics, WorkerStatistics
from driven.errors import BusClosed
from driven.service.event_store import log_digest
from driven.service.execution import refuse_reentry
from driven.service.intake import Draft, draft

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from driven.bus.conductor import Conductor
    from driven.bus.lane import Lane
    from driven.bus.projections import Projections
    from driven.bus.receipts import CommandOutcome, Receipt
    from driven.domain.messages import Command
    from driven.service.event_store import EventStore
    from driven.service.registry import Registry
    from driven.settings import BusSettings

logger = logging.getLogger("driven.bus")

T = TypeVar("T")

TURN_LIMIT: Final = 256
"""Messages that retire in one turn before the event loop gets to do other things."""


class MessageBus:
    """Takes commands, and gives receipts; open one with `driven.open_bus`."""

    def __init__(  # noqa: PLR0913 - one argument per organ
        self,
        *,
        registry: Registry,
        conductor: Conductor,
        store: EventStore,
        projections: Projections,
        lane: Lane | None,
        settings: BusSettings,
    ) -> None:
        """Made by `open_bus`, inside the event loop it is to live in."""
        self._registry: Final = registry
        self._conductor: Final = conductor
        self._store: Final = store
        self._projections: Final = projections
        self._lane: Final = lane
        self._loop: Final = asyncio.get_running_loop()
        self._entrance: Final = Entrance(settings.max_pending, conductor.sequencer.__len__)
        self._first_position: Final = store.last_position
        self._is_pump_due = False
        self._drained: asyncio.Event | None = None

    def submit(
        self, command: Command, *, command_id: str | None = None, wait_s: float | None = None, trace: str = ""
    ) -> Coroutine[Any, Any, Receipt]:
        """Put a command on the bus; awaiting the result gives its receipt once it is accepted (U4).

        Safe from any thread and any event loop (O8).

        Args:
            command: what is to be done.
            command_id: unique in the log for ever; a second submit of the same command under it gives the receipt of the
                first, and what came of it (U5). It does not begin with ``@``.
            wait_s: seconds to wait at a full entrance; None: as long as it takes; 0: not at all.
            trace: trace context to carry along.

        Raises:
            UnknownCommand, EmptyKey, MalformedMessage: the command cannot be accepted.
            CommandIdReused: another command was accepted under this id.
            BusFull: there was no room in time.
            BusClosed: the bus takes no more commands.
            ReentrantDispatch: called from inside a handler or reaction (O7).

        """
        refuse_reentry()
        if command_id is not None and (not command_id or command_id.startswith("@")):
            text = f"command_id {command_id!r} is empty or begins with '@', which marks ids that the bus gives; choose another"
            raise ValueError(text)
        return self._on_bus_loop(self._accept(draft(self._registry, command), command_id, wait_s, trace))

    async def handle(self, command: Command, *, command_id: str | None = None) -> CommandOutcome:
        """Submit a command and wait until it has retired; raises what `submit` and `Receipt.handled` raise."""
        receipt = await self.submit(command, command_id=command_id)
        return await receipt.handled()

    def statistics(self) -> BusStatistics:
        """A look at the bus and its workers, now; made from outside, it costs the workers nothing."""
        sequencer = self._conductor.sequencer
        return BusStatistics(
            admitted=sequencer.last_position - self._first_position,
            retired=sequencer.retired,
            queued=len(sequencer),
            in_flight=self._conductor.reorder_buffer.in_flight,
            early=len(self._conductor.reorder_buffer),
            parked=self._conductor.parked,
            workers=self._worker_statistics(),
            projections=self._projections.statistics(),
        )

    def log_digest(self) -> str:
        """A digest of everything that retired, the same for any number of workers (O6)."""
        return log_digest(self._store)

    def resolve(self, wanted: type[T]) -> T:
        """An injected object of scope APP in this process, such as a read model."""
        found: T = self._registry.injector.container.get(wanted)
        return found

    def wake(self) -> None:
        """Give the conductor a turn soon; called on the bus thread."""
        if not self._is_pump_due:
            self._is_pump_due = True
            self._loop.call_soon(self._pump)

    async def drain(self, timeout_s: float) -> bool:
        """Take no more commands, and wait until all accepted ones have settled; True: they have (X4)."""
        self._drained = asyncio.Event()
        self._entrance.close()
        self.wake()
        try:
            async with asyncio.timeout(timeout_s):
                await self._drained.wait()
        except TimeoutError:
            if left := len(self._conductor.sequencer):
                logger.warning("Closing gives up after %.1f s with %d messages unretired.", timeout_s, left)
        return self._conductor.is_settled

    async def _accept(self, offered: Draft, command_id: str | None, wait_s: float | None, trace: str) -> Receipt:
        self._check_open()
        await self._entrance.enter(wait_s)
        self._check_open()
        receipt = self._conductor.admit(offered, command_id, trace)
        page = self._conductor.page
        self.wake()
        if self._store.is_blocking and not page.is_empty:
            await page.durable.wait()
            if self._conductor.failure is not None:
                raise self._conductor.failure
        return receipt

    def _check_open(self) -> None:
        if self._conductor.failure is not None:
            raise self._conductor.failure
        if self._drained is not None:
            raise BusClosed

    async def _on_bus_loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await a coroutine of the bus from whatever loop the caller runs in."""
        if asyncio.get_running_loop() is self._loop:
            return await coroutine
        if self._loop.is_closed():
            coroutine.close()
            raise BusClosed
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    def _pump(self) -> None:
        self._is_pump_due = False
        if self._conductor.turn(TURN_LIMIT):
            self.wake()
        self._entrance.open_up()
        if self._conductor.failure is not None:
            self._entrance.close()
        if self._drained is not None and (self._conductor.is_settled or self._conductor.failure is not None):
            self._drained.set()

    def _worker_statistics(self) -> tuple[WorkerStatistics, ...]:
        if self._lane is None:
            return ()
        return tuple(
            WorkerStatistics(
                worker_id=one.worker_id,
                pid=one.pid,
                group=one.group,
                state=one.state,
                command=self._command_name(one.position),
                position=one.position,
                age_s=one.age_s,
                completed=one.completed,
            )
            for one in self._lane.vitals()
        )

    def _command_name(self, position: int) -> str:
        entry = self._conductor.sequencer.find(position)
        return "" if entry is None else self._registry.name_of(entry.type_id)
