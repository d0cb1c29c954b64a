"""Addresses of SQLite logs: ``sqlite:///driven.db``, relative to the current folder, or ``sqlite:////var/lib/driven.db``.

Functions only. What stands behind the third slash is the path, as it is: nothing in it is unquoted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from driven.errors import StoreFailed

PREFIX: Final = "sqlite:///"


def path_of(url: str) -> Path:
    """Return the file that a URL names, as an absolute path; URLs were checked with the settings.

    Raises:
        ValueError: it is no URL of a file.

    """
    path = url.removeprefix(PREFIX)
    if path == url or not path:
        raise ValueError(f"{url!r} is no SQLite log; give {PREFIX}file.db, or {PREFIX}/folder/file.db")
    return Path(path).absolute()


def check_is_no_folder(path: Path) -> None:
    """SQLite says of a folder that it cannot be opened, or that the disk does not read it.

    Raises:
        StoreFailed: it is one.

    """
    if path.is_dir():
        raise StoreFailed(str(path), "it is a folder", "name a file in it, or another one")
