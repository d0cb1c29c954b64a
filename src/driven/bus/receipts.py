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
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from driven.domain.messages import Event
from driven.errors import BusClosed, CommandParked, MisuseError

if TYPE_CHECKING:
    from collections.abc import Collection

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


class Stages(msgspec.Struct, kw_only=True, gc=False, eq=False):
    """Something that is reached stage by stage, and the futures of those who wait for one of them.

    There is one for each command, so they are kept from the garbage collector: what waits is let go when its stage is
    reached, as every one is, in the end.
    """

    _reached: int = 0
    _waiters: dict[asyncio.Future[None], int] | None = None
    """Each with the stage that it waits for."""

    async def _until(self, stage: int) -> None:
        """Return once this stage is reached; may be called from any event loop."""
        if self._reached >= stage:
            return
        future = asyncio.get_running_loop().create_future()
        waiters = self._waiters
        if waiters is None:  # most are never waited for: a dict for each would be memory for nothing
            with _first_waiter:
                if self._waiters is None:  # else another thread was here, and is about to add its future
                    self._waiters = {}
                waiters = self._waiters
        waiters[future] = stage
        # _reach() sets the claim before it looks at these: either it finds this future there, or we see the claim
        if self._reached >= stage:
            return
        try:
            await future
        except asyncio.CancelledError:
            waiters.pop(future, None)  # perhaps _reach() was faster
            raise

    def _reach(self, stage: int) -> None:
        """Wake everybody who waits for this stage or an earlier one; called on the bus thread."""
        if self._reached < stage:
            self._reached = stage
            if self._waiters is not None:
                self._tell(self._waiters)

    def _tell(self, waiters: dict[asyncio.Future[None], int]) -> None:
        for future, stage in waiters.copy().items():  # whoever gives up in another thread takes himself out meanwhile
            if stage <= self._reached:
                waiters.pop(future, None)  # and with it the event loop of one who waited
                _wake(future)


class Milestone(Stages, gc=False, eq=False):
    """Something that is reached once."""

    @property
    def is_reached(self) -> bool:
        """Whether it was reached."""
        return self._reached > 0

    async def wait(self) -> None:
        """Return once it is reached; may be called from any event loop."""
        await self._until(1)

    def reach(self) -> None:
        """Wake everybody; called on the bus thread."""
        self._reach(1)


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


_STARTED: Final = 1
_HANDLED: Final = 2
_SETTLED: Final = 3
"""The stages of a receipt."""


class Receipt(Stages, gc=False, eq=False):
    """A command that was accepted: its position, its id, and the ways to wait for what comes of it.

    What it raises it makes anew each time: an error that it kept would hold the frames that it went through, and one
    of these the receipt.
    """

    position: int
    id: str
    _is_detached: bool = False
    _has_started: bool = False
    _failure: Callable[[], Exception] | None = None
    _abandoned: Callable[[], Exception] | None = None
    _events: Callable[[Any], tuple[Event, ...]] | None = None
    """None: it emitted nothing."""
    _emitted: Any = None
    _settlement: Settlement | Callable[[], Settlement] | None = None
    _followers: Any = None
    """`Followers`; None where no projection lasts."""

    def __repr__(self) -> str:
        """Position, id, and how far it came."""
        reached = "settled" if self.is_settled else "handled" if self.is_handled else "accepted"
        return f"<Receipt of command {self.id!r} at position {self.position}, {reached}>"

    @property
    def is_handled(self) -> bool:
        """Whether the command itself has retired."""
        return self._reached >= _HANDLED

    @property
    def is_settled(self) -> bool:
        """Whether the command and everything it caused has retired."""
        return self._reached >= _SETTLED

    async def started(self) -> None:
        """Wait until a detached command has retired as started; for any other command, until it has retired.

        Raises:
            CommandParked: it was set aside before it started.
            BusClosed: the bus closed before.

        """
        await self._until(_STARTED if self._is_detached else _HANDLED)
        if self._failure is not None and not self._has_started:
            failure = self._failure()
            if isinstance(failure, CommandParked | BusClosed):
                raise failure

    async def handled(self) -> CommandOutcome:
        """Wait until the command has retired; its outcome.

        Raises:
            CommandFailed: the handler failed; with the traceback of where it ran (F1). With ``on_failure`` it does not
                raise: the outcome has the event that the failure became.
            CommandParked: the command was set aside.
            BusClosed: the bus closed before.

        """
        if self._reached < _HANDLED:
            await self._until(_HANDLED)
        if self._failure is not None:
            raise self._failure()
        return CommandOutcome(self.position, () if self._events is None else self._events(self._emitted))

    async def settled(self, *, projections: Collection[str] = ()) -> Settlement:
        """Wait until the command and everything it caused has retired.

        With `projections`, names of such that last: and until each of them has written all of that.

        Raises:
            MisuseError: there is no projection of such a name.
            ProjectionStopped: one of these projections stands before that, and goes no further.
            BusClosed: the bus closed before.

        """
        followers = self._wanted_followers(projections) if projections else None
        await self._until(_SETTLED)
        if self._abandoned is not None:
            raise self._abandoned()
        if followers is not None:
            await followers.caught_up(projections)
        found = self._settlement
        assert found is not None  # noqa: S101 - it settled
        return found if isinstance(found, Settlement) else await asyncio.to_thread(found)  # it may read the whole log

    def follow(self, followers: Followers) -> None:
        """These can be waited for."""
        self._followers = followers

    def _wanted_followers(self, projections: Collection[str]) -> Followers:
        followers: Followers | None = self._followers
        if followers is None:
            raise MisuseError(
                f"the application has no projection that lasts, so none named {', '.join(projections)}; make one with "
                f"app.projection(...). Read models in memory need no waiting for"
            )
        followers.check(projections)
        return followers

    def will_start(self) -> None:
        """The command is a detached one."""
        self._is_detached = True

    def start(self) -> None:
        """It retired as started."""
        self._has_started = True
        self._reach(_STARTED)

    def succeed(self, events: Callable[[E], tuple[Event, ...]], emitted: E) -> None:
        """The command retired; `events` decodes what it `emitted`, if anything, when somebody asks."""
        if emitted:
            self._events, self._emitted = events, emitted
        self._reach(_HANDLED)

    def fail(self, failure: Callable[[], Exception]) -> None:
        """The command retired without having happened; `failure` makes what is raised."""
        self._failure = failure
        self._reach(_HANDLED)

    def settle(self, settlement: Settlement | Callable[[], Settlement]) -> None:
        """Everything it caused has retired; a `settlement` that has to be counted first is, when somebody asks."""
        self._settlement = settlement
        self._reach(_SETTLED)

    def abandon(self, failure: Callable[[], Exception]) -> None:
        """The bus is gone: whoever still waits is told why."""
        self._abandoned = failure
        if self._reached < _HANDLED:
            self.fail(failure)
        self._reach(_SETTLED)
