"""Receipts: what a submitter holds of a command that was accepted.

What can be waited for (X1)::

    accepted    submit() returned: the command has its position and will be taken up
    started     a detached command has retired as started (O9); of any other command: the same as handled
    handled     the command itself has retired; a detached one: its outcome has
    settled     and so has everything it caused

Giving up waiting cancels nothing. A receipt may be awaited from any event loop, any number of times; it is reached
on the bus thread. It lives as long as somebody holds it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from driven.domain.messages import Event
from driven.errors import CommandParked, MisuseError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from driven.bus.followers import Followers

E = TypeVar("E")


class CommandOutcome(msgspec.Struct, frozen=True):
    """What a handled command did: its place in the log, and its events in emission order."""

    position: int
    events: tuple[Event, ...]


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """What came of a root command and everything it caused."""

    messages: int
    """How many messages retired, the root among them."""
    failed: int
    """How many of them failed and were passed over."""
    parked: int
    """How many of them are parked, and so did not happen."""


_first_waiter: Final = threading.Lock()


class Milestone(msgspec.Struct, gc=False, eq=False):
    """Something that is reached once, and the futures of those who wait for it.

    There are several for each command, so they are kept from the garbage collector: what waits is let go when the
    milestone is reached, as every one is, in the end.
    """

    is_reached: bool = False
    """Whether it was reached."""
    _waiters: list[asyncio.Future[None]] | None = None

    async def wait(self) -> None:
        """Return once it is reached; may be called from any event loop."""
        if self.is_reached:
            return
        future = asyncio.get_running_loop().create_future()
        waiters = self._waiters
        if waiters is None:  # most are never waited for: a list for each would be the garbage collector's burden
            with _first_waiter:
                waiters = self._waiters = self._waiters or []
        waiters.append(future)
        # reach() sets the claim before it looks at the list: either it finds this future there, or we see the claim
        if self.is_reached:
            return
        try:
            await future
        except asyncio.CancelledError:
            with contextlib.suppress(ValueError):  # reach() was faster
                waiters.remove(future)
            raise

    def reach(self) -> None:
        """Wake everybody; called on the bus thread."""
        if self.is_reached:
            return
        self.is_reached = True
        waiters = self._waiters
        if waiters is None:
            return
        for future in tuple(waiters):  # a copy: whoever gives up in another thread takes himself out meanwhile
            _wake(future)
        self._waiters = None  # the futures, and with them the event loops, of those who waited


def _wake(future: asyncio.Future[None]) -> None:
    loop = future.get_loop()
    try:
        if asyncio._get_running_loop() is loop:  # noqa: SLF001 - documented for this use by asyncio
            _finish(future)
        else:
            loop.call_soon_threadsafe(_finish, future)
    except RuntimeError:  # its loop was closed: nobody waits there any more (`suppress` would cost a microsecond)
        pass


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Receipt:
    """A command that was accepted: its position, its id, and the ways to wait for what comes of it."""

    __slots__ = (
        "_abandoned",
        "_emitted",
        "_events",
        "_failure",
        "_followers",
        "_handled",
        "_has_started",
        "_settled",
        "_settlement",
        "_started",
        "id",
        "position",
    )

    def __init__(self, position: int, command_id: str) -> None:
        """Made by the bus."""
        self.position: Final = position
        self.id: Final = command_id
        self._handled = Milestone()
        self._started: Milestone | None = None
        self._has_started = False
        self._settled = Milestone()
        self._failure: Exception | None = None
        self._abandoned: Exception | None = None
        self._events: Callable[[Any], tuple[Event, ...]]
        self._emitted: Any
        self._settlement: Settlement | Callable[[], Settlement]
        self._followers: Followers
        """Missing where no projection lasts: one assignment less for each command."""

    def __repr__(self) -> str:
        """Position, id, and how far it came."""
        reached = "settled" if self._settled.is_reached else "handled" if self._handled.is_reached else "accepted"
        return f"<Receipt of command {self.id!r} at position {self.position}, {reached}>"

    @property
    def is_handled(self) -> bool:
        """Whether the command itself has retired."""
        return self._handled.is_reached

    @property
    def is_settled(self) -> bool:
        """Whether the command and everything it caused has retired."""
        return self._settled.is_reached

    async def started(self) -> None:
        """Wait until a detached command has retired as started; for any other command, until it has retired.

        Raises:
            CommandParked: it was set aside before it started.
            BusClosed: the bus closed before.

        """
        started = self._started
        await (started or self._handled).wait()
        if self._failure is not None and (self._failure is self._abandoned or isinstance(self._failure, CommandParked)):
            if started is not None and self._has_started:
                return
            raise self._failure.with_traceback(None)

    async def handled(self) -> CommandOutcome:
        """Wait until the command has retired; its outcome.

        Raises:
            CommandFailed: the handler failed; with the traceback of where it ran (F1). With ``on_failure`` it does not
                raise: the outcome has the event that the failure became.
            CommandParked: the command was set aside.
            BusClosed: the bus closed before.

        """
        if not self._handled.is_reached:
            await self._handled.wait()
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        return CommandOutcome(self.position, self._events(self._emitted))

    async def settled(self, *, projections: Collection[str] = ()) -> Settlement:
        """Wait until the command and everything it caused has retired.

        With `projections`, names of such that last: and until each of them has written all of that.

        Raises:
            MisuseError: there is no projection of such a name.
            ProjectionStopped: one of these projections stands before that, and goes no further.
            BusClosed: the bus closed before.

        """
        followers = self._wanted_followers(projections) if projections else None
        if not self._settled.is_reached:
            await self._settled.wait()
        if self._abandoned is not None:
            raise self._abandoned.with_traceback(None)
        if followers is not None:
            await followers.caught_up(projections)
        found = self._settlement
        return found if isinstance(found, Settlement) else await asyncio.to_thread(found)  # it may read the whole log

    def follow(self, followers: Followers) -> None:
        """These can be waited for."""
        self._followers = followers

    def _wanted_followers(self, projections: Collection[str]) -> Followers:
        followers: Followers | None = getattr(self, "_followers", None)
        if followers is None:
            raise MisuseError(
                f"the application has no projection that lasts, so none named {', '.join(projections)}; make one with "
                f"app.projection(...). Read models in memory need no waiting for"
            )
        followers.check(projections)
        return followers

    def will_start(self) -> None:
        """The command is a detached one."""
        self._started = Milestone()

    def start(self) -> None:
        """It retired as started."""
        self._has_started = True
        if self._started is not None:
            self._started.reach()

    def succeed(self, events: Callable[[E], tuple[Event, ...]], emitted: E) -> None:
        """The command retired; `events` decodes what it `emitted`, when somebody asks."""
        self._events, self._emitted = events, emitted
        self._handled.reach()

    def fail(self, failure: Exception) -> None:
        """The command retired without having happened."""
        self._failure = failure
        self._handled.reach()
        if self._started is not None:
            self._started.reach()

    def settle(self, settlement: Settlement | Callable[[], Settlement]) -> None:
        """Everything it caused has retired; a `settlement` that has to be counted first is, when somebody asks."""
        self._settlement = settlement
        self._settled.reach()

    def abandon(self, failure: Exception) -> None:
        """The bus is gone: whoever still waits is told why."""
        self._abandoned = failure
        if not self._handled.is_reached:
            self.fail(failure)
        self._settled.reach()
