"""The lease: one writer per log (U7).

::

    driven.db-lease   an exclusive flock(2), held as long as the bus; the kernel frees it when the process ends,
                      however it ends. Inside: who holds it, for whoever is refused.
    table lease       a generation, raised by each that opens, and compared in each of its transactions: a bus whose
                      lock did not hold (a disk of a network, a deleted file) finds out before it writes.

A lease belongs to one store, from `open` to `close`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
import time
from typing import TYPE_CHECKING, Final

from driven.adapters.stores.sqlite.address import check_is_no_folder
from driven.errors import LogBusy, StoreFailed

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

LONGEST_PROGRAM: Final = 100
"""How many characters of its command line are told of a process."""

LONGEST_HOLDER_BYTES: Final = 4096
"""What is read of the text about who holds a lease."""


class Lease:
    """The right to write one log; taken when made."""

    def __init__(self, path: Path) -> None:
        """Take the lease of the log at `path`.

        Raises:
            LogBusy: somebody else has it.
            StoreFailed: the log is a folder, or the file beside it cannot be made or locked.

        """
        check_is_no_folder(path)
        self._path: Final = path
        self._generation = 0
        self.holder: Final = _this_process()
        self._process: Final = os.getpid()
        real = path.resolve()  # however many names link to a log, it has one lease
        file = real.with_name(f"{real.name}-lease")
        try:
            self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise _unusable(path, file, error) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.truncate(self._descriptor, 0)
            os.pwrite(self._descriptor, self.holder.encode(), 0)
        except BlockingIOError:
            holder = os.pread(self._descriptor, LONGEST_HOLDER_BYTES, 0).decode(errors="replace")
            os.close(self._descriptor)
            raise LogBusy(str(path), holder or "it has just begun") from None
        except OSError as error:
            os.close(self._descriptor)
            raise _unusable(path, file, error) from error

    def enter(self, connection: sqlite3.Connection) -> None:
        """Raise the generation: what an earlier holder has not committed by now it will not commit."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute("UPDATE lease SET generation = generation + 1, holder = ?", (self.holder,))
            (self._generation,) = connection.execute("SELECT generation FROM lease").fetchone()
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def check(self, connection: sqlite3.Connection) -> None:
        """Compare the generation, inside a transaction that is about to write.

        Raises:
            LogBusy: another bus has entered since.

        """
        generation, holder = connection.execute("SELECT generation, holder FROM lease").fetchone()
        if generation != self._generation:
            raise LogBusy(str(self._path), holder)

    def release(self) -> None:
        """Let others have it; releasing twice is harmless. The file stays: a name that goes and comes can be two."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                self._unlock()
            os.close(self._descriptor)
            self._descriptor = -1

    def _unlock(self) -> None:
        """Let go of the lock in all processes that have the descriptor; a child that was forked may not."""
        if os.getpid() == self._process:
            os.truncate(self._descriptor, 0)
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # closing would leave it to the child


def _this_process() -> str:
    program = " ".join(" ".join(sys.orig_argv).split())[:LONGEST_PROGRAM]
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return f"process {os.getpid()} on {socket.gethostname()}, {program}, since {since}"


def _unusable(path: Path, file: Path, error: OSError) -> StoreFailed:
    folder = path.parent
    if not folder.is_dir():
        return StoreFailed(str(path), f"there is no folder {folder}", "make that folder, or name another file")
    return StoreFailed(
        str(path),
        f"{file} cannot be written: {error.strerror}",
        "make the folder writable for this user, on a disk that is and that has room",
    )
