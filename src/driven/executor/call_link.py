"""The link to one worker of an executor: its channel, in calls. Used under the desk's lock, while the worker lives.

::

    give -----> [in_flight, oldest first] ~~ ring ~~> worker
                          |
    results <-- drain <---'<~~ ring ~~ COMPLETION, RETURNED, HELLO, UNFIT, GOODBYE

What is in flight may fill half the ring and no more, so there is always room for STOP (D11).
"""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from driven.calls import CALL_HEAD, RESULT_HEAD, RETURNED, SETUP
from driven.errors import RingBroken
from driven.ring.layout import LARGEST_BODY_SHARE, RECORD_ALIGNMENT_BYTES, RECORD_HEADER_BYTES
from driven.wire import RecordKind, Unfit, decode_unfit

if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Any

    from driven.pool.worker import Worker
    from driven.ring.channel import Body

# As plain integers: an enumeration's arithmetic costs more than the ring's.
_SUBMISSION: Final = int(RecordKind.SUBMISSION)
_STOP: Final = int(RecordKind.STOP)
_COMPLETION: Final = int(RecordKind.COMPLETION)
_HELLO: Final = int(RecordKind.HELLO)
_UNFIT: Final = int(RecordKind.UNFIT)
_GOODBYE: Final = int(RecordKind.GOODBYE)

_RECORD_BYTES: Final = RECORD_HEADER_BYTES + RECORD_ALIGNMENT_BYTES
"""What a record takes in the ring beside its body, at most."""

MOST_SUSPICIONS: Final = 2
"""Deaths for which nobody is to blame, after which the oldest call in the ring is."""


STUCK_NS: Final = 1_000_000_000
"""What a call is taken to cost that was thought short and is not done."""


class Call:
    """One call, from `submit` until its future is settled."""

    __slots__ = ("body", "cost_ns", "future", "has_begun", "name", "number", "suspicions")

    def __init__(self, number: int, future: Future[Any], name: str, body: bytes) -> None:
        self.number = number
        self.future = future
        self.name = name
        self.body = body
        self.cost_ns = 0
        """How long it should take, as was thought when it was given to a worker."""
        self.has_begun = False
        """Whether its future says that it runs: it can be cancelled no more."""
        self.suspicions = 0
        """How many workers died with it at the head of their ring, running nothing."""

    def begin(self) -> bool:
        """Have its future say that it runs; False when nobody waits for it: it was cancelled, or settled elsewhere."""
        if not self.has_begun:
            with contextlib.suppress(RuntimeError):  # somebody else has settled it
                self.has_begun = self.future.set_running_or_notify_cancel()
        return self.has_begun


class Result(NamedTuple):
    """What came back for a call; its body follows the head."""

    call: Call
    ending: int
    elapsed_ns: int
    body: Body


