"""A ring of records in shared memory, in as few instructions as Python allows; one writer, one reader.

::

    word 0    tail, the writer's        word 16   head, the reader's        word 32   odd while the reader sleeps
    byte 512  records: length u32, check u32, body, padding to 8; a length of `WRAP` says "go on at the start"

Cursors only grow. Whatever is in the memory is believed: a damaged ring is read as it stands. It relies on stores being
seen in the order in which they are made, as x86 has it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import mmap

CAPACITY: Final = 1 << 20
RING_BYTES: Final = 512 + CAPACITY
WRAP: Final = 0xFFFFFFFF

_HEAD_BYTES: Final = 8
_MASK: Final = CAPACITY - 1
_DATA: Final = 512
_TAIL, _HEAD, _SLEEP = 0, 16, 32
_HEADER: Final = struct.Struct("=II")
_pack = _HEADER.pack_into
_unpack = _HEADER.unpack_from


class BareRing:
    """One side of a ring; lives as long as its memory."""

    __slots__ = ("_answered", "_head", "_map", "_offset", "_tail", "_words")

    def __init__(self, memory: mmap.mmap, offset: int) -> None:
        """In the `RING_BYTES` of `memory` from `offset` on, which are zero."""
        self._map = memory
        self._offset = offset + _DATA
        self._words = memoryview(memory)[offset : offset + _DATA].cast("Q")
        self._tail = self._head = self._answered = 0

    def write(self, body: bytes, check: int = 0) -> bool:
        """Write a record, with a number that comes along; False when there is no room."""
        tail, length = self._tail, len(body)
        size = length + _HEAD_BYTES + 7 & -8
        index = tail & _MASK
        start = self._offset + index
        gap = 0 if index + size <= CAPACITY else CAPACITY - index
        if tail + gap + size - self._words[_HEAD] > CAPACITY:
            return False
        if gap:
            _pack(self._map, start, WRAP, 0)
            tail += gap
            start = self._offset
        _pack(self._map, start, length, check)
        start += _HEAD_BYTES
        self._map[start : start + length] = body
        self._tail = self._words[_TAIL] = tail + size
        return True

    def read(self) -> tuple[bytes, int] | None:
        """Take the next record: its body, and the number that came along; None when there is none."""
        head = self._head
        if self._words[_TAIL] == head:
            return None
        start = self._offset + (head & _MASK)
        length, check = _unpack(self._map, start)
        if length == WRAP:
            head += CAPACITY - (head & _MASK)
            start = self._offset
            length, check = _unpack(self._map, start)
        start += _HEAD_BYTES
        body = self._map[start : start + length]
        self._head = self._words[_HEAD] = head + (length + _HEAD_BYTES + 7 & -8)
        return body, check

    @property
    def is_empty(self) -> bool:
        """Whether the reader has read everything."""
        return self._words[_TAIL] == self._head

    def sleep(self) -> None:
        """The reader is about to sleep; it looks once more afterwards."""
        self._words[_SLEEP] += 1

    def wake(self) -> None:
        """The reader is awake."""
        self._words[_SLEEP] += 1

    def must_ring(self) -> bool:
        """Whether the reader sleeps, and was not woken by this writer yet."""
        sleep = self._words[_SLEEP]
        if not sleep & 1 or sleep == self._answered:
            return False
        self._answered = sleep
        return True

    def close(self) -> None:
        """Let go of the memory."""
        self._words.release()
