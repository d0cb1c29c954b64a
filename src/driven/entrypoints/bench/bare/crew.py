"""Bare workers, seen from their parent: the processes, and for each a pair of rings and a pair of eventfds."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from driven.entrypoints.bench.bare.ring import RING_BYTES, BareRing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROGRAM: Final = (sys.executable, "-m", "driven.entrypoints.bench.bare.worker")
MOST_HELD: Final = 64
"""Tasks that one worker is given in advance, so that equal ones are spread evenly."""


class Hand:
    """One worker: the rings to it and from it, the bell that wakes it, the one that it rings."""

    def __init__(self) -> None:
        """The memory and the bells; the process is still to be started."""
        self.memory: Final = os.memfd_create("driven-bare", 0)
        os.ftruncate(self.memory, 2 * RING_BYTES)
        self._mapped: Final = mmap.mmap(self.memory, 2 * RING_BYTES)
        self.tasks: Final = BareRing(self._mapped, 0)
        self.answers: Final = BareRing(self._mapped, RING_BYTES)
        self.bell: Final = os.eventfd(0, os.EFD_NONBLOCK)
        self.answers_bell: Final = os.eventfd(0, os.EFD_NONBLOCK)
        self.held = 0
        """Tasks that it was given and has not answered."""

    def start(self, *, checks: bool) -> subprocess.Popen[bytes]:
        """Start the process."""
        descriptors = (self.memory, self.bell, self.answers_bell)
        numbers = [str(number) for number in (*descriptors, int(checks))]
        return subprocess.Popen([*PROGRAM, *numbers], pass_fds=descriptors)  # noqa: S603 - our own program

    def ring(self) -> None:
        """Wake the worker, if it sleeps."""
        if self.tasks.must_ring():
            os.eventfd_write(self.bell, 1)

    def close(self) -> None:
        """Let go of everything."""
        self.tasks.close()
        self.answers.close()
        self._mapped.close()
        for descriptor in (self.memory, self.bell, self.answers_bell):
            os.close(descriptor)


@contextmanager
def crew(workers: int, *, checks: bool) -> Iterator[Sequence[Hand]]:
    """So many workers; none is left afterwards."""
    hands = [Hand() for _ in range(workers)]
    processes = [hand.start(checks=checks) for hand in hands]
    try:
        yield hands
        for hand in hands:
            hand.tasks.write(b"")
            hand.ring()
        for process in processes:
            process.wait()
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for hand in hands:
            hand.close()