class CallLink:
    """What the desk holds of one worker."""

    __slots__ = (
        "_bytes_in_flight",
        "_room_bytes",
        "channel",
        "given",
        "in_flight",
        "is_open",
        "is_ready",
        "is_trusted",
        "queued_ns",
        "returned",
        "seen_running",
        "unfit",
        "worker",
    )

    def __init__(self, worker: Worker) -> None:
        self.worker: Final = worker
        self.channel: Final = worker.channel
        self.in_flight: Final[dict[int, Call]] = {}
        self.queued_ns = 0
        """How long it should take until all in flight is done."""
        self.given = 0
        """How many calls it was ever given."""
        self.is_ready = False
        """Whether its initializer has returned."""
        self.is_open = False
        """Whether it takes calls."""
        self.is_trusted = True
        """Whether what it sends is listened to."""
        self.returned: Final[list[Call]] = []
        """What it gave back, oldest first, until the desk takes it."""
        self.seen_running = 0
        """What it ran at the last look."""
        self.unfit: Unfit | None = None
        """Why it says that it cannot work."""
        self._bytes_in_flight = 0
        self._room_bytes: Final = self.channel.largest_body_bytes * LARGEST_BODY_SHARE // 2

    def set_up(self, body: bytes) -> bool:
        """Send what comes before the first call. Raises as `give`."""
        return self.channel.send(_SUBMISSION, body)

    def give(self, call: Call) -> bool:
        """Send a call without waking the worker; False when there is no room now.

        Raises:
            RingBroken: the worker's memory cannot be trusted.
            SegmentUnavailable: there is no memory to carry so large a call.

        """
        size = self._size(call)
        if self.in_flight and self._bytes_in_flight + size > self._room_bytes:
            return False
        if not self.channel.put(_SUBMISSION, call.body):
            return False
        self.in_flight[call.number] = call
        self._bytes_in_flight += size
        self.queued_ns += call.cost_ns
        self.given += 1
        return True

    def stop(self) -> None:
        """Tell it to leave when it has finished what it runs. RingBroken: its memory cannot be trusted."""
        self.is_open = False
        self.channel.send(_STOP, b"")

    def drain(self, results: list[Result]) -> None:
        """Take all that it sent, and add the results to `results`.

        Raises:
            RingBroken: what it sent cannot be trusted; everything before that was taken.

        """
        receive = self.channel.receive
        try:
            while (record := receive()) is not None:
                kind, body = record
                if kind == _COMPLETION:
                    number, elapsed_ns, ending = RESULT_HEAD.unpack_from(body)
                    results.append(Result(self._taken(number), ending, elapsed_ns, body))
                else:
                    self._hear(kind, body)
        except (ValueError, struct.error) as error:
            reason = f"its worker sent what cannot be decoded ({error!r})"
            raise RingBroken(reason) from error

    def _hear(self, kind: int, body: Body) -> None:
        if kind == _HELLO:
            self.is_ready = self.is_open = True
        elif kind == _UNFIT:
            self.unfit = decode_unfit(body)
            self.is_open = False
        elif kind == _GOODBYE:
            self.is_open = False
        elif kind == RETURNED:
            (number,) = CALL_HEAD.unpack(body)
            self.returned.append(self._taken(number))
        else:
            reason = f"its worker sent a record of kind {kind}, which means nothing to an executor"
            raise RingBroken(reason)

    def _taken(self, number: int) -> Call:
        call = self.in_flight.pop(number, None)
        if call is None:
            reason = f"its worker answers call {number}, which it was not sent"
            raise RingBroken(reason)
        self._bytes_in_flight -= self._size(call)
        self.queued_ns -= call.cost_ns
        return call

    def _size(self, call: Call) -> int:
        return min(len(call.body) + _RECORD_BYTES, self.channel.largest_body_bytes)

    # Being stuck.

    def is_stuck(self) -> bool:
        """Whether it runs what it ran at the last look, and others wait behind that; now nothing more does."""
        running = self.channel.status.running()
        before, self.seen_running = self.seen_running, running.position if running else 0
        call = self.in_flight.get(self.seen_running)
        if call is None or self.seen_running != before or len(self.in_flight) == 1:
            return False
        self.queued_ns += STUCK_NS
        call.cost_ns += STUCK_NS
        return True

    # Blame.

    def died_in_setup(self) -> bool:
        """Whether its initializer ran when it died."""
        running = self.channel.status.running()
        return running is not None and running.position == SETUP

    def blamed(self) -> Call | None:
        """Whose fault its death is, after the last drain: the call that ran, if it was not finished (W3).

        Where nothing ran, the oldest may have killed a worker that only received it. Twice is no accident.
        """
        running = self.channel.status.running()
        call = self.in_flight.get(running.position) if running else None
        if call is None and self.in_flight:
            oldest = next(iter(self.in_flight.values()))
            oldest.suspicions += 1
            if oldest.suspicions >= MOST_SUSPICIONS:
                return oldest
        return call
