"""Custody of processes: whatever is started under it is gone when it ends, in whatever way it ends.

Pools start processes, which start helpers, some in sessions of their own. While custody lasts, this process is the
*subreaper* of all of them (prctl(2), Linux): an orphan of a dead parent becomes a child of ours instead of init's, so
that none can hide. Elsewhere than on Linux only those are found whose parents still live.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import psutil

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

PR_SET_CHILD_SUBREAPER: Final = 36
"""linux/prctl.h"""
GRACE_S: Final = 1.5
"""What each of these gets: the visit to end after SIGTERM, its helpers to notice, and to end after SIGTERM."""
REAPED_S: Final = 5.0


class Custody:
    """Runs one program at a time and lets none of its descendants live on."""

    def __init__(self) -> None:
        """Nothing is running."""
        self._before: Final[set[psutil.Process]] = set()
        self._running: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Take custody of what is started from now on."""
        _be_subreaper(1)
        self._before.update(descendants())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End whatever runs."""
        try:
            self._end_all()
        finally:
            _be_subreaper(0)

    def run(self, program: Sequence[str], *, stdin: bytes, output: Path, timeout_s: float) -> int:
        """Run a program, its output going to a file, and return its exit code, when all it started is gone.

        Raises:
            subprocess.TimeoutExpired: it took longer than `timeout_s` seconds; it is gone all the same.

        """
        with output.open("wb") as sink:
            # A session of its own: ^C at the terminal reaches this process, which then ends the other in good order.
            self._running = subprocess.Popen(  # noqa: S603 - this interpreter
                program, stdin=subprocess.PIPE, stdout=sink, stderr=sink, start_new_session=True
            )
        try:
            self._running.communicate(stdin, timeout_s)
        finally:
            self._end_all()
        return self._running.returncode

    def _end_all(self) -> None:
        if self._running is not None and self._running.poll() is None:
            self._running.terminate()
            psutil.wait_procs([psutil.Process(self._running.pid)], GRACE_S)
            self._running.kill()
            self._running.wait()
        # Helpers such as a resource tracker clean up when they see that their owner is gone: they get time for it.
        left = psutil.wait_procs(descendants() - self._before, GRACE_S)[1]
        for process in left:
            process.terminate()
        for process in psutil.wait_procs(left, GRACE_S)[1]:
            process.kill()
        while left := list(descendants() - self._before):
            for process in left:
                process.kill()
            psutil.wait_procs(left, REAPED_S)


def descendants() -> set[psutil.Process]:
    """Every process that descends from this one, zombies included."""
    return set(psutil.Process().children(recursive=True))


def _be_subreaper(value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, value, 0, 0, 0)
