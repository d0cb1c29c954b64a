"""A rebuild: one projection that is being built anew, as whoever asked for it sees it.

It is made by the bus, belongs to whoever asked, and may be let go of at any time: that cancels nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from driven.bus.receipts import Milestone

if TYPE_CHECKING:
    from collections.abc import Callable


class RebuildProgress(msgspec.Struct, frozen=True):
    """How far an edition is that is being built beside the live one."""

    projection: str
    position: int
    """Everything up to here is in it."""
    end: int
    """Where the log ends, now."""
    stopped_by: str | None = None
    """Why it goes no further; None: it goes on."""

    @property
    def fraction(self) -> float:
        """From 0.0 to 1.0; 1.0 for an empty log."""
        return self.position / self.end if self.end else 1.0


class Rebuild:
    """One projection on its way to a new edition; `MessageBus.rebuild` gives it."""

    def __init__(self, look: Callable[[], RebuildProgress], cancel: Callable[[], None]) -> None:
        """Made by the bus."""
        self._look: Final = look
        self._cancel: Final = cancel
        self._over: Final = Milestone()
        self._is_live = False
        self._failure: Exception | None = None

    @property
    def progress(self) -> RebuildProgress:
        """How far it is."""
        return self._look()

    async def done(self) -> bool:
        """Wait until the new edition is the one that is read; False: it was cancelled. From any event loop.

        Raises:
            ProjectionStopped: it raised at an event; the old edition is read as before.
            BusClosed: the bus closed before. The next one goes on with it.

        """
        await self._over.wait()
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        return self._is_live

    def cancel(self) -> None:
        """Give it up, and what was built of it; harmless when it is over. From any thread."""
        self._cancel()

    def end(self, failure: Exception | None, *, is_live: bool) -> None:
        """It is over; called on the bus thread."""
        self._failure, self._is_live = failure, is_live
        self._over.reach()
