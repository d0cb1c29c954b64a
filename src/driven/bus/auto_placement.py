"""Where commands with `Placement.AUTO` run: inline, or on workers once that is measured to be clearly better.

::

    what a command of the type takes   }  moving averages of what was measured,   clearly more: to workers
    what handing one over takes        }  compared whenever one is admitted       clearly less: inline again

Both are measured all the time. A type is measured where it runs, which tells what it takes anywhere. Handing over is
measured at the first command of a turn that goes to a worker with nothing else to do: from here to there and back, less
what the handler took. Where nothing goes to workers, one command in `TRIAL_EVERY` is sent there, to know.

A decision holds until it is clearly wrong: between the two thresholds nothing changes (hysteresis), and not before
some more measurements. It changes speed only, never outcome or order (O6). The worker traffic owns it; it takes time
through the timer that it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from driven.bus.sequencer import Entry

HANDOVER_NS: Final = 150_000
"""Nanoseconds that handing a command over is taken to cost until it was measured."""

WEIGHT: Final = 0.1
"""Weight of the newest measurement in the moving average of what handing over costs."""

LARGEST_STEP: Final = 4.0
"""A measurement counts as so many times the average at most: the bus was busy with something else."""

CLEARLY: Final = 1.5
"""How many times the one cost has to be the other one for a change."""

AT_ONCE: Final = 20.0
"""So many times more than handing over, and one measurement is enough: the bus thread was blocked meanwhile."""

SAMPLES: Final = 8
"""Measurements of a type before a change, and between one change and the next."""

TRIAL_EVERY: Final = 512
"""Measurements of a type inline after which one command of it goes to a worker, as long as nothing else does."""


class PlacementDecision(msgspec.Struct, frozen=True):
    """Where commands of one type with `Placement.AUTO` run now, and why."""

    command: str
    """Stable name of the command type."""
    runs: str
    """``inline`` or ``worker``."""
    average_s: float
    """Seconds that one takes, as a moving average; 0.0: none was measured."""
    handover_s: float
    """Seconds that handing one over takes, as a moving average."""
    samples: int
    """How many were measured."""
    changes: int
    """How often the decision has changed."""
    reason: str
    """For people."""


class _Choice:
    """What was decided for one type."""

    __slots__ = ("average_ns", "changed_at", "changes", "is_on_workers", "samples", "tried_at")

    def __init__(self) -> None:
        self.is_on_workers = False
        self.changes = 0
        self.changed_at = 0
        """Measurements when it changed last."""
        self.tried_at = 0
        """Measurements at the last trial."""
        self.average_ns = 0.0
        self.samples = 0


class AutoPlacement:
    """The choices of one bus."""

    __slots__ = ("_choices", "_handover_ns", "_handovers", "_probe_ns", "_timer_ns", "probed")

    def __init__(self, type_ids: Iterable[int], timer_ns: Callable[[], int]) -> None:
        """Everything runs inline at first. `type_ids` are those whose placement is AUTO."""
        self._choices: Final = {type_id: _Choice() for type_id in type_ids}
        self._timer_ns: Final = timer_ns
        self._handover_ns: float = HANDOVER_NS
        self._handovers = 0
        self.probed = 0
        """Position of the command whose way is being timed; 0: none."""
        self._probe_ns = 0

    def goes_to_workers(self, type_id: int, average_ns: float, samples: int) -> bool:
        """Whether a command of this type is to run on a worker, which took so long on average of so many."""
        choice = self._choices[type_id]
        choice.average_ns, choice.samples = average_ns, samples
        if samples == 0:
            return False
        if self._is_to_change(choice):
            choice.is_on_workers = not choice.is_on_workers
            choice.changed_at = samples
            choice.changes += 1
        return choice.is_on_workers or self._is_trial(choice)

    def _is_to_change(self, choice: _Choice) -> bool:
        has_enough = choice.samples - choice.changed_at >= SAMPLES
        if choice.is_on_workers:
            return has_enough and choice.average_ns * CLEARLY < self._handover_ns
        if choice.average_ns > AT_ONCE * self._handover_ns:
            return has_enough or not choice.changes
        return has_enough and choice.average_ns > CLEARLY * self._handover_ns

    def _is_trial(self, choice: _Choice) -> bool:
        if self._handovers or choice.samples - choice.tried_at < TRIAL_EVERY:
            return False
        choice.tried_at = choice.samples
        return True

    # What handing over costs.

    def begin_turn(self, head: Entry | None) -> int:
        """The time, if the way of a command is to be timed in this turn; else 0. `head` is the head of the queue."""
        if not self._choices or head is None or self.probed >= head.position:  # it is on its way still
            return 0
        return self._timer_ns()

    def sent(self, entry: Entry, began_ns: int) -> None:
        """A command went to a worker with nothing else to do."""
        self.probed, self._probe_ns = entry.position, began_ns

    def came_back(self, elapsed_ns: int) -> None:
        """The command whose way is timed is back; its handler took so long."""
        self.probed = 0
        cost_ns = self._timer_ns() - self._probe_ns - elapsed_ns
        cost_ns = min(max(cost_ns, 0), int(self._handover_ns * LARGEST_STEP))
        self._handovers += 1
        self._handover_ns += (cost_ns - self._handover_ns) * (WEIGHT if self._handovers > 1 else 1.0)

    # What was decided.

    def decisions(self, name_of: Callable[[int], str]) -> tuple[PlacementDecision, ...]:
        """The choice for every type, by name."""
        return tuple(sorted((self._decision(name_of(one), of) for one, of in self._choices.items()), key=_name))

    def _decision(self, name: str, choice: _Choice) -> PlacementDecision:
        return PlacementDecision(
            command=name,
            runs="worker" if choice.is_on_workers else "inline",
            average_s=choice.average_ns / 1e9 if choice.samples else 0.0,
            handover_s=self._handover_ns / 1e9,
            samples=choice.samples,
            changes=choice.changes,
            reason=self._reason(choice),
        )

    def _reason(self, choice: _Choice) -> str:
        if not choice.samples:
            return "none was measured yet"
        took, handing = f"takes {choice.average_ns / 1e3:,.0f} us", self._handover_ns / 1e3
        source = "measured hand-over" if self._handovers else "assumed hand-over"
        if choice.is_on_workers:
            return f"{took}; inline again below {handing / CLEARLY:,.0f} us ({source} / {CLEARLY:g})"
        return f"{took}; to workers above {handing * CLEARLY:,.0f} us ({source} x {CLEARLY:g})"


def _name(decision: PlacementDecision) -> str:
    return decision.command
