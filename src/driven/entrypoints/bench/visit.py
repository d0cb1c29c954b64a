"""One visit: a process that opens one contender, measures, writes what it found, closes, and ends.

Run as ``python -m driven.entrypoints.bench.visit FILE``, with the order as JSON on standard input. It appends each
sample to FILE, a JSON record per line, as soon as it has it: what was measured before a failure is not lost. SIGTERM
ends it in good order, as whoever opened workers should close them.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from driven.entrypoints.bench.contenders import contender
from driven.entrypoints.bench.measures import measured
from driven.entrypoints.bench.samples import Order, Sample

if TYPE_CHECKING:
    from types import FrameType


def visit(order: Order, file: Path) -> None:
    """Measure as ordered."""
    chosen = contender(order.contender)
    with file.open("ab", buffering=0) as lines, chosen.open(order.workers) as session:
        for number in measured(session, order, is_parallel=chosen.is_parallel):
            sample = Sample(order.contender, order.round, number.figure, number.value, number.parameter)
            lines.write(msgspec.json.encode(sample) + b"\n")


def _leave(number: int, frame: FrameType | None) -> None:
    del frame
    sys.exit(128 + number)


def main() -> None:
    """Take the order and carry it out."""
    signal.signal(signal.SIGTERM, _leave)
    visit(msgspec.json.decode(sys.stdin.buffer.read(), type=Order), Path(sys.argv[1]))


if __name__ == "__main__":
    main()
