"""Faults of SQLite, in words: which file, what is wrong with it, and what to do.

Functions only. SQLite tells faults by number; what can be mended has its own remedy here.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Final, NamedTuple

from driven.errors import StoreFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PRIMARY: Final = 0xFF
"""The bits of a result code that say what kind of fault it is; the others say where it was met."""


class Fault(NamedTuple):
    """What is wrong with a file, and what to do about it."""

    reason: str
    remedy: str


DAMAGED: Final = (
    "stop all that use it, keep a copy of it with its -wal file, and put back a backup, "
    "or let `sqlite3 FILE .recover` save what can be read"
)

FAULTS: Final[dict[int, Fault]] = {
    sqlite3.SQLITE_FULL: Fault("the disk is full", "make room and open the bus again: what was accepted is there"),
    sqlite3.SQLITE_READONLY: Fault(
        "it cannot be written", "make the file and its folder writable for this user, on a disk that is"
    ),
    sqlite3.SQLITE_CORRUPT: Fault("it is damaged", DAMAGED),
    sqlite3.SQLITE_NOTADB: Fault("it is not an SQLite database", "name another file, or put back a backup"),
    sqlite3.SQLITE_BUSY: Fault(
        "another program keeps it locked", "end that program's transaction (who it is: `fuser FILE`), and open it again"
    ),
    sqlite3.SQLITE_CANTOPEN: Fault(
        "it cannot be opened", "see that it is a file, in a folder that is there and that this user may read and write"
    ),
    sqlite3.SQLITE_IOERR: Fault(
        "the disk does not read or write it",
        "see what the system's log says of the disk, and whether files may grow that large (`ulimit -f`)",
    ),
    sqlite3.SQLITE_PROTOCOL: Fault(
        "another program keeps it locked", "keep it on a disk of this machine, not on a network's, and open it again"
    ),
    sqlite3.SQLITE_NOMEM: Fault("there is no memory left", "give this process more memory, and open it again"),
}


def is_of_the_file(error: sqlite3.Error) -> bool:
    """Whether an error is about the file, and not about a statement."""
    return getattr(error, "sqlite_errorcode", 0) & PRIMARY in FAULTS


def failed(path: Path, error: sqlite3.Error) -> StoreFailed:
    """What an error of SQLite says about this file."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # said by Python's module, about its own use
        return StoreFailed(str(path), f"{type(error).__name__}: {error}")
    fault = FAULTS.get(code & PRIMARY)
    told = f"{error} ({error.sqlite_errorname})"
    if fault is None:
        return StoreFailed(str(path), told)
    return StoreFailed(str(path), f"{fault.reason}: {told}", fault.remedy)


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Raise what SQLite raises as `StoreFailed`."""
    try:
        yield
    except sqlite3.Error as error:
        raise failed(path, error) from error
