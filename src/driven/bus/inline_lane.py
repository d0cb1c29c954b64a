"""The inline lane: the command at the head, run here and now, on the bus thread."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from driven.bus.working_state import WorkingState
    from driven.service.execution import Execution
    from driven.wire import Outcome, Submission


class InlineLane:
    """Runs one command at a time against the current state."""

    __slots__ = ("_execution", "_state")

    def __init__(self, execution: Execution, state: WorkingState) -> None:
        """`state` answers what handlers read."""
        self._execution = execution
        self._state = state

    def run(self, submission: Submission) -> tuple[Outcome, int]:
        """The outcome, and the nanoseconds it took."""
        began_ns = time.perf_counter_ns()
        outcome = self._execution.execute(submission, self._state.load)
        return outcome, time.perf_counter_ns() - began_ns
