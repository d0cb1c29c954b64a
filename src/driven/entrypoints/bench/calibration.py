"""What this machine computes: the cost of one iteration, the cores that are really there, and how noisy it is.

CPU work is counted in iterations of `work.compute`. How long one takes is measured in CPU time of the thread
(`time.thread_time_ns`), of which a busy neighbour takes nothing; how many of them all cores do at once is measured with
bare processes and a clock on the wall, as that is the peak any contender could reach.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from itertools import pairwise
from typing import Final

import msgspec

from driven.entrypoints.bench.work import compute

PROBE_ITERATIONS: Final = 20_000
"""About a millisecond."""
PROBES: Final = 15
BARE_S: Final = 0.25
"""How long the bare loops run side by side, in seconds."""


class Calibration(msgspec.Struct, frozen=True):
    """The measure of all work in a run."""

    ns_per_iteration: float
    """CPU nanoseconds of one iteration, the best of many."""
    usable_cores: float
    """Peak of bare loops side by side, one per worker, in multiples of a single one."""


class Burst(msgspec.Struct, frozen=True):
    """The same loop several times over, to see the machine wander."""

    wall_ns: tuple[int, ...]


def calibrate(workers: int) -> Calibration:
    """Measure for a run with that many workers; takes about a second."""
    ns_per_iteration = cpu_ns_per_iteration()
    return Calibration(ns_per_iteration, usable_cores(workers, ns_per_iteration))


def cpu_ns_per_iteration() -> float:
    """CPU nanoseconds of one iteration: the best of `PROBES`, as whatever disturbs only adds."""
    return min(cpu_ns(PROBE_ITERATIONS) for _ in range(PROBES)) / PROBE_ITERATIONS


def cpu_ns(iterations: int) -> int:
    """CPU nanoseconds that this thread needs for so many iterations, whatever else runs."""
    began = time.thread_time_ns()
    compute(iterations)
    return time.thread_time_ns() - began


def iterations_of(duration_us: float, ns_per_iteration: float) -> int:
    """How many iterations take that long, at least one."""
    return max(1, round(duration_us * 1_000 / ns_per_iteration))


def usable_cores(workers: int, ns_per_iteration: float, repeats: int = 3) -> float:
    """What `workers` bare processes compute at once, in multiples of what one thread could; the best of `repeats`.

    Two hardware threads of one core, a quota, or a busy neighbour make this less than the number of workers.
    """
    iterations = iterations_of(BARE_S * 1e6, ns_per_iteration)
    best_s = min(_side_by_side(workers, iterations) for _ in range(repeats))
    return min(float(workers), workers * iterations * ns_per_iteration / 1e9 / best_s)


def burst(probes: int = PROBES) -> Burst:
    """Run the same loop `probes` times, by the clock on the wall."""
    marks = [time.perf_counter_ns()]
    for _ in range(probes):
        compute(PROBE_ITERATIONS)
        marks.append(time.perf_counter_ns())
    return Burst(tuple(later - earlier for earlier, later in pairwise(marks)))


def variation(bursts: list[Burst]) -> float:
    """Coefficient of variation (standard deviation over mean) of all loops of all bursts; 0.0 of fewer than two."""
    walls = [wall for one in bursts for wall in one.wall_ns]
    return statistics.stdev(walls) / statistics.fmean(walls) if len(walls) > 1 else 0.0


def _side_by_side(workers: int, iterations: int) -> float:
    """Seconds in which that many processes do `iterations` each, from the start signal to the last one's end."""
    program = [sys.executable, "-m", "driven.entrypoints.bench.calibration", str(iterations)]
    processes = [
        subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)  # noqa: S603 - this very module
        for _ in range(workers)
    ]
    try:
        for process in processes:
            process.stdout.readline()  # type: ignore[union-attr]  # all are pipes
        began = time.perf_counter()
        for process in processes:
            process.stdin.close()  # type: ignore[union-attr]  # as above
        for process in processes:
            process.stdout.readline()  # type: ignore[union-attr]  # as above
        return time.perf_counter() - began
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]  # as above


def main() -> None:
    """One bare process: ready, wait for the signal, compute, done."""
    iterations = int(sys.argv[1])
    compute(PROBE_ITERATIONS)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    compute(iterations)
    sys.stdout.write("done\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
