"""`RingBuffer` by example: order, wrapping, full as a value, claims, misuse, and memory that cannot be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driven.errors import RingBroken
from driven.ring.layout import (
    CHECK_SEED,
    HEAD_WORD,
    KIND_SPREAD,
    LARGEST_RECORD_KIND,
    PADDING_KIND,
    RECORD_HEADER,
    RECORD_HEADER_BYTES,
    RING_HEADER_BYTES,
    SLEEP_WORD,
    TAIL_WORD,
)
from driven.ring.ring_buffer import LOOKS_BEFORE_BROKEN, RingBuffer

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALLEST = 128
KIND = 7


class Both:
    """A ring with a writer and a reader of their own, as two processes have, and the memory below them."""

    def __init__(self, capacity_bytes: int) -> None:
        self.memory = memoryview(bytearray(RING_HEADER_BYTES + capacity_bytes))
        self.words = self.memory[:RING_HEADER_BYTES].cast("Q")
        self.data = self.memory[RING_HEADER_BYTES:]
        self.writer = RingBuffer(self.memory[:])
        self.reader = RingBuffer(self.memory[:])

    def move_to(self, position: int) -> None:
        """Write and read until the next record begins at `position`."""
        while self.words[TAIL_WORD] < position:
            room = min(position - self.words[TAIL_WORD], 56)
            step = room if position - self.words[TAIL_WORD] - room not in {8, 16} else room - 16
            assert self.writer.try_write(KIND, bytes(step - RECORD_HEADER_BYTES))
            assert self.reader.read() is not None
        assert self.words[TAIL_WORD] == position


@pytest.fixture
def ring() -> Iterator[Both]:
    """A ring of the smallest size there is: 128 bytes, bodies of up to 32."""
    both = Both(SMALLEST)
    yield both
    both.writer.close()
    both.reader.close()


# Order and content.


def test_records_are_read_in_the_order_in_which_they_were_written(ring: Both) -> None:
    """O2: a ring is first in, first out, with kinds and bodies as they were."""
    records = [(1, b"first"), (2, b""), (LARGEST_RECORD_KIND, b"third")]
    assert all(ring.writer.try_write(kind, body) for kind, body in records)

    assert [ring.reader.read() for _ in records] == records
    assert ring.reader.read() is None


def test_what_was_read_stays_as_it_was_when_the_ring_is_used_again(ring: Both) -> None:
    """S6: a body is a copy."""
    kept = []
    bodies = [bytes([number]) * 32 for number in range(50)]
    for body in bodies:
        assert ring.writer.try_write(KIND, body)
        kept.append(ring.reader.read())

    assert kept == [(KIND, body) for body in bodies]


def test_a_ring_knows_what_is_in_it(ring: Both) -> None:
    """§3: booleans read as claims, units stand in names."""
    assert (ring.writer.capacity_bytes, ring.writer.largest_body_bytes) == (128, 32)
    assert ring.reader.is_empty
    assert ring.writer.try_write(KIND, b"123456789")

    assert not ring.reader.is_empty
    assert ring.writer.used_bytes == ring.reader.used_bytes == 40

    assert ring.reader.read() == (KIND, b"123456789")
    assert ring.reader.is_empty
    assert ring.reader.used_bytes == 0


# Wrapping.


@pytest.mark.parametrize("remainder", range(8, 64, 8))
def test_a_record_that_does_not_fit_before_the_end_begins_at_the_start(ring: Both, remainder: int) -> None:
    """§6: a record is never split; with 8 or 16 bytes left not even the padding's header fits."""
    ring.move_to(SMALLEST - remainder)
    record_bytes = 56

    assert ring.writer.try_write(KIND, b"x" * 32)
    begins_at = SMALLEST - remainder if remainder >= record_bytes else SMALLEST
    assert ring.words[TAIL_WORD] == begins_at + record_bytes

    assert ring.reader.read() == (KIND, b"x" * 32)
    assert ring.words[HEAD_WORD] == ring.words[TAIL_WORD]


