"""The record of a run: everything that was measured, on what, and what went wrong. Also `results.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from driven.entrypoints.bench.machine import Machine, Noise
from driven.entrypoints.bench.plan import Plan
from driven.entrypoints.bench.samples import Figure, Problem, Sample

if TYPE_CHECKING:
    from driven.entrypoints.bench.contenders.port import Contender


class Entrant(msgspec.Struct, frozen=True):
    """A contender as it took part."""

    key: str
    name: str
    version: str
    """Empty: it is not installed, and did not take part."""
    remark: str
    is_ours: bool
    is_batched: bool
    is_bound: bool = False


class BenchReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `driven bench` finds."""

    command: str
    """That made this."""
    machine: Machine
    noise: Noise
    plan: Plan
    entrants: tuple[Entrant, ...]
    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    """What was left out, and why."""
    took_s: float
    files: tuple[str, ...] = ()
    """Names of what was written, in the folder of the report."""

    @property
    def is_ok(self) -> bool:
        """Whether everything of ours was measured; that a rival fails is told, and is no fault."""
        ours = {entrant.key for entrant in self.entrants if entrant.is_ours}
        return not any(problem.contender in ours for problem in self.problems)

    def present(self) -> list[Entrant]:
        """Those that were measured one task at a time."""
        there = {sample.contender for sample in self.samples}
        return [entrant for entrant in self.entrants if entrant.key in there and not entrant.is_batched]

    def drawn(self) -> list[Entrant]:
        """Those of them that are compared in charts, in which a ceiling would leave nothing to see of the others."""
        return [entrant for entrant in self.present() if not entrant.is_bound]

    def by_round(self, key: str, figure: Figure, parameter: float = 0.0) -> dict[int, float]:
        """One figure of one contender, by round."""
        return {
            sample.round: sample.value
            for sample in self.samples
            if (sample.contender, sample.figure, sample.parameter) == (key, figure, parameter)
        }

    def parameters(self, figure: Figure) -> list[float]:
        """For which parameters there is a figure, of anybody."""
        return sorted({sample.parameter for sample in self.samples if sample.figure is figure})

    def curves(self, key: str) -> dict[int, list[tuple[float, float]]]:
        """Durations and efficiencies of one contender, by round."""
        found: dict[int, list[tuple[float, float]]] = {}
        for sample in self.samples:
            if sample.contender == key and sample.figure is Figure.EFFICIENCY:
                found.setdefault(sample.round, []).append((sample.parameter, sample.value))
        return found


def entrant(contender: Contender) -> Entrant:
    """A contender, as it stands in a record."""
    return Entrant(
        contender.key,
        contender.name,
        contender.version(),
        contender.remark,
        contender.is_ours,
        contender.is_batched,
        contender.is_bound,
    )
