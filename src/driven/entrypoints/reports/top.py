"""One look at a running bus in another process: what it says about itself, how old that is, and how fast it goes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from driven import BusStatistics, read_statistics

if TYPE_CHECKING:
    from collections.abc import Iterator

_NANOSECONDS = 1_000_000_000


class TopReport(msgspec.Struct, frozen=True):
    """What `driven top` sees."""

    age_s: float
    """Seconds since the bus said it: an idle bus says nothing new, and neither does one that is held up."""
    retired_per_s: float | None
    """Messages that retired per second since the look before; null: it is the first one."""
    bus: BusStatistics

    @property
    def is_ok(self) -> bool:
        """A bus that can be seen is a bus that is there."""
        return True


def top_reports(pid: int, application: str | None) -> Iterator[TopReport]:
    """Look again whenever the next one is asked for. StatisticsUnavailable: there is nothing to see, or no more."""
    before: BusStatistics | None = None
    while True:
        now = read_statistics(pid, application)
        age_s = max(time.time_ns() - now.taken_at_ns, 0) / _NANOSECONDS
        yield TopReport(age_s, _pace(before, now), now)
        before = now


def _pace(before: BusStatistics | None, now: BusStatistics) -> float | None:
    if before is None:
        return None
    step_ns = now.taken_at_ns - before.taken_at_ns
    return (now.retired - before.retired) * _NANOSECONDS / step_ns if step_ns > 0 else 0.0
