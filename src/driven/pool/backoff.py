"""The backoff: how long to wait before another start, after starts that came to nothing. Owned by a lane."""

from __future__ import annotations

from collections import Counter
from typing import Final

BACKOFF_S: Final = 0.2
"""Before another start after one that came to nothing; doubled with each."""

LONGEST_BACKOFF_S: Final = 5.0
"""No start waits longer."""

_MOST_DOUBLINGS: Final = 10


class Backoff:
    """Setbacks in a row, by group."""

    def __init__(self) -> None:
        self._setbacks: Counter[str] = Counter()

    def delay_s(self, group: str) -> float:
        """Seconds to wait now, after one more setback."""
        delay_s = min(BACKOFF_S * 2.0 ** min(self._setbacks[group], _MOST_DOUBLINGS), LONGEST_BACKOFF_S)
        self._setbacks[group] += 1
        return delay_s

    def forget(self, group: str) -> None:
        """A worker of the group has done some work: the next setback is the first."""
        self._setbacks[group] = 0
