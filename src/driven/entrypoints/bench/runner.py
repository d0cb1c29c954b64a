"""The run: calibrate, then round after round of visits, and the record of all of it.

It lives for one `driven bench`. Time is shared out as the run goes: what opening a contender costs is known after its
first visit, and what is left of the time is divided among the visits that are left. A contender that fails is not
visited again.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from driven.entrypoints.bench.calibration import Burst, burst, calibrate, variation
from driven.entrypoints.bench.contenders import CATALOGUE, contender
from driven.entrypoints.bench.custody import Custody
from driven.entrypoints.bench.machine import Noise, cpu_times, load, machine, stolen
from driven.entrypoints.bench.plan import SHORTEST_S, stops
from driven.entrypoints.bench.record import BenchReport, entrant
from driven.entrypoints.bench.samples import Order, Problem, Sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.entrypoints.bench.calibration import Calibration
    from driven.entrypoints.bench.plan import Plan, Stop

TIMEOUT_S: Final = 30.0
"""How long a visit may take beyond what it should, in seconds,"""
TIMEOUT_FACTOR: Final = 8.0
"""and in multiples of what it should."""
QUIET_VARIATION: Final = 0.10
QUIET_STEAL: Final = 0.02
"""Above one of these, figures are shown with a warning."""
TOLD_LINES: Final = 12
"""How much of what a failing visit wrote is told."""


def run_bench(plan: Plan, command: str, tell: Callable[[str], None]) -> BenchReport:
    """Carry out a plan; `tell` hears of each visit before it begins."""
    began, load_before, times_before = time.perf_counter(), load(), cpu_times()
    tell("calibrating")
    calibration = calibrate(plan.workers)
    with Custody() as custody, tempfile.TemporaryDirectory(prefix="driven-bench-") as folder:
        rounds = Rounds(plan, calibration, custody, Path(folder), tell)
        rounds.run()
    noise = Noise(
        variation=variation(rounds.bursts),
        loops=sum(len(one.wall_ns) for one in rounds.bursts),
        steal=stolen(times_before, cpu_times()),
        load_before=load_before,
        load_after=load(),
        calibration=calibration,
    )
    return BenchReport(
        command=command,
        machine=machine(),
        noise=noise,
        plan=plan,
        entrants=tuple(entrant(one) for one in CATALOGUE),
        samples=tuple(rounds.samples),
        problems=tuple(rounds.problems),
        notes=(*rounds.notes, *noise_notes(noise)),
        took_s=time.perf_counter() - began,
    )


def noise_notes(noise: Noise) -> list[str]:
    """A warning where the machine was too restless for its figures to be believed."""
    if noise.variation <= QUIET_VARIATION and (noise.steal or 0.0) <= QUIET_STEAL:
        return []
    taken = 100 * (noise.steal or 0.0)
    varied = f"the same loop varied by {100 * noise.variation:.0f} %, others took {taken:.0f} % of the CPU time"
    return [f"the machine was restless ({varied}): measure again when it is quiet"]


class Rounds:
    """The visits of a run, and what they brought."""

    def __init__(
        self, plan: Plan, calibration: Calibration, custody: Custody, folder: Path, tell: Callable[[str], None]
    ) -> None:
        """`folder` is empty and ours."""
        self._plan: Final = plan
        self._calibration: Final = calibration
        self._custody: Final = custody
        self._folder: Final = folder
        self._tell: Final = tell
        self._began_s: Final = time.perf_counter()
        self._costs_s: Final = {key: contender(key).start_s for key in plan.contenders}
        """What opening and closing each takes, in seconds, as far as known."""
        self.samples: Final[list[Sample]] = []
        self.problems: Final[list[Problem]] = []
        self.notes: Final[list[str]] = []
        self.bursts: Final[list[Burst]] = []

    def run(self) -> None:
        """Go round."""
        left = [(number, stop) for number in range(1, self._plan.rounds + 1) for stop in stops(self._plan, number)]
        while left:
            number, stop = left.pop(0)
            if number > 1 and self._passed_s() > self._plan.most_s:
                self.notes.append(f"time was up in round {number} of {self._plan.rounds}: figures have fewer rounds")
                break
            self.bursts.append(burst())
            if not self._visit(number, stop, self._share_s(stop, [stop for _, stop in left])):
                left = [(later, other) for later, other in left if other.contender != stop.contender]

    def _passed_s(self) -> float:
        return time.perf_counter() - self._began_s

    def _share_s(self, stop: Stop, later: list[Stop]) -> float:
        """Seconds of measuring for a visit: its part of what is left when all that is to open has been opened."""
        for_opening_s = sum(self._costs_s[one.contender] for one in (stop, *later))
        to_measure_s = self._plan.seconds - self._passed_s() - for_opening_s
        part_s = to_measure_s / sum(one.parts for one in (stop, *later))
        return stop.parts * min(self._plan.part_s, max(SHORTEST_S, part_s))

    def _visit(self, number: int, stop: Stop, share_s: float) -> bool:
        """Visit, and take in what it brought; whether it came to its end."""
        chosen = contender(stop.contender)
        self._tell(f"round {number} of {self._plan.rounds}: {chosen.name}, {stop.workers} workers, {share_s:.1f} s")
        order = Order(
            contender=stop.contender,
            round=number,
            workers=stop.workers,
            measures=stop.measures,
            share_s=share_s,
            ns_per_iteration=self._calibration.ns_per_iteration,
            usable_cores=self._calibration.usable_cores,
        )
        began = time.perf_counter()
        reason = self._send(order)
        self._costs_s[stop.contender] = max(0.0, time.perf_counter() - began - share_s)
        if reason:
            self.problems.append(Problem(stop.contender, number, reason))
            self._tell(f"{chosen.name} failed: {reason.splitlines()[-1]}")
        return not reason

    def _send(self, order: Order) -> str:
        """Run the process of a visit; return why it failed, empty when it did not."""
        file, output = self._folder / "samples.jsonl", self._folder / "output.txt"
        file.write_bytes(b"")
        program = [sys.executable, "-m", "driven.entrypoints.bench.visit", str(file)]
        timeout_s = TIMEOUT_S + TIMEOUT_FACTOR * order.share_s
        try:
            code = self._custody.run(program, stdin=msgspec.json.encode(order), output=output, timeout_s=timeout_s)
            reason = f"its process ended with exit code {code}" if code else ""
        except subprocess.TimeoutExpired:
            reason = f"it did not end within {timeout_s:.0f} s, and was killed"
        self.samples.extend(msgspec.json.decode(line, type=Sample) for line in file.read_bytes().splitlines())
        said = output.read_text("utf-8", errors="replace").splitlines()[-TOLD_LINES:]
        return "\n".join([*said, reason]) if reason else ""