def test_a_record_may_end_exactly_where_the_ring_ends(ring: Both) -> None:
    """§6: an exact fit needs no padding, and the next record begins at the start."""
    ring.move_to(SMALLEST - 56)
    assert ring.writer.try_write(1, b"a" * 32)
    assert ring.words[TAIL_WORD] == SMALLEST
    assert ring.writer.try_write(2, b"b" * 32)
    assert ring.words[TAIL_WORD] == SMALLEST + 56

    assert [ring.reader.read(), ring.reader.read()] == [(1, b"a" * 32), (2, b"b" * 32)]


def test_one_record_at_a_time_goes_round_and_round_the_smallest_ring(ring: Both) -> None:
    """§6: at every place in the lap every length has its turn, and an empty ring is never full."""
    for number in range(33 * 16):
        body = bytes([number % 251]) * (number % 33)
        assert ring.writer.try_write(KIND, body)
        assert ring.reader.read() == (KIND, body)
        assert ring.reader.read() is None


# Full.


def test_a_full_ring_is_a_return_value_and_takes_records_again_when_one_was_read(ring: Both) -> None:
    """F4: full is `False` or `None`, never an error, and what was not written is nowhere."""
    assert ring.writer.try_write(1, b"a" * 32)
    assert ring.writer.try_write(2, b"b" * 32)

    assert not ring.writer.try_write(3, b"c" * 32)
    assert ring.writer.try_claim(3, 32) is None
    assert ring.reader.read() == (1, b"a" * 32)

    assert ring.writer.try_write(4, b"d" * 32)
    assert [ring.reader.read() for _ in range(3)] == [(2, b"b" * 32), (4, b"d" * 32), None]


def test_a_ring_can_be_filled_to_the_last_byte(ring: Both) -> None:
    """§6: full and empty are not alike, so no byte is kept free to tell them apart."""
    assert ring.writer.try_write(1, b"a" * 32)
    assert ring.writer.try_write(2, b"b" * 32)
    ring.reader.read()
    assert ring.writer.try_write(3, b"c" * 32)
    assert ring.writer.used_bytes == SMALLEST

    assert [ring.reader.read() for _ in range(3)] == [(2, b"b" * 32), (3, b"c" * 32), None]


# Claims.


def test_a_claim_is_seen_when_it_is_committed_and_not_before(ring: Both) -> None:
    """§6: claim, fill, publish."""
    claim = ring.writer.try_claim(KIND, 5)
    assert claim is not None
    claim[:] = b"hello"
    assert ring.reader.is_empty
    assert ring.reader.read() is None

    ring.writer.commit()
    assert ring.reader.read() == (KIND, b"hello")


def test_an_aborted_claim_is_never_seen_and_takes_no_room(ring: Both) -> None:
    """§6: abort forgets; what follows is written in the same place."""
    ring.move_to(SMALLEST - 24)
    claim = ring.writer.try_claim(KIND, 32)
    assert claim is not None
    claim[:] = b"!" * 32
    ring.writer.abort()
    assert ring.reader.read() is None

    assert ring.writer.try_write(KIND, b"")
    assert ring.words[TAIL_WORD] == SMALLEST
    assert ring.reader.read() == (KIND, b"")


@pytest.mark.parametrize("verb", ["commit", "abort"])
def test_the_view_of_a_claim_ends_with_the_claim(ring: Both, verb: str) -> None:
    """S5: nobody keeps ring memory."""
    claim = ring.writer.try_claim(KIND, 5)
    assert claim is not None
    getattr(ring.writer, verb)()

    with pytest.raises(ValueError, match="released"):
        claim[0] = 1


def test_a_writer_that_dies_in_the_middle_of_a_body_has_written_nothing(ring: Both) -> None:
    """D1: what was published before is read, the torn record never."""
    assert ring.writer.try_write(KIND, b"whole")
    claim = ring.writer.try_claim(KIND, 32)
    assert claim is not None
    claim[:16] = b"h" * 16

    assert ring.reader.read() == (KIND, b"whole")
    assert [ring.reader.read() for _ in range(LOOKS_BEFORE_BROKEN + 1)] == [None] * (LOOKS_BEFORE_BROKEN + 1)


