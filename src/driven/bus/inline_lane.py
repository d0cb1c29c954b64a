"""The inline lane: the command at the head, run here and now, on the bus thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driven.wire import Completion

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.bus.working_state import WorkingState
    from driven.service.execution import Execution
    from driven.wire import Submission


class InlineLane:
    """Runs one command at a time against the current state."""

    __slots__ = ("_execution", "_state", "_timer_ns")

    def __init__(self, execution: Execution, state: WorkingState, timer_ns: Callable[[], int]) -> None:
        """`state` answers what handlers read; `timer_ns` reads a stopwatch, in nanoseconds."""
        self._execution = execution
        self._state = state
        self._timer_ns = timer_ns

    def run(self, submission: Submission) -> Completion:
        """What came of it, as a worker would tell it."""
        began_ns = self._timer_ns()
        outcome = self._execution.execute(submission, self._state.load)
        elapsed_ns = self._timer_ns() - began_ns
        return Completion(submission.envelope.position, submission.generation, elapsed_ns, outcome, began_ns)
