"""The link to one worker: its channel, in messages, and what is on its way there. Bus thread only.

Made when the worker's process is there, closed when it is buried. It is on the path of every worker command, both
ways, and that path is kept short.

::

    send -----> [in_flight, oldest first] ~~ ring ~~> worker
                         |
    LaneListener <--- drain <~~ ring ~~ COMPLETION, UNREADABLE (these answer the oldest), READ_REQUEST,
                                        HELLO, UNFIT, GOODBYE

What is in flight may fill half the ring and no more. A worker takes everything out of its ring before each command, so
all that lies there is in flight, and there is always room for STOP: it is seen when the running command ends,
however much waits (D11).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, TypeVar

from driven.errors import RingBroken, SegmentUnavailable
from driven.ring.layout import LARGEST_BODY_SHARE, RECORD_ALIGNMENT_BYTES, RECORD_HEADER_BYTES
from driven.service.failures import failure_of
from driven.wire import (
    Completion,
    Failed,
    RecordKind,
    Unfit,
    decode_completion,
    decode_failure,
    decode_hello,
    decode_read_request,
    decode_unfit,
    encode,
    encode_submissions,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from driven.bus.lane import LaneListener
    from driven.pool.worker import Verdict
    from driven.ring.channel import Body, Channel
    from driven.wire import AggregateState, Failure, Hello, Submission

T = TypeVar("T")

# As plain integers: an enumeration's arithmetic costs more than the ring's.
_SUBMISSION: Final = int(RecordKind.SUBMISSION)
_SUBMISSIONS: Final = int(RecordKind.SUBMISSIONS)
_READ_REPLY: Final = int(RecordKind.READ_REPLY)
_READ_REFUSED: Final = int(RecordKind.READ_REFUSED)
_STOP: Final = int(RecordKind.STOP)
_COMPLETION: Final = int(RecordKind.COMPLETION)
_READ_REQUEST: Final = int(RecordKind.READ_REQUEST)
_UNREADABLE: Final = int(RecordKind.UNREADABLE)
_HELLO: Final = int(RecordKind.HELLO)
_UNFIT: Final = int(RecordKind.UNFIT)
_GOODBYE: Final = int(RecordKind.GOODBYE)

_RECORD_BYTES: Final = RECORD_HEADER_BYTES + RECORD_ALIGNMENT_BYTES
"""What a record takes in the ring beside its body, at most."""

RECORD_EVERY: Final = 32
"""Commands in one burst after which they are put into the ring, as one record, and the worker is woken; the last ones
are by `ring`. A record, like a wake-up, costs the bus more than encoding several commands."""

_Command = tuple[int, int]
"""position, generation"""


class Nonsense(RingBroken):
    """A record arrived whole and cannot be what a worker says; never leaves the pool."""


class Link:
    """What the bus thread holds of one worker."""

    __slots__ = (
        "_channel",
        "_in_flight",
        "_in_flight_bytes",
        "_listener",
        "_on_hello",
        "_outbox",
        "_room_bytes",
        "_small_bytes",
        "_timeouts_s",
        "_unsent",
        "completed",
        "has_left",
        "is_leaving",
        "is_open",
        "is_ready",
        "is_trusted",
        "unfit",
        "worker_id",
    )

    def __init__(
        self,
        worker_id: int,
        channel: Channel,
        timeouts_s: dict[_Command, float],
        listener: LaneListener,
        on_hello: Callable[[Link, Hello], None],
    ) -> None:
        """Nothing was sent yet.

        Args:
            worker_id: one incarnation of a worker.
            channel: the bus's end; whoever made it closes it.
            timeouts_s: kept up to date with what is in flight and may take so many seconds, for whoever watches.
            listener: told what the worker says about commands.
            on_hello: called when it says that it is ready; sets `is_ready` and `is_open`.

        """
        self.worker_id: Final = worker_id
        self.is_ready = False
        """Whether it has said HELLO, and the listener was told."""
        self.is_open = False
        """Whether it takes commands."""
        self.is_trusted = True
        """Whether what it sends is still listened to."""
        self.unfit: Unfit | None = None
        """Why it says that it cannot work."""
        self.completed = 0
        """How many commands it has answered."""
        self.is_leaving = False
        """Whether it was told to leave."""
        self.has_left = False
        """Whether it was told to leave, and has said GOODBYE."""
        self._channel: Final = channel
        self._timeouts_s: Final = timeouts_s
        self._listener: Final = listener
        self._on_hello: Final = on_hello
        self._in_flight: Final[dict[_Command, int]] = {}
        self._in_flight_bytes = 0
        self._room_bytes: Final = channel.largest_body_bytes * LARGEST_BODY_SHARE // 2
        self._outbox: Final[deque[tuple[int, bytes]]] = deque()
        self._small_bytes: Final = channel.largest_body_bytes // (2 * RECORD_EVERY)
        self._unsent: Final[list[bytes]] = []

    @property
    def is_expecting(self) -> bool:
        """Whether something should come from it, or is still to be sent to it."""
        return bool(self._in_flight or self._outbox or not self.is_ready)

    # To the worker.

    def send(self, submission: Submission, timeout_s: float | None) -> bool:
        """Send a command; False, and nothing sent, when there is no room now.

        Raises:
            RingBroken: the worker's memory cannot be trusted.
            SegmentUnavailable: there is no memory to carry so large a command.

        """
        try:
            body = encode(submission)
        except (MemoryError, OverflowError) as error:  # MessagePack ends at 4 GiB
            raise SegmentUnavailable(len(submission.body), f"it cannot be encoded ({error!r})") from error
        in_flight, unsent = self._in_flight, self._unsent
        size = len(body) + _RECORD_BYTES
        if size <= self._small_bytes:
            if in_flight and self._in_flight_bytes + size > self._room_bytes:
                return False
            unsent.append(body)
        else:
            size = min(size, self._channel.largest_body_bytes)
            if (in_flight and self._in_flight_bytes + size > self._room_bytes) or not self._send_alone(body):
                return False
        command = (submission.envelope.position, submission.generation)
        in_flight[command] = size
        self._in_flight_bytes += size
        if timeout_s is not None:
            self._timeouts_s[command] = timeout_s
        if len(unsent) == RECORD_EVERY:
            self.ring()
        return True

    def ring(self) -> None:
        """Put what was sent into the ring, as one record, and wake the worker if it sleeps.

        Raises:
            RingBroken: the worker's memory cannot be trusted.

        """
        unsent = self._unsent
        if len(unsent) == 1:
            self._post(_SUBMISSION, unsent.pop())
        elif unsent:
            body = encode_submissions(unsent)
            unsent.clear()
            self._post(_SUBMISSIONS, body)

    def _send_alone(self, body: bytes) -> bool:
        """Send a command that is too large to share a record, behind those that were sent before it."""
        self.ring()
        return not self._outbox and self._channel.send(_SUBMISSION, body)

    def reply(self, state: AggregateState) -> None:
        """Answer the read that it waits for. RingBroken: its memory cannot be trusted."""
        self._post(_READ_REPLY, encode(state))

    def restate(self) -> None:
        """Say once more what was sent, lest the worker overwrote it and waits for ever."""
        self._channel.restate()

    def stop(self) -> None:
        """Tell it to leave when it has finished what it runs. RingBroken: its memory cannot be trusted."""
        self.is_open, self.is_leaving = False, True
        self._post(_STOP, b"")

    def flush(self) -> None:
        """Send what there was no room for. RingBroken: its memory cannot be trusted."""
        while self._outbox and self._put(*self._outbox[0]):
            self._outbox.popleft()

    def _post(self, kind: int, body: bytes) -> None:
        if self._outbox or not self._put(kind, body):
            self._outbox.append((kind, body))

    def _put(self, kind: int, body: bytes) -> bool:
        try:
            return self._channel.send(kind, body)
        except SegmentUnavailable as error:  # only a reply can be that large, and whoever asked must not wait for ever
            return self._channel.send(_READ_REFUSED, encode(failure_of(error)))

    # From the worker.

    def drain(self) -> bool:
        """Take everything that it sent and tell the listener; True when there was anything to tell.

        Raises:
            RingBroken: what it sent cannot be trusted; everything before that was told.

        """
        channel, in_flight = self._channel, self._in_flight
        timeouts_s = self._timeouts_s
        is_told = False
        channel.begin_drain()
        while (records := channel.receive_burst()) or channel.end_drain():
            is_told = is_told or bool(records)
            answers: list[Completion] = []
            try:
                for kind, body in records:
                    if kind != _COMPLETION:
                        self._tell(answers)
                        self._take(kind, body)
                        continue
                    try:
                        completion = decode_completion(body)
                    except (MemoryError, ValueError) as error:
                        _refuse_undecodable(error)
                    command = (completion.position, completion.generation)
                    size = in_flight.pop(command, None)
                    if size is None:
                        _refuse(f"its worker answers {command}, which it was not sent")
                    self._in_flight_bytes -= size
                    if timeouts_s:
                        timeouts_s.pop(command, None)
                    answers.append(completion)
            finally:
                self._tell(answers)
        if self._outbox:
            self.flush()
        return is_told

    def _tell(self, answers: list[Completion]) -> None:
        """Tell what was taken so far, and forget it."""
        if answers:
            self.completed += len(answers)
            self._listener.completed(self.worker_id, tuple(answers))
            answers.clear()

    def _take(self, kind: int, body: Body) -> None:
        if kind == _READ_REQUEST:
            self._listener.read_requested(self.worker_id, _decoded(decode_read_request, body))
        elif kind == _UNREADABLE:
            self._fail_oldest(_decoded(decode_failure, body))
        elif kind == _HELLO:
            self._on_hello(self, _decoded(decode_hello, body))
        elif kind == _UNFIT:
            self.unfit = _decoded(decode_unfit, body)
            self.is_open = False
        elif kind == _GOODBYE:
            if self.is_open:
                self.unfit = Unfit("its worker left without having been told to")
            self.has_left, self.is_open = self.is_leaving, False
        else:
            _refuse(f"its worker sent a record of kind {kind}, which means nothing to a bus")

    def _fail_oldest(self, failure: Failure) -> None:
        """The worker could not decode a submission: it is the oldest in flight, as all before it were answered."""
        command = self._oldest
        if command is None:
            _refuse("its worker answers, and was sent nothing")
        self._in_flight_bytes -= self._in_flight.pop(command)
        self._timeouts_s.pop(command, None)
        self.completed += 1
        self._listener.completed(self.worker_id, (Completion(*command, 0, Failed(failure)),))

    # Blame.

    def suspect(self, error: RingBroken) -> _Command | None:
        """Whose doing it is that its worker cannot be trusted.

        A record that means nothing was sent while the oldest in flight ran, as everything before it was read. Memory
        may have been overwritten by that one or a later one: most likely by the one that runs now.
        """
        oldest = self._oldest
        return oldest if isinstance(error, Nonsense) else self._running() or oldest

    def blamed(self, verdict: Verdict | None) -> _Command | None:
        """Whose fault its death is, after the last drain: the command that ran, if it was not finished (W3).

        When the pool ended the worker, that was for a reason, and the reason names the command or none. Where nothing
        ran, a command may still have killed it: while it was received or decoded. It was the oldest in flight if the
        worker said that it cannot go on; and it most likely was if the worker did nothing but receive it. A command
        that kills like that comes first at the next worker, and so is blamed in the end (P15).
        """
        if verdict is not None:
            return verdict.blamed if verdict.blamed in self._in_flight else None
        is_fruitless = self.unfit is not None or not self.completed
        return self._running() or (self._oldest if is_fruitless else None)

    def _running(self) -> _Command | None:
        """What its status words say that it runs, unless that was answered."""
        running = self._channel.status.running()
        command = (running.position, running.generation) if running else None
        return command if command in self._in_flight else None

    @property
    def _oldest(self) -> _Command | None:
        """The command that the next answer is about."""
        return next(iter(self._in_flight), None)


def _decoded(decode: Callable[[Body], T], body: Body) -> T:
    try:
        return decode(body)
    except (MemoryError, ValueError) as error:
        _refuse_undecodable(error)


def _refuse_undecodable(error: Exception) -> NoReturn:
    _refuse(f"its worker sent what cannot be decoded ({error!r})")


def _refuse(reason: str) -> NoReturn:
    raise Nonsense(reason)
