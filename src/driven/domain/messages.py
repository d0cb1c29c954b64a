"""Messages: what travels. A command says "do this", an event says "this happened".

Both are frozen `msgspec.Struct` types, so a message is a value: compared by content, safe to keep,
encoded without ceremony. A message knows nothing of its place in the log; that is its `Envelope`.

Names. A message type is known in logs and on wires by `message_name` and `message_version`, never by
its class name alone. Where a class gives no name, the application that uses it derives one:
``<application>.<ClassName>``. Give an explicit name before renaming or moving a class whose messages
are recorded somewhere.
"""

from __future__ import annotations

from typing import ClassVar, dataclass_transform

import msgspec


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Message(msgspec.Struct, frozen=True):
    """Anything that travels. Subclass `Command` or `Event`, not this.

    Subclasses are frozen without saying so, which the decorator tells type checkers.
    """

    message_name: ClassVar[str] = ""
    """The stable name, e.g. ``"census.MeasureFile"``; empty: derived from the application's name."""

    message_version: ClassVar[int] = 1
    """Raised when the fields change in a way that old readers cannot read."""


class Command(Message, frozen=True):
    """An order to do one thing, named in the imperative; it has exactly one handler."""


class Event(Message, frozen=True):
    """A fact, named in the past tense; any number of reactions and projectors may follow it."""


class Envelope(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The passport of one message in one log; made by the bus at admission and never changed.

    Correlation and causation are positions in the same log, so a whole tree of causes can be walked
    without an index of ids.
    """

    position: int
    """Place in the total order: 1, 2, 3, … without gaps (O1)."""
    id: str
    """The caller's id, or ``@<position>``; unique in the log for ever (U5)."""
    correlation: int
    """Position of the root command that all this began with; its own position for a root."""
    causation: int
    """Position of the message that caused this one; 0 for a root."""
    hop: int
    """Number of causes between the root and this message; 0 for a root."""
    key: str | None
    """What commands of the same key value wait for each other by; None: no key."""
    recorded_at_ns: int
    """Nanoseconds since the epoch, UTC, read once, at admission."""
    trace: str = ""
    """Trace context of the submitter, carried along unread."""
