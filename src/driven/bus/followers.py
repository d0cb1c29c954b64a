"""The followers of a log: everyone who is shown what got into the store. As long-lived as the bus; on its thread.

::

    page in the store --feed--> read models in memory     at once, on the bus thread
                          |---> projections that last     from the store, on the thread that appends
                          `---> notifiers                 from the store, each on a thread of its own

An application without followers that last pays for none.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from driven.bus.projections import Projections
from driven.errors import BusClosed, MisuseError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from driven.bus.committer import Committer
    from driven.bus.following.following import Following
    from driven.bus.following.notifier_statistics import NotifierStatistics
    from driven.bus.following.notifying import AttemptsOf, RunningNotifier
    from driven.bus.following.rebuild import Rebuild
    from driven.bus.projections import ProjectionStatistics
    from driven.service.event_store import EventStore, LoggedMessage
    from driven.service.registry import Registry


class Followers:
    """Who follows the log of one bus."""

    def __init__(
        self,
        projections: Projections,
        followings: Sequence[Following] = (),
        notifiers: Sequence[RunningNotifier] = (),
    ) -> None:
        """`followings` have the projections that last, those with tables together, each other on its own."""
        self._projections: Final = projections
        self._followings: Final = followings
        self._by_name: Final = {name: following for following in followings for name in following.names}
        self._notifiers: Final = notifiers
        self._is_started = False
        is_alone = not followings and not notifiers
        self.feed: Final[Callable[[Sequence[LoggedMessage]], None]] = projections.feed if is_alone else self._feed
        """Show newly logged messages, in position order, which are in the store."""
        self.is_waited_for: Final = bool(followings)
        """Whether receipts can be asked to wait for any of them."""

    async def catch_up(self, store: EventStore) -> None:
        """Show read models in memory what is in the log already; as `Projections.catch_up`."""
        await self._projections.catch_up(store)

    def start(self) -> None:
        """Go on from where an earlier bus was."""
        self._is_started = True
        for following in self._followings:
            following.start()
        for notifier in self._notifiers:
            notifier.start()

    def statistics(self) -> tuple[ProjectionStatistics, ...]:
        """How far each projection is."""
        lasting = (told for following in self._followings for told in following.statistics())
        return (*self._projections.statistics(), *lasting)

    def notifiers(self) -> tuple[NotifierStatistics, ...]:
        """How far each notifier is."""
        return tuple(notifier.statistics() for notifier in self._notifiers)

    def check(self, names: Collection[str]) -> None:
        """Refuse names that no projection that lasts has.

        Raises:
            MisuseError: one of them.

        """
        for name in names:
            if name not in self._by_name:
                known = ", ".join(sorted(self._by_name)) or "none"
                raise MisuseError(
                    f"{name!r} is no projection that lasts (there are: {known}); give the name that "
                    f"app.projection(...) was given. Read models in memory need no waiting for"
                )

    async def caught_up(self, names: Collection[str]) -> None:
        """Wait until these projections are done with everything that is in the store now; as `Following.caught_up`."""
        for name in names:
            await self._by_name[name].caught_up((name,))

    async def rebuild(self, name: str) -> Rebuild:
        """Build a projection anew, beside the one that is read; as `Following.rebuild`."""
        self.check((name,))
        return await self._by_name[name].rebuild(name)

    async def finish(self, left_s: float) -> None:
        """Let whoever can get to the end of the log, for so many seconds; then they go no further."""
        if not self._is_started:
            return
        for notifier in self._notifiers:
            notifier.finish()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                for following in self._followings:
                    await following.finish()
                for notifier in self._notifiers:
                    await notifier.ended.wait()
        for following in self._followings:
            following.close(BusClosed())
        for notifier in self._notifiers:
            notifier.stop()

    def _feed(self, messages: Sequence[LoggedMessage]) -> None:
        self._projections.feed(messages)
        if messages:
            end = messages[-1].envelope.position
            for following in self._followings:
                following.appended(end)
            for notifier in self._notifiers:
                notifier.appended(end)


def followers_of(
    registry: Registry,
    store: EventStore,
    committer: Committer,
    on_bus_thread: Callable[[Callable[[], object]], object],
    attempts_of: AttemptsOf,
) -> Followers:
    """Whoever follows the log of an application.

    `on_bus_thread` runs something there, soon, from any thread; `attempts_of` has notifiers called again.
    """
    projections = Projections(registry)
    followings: list[Following] = []
    notifiers: list[RunningNotifier] = []
    if registry.projections:
        from driven.bus.following.elsewhere import followings_of  # noqa: PLC0415 - most applications have none

        followings = followings_of(registry, store, committer.between, on_bus_thread)
    if registry.notifiers:
        from driven.bus.following.notifying import running_notifiers  # noqa: PLC0415 - as above

        notifiers = running_notifiers(registry, store, committer.between, on_bus_thread, attempts_of)
    return Followers(projections, followings, notifiers)
