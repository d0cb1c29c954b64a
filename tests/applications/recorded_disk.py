"""A disk that writes down what SQLite does to it, and the states in which a power cut could leave it.

::

    sqlite3 -> recording VFS -> the system's VFS -> files
                  '-> writes, truncations, syncs, in order: what was written since a file's last sync may be on the
                      disk or not, in part or whole, in any combination

`record` makes a VFS of its own (https://www.sqlite.org/vfs.html) the default one of this process, so it is for a
process that ends soon. It needs an sqlite3 module whose library can be reached by name.
"""

from __future__ import annotations

import _sqlite3
import ctypes
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from random import Random

Deed = tuple[str, str, int, bytes]
"""What was done, the name of the file, an offset, size or mark, and bytes."""

SECTOR: Final = 512
"""A disk writes whole sectors, or nothing of one."""

MOST_METHODS: Final = 18
"""Of a file, in the third version of SQLite's structure."""

POINTER: Final = ctypes.sizeof(ctypes.c_void_p)
_WRITE: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
_TRUNCATE: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)
_SYNC: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
_OPEN: Final = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
)
_DELETE: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)


class _Vfs(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", ctypes.c_void_p),
        ("delete", ctypes.c_void_p),
        ("others", ctypes.c_void_p * 14),
    )


class _Methods(ctypes.Structure):
    _fields_ = (("version", ctypes.c_int), ("methods", ctypes.c_void_p * MOST_METHODS))


WRITE, TRUNCATE, SYNC = 2, 3, 4
"""Places among the methods of a file, counted from 0."""


class _Recorder:
    """Stands between SQLite and the system, for as long as the process."""

    def __init__(self, library: ctypes.CDLL, deeds: list[Deed]) -> None:
        self.deeds = deeds
        self.names: dict[int, str] = {}
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        self.system = library.sqlite3_vfs_find(None).contents
        self.vfs = _Vfs.from_buffer_copy(self.system)
        self.kept: list[Any] = [self.vfs]  # what C code points to
        self.vfs.name = b"recorded"
        self.vfs.open = self.pointer(_OPEN, self.opened)
        self.vfs.delete = self.pointer(_DELETE, self.deleted)
        self.replaced: dict[int, _Methods] = {}
        assert library.sqlite3_vfs_register(ctypes.byref(self.vfs), 1) == 0

    def pointer(self, kind: Any, function: Callable[..., int]) -> int | None:  # noqa: ANN401 - a type of ctypes
        """A function that C code can call."""
        self.kept.append(kind(function))
        return ctypes.cast(self.kept[-1], ctypes.c_void_p).value

    def opened(self, vfs: int, name: bytes | None, file: int, flags: int, told: int) -> int:
        """Have the system open it, then stand before its methods."""
        result: int = _OPEN(self.system.open)(vfs, name, file, flags, told)
        methods = ctypes.c_void_p.from_address(file)
        if result == 0 and methods.value and name:
            self.names[file] = Path(name.decode()).name
            if methods.value not in self.replaced:
                self.replaced[methods.value] = self.recording(_Methods.from_address(methods.value))
            methods.value = ctypes.addressof(self.replaced[methods.value])
        return result

    def recording(self, system: _Methods) -> _Methods:
        """The methods of a file, some of which write down what they are asked."""
        own = _Methods.from_buffer_copy(system)
        write, truncate, sync = _WRITE(own.methods[WRITE]), _TRUNCATE(own.methods[TRUNCATE]), _SYNC(own.methods[SYNC])

        def written(file: int, data: int, size: int, offset: int) -> int:
            self.deeds.append(("write", self.names[file], offset, ctypes.string_at(data, size)))
            return int(write(file, data, size, offset))

        def truncated(file: int, size: int) -> int:
            self.deeds.append(("truncate", self.names[file], size, b""))
            return int(truncate(file, size))

        def synced(file: int, flags: int) -> int:
            result = int(sync(file, flags))
            self.deeds.append(("sync", self.names[file], 0, b""))
            return result

        own.methods[WRITE] = self.pointer(_WRITE, written)
        own.methods[TRUNCATE] = self.pointer(_TRUNCATE, truncated)
        own.methods[SYNC] = self.pointer(_SYNC, synced)
        return own

    def deleted(self, vfs: int, name: bytes, sync_folder: int) -> int:
        """Note that it is gone."""
        self.deeds.append(("delete", Path(name.decode()).name, 0, b""))
        return int(_DELETE(self.system.delete)(vfs, name, sync_folder))


def library() -> ctypes.CDLL | None:
    """The library that the sqlite3 module uses; None where it cannot be reached."""
    found = ctypes.CDLL(_sqlite3.__file__)
    return found if hasattr(found, "sqlite3_vfs_register") else None


_recorders: Final[list[_Recorder]] = []


def record() -> list[Deed]:
    """From now on, write down what SQLite does to disks in this process, into the list that is returned."""
    reached = library()
    assert reached is not None
    deeds: list[Deed] = []
    _recorders.append(_Recorder(reached, deeds))
    return deeds


def after_a_power_cut(deeds: Iterable[Deed], random: Random) -> dict[str, bytes]:
    """What may be in the files: what was synced, and of what was not any part."""
    files: defaultdict[str, bytearray] = defaultdict(bytearray)
    waiting: defaultdict[str, list[Deed]] = defaultdict(list)
    for deed in deeds:
        kind, name, _, _ = deed
        if kind == "sync":
            for one in waiting.pop(name, ()):
                _do(files[name], one)
        elif kind == "delete":
            waiting.pop(name, None)
            files.pop(name, None)
        elif kind in {"write", "truncate"}:
            waiting[name].append(deed)
    for name, undecided in waiting.items():
        for one in undecided:
            if random.random() < random.choice((0.1, 0.5, 0.9)):
                _do(files[name], _part_of(one, random))
    return {name: bytes(content) for name, content in files.items()}


def _part_of(deed: Deed, random: Random) -> Deed:
    kind, name, offset, data = deed
    sectors = -(-len(data) // SECTOR)
    kept = sectors if random.random() < 0.7 else random.randint(0, sectors)
    return kind, name, offset, data[: kept * SECTOR]


def _do(content: bytearray, deed: Deed) -> None:
    kind, _, at, data = deed
    if kind == "truncate":
        del content[at:]
        return
    content.extend(bytes(max(0, at + len(data) - len(content))))
    content[at : at + len(data)] = data
