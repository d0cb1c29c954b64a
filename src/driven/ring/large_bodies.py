"""`LargeBodies`: bodies that are too large for a ring travel beside it, each in a nameless file of its own.

Each end of a channel has one, over its end of the channel's Unix socket pair, for as long as the channel.

::

    try_pass   file <- body;  descriptor, id ------- socket ---->  descriptor, id   take
               announcement <- id, length ---------- ring ------>  id, length       body: the file, mapped

The descriptor goes first and the record that announces it after it, so whoever reads the record finds the descriptor
waiting and never waits for it. (Linux looks for readers to wake behind a full fence, on every CPU, so the record is
not seen earlier than the descriptor.) The file dies with its last descriptor or mapping, wherever that is: in a closed
channel, in a killed process, or in the socket.

The body is *written* into the file, never stored through a mapping: the kernel copies it into pages that it need not
clear first, and where there are no more it says so instead of sending SIGBUS (S2). The receiver *maps* it, to be
decoded from there: so it is copied once on each side, and what is decoded is a copy (S6). The mapping is let go of with
the last reference to it.

Ids ascend. A descriptor whose sending was interrupted by a signal, before its record was published, is known by its id
for a leftover and closed.
"""

from __future__ import annotations

import array
import errno
import mmap
import os
import socket
import struct
import sys
from typing import Final

from driven.errors import RingBroken, SegmentUnavailable
from driven.ring.nameless import nameless_file

_ANNOUNCEMENT: Final = struct.Struct("=QQ")
"""id and length of a body; the id alone goes with the descriptor."""

ANNOUNCEMENT_BYTES: Final = _ANNOUNCEMENT.size
"""What a record that announces a large body holds."""

_ID_BYTES: Final = 8

_SEND_FLAGS: Final = getattr(socket, "MSG_NOSIGNAL", 0)
"""A dead end is an error to be handled, also in a program that has given SIGPIPE its deadly meaning back."""

_RECEIVE_FLAGS: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
"""Where the system can do it, a received descriptor is never inheritable, not even for an instant."""

_NOT_NOW: Final = frozenset(
    {errno.EAGAIN, errno.ENOBUFS, errno.ETOOMANYREFS, errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN}
)
"""What the socket says when it can take no descriptor: too many are on their way, or the other end is gone."""


class LargeBodies:
    """One end's large bodies, both ways, over `near_socket`, a connected Unix stream socket that does not block."""

    __slots__ = ("_last_id", "_socket")

    def __init__(self, near_socket: socket.socket) -> None:
        self._socket = near_socket
        self._last_id = 0

    def try_pass(self, body: bytes, announcement: memoryview) -> bool:
        """Pass `body` on and fill in the announcement to be published next; False when the socket takes no more now.

        A dead other end takes nothing for ever: who watches over lives is the pool, not the socket.

        Raises:
            SegmentUnavailable: there is no memory for it.
            RingBroken: the socket does not pass descriptors.
        """
        self._last_id += 1
        _ANNOUNCEMENT.pack_into(announcement, 0, self._last_id, len(body))
        descriptor = _file_of(body)
        try:
            self._send(self._last_id, descriptor)
        except OSError as error:
            if error.errno not in _NOT_NOW:
                raise _broken(f"of {len(body):,} bytes cannot be passed on ({error})") from error
            return False
        finally:
            os.close(descriptor)
        return True

    def take(self, announcement: bytes) -> memoryview:
        """Return the announced body, which lies in memory that nobody else writes to: decode it, and forget it.

        Raises:
            RingBroken: what was announced did not come.
        """
        if len(announcement) != ANNOUNCEMENT_BYTES:
            raise _broken(f"is announced in {len(announcement)} bytes, not {ANNOUNCEMENT_BYTES}")
        body_id, length = _ANNOUNCEMENT.unpack(announcement)
        descriptor = self._take_descriptor(body_id)
        try:
            if length == 0:
                raise _broken(f"number {body_id:,} is announced, and is not large at all")
            return memoryview(mmap.mmap(descriptor, length, prot=mmap.PROT_READ))
        except (OSError, OverflowError, ValueError) as error:
            raise _broken(f"number {body_id:,} of {length:,} bytes is not there ({error})") from error
        finally:
            os.close(descriptor)

    def _take_descriptor(self, body_id: int) -> int:
        """Return the descriptor that was passed before its announcement: it is here, or never will be."""
        came = -1
        while came < body_id:
            try:
                message, descriptors = self._receive()
            except OSError as error:
                raise _broken(f"number {body_id:,} is announced, and nothing came ({error})") from error
            came = int.from_bytes(message, sys.byteorder)
            if came == body_id and len(descriptors) == 1:
                return descriptors[0]
            for leftover in descriptors:
                os.close(leftover)
            if not message:
                break
        raise _broken(f"number {body_id:,} is announced, and {message!r} with {len(descriptors)} descriptors came")

    # These two do what `socket.send_fds` and `recv_fds` do, which take flags and do not pass them on.

    def _send(self, body_id: int, descriptor: int) -> None:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
        self._socket.sendmsg([body_id.to_bytes(_ID_BYTES, sys.byteorder)], [rights], _SEND_FLAGS)

    def _receive(self) -> tuple[bytes, list[int]]:
        descriptors = array.array("i")
        room = socket.CMSG_LEN(descriptors.itemsize)
        message, ancillary, _, _ = self._socket.recvmsg(_ID_BYTES, room, _RECEIVE_FLAGS)
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
        return message, descriptors.tolist()


def _file_of(body: bytes) -> int:
    """Return the descriptor of a new file that holds `body`; SegmentUnavailable where there is no memory for it."""
    try:
        descriptor = nameless_file("driven-body")
    except OSError as error:
        raise SegmentUnavailable(len(body), f"no file can be had: {error}") from error
    try:
        with memoryview(body) as left:
            written = 0
            while written < len(body):  # a system call writes two GiB at most
                written += os.write(descriptor, left[written:])
    except OSError as error:
        os.close(descriptor)
        raise SegmentUnavailable(len(body), f"after {written:,} of them {error}") from error
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _broken(what: str) -> RingBroken:
    return RingBroken(f"a large body {what}")
