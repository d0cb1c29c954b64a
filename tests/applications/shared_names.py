"""What lies in /dev/shm: one place for the whole machine, in which everybody else's names come and go meanwhile.

A segment has a name for an instant only, before it is unlinked; so whoever looks at one moment sees those of others,
and what was left behind is what stays.
"""

from __future__ import annotations

import time
from pathlib import Path

PLACE = Path("/dev/shm")  # noqa: S108 - only looked at
STAYS_S = 5.0
"""A name that is there for so long was left behind."""


def shared_memory_names() -> set[str]:
    """What lies there, or nothing where there is no such place."""
    return {path.name for path in PLACE.glob("*")}


def left_in_shared_memory(before: set[str]) -> set[str]:
    """Names that came since and stay."""
    left = shared_memory_names() - before
    deadline_s = time.monotonic() + STAYS_S
    while left and time.monotonic() < deadline_s:
        left &= shared_memory_names()
    return left