# Misuse.


@pytest.mark.parametrize(
    ("kind", "length", "says"),
    [
        (0, 4, "a record of 4 bytes and kind 0: .* kinds from 1 to 65,535"),
        (-1, 4, "kind -1: .* kinds from 1 to 65,535"),
        (65_536, 4, "kind 65,536: .* kinds from 1 to 65,535"),
        (1, 33, r"a record of 33 bytes and kind 1: .* bodies of 0 to 32 bytes \(a quarter of 128\)"),
        (1, 4_096, "a record of 4,096 bytes"),
    ],
)
def test_a_record_that_no_ring_takes_is_refused_with_the_numbers(ring: Both, kind: int, length: int, says: str) -> None:
    """STYLE: the numbers stand in every message about misuse; nothing was written."""
    with pytest.raises(ValueError, match=says):
        ring.writer.try_write(kind, bytes(length))
    with pytest.raises(ValueError, match=says):
        ring.writer.try_claim(kind, length)
    assert ring.reader.read() is None


def test_a_claim_of_a_negative_length_is_refused(ring: Both) -> None:
    """STYLE: the numbers stand in every message about misuse."""
    with pytest.raises(ValueError, match="a record of -1 bytes"):
        ring.writer.try_claim(KIND, -1)


@pytest.mark.parametrize("verb", ["commit", "abort"])
def test_ending_a_claim_that_is_not_open_is_refused(ring: Both, verb: str) -> None:
    """STYLE: the message says where the writer stands and what to call first."""
    assert ring.writer.try_write(KIND, b"")
    with pytest.raises(RuntimeError, match=rf"{verb}\(\) without a claim, at position 24; call try_claim\(\) first"):
        getattr(ring.writer, verb)()


def test_writing_while_a_claim_is_open_is_refused(ring: Both) -> None:
    """STYLE: one claim at a time; the open one stays as it is."""
    claim = ring.writer.try_claim(KIND, 2)
    assert claim is not None
    claim[:] = b"ok"
    with pytest.raises(RuntimeError, match="of 2 bytes and kind 7 is claimed at position 0"):
        ring.writer.try_write(KIND, b"other")
    with pytest.raises(RuntimeError, match="commit"):
        ring.writer.try_claim(KIND, 2)

    ring.writer.commit()
    assert ring.reader.read() == (KIND, b"ok")


@pytest.mark.parametrize("size_bytes", [0, 384, 385, 384 + 64, 384 + 129])
def test_memory_that_no_ring_fits_is_refused(size_bytes: int) -> None:
    """STYLE: the numbers stand in every message about misuse."""
    with pytest.raises(ValueError, match="must be a power of two"):
        RingBuffer(memoryview(bytearray(size_bytes)))


# Memory that cannot be trusted.


@pytest.mark.parametrize(
    ("head", "tail"),
    [(0, 136), (8, 0), (0, 3), (4, 8), (0, (1 << 64) - 8), ((1 << 64) - 8, 0), (1 << 63, (1 << 63) + 256)],
)
def test_cursors_that_cannot_be_are_refused_by_both_sides(ring: Both, head: int, tail: int) -> None:
    """W8: garbage ends in `RingBroken` with the numbers, never in a read outside the ring or an endless loop."""
    garbage = Both(SMALLEST)
    garbage.words[HEAD_WORD], garbage.words[TAIL_WORD] = head, tail
    with pytest.raises(RingBroken, match=f"head {head:,} and tail {tail:,} cannot be the cursors of a ring of 128"):
        RingBuffer(garbage.memory[:])
    assert ring.reader.read() is None


@pytest.mark.parametrize("tail", [136, 4, (1 << 64) - 8, 1 << 63])
def test_a_tail_that_cannot_be_breaks_the_ring_for_its_reader(ring: Both, tail: int) -> None:
    """D1: a worker that went wild is found out at the first look."""
    ring.words[TAIL_WORD] = tail
    with pytest.raises(RingBroken, match=f"tail {tail:,} cannot be"):
        ring.reader.read()


