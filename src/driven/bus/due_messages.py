"""Messages due later, as whoever operates a bus sees them: list and cancel. Belongs to a message bus; as long-lived."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from driven.service.aside import DueKey
from driven.service.built_in import Cancel
from driven.service.execution import refuse_reentry
from driven.service.naming import plain_text

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from driven.bus.receipts import Receipt
    from driven.service.built_in import BuiltIn
    from driven.service.event_store import EventStore


class DueCommand(msgspec.Struct, frozen=True):
    """A command that is due later, and has neither entered nor been cancelled."""

    cause: int
    """Position of what scheduled it: an event, or the submission; with `number` it names the command for ever."""
    number: int
    """Which one it is of those that its cause scheduled, from 1."""
    due_at: datetime
    """It does not enter before; UTC, cut to microseconds."""
    due_at_ns: int
    """The same in nanoseconds since the epoch."""
    name: str
    """Its stable name."""
    key: str | None
    root: int
    """Position of the root command that scheduled it in the end."""


class DueMessages:
    """What is due later."""

    def __init__(self, store: EventStore, accept: Callable[[BuiltIn], Coroutine[Any, Any, Receipt]]) -> None:
        """`accept` gives a built-in command its position."""
        self._store: Final = store
        self._accept: Final = accept

    async def list(self, *, after: DueCommand | None = None, limit: int = 100) -> tuple[DueCommand, ...]:
        """At most `limit` commands that are due later, in the order in which they enter, behind `after`."""
        key = None if after is None else DueKey(after.due_at_ns, after.cause, after.number)
        if self._store.is_blocking:
            found = await asyncio.to_thread(self._store.due, key, limit)
        else:
            found = self._store.due(key, limit)
        return tuple(
            DueCommand(
                cause=one.id.cause,
                number=one.id.number,
                due_at=_moment(one.scheduled.due_at_ns),
                due_at_ns=one.scheduled.due_at_ns,
                name=one.scheduled.name,
                key=one.scheduled.key,
                root=one.scheduled.correlation,
            )
            for one in found
        )

    def cancel(self, cause: int, number: int = 1, *, by: str = "", why: str = "") -> Coroutine[Any, Any, Receipt]:
        """Let a command that is due later not enter; awaiting the result gives the receipt of the cancel.

        Args:
            cause: position of what scheduled it; of one that was submitted, the position of its receipt.
            number: which one of those that its cause scheduled.
            by: who wants it, for the log.
            why: the reason, for the log.

        Raises:
            BusClosed: the bus takes no more commands.
            ReentrantDispatch: called from inside a handler or reaction (O7).

        `Receipt.handled` raises CommandFailed when it is not due any more.

        """
        refuse_reentry()
        return self._accept(Cancel(cause, number, plain_text("by", by), plain_text("why", why)))


def _moment(due_at_ns: int) -> datetime:
    seconds, nanoseconds = divmod(due_at_ns, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1_000)
