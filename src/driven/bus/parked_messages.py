"""Parked messages, as whoever operates a bus sees them: list, show, and the four verbs of a redrive (F3).

Reading asks the store, and sees what is in it. A verb is a command of its own: it gets a position and a receipt, and
does what it does when it is at the head. Belongs to a message bus, and lives as long.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from driven.errors import MalformedMessage, MisuseError, NothingParked, UnreadableMessage
from driven.service.built_in import Redrive, Verb
from driven.service.event_store import MessageKind
from driven.service.execution import refuse_reentry
from driven.service.naming import plain_text
from driven.wire import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from driven.bus.receipts import Receipt
    from driven.service.built_in import BuiltIn
    from driven.service.catalog import Catalog
    from driven.service.event_store import EventStore, ParkedRecord

LONGEST_TEXT: Final = 1_000
"""Characters of who and why that a redrive takes."""


class ParkedMessage(msgspec.Struct, frozen=True):
    """A message that is parked."""

    position: int
    name: str
    """Its stable name."""
    is_event: bool
    """Whether it is an event, of which some reactions failed."""
    key: str | None
    """The key that it holds up, and behind which it stands; None: it stands alone."""
    reason: str
    """Why it was parked."""
    root: int
    """Position of the root command that it began with."""
    accepted_at: datetime
    """When it got its position, UTC."""
    attempts: int
    is_released: bool
    """Whether it holds up its key no longer."""
    redrives: int
    """Position at which it was parked before, and redriven; 0: it was not."""


class ParkedDetails(ParkedMessage, frozen=True):
    """A parked message with all that is known about it."""

    message: Any
    """The message itself; None if the application cannot read it any more."""
    failures: tuple[Failure, ...]
    """What went wrong, with tracebacks; of an event one for each reaction that failed."""
    reactions: tuple[str, ...]
    """Of an event: the names of the reactions that failed, and that a retry runs; none: all of them."""


class ParkedMessages:
    """What is parked, and what to do about it."""

    def __init__(
        self, store: EventStore, catalog: Catalog, accept: Callable[[BuiltIn], Coroutine[Any, Any, Receipt]]
    ) -> None:
        """`accept` gives a built-in command its position."""
        self._store: Final = store
        self._catalog: Final = catalog
        self._accept: Final = accept

    async def list(self, *, key: str | None = None, after: int = 0, limit: int = 100) -> tuple[ParkedMessage, ...]:
        """At most `limit` parked messages behind position `after`, in position order; of one key if it is given."""
        records = await self._read(after, limit, key)
        return tuple(ParkedMessage(**_facts(record)) for record in records)

    async def show(self, position: int) -> ParkedDetails:
        """One parked message with all that is known about it.

        Raises:
            NothingParked: there is none at this position.

        """
        record = next(iter(await self._read(position - 1, 1, None)), None)
        if record is None or record.message.envelope.position != position:
            raise NothingParked(f"at position {position}")
        aside = record.outcome.aside
        return ParkedDetails(
            **_facts(record),
            message=self._decoded(record),
            failures=record.outcome.failures,
            reactions=aside.reactions if aside is not None else (),
        )

    def retry(
        self, *, key: str | None = None, position: int = 0, by: str = "", why: str = ""
    ) -> Coroutine[Any, Any, Receipt]:
        """Let all that is parked of a key enter again, in its order; or the message at a position, which has no key.

        Awaiting the result gives a receipt: `handled` when it has entered, `settled` when all of it has retired, and
        what it led to. What fails again is parked again.

        Args:
            key: the key; a message that has one is never redriven alone, as that would change its order.
            position: of a parked message; if it has a key, this means the key.
            by: who wants it, for the log.
            why: the reason, for the log.

        Raises:
            MisuseError: neither a key nor a position is given, or both.
            BusClosed: the bus takes no more commands.
            ReentrantDispatch: called from inside a handler or reaction (O7).

        `Receipt.handled` raises CommandFailed when nothing is parked there, or is of a type that is gone.

        """
        return self.redrive(Verb.RETRY, key=key, position=position, by=by, why=why)

    def skip(
        self, *, key: str | None = None, position: int = 0, by: str = "", why: str = ""
    ) -> Coroutine[Any, Any, Receipt]:
        """Give up the oldest that is parked of a key, and let all behind it enter again; otherwise as `retry`."""
        return self.redrive(Verb.SKIP, key=key, position=position, by=by, why=why)

    def release(
        self, *, key: str | None = None, position: int = 0, by: str = "", why: str = ""
    ) -> Coroutine[Any, Any, Receipt]:
        """Open a key for what comes, and leave what is parked of it where it is; otherwise as `retry`.

        It can still be retried, behind what has happened meanwhile, or given up.
        """
        return self.redrive(Verb.RELEASE, key=key, position=position, by=by, why=why)

    def discard(
        self, *, key: str | None = None, position: int = 0, by: str = "", why: str = ""
    ) -> Coroutine[Any, Any, Receipt]:
        """Give up all that is parked of a key, and open it; otherwise as `retry`."""
        return self.redrive(Verb.DISCARD, key=key, position=position, by=by, why=why)

    def redrive(self, verb: Verb, *, key: str | None, position: int, by: str, why: str) -> Coroutine[Any, Any, Receipt]:
        """Do what `verb` says; raises as `retry`."""
        refuse_reentry()
        if (key is None) == (position == 0):
            raise MisuseError(f"{verb.value}() takes a key or a position of what is parked; give one of the two")
        key = None if key is None else plain_text("key", key)
        by, why = plain_text("by", by)[:LONGEST_TEXT], plain_text("why", why)[:LONGEST_TEXT]
        return self._accept(Redrive(verb, key, position, by, why))

    async def _read(self, after: int, limit: int, key: str | None) -> Any:  # noqa: ANN401 - a sequence; `list` is ours
        if self._store.is_blocking:
            return await asyncio.to_thread(self._store.parked, after, limit, key)
        return self._store.parked(after, limit, key)

    def _decoded(self, record: ParkedRecord) -> Any:  # noqa: ANN401 - any message
        message = record.message
        try:
            return self._catalog.decode_logged(message.name, message.version, message.body)
        except (MalformedMessage, UnreadableMessage):
            return None


def _told(failure: Failure) -> str:
    """What went wrong, in a line; that a key is parked, or a budget used up, is no error of anybody's code."""
    is_error = failure.error_type != "driven.errors.CommandParked"
    return f"{failure.error_type}: {failure.message}" if is_error else failure.message


def _facts(record: ParkedRecord) -> dict[str, Any]:
    message, envelope, outcome = record.message, record.message.envelope, record.outcome
    return {
        "position": envelope.position,
        "name": message.name,
        "is_event": message.kind is not MessageKind.COMMAND,
        "key": envelope.key,
        "reason": "; ".join(_told(failure) for failure in outcome.failures),
        "root": envelope.correlation,
        "accepted_at": datetime.fromtimestamp(envelope.recorded_at_ns / 1e9, UTC),
        "attempts": outcome.attempts,
        "is_released": record.is_released,
        "redrives": message.redrives,
    }
