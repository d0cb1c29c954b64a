"""The inline lane: the command at the head, run here and now, on the bus thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.bus.working_state import WorkingState
    from driven.service.execution import Execution
    from driven.wire import Outcome, Submission

TURN_NS: Final = 10_000_000
"""Nanoseconds of inline handlers after which a turn ends, however few messages have retired in it."""


class InlineLane:
    """Runs one command at a time against the current state."""

    __slots__ = ("_execution", "_state", "_timer_ns", "spent_ns")

    def __init__(self, execution: Execution, state: WorkingState, timer_ns: Callable[[], int]) -> None:
        """`state` answers what handlers read; `timer_ns` reads a stopwatch, in nanoseconds."""
        self._execution = execution
        self._state = state
        self._timer_ns = timer_ns
        self.spent_ns = 0
        """Nanoseconds that all runs took since whoever gives the turns set it to 0."""

    def run(self, submission: Submission) -> tuple[Outcome, int]:
        """The outcome, and the nanoseconds it took."""
        began_ns = self._timer_ns()
        outcome = self._execution.execute(submission, self._state.load)
        elapsed_ns = self._timer_ns() - began_ns
        self.spent_ns += elapsed_ns
        return outcome, elapsed_ns
