"""The judgement: counts what is the same, and keeps the first differences. As long-lived as one verification."""

from __future__ import annotations

from bisect import insort
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from driven.errors import AggregateExists
from driven.service.failures import failure_of
from driven.verification.comparison import Comparison
from driven.verification.report import CommandDifference, CommandSummary, NotComparable, VerificationReport
from driven.wire import Failed

if TYPE_CHECKING:
    from driven.service.registry import Registry
    from driven.verification.recording import Recording, Run
    from driven.wire import Outcome, Read


class Judgement:
    """All that is found out."""

    def __init__(self, registry: Registry, most_differences: int) -> None:
        """Of the differences, the first `most_differences` are kept."""
        self._registry: Final = registry
        self._most: Final = most_differences
        self._same: Final[Counter[str]] = Counter()
        self._different: Final[Counter[str]] = Counter()
        self._set_aside: Final[defaultdict[str, Counter[str]]] = defaultdict(Counter)
        self._first: Final[list[tuple[int, CommandDifference]]] = []

    def judge(self, run: Run, body: bytes, outcome: Outcome, stale: Read | None) -> None:
        """Compare a run of a command that is `body` today.

        `stale` is what the handler added though it was there: a bus does not let that by.
        """
        if stale is not None:
            outcome = Failed(failure_of(AggregateExists(stale.name, stale.id)))
        comparison = Comparison(run, body, outcome, self._registry)
        if comparison.is_same:
            self._same[run.message.name] += 1
            return
        self._different[run.message.name] += 1
        if len(self._first) < self._most or run.index < self._first[-1][0]:
            insort(self._first, (run.index, comparison.difference()), key=lambda found: found[0])
            del self._first[self._most :]

    def set_aside(self, run: Run, reason: str) -> None:
        """A run that says nothing which could be compared."""
        self._set_aside[run.message.name][reason] += 1

    def report(self, log_id: str, recording: Recording, workers: int, took_s: float) -> VerificationReport:
        """All of it, once everything is judged."""
        return VerificationReport(
            application=self._registry.application.name,
            log_id=log_id,
            first_position=recording.first,
            last_position=recording.last,
            workers=workers,
            took_s=took_s,
            same=self.same,
            different=self.different,
            not_comparable=self.not_comparable,
            commands=self.commands(),
            differences=self.differences(),
            reasons=self.reasons(),
        )

    @property
    def same(self) -> int:
        """How many runs gave what is recorded."""
        return self._same.total()

    @property
    def different(self) -> int:
        """How many did not."""
        return self._different.total()

    @property
    def not_comparable(self) -> int:
        """How many were not made."""
        return sum(reasons.total() for reasons in self._set_aside.values())

    def differences(self) -> tuple[CommandDifference, ...]:
        """The first ones, in the order in which they retired."""
        return tuple(difference for _, difference in self._first)

    def commands(self) -> tuple[CommandSummary, ...]:
        """By name."""
        names = sorted({*self._same, *self._different, *self._set_aside})
        return tuple(
            CommandSummary(name, self._same[name], self._different[name], self._set_aside[name].total())
            for name in names
        )

    def reasons(self) -> tuple[NotComparable, ...]:
        """Why runs were not made, by name."""
        return tuple(
            NotComparable(name, reason, count)
            for name, reasons in sorted(self._set_aside.items())
            for reason, count in sorted(reasons.items())
        )
