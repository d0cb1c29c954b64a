"""Later: a command that enters when it is due, and not at once. What a reaction returns instead of the command itself.

    @app.reacts_to(OrderPlaced)
    def remind(event: OrderPlaced) -> Later[Remind]:
        return Later(Remind(event.order), after_s=3 * 24 * 3600)

A value, gone as soon as the reaction has retired: the log keeps the command and its time.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar

import msgspec

from driven.domain.messages import Command

C = TypeVar("C", bound=Command)

LATEST_NS: Final = 2**62
"""Nanoseconds since the epoch: in the year 2116."""
_NANOSECONDS: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Later(msgspec.Struct, Generic[C], frozen=True):
    """A command, and when it is due: `at` a moment, or `after_s` seconds after the event was recorded.

    Raises:
        ValueError: neither is given, or both; the moment has no time zone; the seconds are no number, or negative.

    """

    command: C
    at: datetime | None = None
    after_s: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no moment."""
        if (self.at is None) == (self.after_s is None):
            raise ValueError("Later(...) takes at= or after_s=; give one of the two")
        if self.after_s is not None and not 0 <= self.after_s < math.inf:
            raise ValueError(f"after_s={self.after_s!r} is no time to wait; give seconds, 0 or more")
        self.due_at_ns(0)

    def due_at_ns(self, recorded_at_ns: int) -> int:
        """When it is due, for an event that was recorded then; both in nanoseconds since the epoch."""
        if self.at is not None:
            return nanoseconds_of(self.at)
        after_s = min(self.after_s or 0.0, LATEST_NS / _NANOSECONDS)
        return min(LATEST_NS, recorded_at_ns + round(after_s * _NANOSECONDS))


def nanoseconds_of(moment: datetime) -> int:
    """A moment as nanoseconds since the epoch, 1 at least: what is long past is due at once.

    Raises:
        ValueError: it has no time zone.

    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone; give one, such as datetime.now(UTC) + timedelta(days=3)")
    since = moment - _EPOCH
    return min(LATEST_NS, max(1, ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000))
