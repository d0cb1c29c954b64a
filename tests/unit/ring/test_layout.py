"""The memory map: what lies where, and that nothing lies on anything else's line."""

from __future__ import annotations

import pytest

from driven.ring import layout

CAPACITIES = [layout.SMALLEST_CAPACITY_BYTES, 4_096, 1 << 20]


def test_every_word_with_a_writer_of_its_own_has_128_bytes_to_itself() -> None:
    """§6: each cursor alone on its 128 bytes."""
    offsets = [word * layout.WORD_BYTES for word in (layout.TAIL_WORD, layout.HEAD_WORD, layout.SLEEP_WORD)]
    assert offsets == [0, 128, 256]
    assert layout.RING_HEADER_BYTES == 384


@pytest.mark.parametrize("capacity_bytes", CAPACITIES)
def test_the_parts_of_a_segment_follow_one_another_without_a_gap(capacity_bytes: int) -> None:
    """§6: the map is one piece; no part reaches into the next, and each begins on a line of its own."""
    parts = [
        slice(0, layout.STATUS_OFFSET),
        layout.status_block(),
        layout.progress_block(),
        layout.to_worker_ring(capacity_bytes),
        layout.to_bus_ring(capacity_bytes),
    ]
    assert [part.start for part in parts[1:]] == [part.stop for part in parts[:-1]]
    assert parts[-1].stop == layout.segment_bytes(capacity_bytes)
    assert all(part.start % layout.LINE_BYTES == 0 for part in parts)


def test_a_record_header_is_24_bytes_in_native_order_and_keeps_bodies_aligned() -> None:
    """§6: length, type, position check, CRC-32; what the map draws is what is packed."""
    header = layout.RECORD_HEADER.pack(0x0102030405060708, 9, 10, 11)
    words = memoryview(header).cast("I")
    assert layout.RECORD_HEADER_BYTES == len(header) == 24
    assert memoryview(header).cast("Q")[0] == 0x0102030405060708
    assert list(words[2:]) == [9, 10, 11, 0]


@pytest.mark.parametrize("capacity_bytes", [-128, 0, 1, 64, 127, 129, 1_000, (1 << 30) + 1, 1 << 31])
def test_a_capacity_that_no_ring_can_have_is_refused_with_the_number(capacity_bytes: int) -> None:
    """§6: positions are masked, so a capacity is a power of two; the message carries the number and the bounds."""
    with pytest.raises(ValueError, match=f"{capacity_bytes:,} bytes: the capacity must be a power of two from 128"):
        layout.check_capacity(capacity_bytes)


@pytest.mark.parametrize("capacity_bytes", CAPACITIES)
def test_the_largest_record_and_the_padding_before_it_fit_into_an_empty_ring(capacity_bytes: int) -> None:
    """D1: were it not so, a reader that has read everything would leave a ring that is full for ever."""
    largest_body = capacity_bytes // layout.LARGEST_BODY_SHARE
    alignment = layout.RECORD_ALIGNMENT_BYTES
    record = -(-(layout.RECORD_HEADER_BYTES + largest_body) // alignment) * alignment
    assert (record - alignment) + record <= capacity_bytes
