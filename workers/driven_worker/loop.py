"""The loop: takes what the bus sends, runs one command at a time, tells its outcome. As long-lived as the worker.

::

    ring --> waiting --> decode --> begin --> execute --> tell --> end --> the next one
              (deque)                 |          |          |        |
                                      |          `- ask ----|--------|-- READ_REQUEST, READ_REPLY
    status words                      position . . . . . . .|. . . . taken away
                                                            outcome is published

The position stands in the status words from before anything of the command happens until its outcome is
published: exactly that command is blamed when the worker dies (W3). Records are taken from the ring as far as there are
any before each command, so STOP is seen before the next command begins, whatever waits; and what waits here when the
worker leaves or dies is the bus's to send elsewhere.

Nothing that a command or its handler does ends the loop, except the death of the process (W6).
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from driven.errors import InfrastructureError, MalformedMessage, RingBroken, SegmentUnavailable
from driven.ring.status import WorkerState
from driven.service.execution import failure_of
from driven.wire import (
    Completion,
    Failed,
    Outcome,
    ReadRequest,
    RecordKind,
    decode_failure,
    decode_state,
    decode_submission,
    encode,
)

if TYPE_CHECKING:
    from driven.ring.channel import Channel
    from driven.service.execution import Execution
    from driven.wire import AggregateState, Failure, Submission

IDLE_WAIT_S: Final = 0.05
"""Longest sleep without a look at the ring: what a lost wake-up costs, and how old a heartbeat gets."""

SHORTEST_PAUSE_S: Final = 0.000_5
LONGEST_PAUSE_S: Final = 0.02
"""Between two attempts to tell something while the ring to the bus is full; doubled from one to the other."""

# As plain integers: an enumeration's arithmetic costs more than the ring's.
_SUBMISSION: Final = int(RecordKind.SUBMISSION)
_READ_REPLY: Final = int(RecordKind.READ_REPLY)
_READ_REFUSED: Final = int(RecordKind.READ_REFUSED)
_STOP: Final = int(RecordKind.STOP)
_READ_REQUEST: Final = int(RecordKind.READ_REQUEST)
_COMPLETION: Final = int(RecordKind.COMPLETION)
_UNREADABLE: Final = int(RecordKind.UNREADABLE)


class Loop:
    """Runs what comes through `channel`, by `execution`, until told to stop."""

    __slots__ = ("_answer", "_broken", "_channel", "_execution", "_is_copy", "_is_stopping", "_status", "_waiting")

    def __init__(self, channel: Channel, execution: Execution) -> None:
        self._channel = channel
        self._status = channel.status
        self._execution = execution
        self._waiting: deque[bytes] = deque()
        self._answer: tuple[int, bytes] | None = None
        self._broken: Exception | None = None
        self._is_stopping = False
        self._is_copy = False
        os.register_at_fork(after_in_child=self._become_a_copy)

    def run(self) -> None:
        """Work until the bus says STOP; what has not begun by then is left.

        Raises:
            RingBroken: the bus sent what cannot be understood at all.
            Exception: what it sent cannot be received, as there is no memory for it.

        """
        status, waiting = self._status, self._waiting
        while True:
            self._take_records()
            if self._is_stopping:
                break
            if waiting:
                self._run(waiting.popleft())
            elif self._broken is not None:
                raise self._broken
            else:
                status.heartbeat_ns = time.monotonic_ns()
                self._channel.wait(IDLE_WAIT_S)
        status.state = WorkerState.STOPPING

    def tell(self, kind: int, body: bytes) -> None:
        """Send a record to the bus, and wait for room as long as it takes: a bus that is gone takes the worker along.

        Raises:
            SegmentUnavailable: the body is large, and there is no memory to carry it.

        """
        if self._is_copy:
            self._leave_as_a_copy()
        pause_s = SHORTEST_PAUSE_S
        while not self._channel.send(kind, body):
            self._status.heartbeat_ns = time.monotonic_ns()
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    # Taking.

    def _take_records(self) -> None:
        """Take everything that is in the ring.

        What cannot be received ends the worker, but not before those are answered that came earlier: then the oldest
        that the bus still waits for is the one to blame.
        """
        if self._broken is None:
            try:
                self._receive_records()
            except Exception as error:  # noqa: BLE001 - no memory, no descriptor, a broken ring: nothing comes after it
                self._broken = error

    def _receive_records(self) -> None:
        receive = self._channel.receive
        while (record := receive()) is not None:
            kind, body = record
            if kind == _SUBMISSION:
                self._waiting.append(body)
            elif kind == _STOP:
                self._is_stopping = True
            elif kind in (_READ_REPLY, _READ_REFUSED):
                self._answer = record
            else:
                reason = f"the bus sent a record of kind {kind}, which means nothing to a worker"
                raise RingBroken(reason)

    # Running.

    def _run(self, body: bytes) -> None:
        """Run one command, and tell its outcome."""
        try:
            submission = decode_submission(body)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is one command's (D10)
            self.tell(_UNREADABLE, encode(failure_of(error)))
            return
        position, generation = submission.envelope.position, submission.generation
        self._status.begin(position, generation, time.monotonic_ns())
        began_ns = time.perf_counter_ns()
        outcome = self._outcome(submission)
        elapsed_ns = time.perf_counter_ns() - began_ns
        try:
            self.tell(_COMPLETION, encode(Completion(position, generation, elapsed_ns, outcome)))
        except (SegmentUnavailable, MemoryError) as error:
            self.tell(_COMPLETION, encode(Completion(position, generation, elapsed_ns, Failed(failure_of(error)))))
        self._status.end()

    def _outcome(self, submission: Submission) -> Outcome:
        def ask(name: str, aggregate_id: str) -> AggregateState:
            return self._ask(submission, name, aggregate_id)

        try:
            return self._execution.execute(submission, ask)
        except BaseException as error:  # noqa: BLE001 - KeyboardInterrupt, and a type number that is in no catalog (W6)
            return Failed(failure_of(error))

    # Asking.

    def _ask(self, submission: Submission, name: str, aggregate_id: str) -> AggregateState:
        """The state of an aggregate that did not travel with its command; the bus has it.

        Raises:
            InfrastructureError: the bus could not send it.
            MalformedMessage: what the bus sent is none.

        """
        request = ReadRequest(submission.envelope.position, submission.generation, name, aggregate_id)
        self._answer = None
        self.tell(_READ_REQUEST, encode(request))
        self._status.state = WorkerState.WAITING
        try:
            while True:
                state = self._answered(request)
                if state is not None:
                    return state
                self._status.heartbeat_ns = time.monotonic_ns()
                self._channel.wait(IDLE_WAIT_S)
        finally:
            self._status.state = WorkerState.RUNNING

    def _answered(self, request: ReadRequest) -> AggregateState | None:
        """What came for `request`, None when nothing did yet. An answer to another, given up, is no answer."""
        self._take_records()
        if self._answer is None:
            if self._broken is not None:
                raise self._broken
            return None
        (kind, body), self._answer = self._answer, None
        try:
            if kind == _READ_REFUSED:
                raise _refusal(request, decode_failure(body))
            state = decode_state(body)
        except (TypeError, ValueError) as error:
            raise MalformedMessage(f"the answer to a read of {request.name} {request.id!r}", str(error)) from error
        return state if (state.name, state.id) == (request.name, request.id) else None

    # Forking: a handler may fork a process, but only one is the worker.

    def _become_a_copy(self) -> None:
        self._is_copy = True

    def _leave_as_a_copy(self) -> None:
        sys.stderr.write("a process that a handler forked came back from the handler; end it there, by os._exit()\n")
        sys.stderr.flush()
        os._exit(1)


def _refusal(request: ReadRequest, failure: Failure) -> InfrastructureError:
    return InfrastructureError(f"{request.name} {request.id!r} could not be sent to this worker: {failure.message}")
