"""The tasks of the benchmarks, as plain functions that workers of any kind can import by name."""

from __future__ import annotations


def do_nothing(number: int) -> None:
    """Return at once; what remains is what running it elsewhere costs."""
    del number


def compute(iterations: int) -> None:
    """Burn CPU time, and nothing but CPU time: `iterations` rounds of arithmetic, in cache, without any clock.

    A task that spins until a clock says so would finish in time on a core that it has to share; this one does not.
    """
    total = 0
    for number in range(iterations):
        total = (total * 31 + number) & 0xFFFF


def echo(body: bytes) -> bytes:
    """Give back what came."""
    return body
