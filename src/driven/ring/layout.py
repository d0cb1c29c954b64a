"""The memory map of one worker's segment: who writes what, where, and why it lies there.

Nobody owns this module and nothing here lives: it is the agreement between the bus and a worker, as constants. The
segment is made by the bus, one for each worker process, and dies with the channel that made it.

::

    byte 0        +--------------------------------------------------------------------------+
                  | segment header      magic | layout version | ring capacity               |  bus, once
    128           +--------------------------------------------------------------------------+
                  | worker status       see WorkerStatus; one word for each value            |  worker
    256           +--------------------------------------------------------------------------+
                  | worker progress     see ProgressBlock; what a handler says of itself     |  worker
    512           +--------------------------------------------------------------------------+
                  | to_worker ring      +0    tail     where the next record will begin      |  bus
                  |                     +128  head     where the next read will begin        |  worker
                  |                     +256  sleep    counts; odd while the reader sleeps   |  worker
                  |                     +384  data     `capacity` bytes of records           |  bus
    896+capacity  +--------------------------------------------------------------------------+
                  | to_bus ring         the same, written the other way round                |  worker, bus
                  +--------------------------------------------------------------------------+

- **One writer each.** Every word has exactly one process that stores to it, so no lock and no atomic
  read-modify-write is needed, and a process that dies can leave nothing locked (D1).
- **Each cursor alone on its 128 bytes.** A store to one cursor must not take the cache line of another away from the
  other core; 128 and not 64, because x86 fetches lines in pairs and some ARM cores have lines of 128 bytes.
- **Cursors are positions in an endless stream of bytes**, 64 bits wide, never taken modulo the capacity: `tail - head`
  is what is in the ring, full and empty are not alike, and the index is `position & (capacity - 1)`.
- **Native order, 8-byte aligned**, read and written through `memoryview.cast("Q")`, which is one 8-byte load or store.
  A foreign order (`>Q`) would be written byte by byte, and a reader could see half of it.

A record begins at a multiple of 8::

    +0   position   u64   the stream position at which this record begins: the check that it is not an older lap's
    +8   length     u32   of the body, in bytes
    +12  kind       u32   the sender's, 1 to 65,535; 0 is padding
    +16  crc        u32   CRC-32 of the body, seeded with `position + length + kind * KIND_SPREAD + CHECK_SEED`
    +20             4 zero bytes
    +24  body       `length` bytes, then up to 7 bytes that mean nothing

A record is never split. Where it does not fit before the end of the data, a padding record (kind 0, no body) says "go
on at the start"; where not even a header fits, nothing is written and the reader goes on at the start by itself.

Why position *and* checksum: on a weakly ordered CPU the reader may see the new tail before it sees all of the record.
The position tells an old header from the new one. The checksum tells an old body, and because it is seeded with the
header it also tells a header of which only a part has arrived: the leftovers of the previous lap are a record that is
right in itself, of the same length and kind as often as not, and only its position differs. Nor may memory that was
never written pass for a padding record at position 0, which it would without `CHECK_SEED`.
"""

from __future__ import annotations

import struct
from typing import Final

WORD_BYTES: Final = 8
"""Everything but record headers is made of words: unsigned, native order, aligned."""

LINE_BYTES: Final = 128
"""What one writer keeps to itself: two cache lines of 64 bytes, or one of 128."""

# The segment.

MAGIC: Final = int.from_bytes(b"drivenRB", "little")
"""The first word of a segment of ours; read in another byte order it is another number."""

LAYOUT_VERSION: Final = 2
"""The second word; a worker of another version refuses the segment."""

MAGIC_WORD: Final = 0
VERSION_WORD: Final = 1
CAPACITY_WORD: Final = 2

STATUS_OFFSET: Final = LINE_BYTES
STATUS_BYTES: Final = LINE_BYTES
PROGRESS_OFFSET: Final = STATUS_OFFSET + STATUS_BYTES
PROGRESS_BYTES: Final = 2 * LINE_BYTES
RINGS_OFFSET: Final = PROGRESS_OFFSET + PROGRESS_BYTES

# A ring. The three words are indices into the ring's header, cast to words.

TAIL_WORD: Final = 0
HEAD_WORD: Final = LINE_BYTES // WORD_BYTES
SLEEP_WORD: Final = 2 * LINE_BYTES // WORD_BYTES
RING_HEADER_BYTES: Final = 3 * LINE_BYTES

SMALLEST_CAPACITY_BYTES: Final = 128
"""From here on the largest record and the padding before it fit together into an empty ring, so it never stays full."""

LARGEST_CAPACITY_BYTES: Final = 1 << 30
"""Far below what `length` can say, and more than a pair of rings is ever good for."""

LARGEST_BODY_SHARE: Final = 4
"""A record's body takes at most this fraction of the ring: one record must not make all others wait."""

# A record.

RECORD_HEADER: Final = struct.Struct("@QIII4x")
"""position, length, kind, crc: native order and native alignment."""

RECORD_HEADER_BYTES: Final = RECORD_HEADER.size
RECORD_ALIGNMENT_BYTES: Final = 8

PADDING_KIND: Final = 0
LARGEST_RECORD_KIND: Final = 0xFFFF

KIND_SPREAD: Final = 0x9E3779B1
"""Part of a checksum's seed: odd and large, so that one kind and a few laps do not add up to another kind (Knuth)."""

CHECK_SEED: Final = 1
"""The other part: with it, a header of zeros is never right."""


def check_capacity(capacity_bytes: int) -> None:
    """Raise ValueError unless `capacity_bytes` is a power of two that a ring can have."""
    if capacity_bytes & (capacity_bytes - 1) or not SMALLEST_CAPACITY_BYTES <= capacity_bytes <= LARGEST_CAPACITY_BYTES:
        raise ValueError(
            f"a ring of {capacity_bytes:,} bytes: the capacity must be a power of two "
            f"from {SMALLEST_CAPACITY_BYTES} to {LARGEST_CAPACITY_BYTES:,}"
        )


def segment_bytes(capacity_bytes: int) -> int:
    """Return the size of a segment whose two rings hold `capacity_bytes` each."""
    return RINGS_OFFSET + 2 * (RING_HEADER_BYTES + capacity_bytes)


def status_block() -> slice:
    """Return where the worker's status lies in the segment."""
    return slice(STATUS_OFFSET, STATUS_OFFSET + STATUS_BYTES)


def progress_block() -> slice:
    """Return where the worker's progress lies in the segment."""
    return slice(PROGRESS_OFFSET, PROGRESS_OFFSET + PROGRESS_BYTES)


def to_worker_ring(capacity_bytes: int) -> slice:
    """Return where the ring from the bus to the worker lies in the segment."""
    return slice(RINGS_OFFSET, RINGS_OFFSET + RING_HEADER_BYTES + capacity_bytes)


def to_bus_ring(capacity_bytes: int) -> slice:
    """Return where the ring from the worker to the bus lies in the segment."""
    start = RINGS_OFFSET + RING_HEADER_BYTES + capacity_bytes
    return slice(start, start + RING_HEADER_BYTES + capacity_bytes)
