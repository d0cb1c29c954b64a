"""The work of a worker that serves an application: one command from its bytes to its outcome. Plugged into the loop.

::

    bytes --> decode --> begin --> execute --> tell --> end
                           |          |          |        |
                           |          `- ask ----|--------|-- READ_REQUEST, READ_REPLY
    status words       position . . . . . . . . .|. . . . taken away
                                                 outcome is published

The position stands in the status words from before anything of the command happens until its outcome is
published: exactly that command is blamed when the worker dies (W3). Nothing that a command or its handler does ends
the loop, except the death of the process (W6).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from driven.errors import InfrastructureError, MalformedMessage, SegmentUnavailable
from driven.ring.status import WorkerState
from driven.service.failures import failure_of
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
    from collections.abc import Callable

    from driven.ring.channel import Body
    from driven.service.execution import Execution
    from driven.wire import AggregateState, Failure, Submission
    from driven_worker.loop import Loop

# As plain integers: an enumeration's arithmetic costs more than the ring's.
_READ_REFUSED: Final = int(RecordKind.READ_REFUSED)
_READ_REQUEST: Final = int(RecordKind.READ_REQUEST)
_COMPLETION: Final = int(RecordKind.COMPLETION)
_UNREADABLE: Final = int(RecordKind.UNREADABLE)

SHORT_NS: Final = 300_000
"""Commands that take no longer, the bus is not woken for one by one."""


class CommandWork:
    """Runs commands by `execution`; as long-lived as the worker."""

    __slots__ = ("_close", "_execution", "_short")

    def __init__(self, execution: Execution, close: Callable[[], None]) -> None:
        """`close` finalises what was made for the application in this worker."""
        self._execution = execution
        self._close = close
        self._short: set[int] = set()
        """Types whose latest command was a short one."""

    def run(self, loop: Loop, body: Body) -> None:
        """Run one command, and tell its outcome.

        Raises:
            Exception: the command could not be given what it asked for; this worker has to end.

        """
        try:
            submission = decode_submission(body)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is one command's (D10)
            loop.tell(_UNREADABLE, encode(failure_of(error)))
            return
        del body  # what was decoded is a copy, and a large one need not be there twice while the handler runs
        position, generation = submission.envelope.position, submission.generation
        if submission.type_id not in self._short:
            loop.ring()  # what is told already need not wait for this one
        began_ns = time.monotonic_ns()
        loop.status.begin(position, generation, began_ns)
        outcome = self._outcome(loop, submission)
        elapsed_ns = time.monotonic_ns() - began_ns
        if loop.cut_off is not None:  # it may have failed of that, or made do without: another worker is to run it
            raise loop.cut_off
        try:
            completion = encode(Completion(position, generation, elapsed_ns, outcome, began_ns))
            if self._is_short(submission.type_id, elapsed_ns):
                loop.tell_soon(_COMPLETION, completion, elapsed_ns, began_ns + elapsed_ns)
            else:
                loop.tell(_COMPLETION, completion)
        except (SegmentUnavailable, MemoryError, OverflowError) as error:  # MessagePack ends at 4 GiB
            failed = Failed(failure_of(error))
            loop.tell(_COMPLETION, encode(Completion(position, generation, elapsed_ns, failed, began_ns)))
        loop.status.end()

    def close(self) -> None:
        """Finalise objects of scope APP."""
        self._close()

    def _is_short(self, type_id: int, elapsed_ns: int) -> bool:
        """Note what a command took, and say whether the bus may sleep on for as long as the next of its type takes."""
        if elapsed_ns <= SHORT_NS:
            self._short.add(type_id)
            return True
        self._short.discard(type_id)
        return False

    def _outcome(self, loop: Loop, submission: Submission) -> Outcome:
        def ask(name: str, aggregate_id: str) -> AggregateState:
            return _ask(loop, ReadRequest(submission.envelope.position, submission.generation, name, aggregate_id))

        try:
            return self._execution.execute(submission, ask)
        except BaseException as error:  # noqa: BLE001 - KeyboardInterrupt, and a type number that is in no catalog (W6)
            return Failed(failure_of(error))


def _ask(loop: Loop, request: ReadRequest) -> AggregateState:
    """The state of an aggregate that did not travel with its command; the bus has it.

    Raises:
        InfrastructureError: the bus could not send it.
        MalformedMessage: what the bus sent is none.

    """
    loop.forget_answer()
    loop.tell(_READ_REQUEST, encode(request))
    loop.status.state = WorkerState.WAITING
    try:
        while True:
            state = _answered(loop, request)
            if state is not None:
                return state
            loop.wait()
    finally:
        loop.status.state = WorkerState.RUNNING


def _answered(loop: Loop, request: ReadRequest) -> AggregateState | None:
    """What came for `request`, None when nothing did yet. An answer to another, given up, is no answer."""
    answer = loop.take_answer()
    if answer is None:
        return None
    kind, body = answer
    try:
        if kind == _READ_REFUSED:
            raise _refusal(request, decode_failure(body))
        state = decode_state(body)
    except (TypeError, ValueError) as error:
        raise MalformedMessage(f"the answer to a read of {request.name} {request.id!r}", str(error)) from error
    return state if (state.name, state.id) == (request.name, request.id) else None


def _refusal(request: ReadRequest, failure: Failure) -> InfrastructureError:
    return InfrastructureError(f"{request.name} {request.id!r} could not be sent to this worker: {failure.message}")
