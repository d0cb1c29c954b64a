"""The loop: takes what comes through the ring, and has one thing run at a time. As long-lived as the worker.

::

    ring --> waiting --> work.run() --> tell --> the next one
              (deque)

What it runs it does not know: that is the `Work` that is plugged in, `commands` in the worker of a bus and `calls` in
the worker of an executor. Records are taken from the ring as far as there are any before each run, so STOP is seen
before the next one begins, whatever waits; and what waits here when the worker leaves or dies is the main process's to
send elsewhere.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from driven.errors import InfrastructureError, RingBroken
from driven.ring.status import WorkerState
from driven.wire import RecordKind, decode_submissions

if TYPE_CHECKING:
    from driven.ring.channel import Body, Channel
    from driven.ring.status import WorkerStatus

IDLE_WAIT_S: Final = 0.05
"""Longest sleep without a look at the ring: what a lost wake-up costs, and how old a heartbeat gets."""

ENOUGH_NS: Final = 800_000
"""Work that waits here, in nanoseconds; with less, the bus is woken for each outcome: it may have to send more."""

LONGEST_SILENCE_NS: Final = 500_000
"""How long the bus is left asleep on what it was told: less than what waits here takes, more than waking it costs."""

SHORTEST_PAUSE_S: Final = 0.000_5
LONGEST_PAUSE_S: Final = 0.02
"""Between two attempts to tell something while the ring to the bus is full; doubled from one to the other."""

# As plain integers: an enumeration's arithmetic costs more than the ring's.
_SUBMISSION: Final = int(RecordKind.SUBMISSION)
_SUBMISSIONS: Final = int(RecordKind.SUBMISSIONS)
_READ_REPLY: Final = int(RecordKind.READ_REPLY)
_READ_REFUSED: Final = int(RecordKind.READ_REFUSED)
_STOP: Final = int(RecordKind.STOP)


class Work(Protocol):
    """What is done with each submission."""

    def run(self, loop: Loop, body: Body) -> None:
        """Run it, tell the outcome, and raise nothing that is its own fault (W6)."""

    def close(self) -> None:
        """Finalise what was made for it, when the worker has left in order; may raise what finalizers raise."""


class Loop:
    """Has `work` done with what comes through `channel`, until told to stop."""

    __slots__ = (
        "_answer",
        "_broken",
        "_channel",
        "_forks",
        "_is_given_up",
        "_is_stopping",
        "_is_unrung",
        "_ring_at_ns",
        "_waiting",
        "_work",
        "cut_off",
        "status",
    )

    def __init__(self, channel: Channel, work: Work) -> None:
        self._channel = channel
        self.status: WorkerStatus = channel.status
        """What this worker says about itself."""
        self.cut_off: Exception | None = None
        """Why what runs could not ask, or could not hear the answer: whatever comes of it is not its own doing."""
        self._work = work
        self._waiting: deque[Body] = deque()
        self._answer: tuple[int, Body] | None = None
        self._broken: Exception | None = None
        self._is_stopping = False
        self._is_given_up = False
        self._is_unrung = False
        self._ring_at_ns = 0
        self._forks = _forks

    def run(self) -> None:
        """Work until the bus says STOP; what has not begun by then is left.

        Raises:
            RingBroken: the bus sent what cannot be understood at all.
            Exception: what it sent cannot be received, as there is no memory for it.

        """
        waiting, run = self._waiting, self._work.run
        while True:
            self._take_records()
            if self._is_stopping:
                break
            if waiting:
                run(self, waiting.popleft())
            elif self._broken is not None:
                raise self._broken
            else:
                self.wait()
        self.status.state = WorkerState.STOPPING

    def close(self) -> None:
        """Be done with the work; see `Work.close`."""
        self._work.close()

    def leave(self) -> None:
        """Have `run` end when the running command is done, whether the bus still listens or not; from any thread.

        For workers that cannot be killed. Each of the two stores is whole by itself, and is seen at the latest after
        `IDLE_WAIT_S`, or when a handler comes back.
        """
        self._is_stopping = True
        self._is_given_up = True

    # What the work calls.

    def tell(self, kind: int, body: bytes) -> None:
        """Send a record to the bus, and wait for room as long as it takes: a bus that is gone takes the worker along.

        Raises:
            SegmentUnavailable: the body is large, and there is no memory to carry it.
            RingBroken: nothing more can be told.
            InfrastructureError: there is no room, and the bus has given this worker up.

        """
        if self._forks != _forks:
            _leave_as_a_copy()
        pause_s = SHORTEST_PAUSE_S
        try:
            while not self._channel.send(kind, body):
                self._check_for_listener()
                self.status.heartbeat_ns = time.monotonic_ns()
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        except RingBroken as error:
            self.cut_off = error
            raise

    def tell_soon(self, kind: int, body: bytes, took_ns: int, now_ns: int) -> None:
        """As `tell`, but do not wake the bus for each of many records while there is enough to do here.

        `took_ns` is what running it took, `now_ns` the time, by `time.monotonic_ns`. Raises as `tell`.
        """
        if len(self._waiting) * took_ns < ENOUGH_NS or not self._channel.put(kind, body):
            self._is_unrung = False
            self.tell(kind, body)
        elif not self._is_unrung:
            self._is_unrung = True
            self._ring_at_ns = now_ns + LONGEST_SILENCE_NS
        elif now_ns >= self._ring_at_ns:
            self.ring()

    def ring(self) -> None:
        """Wake the bus for what it was not woken for yet."""
        if self._is_unrung:
            self._is_unrung = False
            self._channel.ring()

    def wait(self) -> None:
        """Sleep until something may have come, but not for long."""
        self.status.heartbeat_ns = time.monotonic_ns()
        self._channel.wait(IDLE_WAIT_S)

    def forget_answer(self) -> None:
        """Have no answer: what came was for a question that was given up."""
        self._answer = None

    def take_answer(self) -> tuple[int, Body] | None:
        """Return the kind and body of the answer to what was asked, None when none has come.

        Raises:
            Exception: nothing more can be received.

        """
        self._take_records()
        if self._answer is None and self._broken is not None:
            self.cut_off = self._broken
            raise self._broken
        self._check_for_listener()
        answer, self._answer = self._answer, None
        return answer

    def take_waiting(self) -> list[Body]:
        """Take what has not begun, in the order in which it came; the work is to say what becomes of it."""
        self._take_records()
        taken = list(self._waiting)
        self._waiting.clear()
        return taken

    # Taking.

    def _take_records(self) -> None:
        """Take everything that is in the ring.

        What cannot be received ends the worker, but not before those are answered that came earlier: then the oldest
        that the bus still waits for is the one to blame.
        """
        if self._broken is None:
            receive = self._channel.receive
            try:
                while (record := receive()) is not None:
                    self._take(*record)
            except Exception as error:  # noqa: BLE001 - no memory, no descriptor, a broken ring: nothing comes after it
                self._broken = error

    def _take(self, kind: int, body: Body) -> None:
        if kind == _SUBMISSION:
            self._waiting.append(body)
        elif kind == _SUBMISSIONS:
            self._waiting.extend(decode_submissions(body))
        elif kind == _STOP:
            self._is_stopping = True
        elif kind in (_READ_REPLY, _READ_REFUSED):
            self._answer = (kind, body)
        else:
            reason = f"the bus sent a record of kind {kind}, which means nothing to a worker"
            raise RingBroken(reason)

    def _check_for_listener(self) -> None:
        """Asked while this worker waits for the bus: one that was given up would wait for ever."""
        if self._is_given_up:
            raise InfrastructureError("the bus has given this worker up; nothing that it says is heard any more")


# Forking: a handler may fork a process, but only one is the worker.


def _count_fork() -> None:
    global _forks  # noqa: PLW0603 - forking is an event of the process, and so is what counts it
    _forks += 1


def _leave_as_a_copy() -> None:
    sys.stderr.write("a process that a handler forked came back from the handler; end it there, by os._exit()\n")
    sys.stderr.flush()
    os._exit(1)


_forks = 0
"""How many forks lie between this process and the first of its line; a loop made before the last one is a copy."""

os.register_at_fork(after_in_child=_count_fork)  # once and not for each loop: it cannot be taken back
