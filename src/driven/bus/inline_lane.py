"""The inline lane: the command at the head, run here and now, on the bus thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.bus.working_state import WorkingState
    from driven.service.execution import Execution
    from driven.wire import Outcome, Submission


class InlineLane:
    """Runs one command at a time against the current state."""

    __slots__ = ("_execution", "_state", "_timer_ns")

    def __init__(self, execution: Execution, state: WorkingState, timer_ns: Callable[[], int]) -> None:
        """`state` answers what handlers read; `timer_ns` reads a stopwatch, in nanoseconds."""
        self._execution = execution
        self._state = state
        self._timer_ns = timer_ns

    def run(self, submission: Submission) -> tuple[Outcome, int]:
        """The outcome, and the nanoseconds it took."""
        began_ns = self._timer_ns()
        outcome = self._execution.execute(submission, self._state.load)
        return outcome, self._timer_ns() - began_ns
