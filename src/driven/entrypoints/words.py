"""Numbers and names as people write them: CPUs, sizes in bytes, counts of things. Pure; for reports and pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")
_STEP: Final = 1024


def ranges(numbers: Iterable[int]) -> str:
    """Write numbers as a kernel list does: ``0-3, 8``; none: ``none``."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in found) or "none"


def size(size_bytes: int) -> str:
    """Write a size in the largest unit that leaves at least 1: ``1.5 GiB``."""
    value, unit = float(size_bytes), 0
    while value >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    shown = f"{value:.1f}".removesuffix(".0")
    return f"{shown} {_UNITS[unit]}"


def counted(number: int, noun: str) -> str:
    """Write how many of something there are: ``1 worker``, ``2 workers``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def short(name: str, application: str) -> str:
    """Write a stable name without the name of the application that it is read in: ``MeasureFile``."""
    return name.removeprefix(f"{application}.")