@pytest.mark.parametrize("head", [8, 200, 12, (1 << 64) - 8])
def test_a_head_that_cannot_be_breaks_the_ring_for_its_writer(ring: Both, head: int) -> None:
    """D1: a reader that claims to have read what is not written does not make the writer overwrite anything."""
    ring.move_to(64)
    assert ring.writer.try_write(1, b"a" * 32)
    assert ring.writer.try_write(2, b"b" * 32)
    ring.words[HEAD_WORD] = head
    with pytest.raises(RingBroken, match=f"head {head:,}"):
        ring.writer.try_write(3, b"c" * 32)


def test_a_tail_without_its_record_is_delivered_when_the_record_has_come(ring: Both) -> None:
    """W2: on a weakly ordered CPU the tail may be seen first; the reader treats the record as not yet published."""
    record = bytearray(ring.memory)
    apart = RingBuffer(memoryview(record))
    assert apart.try_write(KIND, b"late")

    ring.words[TAIL_WORD] = apart.used_bytes
    assert [ring.reader.read() for _ in range(LOOKS_BEFORE_BROKEN - 1)] == [None] * (LOOKS_BEFORE_BROKEN - 1)
    ring.data[:] = record[RING_HEADER_BYTES:]

    assert ring.reader.read() == (KIND, b"late")


def test_a_record_that_never_comes_to_match_breaks_the_ring_after_a_thousand_looks(ring: Both) -> None:
    """D1: a writer that died after it moved the tail is found out, within a bound and without a clock."""
    ring.words[TAIL_WORD] = 56
    for _ in range(LOOKS_BEFORE_BROKEN - 1):
        assert ring.reader.read() is None

    with pytest.raises(RingBroken, match="the record at position 0 has not come to match in 1,000 looks"):
        ring.reader.read()
    with pytest.raises(RingBroken, match="in 1,001 looks"):
        ring.reader.read()


def test_looks_are_counted_for_each_record_anew(ring: Both) -> None:
    """W2: many records that come a little late do not add up to a broken ring."""
    for _ in range(3):
        start = ring.words[TAIL_WORD] % SMALLEST
        assert ring.writer.try_write(KIND, b"")
        ring.data[start + 16] ^= 1
        for _ in range(LOOKS_BEFORE_BROKEN - 1):
            assert ring.reader.read() is None
        ring.data[start + 16] ^= 1
        assert ring.reader.read() == (KIND, b"")


@pytest.mark.parametrize("offset", range(RECORD_HEADER_BYTES - 4 + 5))
def test_no_byte_of_a_record_can_be_wrong_and_be_delivered(ring: Both, offset: int) -> None:
    """W2: position, length, kind, checksum and body are all under the check; only the four idle bytes are not."""
    index = offset if offset < RECORD_HEADER_BYTES - 4 else offset + 4
    assert ring.writer.try_write(KIND, b"12345")
    for bit in range(8):
        ring.data[index] ^= 1 << bit
        assert ring.reader.read() is None
        ring.data[index] ^= 1 << bit
    assert ring.reader.read() == (KIND, b"12345")


def test_a_head_that_goes_back_breaks_the_ring_for_its_writer(ring: Both) -> None:
    """D1: a reader that un-reads what it has read is not to be trusted, though its cursor could be one."""
    ring.move_to(80)
    assert ring.writer.try_write(KIND, b"x" * 24)
    assert ring.writer.try_write(KIND, b"x" * 32)
    ring.words[HEAD_WORD] = 72
    with pytest.raises(RingBroken, match=r"head 72 and tail 184 .*\(last seen: head 80"):
        ring.writer.try_write(KIND, b"x" * 32)


def test_a_record_that_is_longer_than_what_was_published_is_not_delivered(ring: Both) -> None:
    """W8: a tail in the middle of a record: nothing beyond it is read."""
    assert ring.writer.try_write(KIND, b"x" * 32)
    ring.words[TAIL_WORD] = 48
    assert ring.reader.read() is None


