"""`Segment`: a piece of shared memory that is known by its descriptor and has no name that could outlive it.

Whoever creates a segment owns it and closes it; whoever attaches owns the descriptor that it was given. The memory
itself lives until the last mapping and the last descriptor of it are gone, in whatever process: also after a SIGKILL.

::

    create()   shared_memory: shm_open a name - unlink it at once - fallocate - mmap     (what ops tools know and limit)
               memfd:         memfd_create              - fallocate - mmap               (no /dev/shm needed)
                                  |
                              descriptor ---- pass_fds, or a Unix socket ----> attach(): mmap

- **No name, no tracker.** CPython's resource tracker takes every process that attaches by name for an owner, and
  unlinks under the feet of the others (gh-82300). Here a name exists for microseconds, nobody ever attaches by it, and
  from Python 3.13 on not even the process that made it is tracked (`track=False`).
- **`posix_fallocate` before the first touch.** A `tmpfs` gives out more than it has, and the first store to a page that
  is not there is SIGBUS. Allocating first turns that into ENOSPC, here, where it can be handled (S2).
- **memfd where `/dev/shm` is missing, read-only or too small** (AWS Lambda, Docker's 64 MB), and in workers always:
  `multiprocessing.shared_memory` starts the resource tracker on Python 3.11 and 3.12, a process that no worker must
  have (S4). Where there is no memfd an unlinked temporary file does the same (see `nameless`).
- **0600**: no process of another user can open it, not even through /proc.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
from typing import TYPE_CHECKING, Final, Literal

from driven.errors import SegmentUnavailable
from driven.ring.nameless import nameless_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.shared_memory import SharedMemory
    from typing import Self

Backing = Literal["shared_memory", "memfd"]
"""Where a segment's pages come from."""

_MEMFD_NAME: Final = "driven"
"""Shown as `/memfd:driven` in /proc/PID/maps; names nothing."""


class Segment:
    """`size_bytes` of memory behind `descriptor`, mapped as `memory`; `backing` is None when somebody else created it.

    The constructor takes over the descriptor, also when it raises; use `create` or `attach`. The descriptor is not
    inheritable: hand it on with `pass_fds` or over a Unix socket.
    """

    __slots__ = ("_mapping", "backing", "descriptor", "memory", "size_bytes")

    def __init__(self, descriptor: int, size_bytes: int, backing: Backing | None) -> None:
        try:
            self._mapping = mmap.mmap(descriptor, size_bytes)
        except BaseException:
            os.close(descriptor)
            raise
        self.memory = memoryview(self._mapping)
        self.descriptor = descriptor
        self.size_bytes = size_bytes
        self.backing = backing

    @classmethod
    def create(cls, size_bytes: int, *, backing: Literal["auto"] | Backing = "auto") -> Self:
        """Make a segment of zeros; `auto` takes shared memory, and a memfd where that cannot be had.

        Raises:
            ValueError: `size_bytes` is not positive.
            SegmentUnavailable: no backing gives so much memory, with the reason of each.
        """
        if size_bytes <= 0:
            raise ValueError(f"a segment of {size_bytes:,} bytes: the size must be positive")
        refusals = []
        for candidate in _DESCRIPTOR_MAKERS if backing == "auto" else (backing,):
            try:
                return cls(_DESCRIPTOR_MAKERS[candidate](size_bytes), size_bytes, candidate)
            except OSError as error:
                refusals.append(f"{candidate} said {error.strerror or error}{_hint(error)}")
        raise SegmentUnavailable(size_bytes, ", ".join(refusals))

    @classmethod
    def attach(cls, descriptor: int, size_bytes: int) -> Self:
        """Map the segment behind a descriptor that was handed over, and take the descriptor over.

        Raises:
            SegmentUnavailable: the descriptor is not open, or is of something smaller. It is closed if it was open.
        """
        try:
            os.set_inheritable(descriptor, False)
            return cls(descriptor, size_bytes, None)
        except (OSError, OverflowError, ValueError) as error:
            raise SegmentUnavailable(size_bytes, f"descriptor {descriptor} cannot be mapped ({error})") from error

    def close(self) -> None:
        """Unmap and close; may be called twice. BufferError, with nothing lost, while somebody holds a view of it."""
        self.memory.release()
        self._mapping.close()
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _hint(error: OSError) -> str:
    return " (the limit on the size of files, ulimit -f, holds here too)" if error.errno == errno.EFBIG else ""


def _shared_memory_descriptor(size_bytes: int) -> int:
    named = _named_shared_memory(size_bytes)
    try:
        named.unlink()
        # There is no public way to the descriptor; a name that is opened again could be somebody else's by then.
        descriptor = os.dup(named._fd)  # type: ignore[attr-defined]  # noqa: SLF001
    finally:
        named.close()
    return _allocated(descriptor, size_bytes)


def _named_shared_memory(size_bytes: int) -> SharedMemory:
    # Imported here because it takes longer than everything else that a worker imports, and a worker never needs it.
    from multiprocessing import resource_tracker, shared_memory  # noqa: PLC0415

    # One page where it can grow later: a size that SharedMemory itself cannot get would confuse the tracker.
    first_bytes = mmap.PAGESIZE if hasattr(os, "posix_fallocate") else size_bytes
    if sys.version_info >= (3, 13):
        return shared_memory.SharedMemory(create=True, size=first_bytes, track=False)
    # Started first: where it cannot be started, there is no name yet that would be left behind.
    resource_tracker.ensure_running()
    return shared_memory.SharedMemory(create=True, size=first_bytes)


def _memfd_descriptor(size_bytes: int) -> int:
    return _allocated(nameless_file(_MEMFD_NAME), size_bytes)


def _allocated(descriptor: int, size_bytes: int) -> int:
    """Give the file behind `descriptor` its size, with pages behind every byte of it; close it where that fails."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size_bytes)
        elif os.fstat(descriptor).st_size < size_bytes:
            os.ftruncate(descriptor, size_bytes)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


_DESCRIPTOR_MAKERS: Final[dict[Backing, Callable[[int], int]]] = {
    "shared_memory": _shared_memory_descriptor,
    "memfd": _memfd_descriptor,
}
"""In the order in which `auto` tries them."""
