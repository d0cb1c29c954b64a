"""A clock for tests: it stands still until it is told to go on. As long-lived as the test that made it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

START: Final = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
"""What a clock says at first."""

_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """Called, it says how late it is, in nanoseconds since 1970: the ``clock_ns`` of `driven.open_bus`."""

    def __init__(self, start: datetime = START, step_s: float = 0.0) -> None:
        """`step_s` is how much later it is after each reading, in seconds. A `start` without a zone is local time."""
        self._now = start.astimezone(UTC)
        self._step: Final = timedelta(seconds=step_s)

    def __call__(self) -> int:
        """How late it is, in nanoseconds since 1970."""
        now, self._now = self._now, self._now + self._step
        return (now - _EPOCH) // _MICROSECOND * 1_000

    @property
    def now(self) -> datetime:
        """What the next reading says; what handlers get from `Context.now`."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Go on by so much."""
        self._now += timedelta(seconds=seconds)
