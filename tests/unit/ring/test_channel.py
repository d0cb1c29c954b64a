"""`Channel`: both ends in one process; what two processes do with it stands among the integration tests."""

from __future__ import annotations

import asyncio
import os
import resource
import select
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driven.errors import RingBroken, SegmentUnavailable
from driven.ring import layout
from driven.ring.channel import LARGEST_KIND, Channel, Handoff
from driven.ring.large_bodies import LargeBodies
from driven.ring.ring_buffer import LOOKS_BEFORE_BROKEN
from driven.ring.segment import Segment
from driven.ring.status import WorkerState
from limits import limited

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.ring.channel import Body

RING_BYTES = 4_096
LARGE = bytes(range(256)) * 64

Ends = tuple[Channel, Channel]


def open_descriptors() -> list[str]:
    """What this process has open; the listing itself needs one, which is closed when it is returned."""
    return sorted(name for name in os.listdir("/dev/fd") if Path(f"/dev/fd/{name}").exists())  # noqa: PTH208


@pytest.fixture(autouse=True, scope="module")
def _tracker() -> None:
    """Let Python 3.11 and 3.12 start the resource tracker, which keeps a descriptor, before any test counts."""
    Segment.create(4_096).close()


@pytest.fixture(params=["shared_memory", "memfd"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    """The bus's end and the worker's, as a worker thread would hold it."""
    with (
        Channel.create(RING_BYTES, backing=request.param) as bus,
        Channel.attach(bus.handoff().duplicated()) as worker,
    ):
        bus.close_remote_descriptors()
        yield bus, worker


def directions(ends: Ends) -> list[Ends]:
    """Sender and receiver, each way."""
    bus, worker = ends
    return [(bus, worker), (worker, bus)]


# Sending and receiving.


def test_what_one_end_sends_the_other_receives_in_order(ends: Ends) -> None:
    """W2: two rings, one for each direction, which do not mix."""
    bus, worker = ends
    sent = [(1, b"one"), (2, b""), (LARGEST_KIND, b"three")]
    for sender in (bus, worker):
        assert all(sender.send(kind, body) for kind, body in sent)
    for receiver in (bus, worker):
        assert [receiver.receive() for _ in range(4)] == [*sent, None]


@pytest.mark.parametrize("over", [-1, 0, 1, 7, 100_000, 10_000_000])
def test_a_body_may_be_of_any_length(ends: Ends, over: int) -> None:
    """§6: larger than a quarter of the ring, it travels in a segment of its own, and nobody notices."""
    for sender, receiver in directions(ends):
        body = os.urandom(sender.largest_body_bytes + over)
        assert sender.send(5, body)
        assert receiver.receive() == (5, body)


def test_large_and_small_bodies_keep_their_order(ends: Ends) -> None:
    """O2: the order is the ring's, whichever way the bytes travel."""
    for sender, receiver in directions(ends):
        sent = [(number + 1, (LARGE if number % 3 else b"small") + bytes([number])) for number in range(20)]
        assert all(sender.send(kind, body) for kind, body in sent)
        assert [receiver.receive() for _ in sent] == sent


@settings(max_examples=50)
@given(sizes=st.lists(st.sampled_from([0, 8, 100, RING_BYTES // 4, RING_BYTES // 4 + 1, 5_000]), max_size=40))
def test_bursts_bring_bodies_of_any_size_in_the_order_in_which_they_were_sent(sizes: list[int]) -> None:
    """O2, W2: whichever way the bytes travel, and however many records are taken at once."""
    with Channel.create(RING_BYTES) as bus, Channel.attach(bus.handoff().duplicated()) as worker:
        sent = [(1 + number, bytes([number]) * size) for number, size in enumerate(sizes)]
        received: list[tuple[int, bytes]] = []
        for record in sent:
            while not worker.send(*record):
                received += [(kind, bytes(body)) for kind, body in bus.receive_burst()]
        while records := bus.receive_burst():
            received += [(kind, bytes(body)) for kind, body in records]

    assert received == sent


def test_a_large_body_leaves_nothing_open(ends: Ends) -> None:
    """S5: its segment dies when it was received."""
    before = open_descriptors()
    for sender, receiver in directions(ends):
        for _ in range(100):
            assert sender.send(1, LARGE)
            assert receiver.receive() == (1, LARGE)
    assert open_descriptors() == before


def test_a_full_ring_is_a_return_value_for_small_and_for_large_bodies(ends: Ends) -> None:
    """F4: nothing is sent, nothing blocks, and nothing is left behind."""
    for sender, receiver in directions(ends):
        sent = 0
        while sender.send(1, b"x" * 1_000):
            sent += 1
        while sender.send(2, b""):
            sent += 1
        before = open_descriptors()
        assert not sender.send(3, LARGE)
        assert open_descriptors() == before
        for _ in range(sent):
            assert receiver.receive() is not None
        assert receiver.receive() is None
        assert sender.send(3, LARGE)
        assert receiver.receive() == (3, LARGE)


def test_a_full_socket_is_a_return_value_too() -> None:
    """F4, D2: more descriptors on their way than the socket takes; what was sent before arrives whole."""
    with Channel.create(1 << 16) as bus, Channel.attach(bus.handoff().duplicated()) as worker:
        body = b"x" * (bus.largest_body_bytes + 1)
        sent = 0
        while bus.send(1, body):
            sent += 1
        assert bus.send(2, b"the ring itself has room")
        assert not bus.send(1, body)

        assert all(worker.receive() == (1, body) for _ in range(sent))
        assert worker.receive() == (2, b"the ring itself has room")
        assert worker.receive() is None
        assert bus.send(1, body)
        assert worker.receive() == (1, body)


@pytest.mark.parametrize("kind", [-1, 0, LARGEST_KIND + 1, 1 << 16, 1 << 40])
def test_a_kind_out_of_its_bounds_is_refused(ends: Ends, kind: int) -> None:
    """§6: the bit above the largest kind is the channel's own; nothing was sent, and the channel goes on."""
    for sender, receiver in directions(ends):
        for body in (b"small", LARGE):
            with pytest.raises(ValueError, match=f"kind {kind:,}"):
                sender.send(kind, body)
        assert sender.send(1, b"next")
        assert receiver.receive() == (1, b"next")


def test_a_large_body_for_which_there_is_no_memory_is_not_sent(ends: Ends) -> None:
    """S2: a clear error; the claim is given back, so that the channel goes on."""
    bus, worker = ends
    with limited(resource.RLIMIT_FSIZE, 0), pytest.raises(SegmentUnavailable, match="File too large"):
        bus.send(1, LARGE)
    assert bus.send(2, b"next")
    assert worker.receive() == (2, b"next")


def test_sending_a_large_body_to_a_dead_end_is_not_now() -> None:
    """D8: the bus learns of a death from the one who watches over lives, not from an error while it sends."""
    with Channel.create(RING_BYTES) as bus:
        with Channel.attach(bus.handoff().duplicated()):
            bus.close_remote_descriptors()
        assert not bus.send(1, LARGE)
        assert bus.send(1, b"small")


def test_what_a_dead_worker_sent_is_received(ends: Ends) -> None:
    """D8: also a large body, whose descriptor waits in the socket."""
    bus, worker = ends
    assert worker.send(1, b"small")
    assert worker.send(2, LARGE)
    worker.close()
    assert [bus.receive() for _ in range(3)] == [(1, b"small"), (2, LARGE), None]


# What cannot be trusted.


@pytest.mark.parametrize("announcement", [b"short", (9).to_bytes(8, sys.byteorder) * 2])
def test_a_large_body_that_is_only_announced_breaks_the_ring(ends: Ends, announcement: bytes) -> None:
    """D1, D10: its descriptor came before the record, or never will; receiving does not wait for it."""
    for sender, receiver in directions(ends):
        assert sender._outgoing.try_write(LARGEST_KIND + 2, announcement)  # noqa: SLF001 -- a worker that went wild
        with pytest.raises(RingBroken, match=r"a large body .*is announced"):
            receiver.receive()


def test_what_came_before_a_large_body_that_is_not_there_is_received_all_the_same(ends: Ends) -> None:
    """D1, D8: a burst ends before it, so that nothing is lost with it."""
    bus, worker = ends
    sent = [(1, b"one"), (2, b"two")]
    assert all(worker.send(kind, body) for kind, body in sent)
    assert worker._outgoing.try_write(LARGEST_KIND + 2, b"short")  # noqa: SLF001 -- as above

    assert list(bus.receive_burst()) == sent
    with pytest.raises(RingBroken, match=r"a large body .*is announced"):
        bus.receive_burst()


def test_a_large_body_whose_sending_was_interrupted_was_never_sent(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """P5: ^C between descriptor and record; the claim is given back, and the channel goes on."""
    before = open_descriptors()
    try_pass = LargeBodies.try_pass

    def interrupted(bodies: LargeBodies, body: bytes, announcement: memoryview) -> bool:
        try_pass(bodies, body, announcement)
        raise KeyboardInterrupt

    for sender, receiver in directions(ends):
        with monkeypatch.context() as signal:
            signal.setattr(LargeBodies, "try_pass", interrupted)
            with pytest.raises(KeyboardInterrupt):
                sender.send(1, LARGE + b"interrupted")
        assert sender.send(2, LARGE + b"delivered")
        assert [receiver.receive(), receiver.receive()] == [(2, LARGE + b"delivered"), None]
    assert open_descriptors() == before


def test_a_record_that_never_comes_to_match_is_found_out_by_an_end_that_drains(ends: Ends) -> None:
    """D1: the bus sees that there is something, never gets it, and gives up in a bounded number of looks."""
    bus, worker = ends
    with worker._parts.segment.memory[layout.to_bus_ring(RING_BYTES)] as ring, ring[:8].cast("Q") as tail:  # noqa: SLF001
        tail[0] = 64
    looks = 0
    with pytest.raises(RingBroken, match="has not come to match"):  # noqa: PT012 -- the loop is what is tested
        while bus.end_drain():
            bus.begin_drain()
            assert bus.receive() is None
            looks += 1
    assert looks < LOOKS_BEFORE_BROKEN


# Waiting.


def is_rung(channel: Channel) -> bool:
    """Whether an event loop would be woken."""
    return bool(select.select([channel.doorbell_fileno()], [], [], 0)[0])


def test_the_bell_is_rung_only_for_an_end_that_says_it_sleeps(ends: Ends) -> None:
    """§6: an awake reader costs no system call, and neither does the second record of a burst."""
    for sender, receiver in directions(ends):
        assert sender.send(1, b"awake")
        assert not is_rung(receiver)
        assert receiver.end_drain()
        assert receiver.receive() == (1, b"awake")
        assert not receiver.end_drain()

        assert sender.send(1, b"asleep")
        assert is_rung(receiver)
        receiver.begin_drain()
        assert not is_rung(receiver)
        assert sender.send(1, b"awake again")
        assert not is_rung(receiver)


def test_a_bus_that_sleeps_before_its_worker_came_is_woken_by_it() -> None:
    """D5: the loop waits for the doorbell while the worker is still importing."""
    with Channel.create(RING_BYTES) as bus:
        assert not bus.end_drain()
        with Channel.attach(bus.handoff().duplicated()) as worker:
            assert worker.send(1, b"ready")
            assert is_rung(bus)


def test_waiting_ends_when_something_is_there_or_the_time_is_up(ends: Ends) -> None:
    """§6: sleeps are bounded; without the bound this test would not end."""
    for sender, receiver in directions(ends):
        receiver.wait(3_600)
        receiver.wait(0)
        receiver.wait(-1)
        assert sender.send(1, b"here")
        receiver.wait(3_600)
        assert receiver.receive() == (1, b"here")


async def test_an_event_loop_receives_everything_by_its_doorbell(ends: Ends) -> None:
    """§6: the bus waits in its event loop: begin, receive all, end, and again when something came meanwhile."""
    bus, worker = ends
    received: list[Body] = []
    everything = asyncio.Event()

    def drain() -> None:
        bus.begin_drain()
        while (record := bus.receive()) is not None:
            received.append(record[1])
        if bus.end_drain():
            loop.call_soon(drain)
        if len(received) == 1_000:
            everything.set()

    loop = asyncio.get_running_loop()
    loop.add_reader(bus.doorbell_fileno(), drain)
    drain()
    for number in range(1_000):
        assert worker.send(1, number.to_bytes(4, "little"))
        if number % 50 == 0:
            await asyncio.sleep(0)
    await asyncio.wait_for(everything.wait(), timeout=60)
    loop.remove_reader(bus.doorbell_fileno())

    assert received == [number.to_bytes(4, "little") for number in range(1_000)]


# Handing over.


def test_a_handoff_survives_a_command_line(ends: Ends) -> None:
    """W1: a worker is started by name, with descriptors passed to it and their numbers in its arguments."""
    handoff = Handoff(3, 4_096, (4, 4), (5, 6), 7)
    assert Handoff.from_json(handoff.to_json()) == handoff
    assert handoff.descriptors == (3, 4, 5, 6, 7)
    with Channel.create(RING_BYTES) as bus:
        handoff = bus.handoff()
        assert Handoff.from_json(handoff.to_json()) == handoff
        assert all(os.fstat(descriptor) for descriptor in handoff.descriptors)
    assert ends


@pytest.mark.parametrize("text", ["", "no", "null", "7", "[1,2]", "[1,2,3,4,5]", "[1,2,[3],[4,5],6]", '{"a":1}'])
def test_text_that_is_no_handoff_is_refused(text: str) -> None:
    """STYLE: the message shows what was given and says what to give."""
    with pytest.raises(ValueError, match=r"not a handoff: .*; pass on what to_json"):
        Handoff.from_json(text)


def test_only_an_end_that_has_the_workers_descriptors_can_hand_them_over(ends: Ends) -> None:
    """W1: a channel for each worker; once they are closed there is nothing to hand over."""
    for end in ends:
        with pytest.raises(RuntimeError, match="make a channel for each worker"):
            end.handoff()
        end.close_remote_descriptors()


def test_the_status_that_the_worker_writes_is_the_one_that_the_bus_reads(ends: Ends) -> None:
    """W3: it lies in the same segment."""
    bus, worker = ends
    worker.status.pid = os.getpid()
    worker.status.begin(12, 1, 99)
    running = bus.status.running()
    assert running is not None
    assert (running.position, bus.status.state, bus.status.pid) == (12, WorkerState.RUNNING, os.getpid())


@pytest.mark.parametrize("word", [layout.MAGIC_WORD, layout.VERSION_WORD, layout.CAPACITY_WORD])
def test_a_segment_of_another_layout_is_refused(word: int) -> None:
    """W1: a worker of another version does not read what it does not know; nothing is left open."""
    before = open_descriptors()
    with Channel.create(RING_BYTES) as bus:
        with bus._parts.segment.memory[:128].cast("Q") as words:  # noqa: SLF001 -- as another version would write it
            words[word] += 1
        handoff = bus.handoff().duplicated()
        with pytest.raises(RingBroken, match="run one version of both"):
            Channel.attach(handoff)
    assert open_descriptors() == before


def test_a_segment_with_impossible_cursors_is_refused() -> None:
    """W8: and everything is closed, though the error is still being handled."""
    before = open_descriptors()
    with Channel.create(RING_BYTES) as bus:
        with bus._parts.segment.memory[layout.to_bus_ring(RING_BYTES)] as ring, ring[:8].cast("Q") as tail:  # noqa: SLF001
            tail[0] = 3
        handoff = bus.handoff().duplicated()
        with pytest.raises(RingBroken, match="cannot be the cursors"):
            Channel.attach(handoff)
    assert open_descriptors() == before


@pytest.mark.parametrize("ring_bytes", [0, 1_000, 64])
def test_a_channel_of_a_size_that_no_ring_has_is_refused(ring_bytes: int) -> None:
    """STYLE: refused before anything is made."""
    with pytest.raises(ValueError, match=f"a ring of {ring_bytes:,} bytes"):
        Channel.create(ring_bytes)


# The end.


def test_many_channels_leave_nothing_open() -> None:
    """S5: both ends, with records and a large body in them, opened and closed."""
    before = open_descriptors()
    for _ in range(500):
        bus = Channel.create(RING_BYTES)
        worker = Channel.attach(bus.handoff().duplicated())
        assert bus.send(1, b"unread")
        assert bus.send(1, LARGE)
        worker.close()
        bus.close()
        bus.close()
    assert open_descriptors() == before


@pytest.mark.parametrize("spared", range(4))
def test_an_end_closes_also_when_somebody_else_closed_its_descriptors(spared: int) -> None:
    """S5: that a handler closed them is no error any more, and what it left open is closed all the same."""
    before = open_descriptors()
    bus = Channel.create(RING_BYTES)
    descriptors = bus.handoff().descriptors
    for place, descriptor in enumerate(descriptors):
        if place != spared:
            os.close(descriptor)

    bus.close()
    bus.close()
    assert open_descriptors() == before


def test_an_error_in_closing_that_is_not_about_a_closed_descriptor_is_raised() -> None:
    """W8: only what is closed already is passed over."""
    with Channel.create(RING_BYTES) as bus:
        view = bus._parts.segment.memory[:1]  # noqa: SLF001 -- as somebody who holds on to the memory
        with pytest.raises(BufferError):
            bus.close()
        view.release()
        bus._parts.segment.close()  # noqa: SLF001 -- what could not be closed before


def test_the_end_of_the_other_side_is_seen_at_the_socket(ends: Ends) -> None:
    """W7: nobody else holds the worker's end of the socket, so its death ends the connection."""
    bus, worker = ends
    near_socket = bus._parts.near_socket  # noqa: SLF001 -- the pool has a liveness pipe of its own
    worker.close()
    select.select([near_socket], [], [], 60)
    assert near_socket.recv(1) == b""
