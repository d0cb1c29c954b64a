"""Clocks of a simulation: they go on when they are read, and never by themselves. Functions only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable


def drawn_timer(chance: random.Random) -> Callable[[], int]:
    """A stopwatch that goes on by a drawn time from one reading to the next, so that AUTO places are drawn as well."""
    elapsed_ns = 0

    def timer_ns() -> int:
        nonlocal elapsed_ns
        elapsed_ns += chance.randrange(1_000, 5_000_000)
        return elapsed_ns

    return timer_ns


def counting_clock(readings: int) -> Callable[[], int]:
    """A clock that ticks once per reading: the same position always gets the same time."""

    def clock_ns() -> int:
        nonlocal readings
        readings += 1_000_000_000
        return readings

    return clock_ns
