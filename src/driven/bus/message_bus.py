"""The message bus: the face of the conductor towards tasks and threads.

::

    any loop, any thread --submit--> Entrance --> Conductor.admit
                                                      ^  turn, after every burst
    lane (doorbells) ------------------ wake ---------'
    store thread ---------------------- done ---------'

It owns the rhythm: when something has come in, it gives the conductor a turn. It lives in one event loop, whose thread
is the bus thread; that loop stays responsive, as a turn is bounded. What order is, the conductor knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from driven.bus.alarm import Alarm
from driven.bus.due_messages import DueMessages
from driven.bus.entrance import Entrance
from driven.bus.observer import Observer
from driven.bus.parked_messages import ParkedMessages
from driven.bus.shared_statistics import Publisher
from driven.bus.visits import Visits
from driven.domain.later import nanoseconds_of
from driven.errors import BusClosed
from driven.service.built_in import Schedule
from driven.service.event_store import log_digest
from driven.service.execution import refuse_reentry
from driven.service.intake import Draft, draft
from driven.service.naming import plain_text

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence
    from datetime import datetime

    from driven.bus.conductor import Conductor
    from driven.bus.followers import Followers
    from driven.bus.following.rebuild import Rebuild
    from driven.bus.inline_progress import InlineProgress
    from driven.bus.journal import Page
    from driven.bus.lane import Lane
    from driven.bus.receipts import CommandOutcome, Receipt
    from driven.bus.statistics import BusStatistics
    from driven.domain.messages import Command
    from driven.service.built_in import BuiltIn
    from driven.service.event_store import EventStore
    from driven.service.registry import Registry
    from driven.settings import BusSettings

logger = logging.getLogger("driven.bus")

Admit = Callable[[Any, str | None, str], "Receipt"]
"""Gives what was offered its position, under an id that its caller gave if any, with a trace."""
T = TypeVar("T")

TURN_LIMIT: Final = 512
"""Messages that retire in one turn, at most, before the event loop gets to do other things."""


LONGEST_KEPT_BACK_S: Final = 0.01
"""How long a command that is alone may run on a worker and not be in the log, where the store never waits."""


class MessageBus:
    """Takes commands, and gives receipts; open one with `driven.open_bus`."""

    def __init__(  # noqa: PLR0913 - one argument per organ
        self,
        *,
        registry: Registry,
        conductor: Conductor,
        store: EventStore,
        followers: Followers,
        lane: Lane | None,
        settings: BusSettings,
        progress: InlineProgress,
        inline_because: str = "",
    ) -> None:
        """Made by `open_bus`, inside the event loop it is to live in."""
        self._registry: Final = registry
        self._conductor: Final = conductor
        self._admit: Final = conductor.reception.command
        self._send_lone: Final = conductor.lone_commands().send
        self._store: Final = store
        self._followers: Final = followers
        self._awaited: Final = followers if followers.is_waited_for else None
        self._waits_for_store: Final = store.is_blocking and store.durability != "none"
        self._loop: Final = asyncio.get_running_loop()
        self._entrance: Final = Entrance(settings.max_pending, conductor.sequencer.__len__)
        self._observer: Final = Observer(
            registry, conductor, followers, lane, progress=progress, inline_because=inline_because
        )
        self._publisher: Final = Publisher(self._observer.look, self._loop)
        progress.on_told = self._publisher.post_if_due
        self._is_pump_due = False
        self._flushing: asyncio.TimerHandle | None = None
        """The turn that sees to it that no lone command waits long to get into the log."""
        self._is_turning = False
        self._accepted_since_pump = 0
        self._context: Final = contextvars.copy_context()
        """What handlers see of context variables: neither those of a submitter, nor of whoever wakes the bus (O6)."""
        self._drained: asyncio.Event | None = None
        self.parked: Final = ParkedMessages(store, registry.catalog, self._accept_built_in)
        """What is parked, and the verbs that bring it back or give it up (F3)."""
        self.due: Final = DueMessages(store, self._accept_built_in)
        """What is due later."""
        self._alarm: Final = Alarm(self._loop, conductor.clock_ns, self.wake)
        self._visits: Final = Visits(self._loop)

    def submit(
        self,
        command: Command,
        *,
        command_id: str | None = None,
        wait_s: float | None = None,
        trace: str = "",
        deliver_at: datetime | None = None,
    ) -> Coroutine[Any, Any, Receipt]:
        """Put a command on the bus; awaiting the result gives its receipt once it is accepted (U4).

        Safe from any thread and any event loop (O8).

        Args:
            command: what is to be done.
            command_id: unique in the log for ever; a second submit of the same command under it gives the receipt of
                the first, and what came of it (U5). It does not begin with ``@``.
            wait_s: seconds to wait at a full entrance; None: as long as it takes; 0: not at all.
            trace: trace context to carry along.
            deliver_at: when it is due, a moment with a time zone; None: at once. The receipt is then that of the
                submission: it is handled, and settles, when the command is on the agenda. With its position the
                command can be cancelled (`due.cancel`).

        Raises:
            UnknownCommand, EmptyKey, MalformedMessage: the command cannot be accepted.
            CommandIdReused: another command was accepted under this id.
            BusFull: there was no room in time.
            BusClosed: the bus takes no more commands.
            ReentrantDispatch: called from inside a handler or reaction (O7).

        """
        refuse_reentry()
        if command_id is not None:
            command_id = plain_text("command_id", command_id)
            if not command_id or command_id.startswith("@"):
                text = f"command_id {command_id!r} is empty or begins with '@', as the bus's own ids do; choose another"
                raise ValueError(text)
        if trace != "":  # what is no text at all is refused, empty or not
            trace = plain_text("trace", trace)
        offered = draft(self._registry, command)
        if deliver_at is None:
            return self._accept(offered, command_id, wait_s, trace)
        known = self._registry.catalog.entries[offered.type_id]
        due_at_ns = nanoseconds_of(deliver_at)
        schedule = Schedule(due_at_ns, known.name, known.version, offered.body, offered.key)
        return self._accept(schedule, command_id, wait_s, trace, self._conductor.reception.built_in)

    def submit_all(self, commands: Iterable[Command], *, trace: str = "") -> Coroutine[Any, Any, list[Receipt]]:
        """Put many commands on the bus, in this order, for less than submitting each; gives their receipts.

        All are checked before the first is accepted, and each waits for room as long as it takes. Commands of other
        submitters may come between them. Safe from any thread and any event loop (O8).

        Raises:
            UnknownCommand, EmptyKey, MalformedMessage: one of them cannot be accepted; none was.
            BusClosed: the bus takes no more commands; those that were accepted by then drain with the others.
            ReentrantDispatch: called from inside a handler or reaction (O7).

        """
        refuse_reentry()
        if trace != "":  # as above
            trace = plain_text("trace", trace)
        return self._accept_all([draft(self._registry, command) for command in commands], trace)

    def handle(self, command: Command, *, command_id: str | None = None) -> Coroutine[Any, Any, CommandOutcome]:
        """Submit a command and wait until it has retired; raises what `submit` and `Receipt.handled` raise."""
        refuse_reentry()
        return self._handle(command, command_id)

    def receipt(self, command_id: str) -> Receipt | None:
        """The receipt of a command that was accepted under this id, whenever that was; None: none was (U5)."""
        return self._conductor.reception.receipt(command_id)

    @property
    def last_position(self) -> int:
        """The highest position that was given in this log."""
        return self._conductor.sequencer.last_position

    @property
    def is_open(self) -> bool:
        """Whether it takes commands."""
        return self._conductor.failure is None and self._drained is None

    def statistics(self) -> BusStatistics:
        """A look at the bus and its workers, now; made from outside, it costs the workers nothing."""
        return self._observer.look()

    def log_digest(self) -> str:
        """A digest of everything that retired, the same for any number of workers (O6)."""
        return log_digest(self._store)

    def rebuild(self, projection: str) -> Coroutine[Any, Any, Rebuild]:
        """Build a projection anew from the first event, beside the one that is read, and let it take its place (X2).

        Awaiting the result begins it; `Rebuild.done` waits for the end. One that is under way already is joined.
        Reactions and notifiers have no part in it.

        Raises:
            MisuseError: there is no projection of this name that lasts.
            BusClosed: the bus is closed.
            ReentrantDispatch: called from inside a handler or reaction (O7).

        """
        refuse_reentry()
        return self._followers.rebuild(projection)

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What a reading statement finds in the tables of projections; it takes as long as it takes, on this thread.

        Raises:
            StoreFailed: it is no statement that reads, or cannot be run.

        """
        return self._store.query(sql, parameters)

    def resolve(self, wanted: type[T]) -> T:
        """An injected object of scope APP in this process, such as a read model."""
        found: T = self._registry.injector.container.get(wanted)
        return found

    @property
    def is_settled(self) -> bool:
        """Whether everything that was accepted has retired and is in the store."""
        return self._conductor.is_settled

    def wake(self) -> None:
        """Give the conductor a turn soon; called on the bus thread."""
        if not self._is_pump_due:
            self._is_pump_due = True
            self._loop.call_soon(self._pump, context=self._context)

    def turn_now(self) -> None:
        """Give the conductor a turn at once, for a lane that has told it something; called on the bus thread."""
        if self._is_turning or self._is_pump_due:  # a second pump beside the one that is due would never end again
            self.wake()
        else:
            self._context.run(self._pump)

    async def drain(self, timeout_s: float) -> bool:
        """Take no more commands, and wait until all accepted ones have settled; True: they have (X4).

        Safe from any thread and any event loop, as often as you like, also when the bus is closed already (D4).
        """
        if asyncio.get_running_loop() is not self._loop:
            with contextlib.suppress(BusClosed):
                return await asyncio.wrap_future(self._visits.receive(self.drain(timeout_s)))
            return self.is_settled
        self._drained = self._drained or asyncio.Event()
        self._entrance.close()
        self._conductor.agenda.close()
        self._alarm.set(None)
        self.wake()
        try:
            async with asyncio.timeout(timeout_s):
                await self._drained.wait()
        except TimeoutError:
            if left := len(self._conductor.sequencer):
                logger.warning("Closing gives up after %.1f s with %d messages unretired.", timeout_s, left)
        return self.is_settled

    def give_up(self) -> None:
        """Let go of whatever has not settled: its receipts raise, and a `drain` that waits returns."""
        self._conductor.give_up()
        self._open_up()

    async def see_off(self) -> None:
        """Let no one in from other event loops any more, and serve to the end who is in: they are told of the close."""
        await self._visits.see_off()
        self._publisher.close()

    async def _handle(self, command: Command, command_id: str | None) -> CommandOutcome:
        receipt = await self.submit(command, command_id=command_id)
        return await receipt.handled()

    async def _accept(
        self,
        offered: Any,  # noqa: ANN401 - what `admit` takes
        command_id: str | None,
        wait_s: float | None,
        trace: str,
        admit: Admit | None = None,
    ) -> Receipt:
        """Take in what was `offered`, a draft; or what `admit` takes instead."""
        if asyncio.get_running_loop() is not self._loop:
            return await asyncio.wrap_future(
                self._visits.receive(self._accept(offered, command_id, wait_s, trace, admit))
            )
        if not self._entrance.places:
            self._check_open()
            await self._entrance.enter(wait_s)
        try:
            self._check_open()
            receipt = (admit or self._admit)(offered, command_id, trace)
        finally:  # when nothing was admitted as well: the place goes to the next at the entrance
            if not self._is_pump_due:
                self._see_to_it()
        if self._awaited is not None:
            receipt.follow(self._awaited)
        if self._waits_for_store:
            await self._until_durable(self._conductor.page)
        self._accepted_since_pump += 1
        if self._accepted_since_pump >= TURN_LIMIT:
            await asyncio.sleep(0)  # whoever submits in a loop lets the bus work meanwhile
        return receipt

    def _see_to_it(self) -> None:
        """Give the conductor a turn soon, unless all there is to do is to send one command to a worker."""
        if not self._send_lone():
            self.wake()
        elif self._flushing is None:
            self._flushing = self._loop.call_later(LONGEST_KEPT_BACK_S, self._flush)

    def _flush(self) -> None:
        self._flushing = None
        self.wake()

    async def _accept_all(self, offered: Sequence[Draft], trace: str) -> list[Receipt]:
        if asyncio.get_running_loop() is not self._loop:
            return await asyncio.wrap_future(self._visits.receive(self._accept_all(offered, trace)))
        receipts: list[Receipt] = []
        while (count := len(receipts)) < len(offered):
            if not (places := self._entrance.places):
                self._check_open()
                await self._entrance.enter(None)  # one place, and perhaps others wait for the next
            try:
                self._check_open()
                several = offered[count : count + min(places or 1, TURN_LIMIT)]
                receipts += [self._admit(one, None, trace) for one in several]
            finally:
                self.wake()
            self._accepted_since_pump += len(several)
            if self._accepted_since_pump >= TURN_LIMIT:
                await asyncio.sleep(0)
        for receipt in receipts if self._awaited is not None else ():
            receipt.follow(self._followers)
        if self._waits_for_store:
            await self._until_durable(self._conductor.page)
        return receipts

    async def _until_durable(self, page: Page) -> None:
        if page.is_empty:
            return
        await page.decided.wait()
        if not page.is_in_store:
            self._check_open()

    async def _accept_built_in(self, command: BuiltIn) -> Receipt:
        """Whoever operates the bus does not wait at the entrance: what he wants may be what makes room."""
        if asyncio.get_running_loop() is not self._loop:
            return await asyncio.wrap_future(self._visits.receive(self._accept_built_in(command)))
        self._check_open()
        receipt = self._conductor.reception.built_in(command)
        self.wake()
        if self._waits_for_store:
            await self._until_durable(self._conductor.page)
        return receipt

    def _check_open(self) -> None:
        if self._conductor.failure is not None:
            raise BusClosed(self._conductor.failure.reason)
        if self._drained is not None:
            raise BusClosed

    def _pump(self) -> None:
        self._is_pump_due = False
        self._accepted_since_pump = 0
        self._is_turning = True
        try:
            if self._conductor.turn(TURN_LIMIT):
                self.wake()
        finally:  # a turn raises what ends programs; whoever waits is let go all the same
            self._is_turning = False
            if not self._conductor.agenda.is_empty:
                self._alarm.set(self._conductor.agenda.next_due_ns)
            self._publisher.stir()
            self._open_up()

    def _open_up(self) -> None:
        """Let in who has room now, and notice that there is nothing left to wait for."""
        self._entrance.open_up()
        if self._conductor.failure is not None:
            self._entrance.close()
        if self._drained is not None and (self._conductor.is_settled or self._conductor.failure is not None):
            self._drained.set()
