"""`RingBuffer` as properties: against a queue as its model, under stores in any order, and over garbage."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from driven.errors import RingBroken
from driven.ring.layout import HEAD_WORD, RING_HEADER_BYTES, TAIL_WORD
from driven.ring.ring_buffer import LOOKS_BEFORE_BROKEN, RingBuffer

if TYPE_CHECKING:
    from hypothesis.strategies import DataObject

KINDS = st.sampled_from([1, 100, 101]) | st.integers(1, 65_535)
CAPACITIES = st.sampled_from([128, 256, 1_024])
SMALLEST = 128


class RingIsAQueue(RuleBasedStateMachine):
    """Writer and reader do what they like, and are replaced now and then; the ring is a queue all the same (O2)."""

    @initialize(capacity_bytes=CAPACITIES)
    def open(self, capacity_bytes: int) -> None:
        """Begin with an empty ring."""
        self.memory = memoryview(bytearray(RING_HEADER_BYTES + capacity_bytes))
        self.writer = RingBuffer(self.memory[:])
        self.reader = RingBuffer(self.memory[:])
        self.expected: deque[tuple[int, bytes]] = deque()
        self.claim: tuple[int, memoryview] | None = None

    def body(self, data: DataObject) -> bytes:
        """Draw a body that the ring takes."""
        return data.draw(st.binary(max_size=self.writer.largest_body_bytes))

    @precondition(lambda self: self.claim is None)
    @rule(data=st.data(), kind=KINDS)
    def write(self, data: DataObject, kind: int) -> None:
        """Write; only a ring that holds something may say that it is full."""
        body = self.body(data)
        if self.writer.try_write(kind, body):
            self.expected.append((kind, body))
        else:
            assert self.expected

    @precondition(lambda self: self.claim is None)
    @rule(data=st.data(), kind=KINDS)
    def claim_and_fill(self, data: DataObject, kind: int) -> None:
        """Claim a record, which is not written yet."""
        body = self.body(data)
        view = self.writer.try_claim(kind, len(body))
        if view is None:
            assert self.expected
        else:
            view[:] = body
            self.claim = (kind, view)

    @precondition(lambda self: self.claim is not None)
    @rule()
    def commit(self) -> None:
        """Publish the claim."""
        assert self.claim is not None
        kind, view = self.claim
        self.expected.append((kind, bytes(view)))
        self.claim = None
        self.writer.commit()

    @precondition(lambda self: self.claim is not None)
    @rule()
    def abort(self) -> None:
        """Forget the claim."""
        self.claim = None
        self.writer.abort()

    @rule()
    def read(self) -> None:
        """Read what the model says comes next, or nothing."""
        assert self.reader.read() == (self.expected.popleft() if self.expected else None)

    @rule(lone_above=st.sampled_from([1, 100, 65_535]))
    def read_burst(self, lone_above: int) -> None:
        """Read some of what the model says comes next, or nothing; who is to come alone does."""
        records = self.reader.read_burst(lone_above)

        assert bool(records) == bool(self.expected)
        assert list(records) == [self.expected.popleft() for _ in records]
        assert len(records) == 1 or all(kind <= lone_above for kind, _ in records)

    @rule()
    def replace_reader(self) -> None:
        """Go on with another reader over the same memory."""
        self.reader.close()
        self.reader = RingBuffer(self.memory[:])

    @rule()
    def replace_writer(self) -> None:
        """Go on with another writer over the same memory; an open claim is lost with the old one."""
        self.writer.close()
        self.claim = None
        self.writer = RingBuffer(self.memory[:])

    @invariant()
    def is_empty_when_the_model_is(self) -> None:
        """The reader knows whether there is something to read."""
        if hasattr(self, "reader"):
            assert self.reader.is_empty == (not self.expected)


TestRingIsAQueue = RingIsAQueue.TestCase
TestRingIsAQueue.settings = settings(stateful_step_count=60)


@given(data=st.data(), laps=st.integers(0, 3), kind=st.integers(1, 5), length=st.sampled_from([0, 8, 21, 32]))
def test_stores_may_become_visible_in_any_order(data: DataObject, laps: int, kind: int, length: int) -> None:
    """W2: whatever part of a record is seen first, it is delivered whole or not yet.

    What lies below it is memory that was never written, or a record of the same kind and length from the lap before,
    which is right in itself but for its place.
    """
    memory = memoryview(bytearray(RING_HEADER_BYTES + SMALLEST))
    writer, reader = RingBuffer(memory[:]), RingBuffer(memory[:])
    records_a_lap = SMALLEST // (-(-(24 + length) // 8) * 8)
    for number in range(laps * records_a_lap):
        assert writer.try_write(kind, bytes([number]) * length)
        assert reader.read() is not None
    before = bytes(memory)
    body = data.draw(st.binary(min_size=length, max_size=length))
    assert writer.try_write(kind, body)
    after = bytes(memory)

    memory[:] = before
    memory[:RING_HEADER_BYTES] = after[:RING_HEADER_BYTES]
    stores = [at for at in range(RING_HEADER_BYTES, len(after), 4) if after[at : at + 4] != before[at : at + 4]]
    delivered = [reader.read()]
    for at in data.draw(st.permutations(stores)):
        memory[at : at + 4] = after[at : at + 4]
        delivered.append(reader.read())

    assert delivered[-1] == (kind, body)
    assert set(delivered[:-1]) <= {None}


@given(data=st.data(), length=st.sampled_from([0, 8, 21, 32]), laps=st.integers(0, 3))
def test_a_burst_ends_before_a_record_that_is_not_all_there(data: DataObject, length: int, laps: int) -> None:
    """W2: the first is whole, and of the one behind it some stores are seen already, the tail among them."""
    memory = memoryview(bytearray(RING_HEADER_BYTES + 2 * SMALLEST))
    writer, reader = RingBuffer(memory[:]), RingBuffer(memory[:])
    for number in range(3 * laps):
        assert writer.try_write(1, bytes([number]) * length)
        assert reader.read() is not None
    first, second = data.draw(st.tuples(*[st.binary(min_size=length, max_size=length)] * 2))
    assert writer.try_write(1, first)
    before = bytes(memory)
    assert writer.try_write(1, second)
    after = bytes(memory)

    stores = [at for at in range(RING_HEADER_BYTES, len(after), 4) if after[at : at + 4] != before[at : at + 4]]
    seen = data.draw(st.sets(st.sampled_from(stores), max_size=len(stores) - 1))
    memory[RING_HEADER_BYTES:] = before[RING_HEADER_BYTES:]
    for at in seen:
        memory[at : at + 4] = after[at : at + 4]

    assert list(reader.read_burst(9)) == [(1, first)]
    memory[:] = after[: HEAD_WORD * 8] + bytes(memory[HEAD_WORD * 8 : HEAD_WORD * 8 + 8]) + after[HEAD_WORD * 8 + 8 :]
    assert list(reader.read_burst(9)) == [(1, second)]


@given(bodies=st.lists(st.integers(0, 1_500), min_size=1, max_size=40))
def test_bursts_of_records_of_any_size_are_all_there_is_in_order(bodies: list[int]) -> None:
    """W2: they end where a record would be cut, and nothing is left out there."""
    memory = memoryview(bytearray(RING_HEADER_BYTES + (1 << 16)))
    writer, reader = RingBuffer(memory[:]), RingBuffer(memory[:])
    written = [(1 + number, bytes([number]) * length) for number, length in enumerate(bodies)]
    for kind, body in written:
        assert writer.try_write(kind, body)

    read: list[tuple[int, bytes]] = []
    while records := reader.read_burst(9_999):
        read += records

    assert read == written
    assert reader.is_empty


@given(data=st.data(), capacity_bytes=CAPACITIES)
def test_garbage_in_the_data_is_never_delivered(data: DataObject, capacity_bytes: int) -> None:
    """W8: with cursors that can be and bytes that cannot, reading ends in `RingBroken`, and in nothing else."""
    memory = memoryview(bytearray(RING_HEADER_BYTES + capacity_bytes))
    head = 8 * data.draw(st.integers(0, 1 << 60))
    words = memory[:RING_HEADER_BYTES].cast("Q")
    words[HEAD_WORD] = head
    words[TAIL_WORD] = head + 8 * data.draw(st.integers(1, capacity_bytes // 8))
    memory[RING_HEADER_BYTES:] = data.draw(st.binary(min_size=capacity_bytes, max_size=capacity_bytes))
    reader = RingBuffer(memory[:])

    assert [reader.read() for _ in range(LOOKS_BEFORE_BROKEN - 1)] == [None] * (LOOKS_BEFORE_BROKEN - 1)
    with pytest.raises(RingBroken):
        reader.read()


@given(garbage=st.binary(min_size=RING_HEADER_BYTES + SMALLEST, max_size=RING_HEADER_BYTES + SMALLEST))
def test_garbage_everywhere_is_refused_when_the_ring_is_opened_or_used(garbage: bytes) -> None:
    """W8: no bytes whatever make a ring hang, or raise anything but `RingBroken`."""
    memory = memoryview(bytearray(RING_HEADER_BYTES + SMALLEST))
    writer, reader = RingBuffer(memory[:]), RingBuffer(memory[:])
    memory[:] = garbage
    for _ in range(LOOKS_BEFORE_BROKEN):
        try:
            assert reader.read() in {None, (1, b"x" * 32)}
            writer.try_write(1, b"x" * 32)
        except RingBroken:
            break
