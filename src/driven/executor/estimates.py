"""Estimates: how long calls of a name take, so that nothing waits behind a long one. Owned by the desk, under its lock.

A moving average that rises in half steps and falls in eighths: one long call is remembered for the next dozen.
"""

from __future__ import annotations

from typing import Final

LEAST_NS: Final = 10_000
"""What a call costs a worker beside its own time: reading, unpickling, telling."""

MOST_NAMES: Final = 4_096
"""So many are remembered; then all are forgotten, which costs one round trip each to learn again."""


class Estimates:
    """Nanoseconds by name."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def of(self, name: str) -> int | None:
        """How long a call of this name should take a worker; None: nobody knows."""
        return self._known.get(name)

    def learn(self, name: str, elapsed_ns: int) -> None:
        """Take note of how long one took."""
        known = self._known.get(name)
        taken_ns = elapsed_ns + LEAST_NS
        if known is None:
            if len(self._known) >= MOST_NAMES:
                self._known.clear()
            self._known[name] = taken_ns
        elif taken_ns > known:
            self._known[name] = known + (taken_ns - known) // 2
        else:
            self._known[name] = known - (known - taken_ns) // 8


def name_of(function: object) -> str:
    """What a call of this function is known by; what wraps one (`functools.partial`) is known by what it wraps."""
    wrapped = getattr(function, "func", None)
    if callable(wrapped):
        return name_of(wrapped)
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else type(function).__qualname__
