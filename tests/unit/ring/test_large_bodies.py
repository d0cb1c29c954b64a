"""`LargeBodies` over a socket pair: what is passed, what is left over, and what cannot be trusted."""

from __future__ import annotations

import os
import resource
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from driven.errors import RingBroken, SegmentUnavailable
from driven.ring.large_bodies import ANNOUNCEMENT_BYTES, LargeBodies
from driven.wire import encode
from limits import limited

if TYPE_CHECKING:
    from collections.abc import Iterator

BODY = bytes(range(256)) * 64


class Pair:
    """Sender and receiver, with the sockets between them."""

    def __init__(self) -> None:
        self.near_socket, self.far_socket = socket.socketpair()
        self.near_socket.settimeout(0)
        self.far_socket.settimeout(0)
        self.sender = LargeBodies(self.near_socket)
        self.receiver = LargeBodies(self.far_socket)

    def announced(self, body: bytes) -> bytes | None:
        """Pass a body and return its announcement, None when the socket is full."""
        announcement = bytearray(ANNOUNCEMENT_BYTES)
        return bytes(announcement) if self.sender.try_pass(body, memoryview(announcement)) else None

    def must_pass(self, body: bytes) -> bytes:
        """Pass a body and return its announcement."""
        announcement = self.announced(body)
        assert announcement is not None
        return announcement


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A connected pair; nothing is open afterwards that was not before."""
    before = open_descriptors()
    made = Pair()
    yield made
    made.near_socket.close()
    made.far_socket.close()
    assert open_descriptors() == before


def open_descriptors() -> list[str]:
    """What this process has open; the listing itself needs one, which is closed when it is returned."""
    return sorted(name for name in os.listdir("/dev/fd") if Path(f"/dev/fd/{name}").exists())  # noqa: PTH208


def announcement_of(body_id: int, length: int) -> bytes:
    """Announce what was never passed."""
    return body_id.to_bytes(8, sys.byteorder) + length.to_bytes(8, sys.byteorder)


def test_a_body_is_taken_as_it_was_passed(pair: Pair) -> None:
    """§6: bodies are taken in order, each with its own announcement, and nothing of them stays open."""
    bodies = [BODY + bytes([number]) for number in range(10)]
    announcements = [pair.must_pass(body) for body in bodies]
    assert [pair.receiver.take(announcement) for announcement in announcements] == bodies


def test_a_body_outlives_its_sender(pair: Pair) -> None:
    """D8: the descriptor waits in the socket."""
    announcement = pair.must_pass(BODY)
    pair.near_socket.close()
    assert pair.receiver.take(announcement) == BODY


def test_a_body_that_nobody_takes_dies_with_the_socket(pair: Pair) -> None:
    """S3, W7: nothing is left behind; the fixture looks for what is open."""
    pair.must_pass(BODY)


def test_a_full_socket_is_a_return_value(pair: Pair) -> None:
    """F4, D2: nothing blocks, and what is on its way arrives."""
    announcements = []
    while (announcement := pair.announced(BODY)) is not None:
        announcements.append(announcement)
    assert all(pair.receiver.take(announcement) == BODY for announcement in announcements)
    assert pair.receiver.take(pair.must_pass(BODY)) == BODY


def test_a_dead_receiver_is_not_now(pair: Pair) -> None:
    """D8: no error and no signal; who watches over lives is somebody else."""
    pair.far_socket.close()
    assert pair.announced(BODY) is None


def test_a_socket_that_passes_no_descriptors_breaks_the_ring(pair: Pair) -> None:
    """W8: what is neither full nor dead is broken, and says why."""
    pair.near_socket.close()
    with pytest.raises(RingBroken, match=r"of 16,384 bytes cannot be passed on \(.*Bad file descriptor\)"):
        pair.announced(BODY)


@pytest.mark.parametrize("room_bytes", [0, 4_096])
def test_a_body_for_which_there_is_no_memory_is_not_passed(pair: Pair, room_bytes: int) -> None:
    """S2: a clear error, before anything is announced, and also when there is room for the beginning."""
    with (
        limited(resource.RLIMIT_FSIZE, room_bytes),
        pytest.raises(SegmentUnavailable, match=f"after {room_bytes:,} of them .*File too large"),
    ):
        pair.announced(BODY)
    assert pair.receiver.take(pair.must_pass(BODY)) == BODY


def test_a_body_for_which_there_is_no_descriptor_is_not_passed(pair: Pair) -> None:
    """S2: the same error, as it is one command's misfortune and not the ring's."""
    with limited(resource.RLIMIT_NOFILE, 3), pytest.raises(SegmentUnavailable, match="no file can be had"):
        pair.announced(BODY)
    assert pair.receiver.take(pair.must_pass(BODY)) == BODY


def test_a_received_descriptor_is_never_inheritable(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """P1: a process that is started at that very moment must not keep a body alive."""
    seen: list[bool] = []
    receive = LargeBodies._receive  # noqa: SLF001 - what it has in hand is closed when it is taken

    def receive_and_look(self: LargeBodies) -> tuple[bytes, list[int]]:
        message, descriptors = receive(self)
        seen.extend(os.get_inheritable(descriptor) for descriptor in descriptors)
        return message, descriptors

    monkeypatch.setattr(LargeBodies, "_receive", receive_and_look)
    assert pair.receiver.take(pair.must_pass(BODY)) == BODY
    assert seen == [False]


def test_a_body_that_was_taken_cannot_be_written_to(pair: Pair) -> None:
    """S6: it is mapped, and nobody is given a way to change it."""
    body = pair.receiver.take(pair.must_pass(BODY))
    assert body.readonly
    with pytest.raises(TypeError):
        body[0] = 1


def test_what_is_decoded_from_a_large_body_stays_when_the_body_is_gone(pair: Pair) -> None:
    """S6, S5: decoding copies, and nothing holds the mapping but the view of it; the fixture counts descriptors."""
    kept = []
    for number in range(20):
        body = pair.receiver.take(pair.must_pass(encode([number, BODY])))
        kept.append(msgspec.msgpack.decode(body, type=tuple[int, bytes]))
        body.release()
    assert kept == [(number, BODY) for number in range(20)]


def test_a_body_that_was_passed_and_never_announced_is_a_leftover(pair: Pair) -> None:
    """P5: ^C came between descriptor and record; it is not taken for the next body, and is closed."""
    pair.must_pass(BODY + b"interrupted")
    pair.must_pass(BODY + b"interrupted again")
    assert pair.receiver.take(pair.must_pass(BODY + b"announced")) == BODY + b"announced"


def test_a_body_is_never_taken_for_an_earlier_one(pair: Pair) -> None:
    """O2: one that was lost on its way does not shift those behind it."""
    lost = pair.must_pass(BODY + b"lost")
    _, descriptors, _, _ = socket.recv_fds(pair.far_socket, 8, 1)
    os.close(descriptors[0])
    pair.must_pass(BODY + b"next")
    with pytest.raises(RingBroken, match=r"number 1 is announced, and .* with 1 descriptors came"):
        pair.receiver.take(lost)


@pytest.mark.parametrize("announcement", [b"", b"short", bytes(17)])
def test_an_announcement_of_another_length_breaks_the_ring(pair: Pair, announcement: bytes) -> None:
    """D10: bytes that no sender of ours writes."""
    with pytest.raises(RingBroken, match=f"is announced in {len(announcement)} bytes, not 16"):
        pair.receiver.take(announcement)


@pytest.mark.parametrize("body_id", [0, 1, (1 << 64) - 1])
def test_a_body_that_is_only_announced_breaks_the_ring(pair: Pair, body_id: int) -> None:
    """D1: receiving does not wait for what is not there."""
    with pytest.raises(RingBroken, match=f"number {body_id:,} is announced, and nothing came"):
        pair.receiver.take(announcement_of(body_id, 4_096))


def test_a_body_that_a_dead_sender_only_announced_breaks_the_ring(pair: Pair) -> None:
    """D1: the end of the socket is no descriptor either."""
    pair.near_socket.close()
    with pytest.raises(RingBroken, match="number 5 is announced, and b'' with 0 descriptors came"):
        pair.receiver.take(announcement_of(5, 4_096))


def test_a_body_that_came_without_its_descriptor_breaks_the_ring(pair: Pair) -> None:
    """S5: a receiver that has no descriptor left gets the message alone."""
    pair.near_socket.send((1).to_bytes(8, sys.byteorder))
    with pytest.raises(RingBroken, match=r"number 1 is announced, and .* with 0 descriptors came"):
        pair.receiver.take(announcement_of(1, 4_096))


@pytest.mark.parametrize("length", [len(BODY) + 1, 1 << 40, (1 << 64) - 1])
def test_a_body_that_is_announced_longer_than_its_segment_breaks_the_ring(pair: Pair, length: int) -> None:
    """S2: mapped beyond its end it would be SIGBUS."""
    pair.must_pass(BODY)
    with pytest.raises(RingBroken, match=f"number 1 of {length:,} bytes is not there"):
        pair.receiver.take(announcement_of(1, length))