def test_a_record_that_runs_past_the_end_of_the_ring_is_not_delivered(ring: Both) -> None:
    """W8: a forged header, right in itself, whose body would lie outside the data."""
    ring.move_to(104)
    length = 8
    RECORD_HEADER.pack_into(
        ring.data, 104, 104, length, KIND, (104 + length + KIND * KIND_SPREAD + CHECK_SEED) & 0xFFFFFFFF
    )
    ring.words[TAIL_WORD] = 136
    assert ring.reader.read() is None


def test_a_padding_record_beyond_the_tail_leads_nowhere(ring: Both) -> None:
    """W8: a forged padding with a right checksum sends the reader past the tail; it stays, and gives up."""
    assert ring.writer.try_write(KIND, b"")
    RECORD_HEADER.pack_into(ring.data, 0, 0, 0, PADDING_KIND, CHECK_SEED)
    assert [ring.reader.read() for _ in range(LOOKS_BEFORE_BROKEN - 1)] == [None] * (LOOKS_BEFORE_BROKEN - 1)

    with pytest.raises(RingBroken, match=r"the record at position 0 .* its padding is wrong"):
        ring.reader.read()


# Sleeping.


def test_a_writer_is_told_once_for_each_sleep_to_wake_the_reader(ring: Both) -> None:
    """D2: the first record of a burst rings, the others do not pay for it."""
    assert not ring.writer.must_wake_reader()
    for _ in range(3):
        ring.reader.reader_sleeps = True
        assert ring.writer.reader_sleeps
        assert [ring.writer.must_wake_reader() for _ in range(3)] == [True, False, False]
        ring.reader.reader_sleeps = False
        assert not ring.writer.reader_sleeps
        assert not ring.writer.must_wake_reader()


def test_saying_the_same_twice_changes_nothing_but_asks_for_a_new_ring(ring: Both) -> None:
    """D5: a reader that says again that it sleeps may have missed the ring; it is rung again."""
    ring.reader.reader_sleeps = True
    assert ring.writer.must_wake_reader()
    ring.reader.reader_sleeps = True
    assert ring.writer.must_wake_reader()
    ring.reader.reader_sleeps = False
    ring.reader.reader_sleeps = False
    assert not ring.writer.must_wake_reader()


def test_a_writer_that_comes_later_wakes_a_reader_that_sleeps_already(ring: Both) -> None:
    """D5: the bus sleeps before its worker has attached."""
    ring.reader.reader_sleeps = True
    assert RingBuffer(ring.memory[:]).must_wake_reader()


def test_a_reader_that_comes_later_does_not_repeat_the_number_of_a_sleep(ring: Both) -> None:
    """D5: the writer would take the new sleep for one that it has answered."""
    ring.reader.reader_sleeps = True
    assert ring.writer.must_wake_reader()
    successor = RingBuffer(ring.memory[:])
    successor.reader_sleeps = False
    successor.reader_sleeps = True
    assert ring.writer.must_wake_reader()
    assert ring.words[SLEEP_WORD] == 3


# The end.


def test_closing_releases_the_memory_and_may_be_repeated() -> None:
    """S5: views are released deterministically, an open claim included."""
    memory = bytearray(RING_HEADER_BYTES + SMALLEST)
    with RingBuffer(memoryview(memory)) as ring:
        claim = ring.try_claim(KIND, 4)
    ring.close()

    memory.extend(b"a bytearray can only grow when nobody holds a view of it")
    with pytest.raises(ValueError, match="released"):
        bytes(claim or b"")


def test_a_ring_that_is_refused_holds_on_to_nothing() -> None:
    """S5: also not through the error that is being handled."""
    memory = bytearray(RING_HEADER_BYTES + SMALLEST)
    memory[0] = 1
    with pytest.raises(RingBroken):
        RingBuffer(memoryview(memory))
    memory.extend(b"a bytearray can only grow when nobody holds a view of it")
