"""`Channel`: one end of a worker's pair of rings, all that the bus and the worker hold of each other.

The bus creates a channel for each worker process, hands its descriptors over when it starts the worker, and closes it
when the worker is gone. The worker attaches, and lives no longer than its end. An end belongs to one thread.

::

         bus                                                                             worker
    Channel.create() --- handoff(): descriptors through pass_fds, numbers through argv --> Channel.attach()

      send ----------> [ to_worker ring ] ------------------------------------------------> receive
                        worker's doorbell, rung when the worker sleeps -------------------> wait
      receive <------- [ to_bus ring    ] <------------------------------------------------ send
      begin_drain <---- bus's doorbell, rung when the bus sleeps
           <==========> Unix socket pair: descriptors of bodies that are too large for the ring <==>

A body longer than a quarter of the ring travels beside it, announced by a record in it (see `large_bodies`); the order
is the ring's all the same.

Nothing here blocks but `wait`, and that is bounded. What does not fit is a return value.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from driven.errors import RingBroken
from driven.ring import layout
from driven.ring.large_bodies import ANNOUNCEMENT_BYTES, LargeBodies
from driven.ring.progress import ProgressBlock
from driven.ring.ring_buffer import RingBuffer
from driven.ring.segment import Segment
from driven.ring.status import WorkerStatus
from driven.ring.waiting import LONGEST_SLEEP_S, Doorbell, Sleeper

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal, Self

    from driven.ring.segment import Backing

Body = bytes | memoryview
"""What is received: bytes that nobody else writes to, as every decoder takes them."""

LARGEST_KIND: Final = 0x7FFF
"""Kinds are the wire's, from 1 to this; the bit above is the channel's."""

_LARGE: Final = LARGEST_KIND + 1
"""Set in the kind of a record that only announces a large body."""


@dataclass(frozen=True, slots=True)
class Handoff:
    """What a worker needs to attach: descriptors, which it must inherit under the same numbers, and the segment's size.

    A doorbell is two descriptors, to poll and to write to; the same one twice where it is an eventfd.
    """

    segment_descriptor: int
    segment_bytes: int
    worker_doorbell: tuple[int, int]
    bus_doorbell: tuple[int, int]
    socket_descriptor: int

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Every descriptor once, for `pass_fds`."""
        return tuple(
            dict.fromkeys((self.segment_descriptor, *self.worker_doorbell, *self.bus_doorbell, self.socket_descriptor))
        )

    def to_json(self) -> str:
        """Return the handoff as text that fits into an argument of a command line."""
        return json.dumps(astuple(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the handoff that `to_json` wrote; ValueError when the text is none."""
        try:
            segment_descriptor, segment_bytes, worker_doorbell, bus_doorbell, socket_descriptor = json.loads(text)
            worker_read, worker_write = worker_doorbell
            bus_read, bus_write = bus_doorbell
        except (TypeError, ValueError) as error:
            message = f"not a handoff: {text!r}; pass on what to_json() returned"
            raise ValueError(message) from error
        return cls(
            segment_descriptor, segment_bytes, (worker_read, worker_write), (bus_read, bus_write), socket_descriptor
        )

    def duplicated(self) -> Self:
        """Return a handoff with duplicates of the descriptors, to attach in this very process: for a worker thread."""
        twins = {descriptor: os.dup(descriptor) for descriptor in self.descriptors}
        return type(self)(
            twins[self.segment_descriptor],
            self.segment_bytes,
            (twins[self.worker_doorbell[0]], twins[self.worker_doorbell[1]]),
            (twins[self.bus_doorbell[0]], twins[self.bus_doorbell[1]]),
            twins[self.socket_descriptor],
        )


class _Parts(NamedTuple):
    """What an end is put together from; its owner is the exit stack that comes with it."""

    segment: Segment
    incoming: RingBuffer
    outgoing: RingBuffer
    my_bell: Doorbell
    their_bell: Doorbell
    near_socket: socket.socket
    far_socket: socket.socket | None


class Channel:
    """One end: what it sends the other receives, in order; `status` is what the worker says about itself.

    An end belongs to one thread, but for `watched_status`, which is another thread's look at the same words: without a
    GIL one view must not be used by two threads. That thread stops looking before the end is closed.

    `progress` is what its handler says. Use `create` in the bus and `attach` in the worker.
    """

    __slots__ = (
        "_incoming",
        "_large_bodies",
        "_largest_body",
        "_outgoing",
        "_parts",
        "_resources",
        "_sleeper",
        "_their_bell",
        "progress",
        "status",
        "watched_status",
    )

    def __init__(self, parts: _Parts, resources: ExitStack, *, available_cpus: int) -> None:
        self._parts = parts
        self._incoming = parts.incoming
        self._outgoing = parts.outgoing
        self._their_bell = parts.their_bell
        self._largest_body = parts.outgoing.largest_body_bytes
        self._large_bodies = LargeBodies(parts.near_socket)
        self._sleeper = Sleeper(parts.incoming, parts.my_bell, available_cpus=available_cpus)
        self.progress = resources.enter_context(ProgressBlock(parts.segment.memory[layout.progress_block()]))
        self.status = resources.enter_context(WorkerStatus(parts.segment.memory[layout.status_block()]))
        self.watched_status = resources.enter_context(WorkerStatus(parts.segment.memory[layout.status_block()]))
        self._resources = resources.pop_all()

    @classmethod
    def create(cls, ring_bytes: int, *, backing: Literal["auto"] | Backing = "auto", available_cpus: int = 1) -> Self:
        """Make a channel and take the bus's end of it.

        Args:
            ring_bytes: the capacity of each of the two rings, a power of two.
            backing: where the memory comes from, as for `Segment.create`.
            available_cpus: how many CPUs this process may use; above two, `wait` spins for a moment.

        Raises:
            ValueError: `ring_bytes` is no capacity that a ring can have.
            SegmentUnavailable: there is no memory for it.
            OSError: there are no descriptors left for it.
        """
        layout.check_capacity(ring_bytes)
        with ExitStack() as resources:
            keep = resources.enter_context
            segment = keep(Segment.create(layout.segment_bytes(ring_bytes), backing=backing))
            _write_header(segment, ring_bytes)
            near_socket, far_socket = (keep(end) for end in socket.socketpair())
            near_socket.settimeout(0)
            parts = _Parts(
                segment,
                incoming=keep(RingBuffer(segment.memory[layout.to_bus_ring(ring_bytes)])),
                outgoing=keep(RingBuffer(segment.memory[layout.to_worker_ring(ring_bytes)])),
                my_bell=keep(Doorbell.create()),
                their_bell=keep(Doorbell.create()),
                near_socket=near_socket,
                far_socket=far_socket,
            )
            return cls(parts, resources, available_cpus=available_cpus)

    @classmethod
    def attach(cls, handoff: Handoff, *, available_cpus: int = 1) -> Self:
        """Take the worker's end, and with it the descriptors of `handoff`, which are not inherited any further.

        Raises:
            SegmentUnavailable: the segment's descriptor is not open, or not of that segment.
            RingBroken: the segment was laid out by another version, or holds what no channel can hold.
            OSError: another descriptor is not open.
        """
        with ExitStack() as resources:
            keep = resources.enter_context
            segment = keep(Segment.attach(handoff.segment_descriptor, handoff.segment_bytes))
            worker_bell = keep(Doorbell.from_descriptors(*handoff.worker_doorbell))
            bus_bell = keep(Doorbell.from_descriptors(*handoff.bus_doorbell))
            near_socket = keep(socket.socket(fileno=handoff.socket_descriptor))
            near_socket.set_inheritable(False)
            near_socket.settimeout(0)
            ring_bytes = _read_header(segment)
            parts = _Parts(
                segment,
                incoming=keep(RingBuffer(segment.memory[layout.to_worker_ring(ring_bytes)])),
                outgoing=keep(RingBuffer(segment.memory[layout.to_bus_ring(ring_bytes)])),
                my_bell=worker_bell,
                their_bell=bus_bell,
                near_socket=near_socket,
                far_socket=None,
            )
            return cls(parts, resources, available_cpus=available_cpus)

    # Handing the other end over: the bus only.

    def handoff(self) -> Handoff:
        """Return what the worker needs to attach. RuntimeError when its descriptors are not here (any more)."""
        parts = self._parts
        if parts.far_socket is None or parts.far_socket.fileno() < 0:
            raise RuntimeError("the worker's descriptors are closed or were never here; make a channel for each worker")
        return Handoff(
            segment_descriptor=parts.segment.descriptor,
            segment_bytes=parts.segment.size_bytes,
            worker_doorbell=parts.their_bell.descriptors,
            bus_doorbell=parts.my_bell.descriptors,
            socket_descriptor=parts.far_socket.fileno(),
        )

    def close_remote_descriptors(self) -> None:
        """Close what only the worker should hold, after it was started: its death then ends the socket. Idempotent."""
        if self._parts.far_socket is not None:
            self._parts.far_socket.close()

    # Sending.

    @property
    def largest_body_bytes(self) -> int:
        """The longest body that travels in the ring itself; longer ones cost a segment each."""
        return self._largest_body

    def send(self, kind: int, body: bytes) -> bool:
        """Send one record and wake the other end if it sleeps; otherwise as `put`."""
        sent = self.put(kind, body)
        if sent:
            self.ring()
        return sent

    def ring(self) -> None:
        """Wake the other end if it sleeps; at most once for each time that it falls asleep."""
        if self._outgoing.must_wake_reader():
            self._their_bell.ring()

    def put(self, kind: int, body: bytes) -> bool:
        """Send one record without waking anybody; return False, and send nothing, when there is no room.

        A wake-up is a system call, and the other core's time: whoever sends many records in a row rings in between
        and at the end, and never forgets it.

        Args:
            kind: 1 to `LARGEST_KIND`; handed to the other end as it is.
            body: of any length. Beyond `largest_body_bytes` it costs a segment, some system calls, and a copy.

        Raises:
            ValueError: the kind is out of its bounds.
            SegmentUnavailable: there is no memory for a large body.
            RingBroken: what the other end wrote cannot be.
        """
        if not 0 < kind <= LARGEST_KIND:
            raise ValueError(f"kind {kind:,}: kinds go from 1 to {LARGEST_KIND:,}")
        if len(body) <= self._largest_body:
            return self._outgoing.try_write(kind, body)
        return self._send_large(kind, body)

    def _send_large(self, kind: int, body: bytes) -> bool:
        """Claim the record, pass the body, publish: a record that is published always has its body."""
        claim = self._outgoing.try_claim(kind | _LARGE, ANNOUNCEMENT_BYTES)
        if claim is None:
            return False
        try:
            is_passed = self._large_bodies.try_pass(body, claim)
        except BaseException:
            self._outgoing.abort()
            raise
        if is_passed:
            self._outgoing.commit()
        else:
            self._outgoing.abort()
        return is_passed

    # Receiving.

    def receive(self) -> tuple[int, Body] | None:
        """Take the next record: its kind and its body, to be decoded. None when there is none.

        A body that came in the ring is a copy. A large one is mapped, and should be forgotten once it is decoded.

        It works as well when the other end is dead: what it published is still there, and nothing here waits for it.

        Raises:
            RingBroken: the ring, or what came with it, cannot be trusted; nothing more can be received.
        """
        record = self._incoming.read()
        if record is None or record[0] <= LARGEST_KIND:
            return record
        return self._with_body(*record)

    def receive_burst(self) -> Sequence[tuple[int, Body]]:
        """Take the next records as `receive` does; none when there are none. Raises as `receive`, and nothing is lost.

        One with a large body comes alone: should that body not be there, all before it were received.
        """
        records = self._incoming.read_burst(LARGEST_KIND)
        if records and records[0][0] > LARGEST_KIND:
            return (self._with_body(*records[0]),)
        return records

    def _with_body(self, kind: int, announcement: bytes) -> tuple[int, Body]:
        return kind & LARGEST_KIND, self._large_bodies.take(announcement)

    # Waiting.

    def wait(self, timeout_s: float = LONGEST_SLEEP_S) -> None:
        """Return when there may be something to receive, or when `timeout_s` or `LONGEST_SLEEP_S` have passed."""
        self.restate()
        self._sleeper.sleep(timeout_s)

    def restate(self) -> None:
        """Store this end's cursors once more; to be done now and then while something is expected.

        A handler that writes where it must not may set a cursor back to where it stood. That looks like a ring with
        nothing in it, and no check can tell.
        """
        self._outgoing.restate_tail()
        self._incoming.restate_head()

    def doorbell_fileno(self) -> int:
        """Return the descriptor that becomes readable when records came while this end slept, for an event loop."""
        return self._parts.my_bell.fileno()

    def begin_drain(self) -> None:
        """Say that this end is awake, before it receives all there is: the other end need not ring meanwhile."""
        self._incoming.reader_sleeps = False
        self._parts.my_bell.clear()

    def end_drain(self) -> bool:
        """Say that this end sleeps; return True when records came meanwhile, and it must drain again.

        An event loop calls this once before it waits for the doorbell for the first time. After False the bell will
        ring, but for the one wake-up in very many that gets lost (see `waiting`): the loop must therefore drain every
        `LONGEST_SLEEP_S` seconds by itself.
        """
        self._incoming.reader_sleeps = True
        return not self._incoming.is_empty

    # The end.

    def close(self) -> None:
        """Close everything that this end holds; may be called twice. What the other end holds stays with it."""
        try:
            self._resources.close()
        except OSError as error:
            # A handler may close descriptors that are not its own, as `os.closerange` does; the rest is closed by now.
            if error.errno != errno.EBADF:
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _write_header(segment: Segment, ring_bytes: int) -> None:
    with segment.memory[: layout.STATUS_OFFSET].cast("Q") as words:
        words[layout.MAGIC_WORD] = layout.MAGIC
        words[layout.VERSION_WORD] = layout.LAYOUT_VERSION
        words[layout.CAPACITY_WORD] = ring_bytes


def _read_header(segment: Segment) -> int:
    """Return the capacity of the segment's rings. RingBroken when it is not laid out as this version does."""
    with segment.memory[: layout.STATUS_OFFSET].cast("Q") as words:
        magic, version, ring_bytes = words[layout.MAGIC_WORD], words[layout.VERSION_WORD], words[layout.CAPACITY_WORD]
    here = (layout.MAGIC, layout.LAYOUT_VERSION, segment.size_bytes)
    if (magic, version, layout.segment_bytes(ring_bytes)) != here:
        raise RingBroken(
            f"a segment of {segment.size_bytes:,} bytes begins with {magic:#x}, layout {version}, {ring_bytes:,} bytes "
            f"a ring; this process knows {layout.MAGIC:#x}, layout {layout.LAYOUT_VERSION} (run one version of both)"
        )
    return ring_bytes
