"""How a reader sleeps until there is something to read, and how a writer wakes it: the doorbell, and the handshake.

A doorbell belongs to one direction of a channel and lives as long as the channel. Both processes hold both ends of it,
so that a dead neighbour is never mistaken for a ring: who watches over lives is the pool, not the bell.

::

    reader                                  writer
    ------                                  ------
    say "I sleep"          (1)              write the record, move the tail   (3)
    look at the tail again (2)              look whether the reader sleeps    (4)
    sleep until the bell rings              ring, if it does

Each side stores one thing and then looks at what the other stored. If (1) happens before (4) the writer rings; if (3)
happens before (2) the reader does not sleep; one of the two must be so, as long as no CPU lets a load overtake the
store before it. But every CPU does, x86 included, unless a *full fence* stands between them, and then both can look
too early: the reader sleeps and nobody rings (Dekker's algorithm fails alike). Pure Python has no fence to offer: the
interpreter runs dozens of instructions between the two steps, and now and then an atomic one, which makes it rare.

So no sleep is longer than `LONGEST_SLEEP_S`. A wake-up that is lost costs that much, once, and nothing else: the record
is in the ring and the next look finds it. A reader that sleeps in an event loop must look that often by itself.
"""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import Self

    from driven.ring.ring_buffer import RingBuffer

LONGEST_SLEEP_S: Final = 0.05
"""What a lost wake-up can cost, and what an idle reader pays for that: twenty looks a second."""

SPIN_LOOKS: Final = 200
"""How often a reader looks before it sleeps, where a CPU is to spare: some 20 microseconds, about what waking costs."""

CPUS_WITHOUT_SPINNING: Final = 2
"""With so many CPUs or fewer, the spinning reader would take the very CPU on which the writer should be writing."""

_ONE_RING: Final = (1).to_bytes(8, sys.byteorder)
"""One more for an eventfd's counter; for a pipe just eight bytes."""

_PIPE_BYTES: Final = 65_536
"""All that a pipe holds. Reading an eventfd takes eight bytes and sets it to zero."""


class Doorbell:
    """A bell between two processes: `ring` makes `fileno()` readable until `clear`. Nothing here blocks.

    On Linux it is an eventfd, which counts; elsewhere a pipe, which fills. Both take the same eight bytes, so only
    `create` knows the difference. Ringing a bell that can ring no more is no error: it is ringing already (D2).
    """

    __slots__ = ("_clear_bytes", "_read_descriptor", "_write_descriptor")

    def __init__(self, read_descriptor: int, write_descriptor: int) -> None:
        self._read_descriptor = read_descriptor
        self._write_descriptor = write_descriptor
        self._clear_bytes = len(_ONE_RING) if read_descriptor == write_descriptor else _PIPE_BYTES

    @classmethod
    def create(cls) -> Self:
        """Make a bell that does not ring; its descriptors do not block and are not inheritable."""
        if hasattr(os, "eventfd"):
            descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            return cls(descriptor, descriptor)
        read_descriptor, write_descriptor = os.pipe()
        os.set_blocking(read_descriptor, False)
        os.set_blocking(write_descriptor, False)
        return cls(read_descriptor, write_descriptor)

    @classmethod
    def from_descriptors(cls, read_descriptor: int, write_descriptor: int) -> Self:
        """Take over the descriptors of a bell that another process made, as `descriptors` gave them there."""
        os.set_inheritable(read_descriptor, False)
        os.set_inheritable(write_descriptor, False)
        return cls(read_descriptor, write_descriptor)

    @property
    def descriptors(self) -> tuple[int, int]:
        """What to poll and what to write to; the same one twice where the bell is an eventfd."""
        return self._read_descriptor, self._write_descriptor

    def fileno(self) -> int:
        """Return the descriptor that is readable while the bell rings, for `poll` or an event loop."""
        return self._read_descriptor

    def ring(self) -> None:
        """Wake whoever waits for `fileno()`."""
        try:
            os.write(self._write_descriptor, _ONE_RING)
        except BlockingIOError:
            return

    def clear(self) -> None:
        """Silence the bell, however often it was rung."""
        try:
            os.read(self._read_descriptor, self._clear_bytes)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Close this process's descriptors; may be called twice."""
        descriptors = {self._read_descriptor, self._write_descriptor} - {-1}
        self._read_descriptor = self._write_descriptor = -1
        for descriptor in descriptors:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Sleeper:
    """The reader's half of the handshake: sleeps until `ring` may have something, never longer than it should.

    It borrows the ring and the bell, and is as long-lived as they. `available_cpus` is how many CPUs this process may
    use: above two, it looks for a while before it sleeps.
    """

    __slots__ = ("_bell", "_poll", "_ring", "_spin_looks")

    def __init__(self, ring: RingBuffer, bell: Doorbell, *, available_cpus: int = 1) -> None:
        self._ring = ring
        self._bell = bell
        self._spin_looks = SPIN_LOOKS if available_cpus > CPUS_WITHOUT_SPINNING else 0
        self._poll = select.poll()
        self._poll.register(bell.fileno(), select.POLLIN)

    def sleep(self, timeout_s: float = LONGEST_SLEEP_S) -> None:
        """Return when there may be something to read, at the latest after `timeout_s` or `LONGEST_SLEEP_S` seconds."""
        ring = self._ring
        for _ in range(self._spin_looks):
            if not ring.is_empty:
                return
        ring.reader_sleeps = True
        if ring.is_empty:
            self._poll.poll(max(0.0, min(timeout_s, LONGEST_SLEEP_S)) * 1_000)
        ring.reader_sleeps = False
        self._bell.clear()
