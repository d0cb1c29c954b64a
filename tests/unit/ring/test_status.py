"""`WorkerStatus`: whom to blame when a worker dies, at every point at which it can die."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driven.errors import RingBroken
from driven.ring.layout import STATUS_BYTES
from driven.ring.status import RunningCommand, WorkerState, WorkerStatus

WORDS = st.integers(0, (1 << 63) - 1)


class Recorder:
    """Memory that keeps a copy of itself after every store: what a death at that point would leave behind."""

    def __init__(self, memory: bytearray) -> None:
        self.words = memoryview(memory).cast("Q")
        self.memory = memory
        self.snapshots: list[bytes] = []

    def __getitem__(self, index: int) -> int:
        return self.words[index]

    def __setitem__(self, index: int, value: int) -> None:
        self.words[index] = value
        self.snapshots.append(bytes(self.memory))


def recorded(status: WorkerStatus, memory: bytearray) -> Recorder:
    """Let every store of `status` be recorded."""
    recorder = Recorder(memory)
    status._words = recorder  # type: ignore[assignment]  # noqa: SLF001 -- the stores are what is tested
    return recorder


def blamed(snapshot: bytes) -> RunningCommand | None:
    """Whom the bus would blame."""
    return WorkerStatus(memoryview(bytearray(snapshot))).running()


def test_memory_that_was_never_written_says_starting_and_blames_nobody() -> None:
    """W3: a worker that dies while it imports has no command."""
    status = WorkerStatus(memoryview(bytearray(STATUS_BYTES)))
    assert status.state is WorkerState.STARTING
    assert status.running() is None
    assert status.position is None
    assert (status.pid, status.heartbeat_ns, status.completed, status.generation, status.started_ns) == (0, 0, 0, 0, 0)


@given(position=WORDS, generation=WORDS, started_ns=WORDS)
def test_what_the_worker_says_is_what_the_bus_reads(position: int, generation: int, started_ns: int) -> None:
    """W3, W4: position 0 is a position like any other."""
    memory = bytearray(STATUS_BYTES)
    worker, bus = WorkerStatus(memoryview(memory)), WorkerStatus(memoryview(memory))
    worker.begin(position, generation, started_ns)

    assert bus.running() == RunningCommand(position, generation, started_ns)
    assert (bus.position, bus.generation, bus.started_ns) == (position, generation, started_ns)
    assert bus.state is WorkerState.RUNNING

    worker.end()
    assert bus.running() is None
    assert (bus.position, bus.completed, bus.state) == (None, 1, WorkerState.IDLE)


def test_at_no_point_of_beginning_or_ending_is_anybody_blamed_wrongly() -> None:
    """W3: wherever the worker dies, it is the command that was running, with its own start, or nobody."""
    memory = bytearray(STATUS_BYTES)
    worker = WorkerStatus(memoryview(memory))
    recorder = recorded(worker, memory)
    worker.begin(41, 1, 1_000)
    worker.end()
    worker.begin(40, 2, 2_000)

    story = [blamed(snapshot) for snapshot in recorder.snapshots]
    first, second = RunningCommand(41, 1, 1_000), RunningCommand(40, 2, 2_000)
    assert set(story) == {None, first, second}
    assert [command for command in story if command] == [first, second]
    assert story[-1] == second


def test_a_worker_that_begins_is_at_no_moment_one_that_is_starting() -> None:
    """W3: what it is about to store is cleared first, as is seen where storing ends half-way; not what it is doing."""
    status = WorkerStatus(memoryview(bytearray(STATUS_BYTES)))
    status.state = WorkerState.IDLE

    with pytest.raises(struct.error):
        status.begin(1, -1, 1_000)

    assert status.state is WorkerState.IDLE


@given(data=st.data())
def test_stores_that_are_seen_in_another_order_never_make_up_a_command(data: st.DataObject) -> None:
    """W5: an old start beside a new position would time out a command that has just begun."""
    memory = bytearray(STATUS_BYTES)
    worker = WorkerStatus(memoryview(memory))
    worker.begin(7, 1, 1_000)
    worker.end()
    before = bytes(memory)
    worker.begin(8, 1, 9_000)
    after = bytes(memory)

    cleared = before[:8] + bytes(24) + before[32:]  # for a moment, before generation, start and check are stored
    words = range(0, STATUS_BYTES, 8)
    mixture = b"".join(data.draw(st.sampled_from([before, cleared, after]))[at : at + 8] for at in words)
    assert blamed(mixture) in {None, RunningCommand(8, 1, 9_000)}


def test_the_other_words_are_written_by_the_worker_and_read_by_the_bus() -> None:
    """W3: state, heartbeat, process id and count each have a word."""
    memory = bytearray(STATUS_BYTES)
    worker, bus = WorkerStatus(memoryview(memory)), WorkerStatus(memoryview(memory))
    worker.pid = 4_711
    worker.heartbeat_ns = 123
    for state in WorkerState:
        worker.state = state
        assert bus.state is state
    assert (bus.pid, bus.heartbeat_ns) == (4_711, 123)


def test_a_state_that_is_none_breaks_the_ring() -> None:
    """W8: a worker that wrote over its status is not to be trusted; the message has the number."""
    memory = bytearray(b"\xff" * STATUS_BYTES)
    with pytest.raises(RingBroken, match="a worker's state is 18,446,744,073,709,551,615, and states end at 4"):
        _ = WorkerStatus(memoryview(memory)).state


def test_garbage_is_no_command() -> None:
    """W3: what does not match its check is nobody's."""
    assert blamed(b"\xff" * STATUS_BYTES) is None


def test_a_block_of_another_size_is_refused() -> None:
    """STYLE: the numbers stand in the message."""
    with pytest.raises(ValueError, match="a status block of 64 bytes: it takes 128"):
        WorkerStatus(memoryview(bytearray(64)))


def test_closing_releases_the_memory_and_may_be_repeated() -> None:
    """S5: views are released deterministically."""
    memory = bytearray(STATUS_BYTES)
    with WorkerStatus(memoryview(memory)) as status:
        status.pid = 1
    status.close()
    memory.extend(b"a bytearray can only grow when nobody holds a view of it")
