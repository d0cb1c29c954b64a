"""The source tree: where the files of a survey are found and read.

`SourceTree` is the port, `DiskTree` the adapter for folders of the file system. Both are without state: one
object serves a process from its start to its end.
"""

from __future__ import annotations

import os
import stat
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from census.errors import EmptyTree, RootMissing, RootNotFolder, Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST_FILE_BYTES = 5_000_000
"""A file of exactly this size is still read; one byte more and it is unreadable."""

SKIPPED_FOLDERS = frozenset({"__pycache__", "site-packages", "dist-packages"})
"""Not searched, like folders whose name begins with a dot: what lies there is not the tree's own source."""


def standard_library() -> str:
    """The folder of the standard library of the interpreter that runs."""
    return sysconfig.get_path("stdlib")


class SourceTree(Protocol):
    """Finds and reads Python files; paths are relative to the root and separated by ``/``."""

    def files(self, root: str) -> tuple[str, ...]:
        """The Python files below `root`, sorted: the same tree gives the same answer.

        Raises `RootMissing`, `RootNotFolder` or `EmptyTree`.
        """
        ...

    def read(self, root: str, path: str) -> bytes:
        """The content of one file, at most `LARGEST_FILE_BYTES`; raises `Unreadable` for whatever prevents it."""
        ...


class DiskTree:
    """A `SourceTree` of folders and files; links to folders are not followed, so there is no loop to fall into."""

    def files(self, root: str) -> tuple[str, ...]:
        """See `SourceTree.files`; a folder that may not be listed counts as empty."""
        _require_folder(root)
        found = tuple(sorted(_python_files(root)))
        if not found:
            raise EmptyTree(root)
        return found

    def read(self, root: str, path: str) -> bytes:
        """See `SourceTree.read`; never takes more than the limit into memory, however large the file is."""
        try:
            with Path(root, path).open("rb") as file:
                source = file.read(LARGEST_FILE_BYTES + 1)
        except FileNotFoundError as error:
            raise Unreadable("not there: it vanished, or its name is not UTF-8") from error
        except OSError as error:
            raise Unreadable(error.strerror or str(error)) from error
        if len(source) > LARGEST_FILE_BYTES:
            raise Unreadable(f"larger than {LARGEST_FILE_BYTES:,} bytes; split it to have it measured")
        return source


def _require_folder(root: str) -> None:
    try:
        mode = Path(root).stat().st_mode
    except OSError as error:
        raise RootMissing(root, error.strerror or str(error)) from error
    except ValueError as error:
        raise RootMissing(root, str(error)) from error
    if not stat.S_ISDIR(mode):
        raise RootNotFolder(root)


def _python_files(root: str) -> Iterator[str]:
    folders = [""]
    while folders:
        folder = folders.pop()
        for entry in _entries(Path(root, folder)):
            if entry.is_dir(follow_symlinks=False):
                if not _is_skipped(entry.name):
                    folders.append(f"{folder}{entry.name}/")
            elif entry.name.endswith(".py") and _is_file(entry):
                yield _as_text(folder + entry.name)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _is_skipped(name: str) -> bool:
    return name.startswith(".") or name in SKIPPED_FOLDERS


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether `entry` is a regular file, or may be one: then reading it tells why it cannot be read."""
    try:
        return entry.is_file()
    except PermissionError:
        return True
    except OSError:  # a link that leads to itself
        return False


def _as_text(path: str) -> str:
    """`path` as text that can be encoded: bytes of a name that are not UTF-8 are written as escapes."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
