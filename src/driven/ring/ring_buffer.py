"""`RingBuffer`: records in one direction between one writer and one reader, over memory that both have mapped.

Each process makes its own `RingBuffer` over the same bytes and uses one side of it. It belongs to one thread, and lives
as long as the segment below it; `close` lets go of the memory, so that the segment can be closed.

::

         head                          tail
          | reader stores               | writer stores
          v                             v
    ------+--------+-----------+--------+- - - - - - - - +
     free | record |  record   | record |  claim, unseen |  free
    ------+--------+-----------+--------+- - - - - - - - +
          `---- what read() takes ------'`-- try_claim --'

Writing is *claim, fill, publish*: the record is written beyond the tail, where the reader does not look, and becomes
visible by one 8-byte store to the tail. A writer that dies before that store has written nothing. On CPUs that let
stores overtake each other (Graviton), the tail may be seen before the record; then position or checksum do not match,
and the reader behaves as if the record were not published yet. Should it never come to match, the reader gives up
after `LOOKS_BEFORE_BROKEN` looks and raises `RingBroken`: counted in looks, not in time, because a clock that jumps
must not condemn a worker. A store is seen everywhere within microseconds, and 1,000 looks take about a millisecond.

Nor can bytes be overwritten that are still being read: the store to the head depends on a checksum over all of them,
and no CPU makes a store before the loads that it depends on.

Nothing that lies in the memory is trusted: a cursor or a length that cannot be ends in `RingBroken`, never in a read
outside the ring and never in an endless loop.

Each side remembers the last cursor of the other side that it saw, and looks again only when that is used up: in a burst
the two cores do not pass the cursors' cache lines to and fro (Thompson et al., *Disruptor*, LMAX 2011, and the
one-to-one ring buffer of Agrona).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zlib import crc32

from driven.errors import RingBroken
from driven.ring.layout import (
    CHECK_SEED,
    HEAD_WORD,
    KIND_SPREAD,
    LARGEST_BODY_SHARE,
    LARGEST_RECORD_KIND,
    PADDING_KIND,
    RECORD_ALIGNMENT_BYTES,
    RECORD_HEADER,
    RECORD_HEADER_BYTES,
    RING_HEADER_BYTES,
    SLEEP_WORD,
    TAIL_WORD,
    check_capacity,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn, Self

LOOKS_BEFORE_BROKEN: Final = 1_000
"""How many looks in a row at one record that does not match make the ring broken."""

BURST_BYTES: Final = 4_096
"""How much a reader copies out of the ring at once when there is more than one record; a multiple of 8."""

_ROUND_UP: Final = RECORD_HEADER_BYTES + RECORD_ALIGNMENT_BYTES - 1
_ALIGNED: Final = -RECORD_ALIGNMENT_BYTES
_MISALIGNED: Final = RECORD_ALIGNMENT_BYTES - 1
"""A record takes `length + _ROUND_UP & _ALIGNED` bytes: header, body, padding to the next multiple of 8."""

_pack_header = RECORD_HEADER.pack_into
_unpack_header = RECORD_HEADER.unpack_from


class RingBuffer:
    """One side of a ring over `memory`: a ring header and a power of two of data bytes, as `layout` draws it.

    The view is the ring's from then on, which releases it with `close`. Memory that is all zero is an empty ring; a
    ring that was used before is taken up where its cursors stand.

    Raises:
        ValueError: the memory is not of a size that a ring can have.
        RingBroken: the cursors found in it cannot be those of a ring.
    """

    __slots__ = (
        "_capacity",
        "_claim",
        "_cursors",
        "_data",
        "_head",
        "_head_seen",
        "_largest_body",
        "_last_header_index",
        "_looks",
        "_mask",
        "_memory",
        "_sleep_answered",
        "_sleeps",
        "_tail",
        "_tail_seen",
    )

    def __init__(self, memory: memoryview) -> None:
        capacity = len(memory) - RING_HEADER_BYTES
        check_capacity(capacity)
        self._memory = memory
        self._cursors = memory[:RING_HEADER_BYTES].cast("Q")
        self._data = memory[RING_HEADER_BYTES:]
        self._capacity = capacity
        self._mask = capacity - 1
        self._last_header_index = capacity - RECORD_HEADER_BYTES
        self._largest_body = capacity // LARGEST_BODY_SHARE
        self._tail = self._cursors[TAIL_WORD]
        self._head = self._head_seen = self._tail_seen = self._cursors[HEAD_WORD]
        self._sleeps = self._cursors[SLEEP_WORD]
        self._sleep_answered = 0
        self._looks = 0
        self._claim: tuple[int, int, int, memoryview] | None = None
        if not self._are_plausible(self._head, self._tail):
            self.close()
            self._refuse_cursors(self._head, self._tail)

    # What can be asked.

    @property
    def capacity_bytes(self) -> int:
        """How many bytes of records, headers included, the ring holds."""
        return self._capacity

    @property
    def largest_body_bytes(self) -> int:
        """The longest body that a record of this ring may have: a quarter of the ring."""
        return self._largest_body

    @property
    def used_bytes(self) -> int:
        """How many bytes are published and not yet read, headers and padding included; a moment later it is history."""
        head = self._cursors[HEAD_WORD]
        return max(0, self._cursors[TAIL_WORD] - head)

    @property
    def is_empty(self) -> bool:
        """Whether the reader has read all that is published; asked by the reader, it looks at the writer's cursor."""
        return self._cursors[TAIL_WORD] == self._head

    # The writer's side.

    def try_write(self, kind: int, body: bytes) -> bool:
        """Write one record; return False, and write nothing, when the ring is full.

        Args:
            kind: 1 to 65,535; handed to the reader as it is.
            body: at most `largest_body_bytes`.

        Raises:
            ValueError: the kind or the length of the body is out of its bounds.
            RuntimeError: a claim is open.
            RingBroken: the reader's cursor cannot be.
        """
        length = len(body)
        position = self._reserve(kind, length)
        if position < 0:
            return False
        start = (position & self._mask) + RECORD_HEADER_BYTES
        self._data[start : start + length] = body
        self._publish(position, kind, length, body)
        return True

    def try_claim(self, kind: int, length_bytes: int) -> memoryview | None:
        """Claim a record and return its body, to be filled in place; None when the ring is full.

        The view has exactly `length_bytes` and holds whatever lay there. It is good until `commit` publishes the
        record or `abort` forgets it, one of which must follow before anything else is written. Raises as `try_write`.
        """
        position = self._reserve(kind, length_bytes)
        if position < 0:
            return None
        start = (position & self._mask) + RECORD_HEADER_BYTES
        view = self._data[start : start + length_bytes]
        self._claim = (position, kind, length_bytes, view)
        return view

    def commit(self) -> None:
        """Publish the claimed record; the view that `try_claim` returned is released. RuntimeError without a claim."""
        position, kind, length = self._end_claim("commit()")
        start = (position & self._mask) + RECORD_HEADER_BYTES
        with self._data[start : start + length] as body:
            self._publish(position, kind, length, body)

    def abort(self) -> None:
        """Forget the claimed record: the reader never sees it. RuntimeError without a claim."""
        self._end_claim("abort()")

    def _reserve(self, kind: int, length: int) -> int:
        """Return the position at which the record may be written, -1 when the ring is full."""
        if (
            self._claim is not None
            or not PADDING_KIND < kind <= LARGEST_RECORD_KIND
            or not 0 <= length <= self._largest_body
        ):
            self._refuse_record(kind, length)
        position = self._room_for(length)
        if position > self._tail:
            self._write_padding()
        return position

    def _room_for(self, length: int) -> int:
        """Return the position at which a body of `length` bytes fits, -1 when it fits nowhere."""
        tail = position = self._tail
        size = length + _ROUND_UP & _ALIGNED
        until_end = self._capacity - (tail & self._mask)
        if size > until_end:
            position += until_end
        end = position + size
        if end - self._head_seen > self._capacity and end - self._look_at_head() > self._capacity:
            return -1
        return position

    def _publish(self, position: int, kind: int, length: int, body: bytes | memoryview) -> None:
        """Write the header of a record whose body is in place, then make it visible by one store to the tail."""
        checksum = crc32(body, position + length + kind * KIND_SPREAD + CHECK_SEED)
        _pack_header(self._data, position & self._mask, position, length, kind, checksum)
        self._tail = self._cursors[TAIL_WORD] = position + (length + _ROUND_UP & _ALIGNED)

    def _write_padding(self) -> None:
        """Tell the reader to go on at the start; it is published together with the record that follows."""
        index = self._tail & self._mask
        if index <= self._last_header_index:
            _pack_header(self._data, index, self._tail, 0, PADDING_KIND, crc32(b"", self._tail + CHECK_SEED))

    def _look_at_head(self) -> int:
        head = self._cursors[HEAD_WORD]
        if head < self._head_seen or not self._are_plausible(head, self._tail):
            self._refuse_cursors(head, self._tail)
        self._head_seen = head
        return head

    def _end_claim(self, verb: str) -> tuple[int, int, int]:
        if self._claim is None:
            raise RuntimeError(f"{verb} without a claim, at position {self._tail:,}; call try_claim() first")
        position, kind, length, view = self._claim
        self._claim = None
        view.release()
        return position, kind, length

    def _refuse_record(self, kind: int, length: int) -> NoReturn:
        if self._claim is not None:
            position, claimed_kind, claimed_length, _ = self._claim
            raise RuntimeError(
                f"a record of {claimed_length:,} bytes and kind {claimed_kind} is claimed at position {position:,}; "
                f"commit() or abort() it first"
            )
        raise ValueError(
            f"a record of {length:,} bytes and kind {kind:,}: this ring takes bodies of 0 to {self._largest_body:,} "
            f"bytes (a quarter of {self._capacity:,}) and kinds from {PADDING_KIND + 1} to {LARGEST_RECORD_KIND:,}"
        )

    # The reader's side.

    def read(self) -> tuple[int, bytes] | None:
        """Take the next record and return its kind and a copy of its body; None when there is none yet.

        The bytes are the caller's: what happens to the ring afterwards does not change them (S6).

        Raises:
            RingBroken: the writer's cursor cannot be, or `LOOKS_BEFORE_BROKEN` looks in a row found no matching record.
        """
        head = self._head
        if head == self._tail_seen:
            if self._cursors[TAIL_WORD] == head:
                return None
            self._look_at_tail()
        index = head & self._mask
        if index > self._last_header_index:
            return self._read_at_start()
        position, length, kind, checksum = _unpack_header(self._data, index)
        size = length + _ROUND_UP & _ALIGNED
        if position != head or size > self._tail_seen - head or index + size > self._capacity:
            self._count_look("header", position, length, kind)
            return None
        start = index + RECORD_HEADER_BYTES
        body = self._data[start : start + length].tobytes()
        if crc32(body, position + length + kind * KIND_SPREAD + CHECK_SEED) != checksum:
            self._count_look("checksum", position, length, kind)
            return None
        if kind == PADDING_KIND:
            return self._read_at_start()
        self._looks = 0
        self._head = self._cursors[HEAD_WORD] = head + size
        return kind, body

    def read_burst(self, lone_above: int) -> Sequence[tuple[int, bytes]]:
        """Take the next record as `read` does, and with it those that lie behind it; none when there is none yet.

        What follows is copied out of the ring in one piece, of `BURST_BYTES` at most. The burst ends where that does,
        where the ring does, and before what does not match. One of a kind above `lone_above` comes alone. Raises as
        `read`.
        """
        first, head = self.read(), self._head
        records = [] if first is None else [first]
        if first is None or first[0] > lone_above or head == self._tail_seen:
            return records
        index, at = head & self._mask, 0
        copy = self._data[index : index + min(self._tail_seen - head, BURST_BYTES)].tobytes()
        while len(copy) - at >= RECORD_HEADER_BYTES:
            position, length, kind, checksum = _unpack_header(copy, at)
            start = at + RECORD_HEADER_BYTES
            body = copy[start : start + length]
            is_next = position == head + at and len(body) == length and PADDING_KIND < kind <= lone_above
            if not is_next or crc32(body, position + length + kind * KIND_SPREAD + CHECK_SEED) != checksum:
                break
            records.append((kind, body))
            at += length + _ROUND_UP & _ALIGNED
        self._head = self._cursors[HEAD_WORD] = head + at
        return records

    def _read_at_start(self) -> tuple[int, bytes] | None:
        """Go on at the start of the data, where a record must be; the writer learns of it when that one was read."""
        start = self._head + self._capacity - (self._head & self._mask)
        if start >= self._tail_seen:
            self._count_look("padding", start, 0, PADDING_KIND)
            return None
        self._head = start
        return self.read()

    def _look_at_tail(self) -> None:
        """Look at the writer's cursor again."""
        tail = self._cursors[TAIL_WORD]
        if not self._are_plausible(self._head, tail):
            self._refuse_cursors(self._head, tail)
        self._tail_seen = tail

    def _count_look(self, part: str, position: int, length: int, kind: int) -> None:
        """Count one look at a record that does not match what its place demands; too many are `RingBroken`."""
        self._looks += 1
        if self._looks >= LOOKS_BEFORE_BROKEN:
            raise RingBroken(
                f"the record at position {self._head:,} has not come to match in {self._looks:,} looks: its {part} is "
                f"wrong (position {position:,}, {length:,} bytes, kind {kind:,}; tail {self._tail_seen:,}, "
                f"capacity {self._capacity:,})"
            )

    # Sleeping: see `waiting` for the handshake.

    @property
    def reader_sleeps(self) -> bool:
        """Whether the reader says that it sleeps, or is about to. Set by the reader only."""
        return self._cursors[SLEEP_WORD] & 1 == 1

    @reader_sleeps.setter
    def reader_sleeps(self, sleeps: bool) -> None:
        self._sleeps = self._sleeps + 1 | 1 if sleeps else self._sleeps + 1 & -2
        self._cursors[SLEEP_WORD] = self._sleeps

    def must_wake_reader(self) -> bool:
        """Whether the reader sleeps and this writer has not answered that sleep yet; asked after writing.

        True once for each sleep: the first record of a burst rings, the others do not pay for a system call.
        """
        sleep = self._cursors[SLEEP_WORD]
        if not sleep & 1 or sleep == self._sleep_answered:
            return False
        self._sleep_answered = sleep
        return True

    # Trust, and the end.

    def restate_tail(self) -> None:
        """Store the writer's cursor once more: what others have overwritten must not hide a record for ever."""
        self._cursors[TAIL_WORD] = self._tail

    def restate_head(self) -> None:
        """Store the reader's cursor once more, as `restate_tail` does."""
        self._cursors[HEAD_WORD] = self._head

    def _are_plausible(self, head: int, tail: int) -> bool:
        return 0 <= tail - head <= self._capacity and not (head | tail) & _MISALIGNED

    def _refuse_cursors(self, head: int, tail: int) -> NoReturn:
        raise RingBroken(
            f"head {head:,} and tail {tail:,} cannot be the cursors of a ring of {self._capacity:,} bytes "
            f"(last seen: head {self._head_seen:,}, tail {self._tail_seen:,})"
        )

    def close(self) -> None:
        """Let go of the memory, an open claim included; may be called twice. Nothing else may be called afterwards."""
        if self._claim is not None:
            self.abort()
        self._cursors.release()
        self._data.release()
        self._memory.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
