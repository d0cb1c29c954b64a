"""A small log in a file, of what the contract of stores begins with."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from driven.adapters.stores.sqlite.store import SqliteStore
from driven.testing.contracts import BEFORE

if TYPE_CHECKING:
    from pathlib import Path


def log_of_three(folder: Path) -> Path:
    """A log of three commands, closed; its file."""
    path = folder / "driven.db"
    with closing(SqliteStore(path)) as store:
        store.open()
        store.append(BEFORE)
    return path
