"""The synchronous face: the same bus for scripts, tests and notebooks, without an event loop of one's own.

The bus runs in a thread of its own; every call here hands a coroutine to that thread and waits. Safe from any thread
but that one: a handler, a projector or a hook that waited for the bus would wait for itself (O7).
"""

from __future__ import annotations

import concurrent.futures
from typing import TYPE_CHECKING, Any, Final, TypeVar

from driven.errors import BusClosed
from driven.service.built_in import Verb
from driven.service.execution import refuse_reentry

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Iterable, Sequence
    from datetime import datetime

    from driven.bus.due_messages import DueCommand, DueMessages
    from driven.bus.following.rebuild import Rebuild, RebuildProgress
    from driven.bus.loop_thread import LoopThread
    from driven.bus.message_bus import MessageBus
    from driven.bus.parked_messages import ParkedDetails, ParkedMessage, ParkedMessages
    from driven.bus.receipts import CommandOutcome, Receipt, Settlement
    from driven.bus.statistics import BusStatistics
    from driven.domain.messages import Command

T = TypeVar("T")


class SyncReceipt:
    """A `Receipt` whose waits block; giving up waiting cancels nothing (X1)."""

    def __init__(self, receipt: Receipt, bus: SyncBus) -> None:
        """Made by `SyncBus.submit`."""
        self._receipt = receipt
        self._bus = bus

    @property
    def position(self) -> int:
        """The command's place in the log."""
        return self._receipt.position

    @property
    def id(self) -> str:
        """The command's id."""
        return self._receipt.id

    @property
    def is_handled(self) -> bool:
        """Whether the command itself has retired."""
        return self._receipt.is_handled

    @property
    def is_settled(self) -> bool:
        """Whether the command and everything it caused has retired."""
        return self._receipt.is_settled

    def started(self, timeout_s: float | None = None) -> None:
        """Wait until a detached command has started; raises as `Receipt.started`, and TimeoutError."""
        self._bus.wait(self._receipt.started(), timeout_s)

    def handled(self, timeout_s: float | None = None) -> CommandOutcome:
        """Wait until the command has retired; raises as `Receipt.handled`, and TimeoutError."""
        return self._bus.wait(self._receipt.handled(), timeout_s)

    def settled(self, timeout_s: float | None = None, *, projections: Collection[str] = ()) -> Settlement:
        """Wait until everything it caused has retired; raises as `Receipt.settled`, and TimeoutError."""
        return self._bus.wait(self._receipt.settled(projections=projections), timeout_s)


class SyncRebuild:
    """A `Rebuild` whose waiting blocks."""

    def __init__(self, rebuild: Rebuild, bus: SyncBus) -> None:
        """Made by `SyncBus.rebuild`."""
        self._rebuild = rebuild
        self._bus = bus

    @property
    def progress(self) -> RebuildProgress:
        """How far it is."""
        return self._rebuild.progress

    def done(self, timeout_s: float | None = None) -> bool:
        """Wait until the new edition is the one that is read; raises as `Rebuild.done`, and TimeoutError."""
        return self._bus.wait(self._rebuild.done(), timeout_s)

    def cancel(self) -> None:
        """Give it up, and what was built of it."""
        self._rebuild.cancel()


class SyncParkedMessages:
    """A `ParkedMessages` whose calls block; it belongs to a `SyncBus`."""

    def __init__(self, bus: SyncBus) -> None:
        """Made with `bus`."""
        self._bus: Final = bus

    def list(self, *, key: str | None = None, after: int = 0, limit: int = 100) -> tuple[ParkedMessage, ...]:
        """What is parked; as `ParkedMessages.list`."""
        return self._bus.wait(self._bus.parked_messages.list(key=key, after=after, limit=limit), None)

    def show(self, position: int) -> ParkedDetails:
        """One of them with all that is known about it; raises as `ParkedMessages.show`."""
        return self._bus.wait(self._bus.parked_messages.show(position), None)

    def retry(self, *, key: str | None = None, position: int = 0, by: str = "", why: str = "") -> SyncReceipt:
        """Let all of it enter again; as `ParkedMessages.retry`."""
        return self._redrive(Verb.RETRY, key, position, by, why)

    def skip(self, *, key: str | None = None, position: int = 0, by: str = "", why: str = "") -> SyncReceipt:
        """Give the oldest up, and let the others enter again; as `ParkedMessages.skip`."""
        return self._redrive(Verb.SKIP, key, position, by, why)

    def release(self, *, key: str | None = None, position: int = 0, by: str = "", why: str = "") -> SyncReceipt:
        """Open the key for what comes; as `ParkedMessages.release`."""
        return self._redrive(Verb.RELEASE, key, position, by, why)

    def discard(self, *, key: str | None = None, position: int = 0, by: str = "", why: str = "") -> SyncReceipt:
        """Give all of it up; as `ParkedMessages.discard`."""
        return self._redrive(Verb.DISCARD, key, position, by, why)

    def _redrive(self, verb: Verb, key: str | None, position: int, by: str, why: str) -> SyncReceipt:
        redrive = self._bus.parked_messages.redrive(verb, key=key, position=position, by=by, why=why)
        return SyncReceipt(self._bus.wait(redrive, None), self._bus)


