"""What stands aside: messages that are parked, and messages that are due later, as the log keeps them.

::

    retires as parked  --> parked --redrive--> again at the tail (`LoggedMessage.redrives` says of which), or given up
    a reaction's Later --> due    --when due-> at the tail (`LoggedMessage.due` says which), or cancelled

Everything here is part of an outcome in the log, so a store changes what stands aside in the transaction of the message
that did it (U3). Values only.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Scheduled(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A command that enters later; what it was scheduled by is the message in whose outcome it stands."""

    due_at_ns: int
    """Nanoseconds since the epoch, UTC: it does not enter before."""
    name: str
    version: int
    body: bytes
    key: str | None
    correlation: int
    """Position of the root command that all this began with."""
    hop: int
    """Number of causes between a root and this command, once it has entered."""


class DueId(NamedTuple):
    """Names a message due later for ever: the position of what scheduled it, and its number there, from 1."""

    cause: int
    number: int


class DueKey(NamedTuple):
    """The order in which messages due later enter: due time, position of the cause, number."""

    due_at_ns: int
    cause: int
    number: int


class DueMessage(msgspec.Struct, frozen=True, gc=False):
    """A message that is due later and has neither entered nor been cancelled."""

    id: DueId
    scheduled: Scheduled

    @property
    def key(self) -> DueKey:
        """Its place among all that are due later."""
        return DueKey(self.scheduled.due_at_ns, *self.id)


class Aside(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a retirement did to messages that stand aside; positions ascend."""

    reactions: tuple[str, ...] = ()
    """Of a parked event: which of its reactions failed, one name for each failure."""
    entered: tuple[int, ...] = ()
    """Of a redrive: messages that were parked and are at the tail again: the n-th as the n-th that it caused."""
    moved: tuple[int, ...] = ()
    """Of a redrive: messages that had not retired, and went to the tail behind those, as the next that it caused."""
    given_up: tuple[int, ...] = ()
    """Of a redrive: messages that were parked, and will not happen."""
    released: tuple[int, ...] = ()
    """Of a redrive: messages that stay parked, and hold up their key no longer."""
    scheduled: tuple[Scheduled, ...] = ()
    """What enters later because of it."""
    cancelled: tuple[DueId, ...] = ()
    """What was to enter later, and will not."""
