"""The bulletin: what one process shows to whoever may look; the latest post, whole, in memory without a name.

::

    byte 0         magic, layout version
    HEADER_BYTES   page 0:  number | length | check | body       posts 2, 4, 6, ...
    + PAGE_BYTES   page 1:  number | length | check | body       posts 1, 3, 5, ...

The writer never touches the page that it wrote last, so there is always one that is whole, also when the writer dies in
the middle of the other. A reader takes the page with the higher number if its check matches, else the other. The check
is a CRC-32 of the body, seeded with the number: a page of which a part is old does not pass. It is double buffering
with a sequence number, as in a seqlock, but no reader ever has to wait for the writer.

Nothing is mapped: both sides use pread(2) and pwrite(2), for which a page that cannot be had is an error and never a
signal. The pages are sparse: what is not written takes no memory.

Whoever creates a bulletin owns it. A reader finds it among the descriptors of the process, by its label.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from typing import TYPE_CHECKING, Final

from driven.ring.nameless import nameless_file

if TYPE_CHECKING:
    from typing import Self

_MAGIC: Final = b"drivenBB"
_VERSION: Final = 1
_HEADER: Final = struct.Struct("@8sQ")
_PAGE: Final = struct.Struct("@QQQ")
"""number, length, check"""

HEADER_BYTES: Final = 4_096
PAGE_BYTES: Final = 8 << 20
LARGEST_POST_BYTES: Final = PAGE_BYTES - _PAGE.size

_PLACES: Final = (HEADER_BYTES, HEADER_BYTES + PAGE_BYTES)
_NUMBER_MASK: Final = 0xFFFF_FFFF
_LOOKS: Final = 16
"""How often a reader looks again; the writer would have to post as often meanwhile."""


class Bulletin:
    """The writer's side."""

    __slots__ = ("_descriptor", "_number")

    def __init__(self, descriptor: int) -> None:
        """Take over the descriptor; use `create`."""
        self._descriptor = descriptor
        self._number = 0

    @classmethod
    def create(cls, label: str) -> Self:
        """Make one that shows nothing yet. OSError: there is no memory, or no descriptor, for it."""
        bulletin = cls(nameless_file(label))
        try:
            bulletin._write(_HEADER.pack(_MAGIC, _VERSION), 0)
        except BaseException:
            bulletin.close()
            raise
        return bulletin

    def post(self, body: bytes) -> None:
        """Show this instead of what was shown before. OSError: there is no room for it; the last one stays."""
        if len(body) > LARGEST_POST_BYTES:
            raise OSError(errno.EFBIG, f"{len(body):,} bytes on a page of {LARGEST_POST_BYTES:,}")
        number = self._number + 1
        page = _PAGE.pack(number, len(body), _check(body, number)) + body
        self._write(page, _PLACES[number & 1])
        self._number = number

    def close(self) -> None:
        """Take it away; may be called twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _write(self, data: bytes, place: int) -> None:
        if os.pwrite(self._descriptor, data, place) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_bulletin(descriptor: int) -> bytes:
    """What the bulletin behind this descriptor shows. Whatever is behind it, nothing is believed without its check.

    Raises:
        ValueError: it is no bulletin, of another version, or shows nothing that is whole.
        OSError: it cannot be read.

    """
    header = os.pread(descriptor, _HEADER.size, 0)
    if len(header) < _HEADER.size or not header.startswith(_MAGIC):
        raise ValueError("it is no bulletin of Driven")
    _, version = _HEADER.unpack(header)
    if version != _VERSION:
        raise ValueError(f"it is laid out as version {version}, and this is version {_VERSION}")
    for _ in range(_LOOKS):
        for number, length, check, place in sorted(_pages(descriptor), reverse=True):
            body = os.pread(descriptor, length, place)
            if len(body) == length and _check(body, number) == check:
                return body
    raise ValueError("it shows nothing that is whole")


def _pages(descriptor: int) -> list[tuple[int, int, int, int]]:
    """Number, length and check of each page that may hold something, and where its body is."""
    found = []
    for parity, place in enumerate(_PLACES):
        head = os.pread(descriptor, _PAGE.size, place)
        if len(head) == _PAGE.size:
            number, length, check = _PAGE.unpack(head)
            if number and number & 1 == parity and length <= LARGEST_POST_BYTES:
                found.append((number, length, check, place + _PAGE.size))
    return found


def _check(body: bytes, number: int) -> int:
    return zlib.crc32(body, number & _NUMBER_MASK)