class SyncDueMessages:
    """A `DueMessages` whose calls block; it belongs to a `SyncBus`."""

    def __init__(self, bus: SyncBus) -> None:
        """Made with `bus`."""
        self._bus: Final = bus

    def list(self, *, after: DueCommand | None = None, limit: int = 100) -> tuple[DueCommand, ...]:
        """What is due later; as `DueMessages.list`."""
        return self._bus.wait(self._bus.due_messages.list(after=after, limit=limit), None)

    def cancel(self, cause: int, number: int = 1, *, by: str = "", why: str = "") -> SyncReceipt:
        """Let one of them not enter; as `DueMessages.cancel`."""
        receipt = self._bus.wait(self._bus.due_messages.cancel(cause, number, by=by, why=why), None)
        return SyncReceipt(receipt, self._bus)


class SyncBus:
    """A `MessageBus` whose calls block; open one with `driven.open_bus_sync`."""

    def __init__(self, bus: MessageBus, loop: LoopThread) -> None:
        """`bus` lives in `loop`."""
        self._bus: Final = bus
        self._loop: Final = loop
        self.parked: Final = SyncParkedMessages(self)
        """What is parked, and the verbs that bring it back or give it up (F3)."""
        self.due: Final = SyncDueMessages(self)
        """What is due later."""

    def submit(
        self,
        command: Command,
        *,
        command_id: str | None = None,
        wait_s: float | None = None,
        trace: str = "",
        deliver_at: datetime | None = None,
    ) -> SyncReceipt:
        """Put a command on the bus and return its receipt once it is accepted; raises as `MessageBus.submit`."""
        refuse_reentry()
        coroutine = self._bus.submit(command, command_id=command_id, wait_s=wait_s, trace=trace, deliver_at=deliver_at)
        return SyncReceipt(self.wait(coroutine, None), self)

    def submit_all(self, commands: Iterable[Command], *, trace: str = "") -> list[SyncReceipt]:
        """Put many commands on the bus, in this order; returns once all are accepted. As `MessageBus.submit_all`."""
        refuse_reentry()
        receipts = self.wait(self._bus.submit_all(commands, trace=trace), None)
        return [SyncReceipt(receipt, self) for receipt in receipts]

    def handle(
        self, command: Command, *, command_id: str | None = None, timeout_s: float | None = None
    ) -> CommandOutcome:
        """Submit a command and wait until it has retired."""
        return self.submit(command, command_id=command_id).handled(timeout_s)

    def statistics(self) -> BusStatistics:
        """A look at the bus and its workers, now."""

        async def look() -> BusStatistics:
            return self._bus.statistics()

        return self.wait(look(), None)

    def log_digest(self) -> str:
        """A digest of everything that retired, the same for any number of workers (O6)."""
        return self._bus.log_digest()

    def rebuild(self, projection: str) -> SyncRebuild:
        """Build a projection anew, beside the one that is read; returns once it has begun."""
        refuse_reentry()
        return SyncRebuild(self.wait(self._bus.rebuild(projection), None), self)

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What a reading statement finds in the tables of projections."""
        return self._bus.query(sql, parameters)

    @property
    def due_messages(self) -> DueMessages:
        """Those of the bus itself."""
        return self._bus.due

    @property
    def parked_messages(self) -> ParkedMessages:
        """Those of the bus itself."""
        return self._bus.parked

    def resolve(self, wanted: type[T]) -> T:
        """An injected object of scope APP in this process, such as a read model."""
        return self._bus.resolve(wanted)

    def drain(self, timeout_s: float) -> bool:
        """Take no more commands, and wait until all accepted ones have settled; True: they have. As `MessageBus.drain`.

        Raises:
            ReentrantDispatch: called from inside the bus, which would wait for itself (O7).

        """
        try:
            return self.wait(self._bus.drain(timeout_s), None)
        except BusClosed:
            return self._bus.is_settled

    def wait(self, coroutine: Coroutine[Any, Any, T], timeout_s: float | None) -> T:
        """Run a coroutine on the bus's loop and wait for it.

        Raises:
            TimeoutError: it takes longer than `timeout_s` seconds; only the waiting ends.
            BusClosed: the bus is gone.
            ReentrantDispatch: called from inside the bus, which would wait for itself (O7).

        """
        try:
            refuse_reentry()
        except BaseException:
            coroutine.close()
            raise
        future = self._loop.call(coroutine)
        try:
            return future.result(timeout_s)
        except TimeoutError:
            future.cancel()
            raise
        except concurrent.futures.CancelledError:
            raise BusClosed from None
