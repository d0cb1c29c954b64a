"""`ProgressBlock`: how far the running command is, as its handler says; the last word wins.

The worker writes it, the bus reads it when somebody asks; each holds an object of its own over the same bytes of the
segment, for as long as that is open. Nothing travels, nobody is woken, and nothing is ever waited for::

    +0    check      u64   CRC-32 of the rest
    +8    position   u64   of the command, one higher; 0: nothing was ever said
    +16   told       u64   when, in nanoseconds of `time.monotonic_ns`
    +24   fraction   f64
    +32   length     u64   of the text, in bytes
    +40   text       UTF-8; what is too long is cut off

A reader that comes in the middle of a writing finds a check that does not match, and looks again. What was told before
the running command began was told by another run.
"""

from __future__ import annotations

import struct
import time
import zlib
from typing import TYPE_CHECKING, Final

from driven.ring.layout import PROGRESS_BYTES

if TYPE_CHECKING:
    from typing import Self

_CHECK: Final = struct.Struct("@Q")
_BODY: Final = struct.Struct("@QQdQ")
LONGEST_TEXT_BYTES: Final = PROGRESS_BYTES - _CHECK.size - _BODY.size

_LOOKS: Final = 3
"""How often a reader looks; then it has seen nothing."""


class ProgressBlock:
    """One side's view of a worker's progress. `memory` is what `layout.progress_block` cuts out."""

    __slots__ = ("_memory",)

    def __init__(self, memory: memoryview) -> None:
        if len(memory) != PROGRESS_BYTES:
            raise ValueError(f"a progress block of {len(memory)} bytes: it takes {PROGRESS_BYTES}")
        self._memory = memory

    def tell(self, position: int, fraction: float, text: str) -> None:
        """Say how far the command at `position` is."""
        told = text.encode("utf-8", "replace")[:LONGEST_TEXT_BYTES]
        body = _BODY.pack(position + 1, time.monotonic_ns(), fraction, len(told)) + told
        self._memory[: _CHECK.size + len(body)] = _CHECK.pack(zlib.crc32(body)) + body

    def told(self, position: int, since_ns: int) -> tuple[float, str] | None:
        """What the command at `position`, which began at `since_ns`, said last: fraction and text, None: nothing."""
        for _ in range(_LOOKS):
            copy = bytes(self._memory)
            stored, told_ns, fraction, length = _BODY.unpack_from(copy, _CHECK.size)
            if stored != position + 1 or told_ns < since_ns or length > LONGEST_TEXT_BYTES:
                return None
            end = _CHECK.size + _BODY.size + length
            if zlib.crc32(copy[_CHECK.size : end]) == _CHECK.unpack_from(copy)[0]:
                return _plain(fraction, copy[_CHECK.size + _BODY.size : end])
        return None

    def close(self) -> None:
        """Let go of the memory; may be called twice."""
        self._memory.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _plain(fraction: float, text: bytes) -> tuple[float, str] | None:
    """What can be shown anywhere: a fraction, and a line of text whose last letter may be cut off."""
    if not 0.0 <= fraction <= 1.0:
        return None
    return fraction, "".join(sign if sign.isprintable() else " " for sign in text.decode("utf-8", "ignore"))
