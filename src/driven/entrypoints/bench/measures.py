"""What is done with an open contender: each function makes some samples in about the seconds it is given.

How much is done follows from how fast the contender turns out to be, so that one that takes 2 ms per task and one that
takes 10 µs are measured for the same time. Tasks are counted, never stopped by a clock.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import psutil

from driven.entrypoints.bench.calibration import iterations_of
from driven.entrypoints.bench.contenders.port import Task
from driven.entrypoints.bench.figures import percentile
from driven.entrypoints.bench.plan import PARTS
from driven.entrypoints.bench.samples import Figure, Measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from driven.entrypoints.bench.contenders.port import Argument, Session
    from driven.entrypoints.bench.samples import Order

WARM_UP_TASKS: Final = 100
PROBE_TASKS: Final = 200
MOST_TASKS: Final = 50_000
"""In one flood; half of what fits into a bus at its default settings."""
FEWEST_PER_WORKER: Final = 20
"""In one flood of timed tasks, so that the last one running alone is a twentieth of the whole."""
FEWEST_TRIPS: Final = 10
ENOUGH_FOR_P999: Final = 1_000

EFFICIENT: Final = 0.93
"""The ladder of durations is climbed until this efficiency, a little above the highest threshold of METG,"""
INEFFICIENT: Final = 0.4
"""and descended until this one, a little below the lowest."""
SHORTEST_US: Final = 2.0
LONGEST_US: Final = 65_536.0
"""0.066 s: whoever is inefficient here is not for tasks of this kind."""
STEP: Final = 2.0
PATIENCE: Final = 1.5
"""How many times its share of the time a measure may take before it leaves the rest out: on a machine that is busy
with something else, no duration is efficient."""

SIZES: Final = (64, 1 << 10, 16 << 10, 256 << 10, 4 << 20, 64 << 20)
"""Bodies of the payload sweep, in bytes."""
MOST_ECHOED: Final = 128 << 20
"""Bytes of one size that one visit echoes at most: the log of a bus in memory keeps them all."""
COPIES: Final = 12
"""Free memory that an echo needs, in bodies, both processes together."""

MIXED_US: Final = (20.0, 2_000.0)
"""Shortest and longest task of the mix; durations between them are spread evenly in the logarithm."""
MIXED_SEED: Final = 20
SCALED_US: Final = 500.0
"""Duration of the tasks by which scaling is measured."""


class Number(NamedTuple):
    """A sample without its origin."""

    figure: Figure
    value: float
    parameter: float = 0.0


class Bench(NamedTuple):
    """An open contender, what is known of the machine, and how many seconds a measure may take."""

    session: Session
    order: Order
    share_s: float
    is_parallel: bool

    @property
    def workers(self) -> int:
        """Workers that compute: those of the contender, or the submitting process itself."""
        return self.order.workers if self.is_parallel else 1

    @property
    def peak(self) -> float:
        """Usable cores of this contender."""
        return self.order.usable_cores if self.is_parallel else 1.0

    def iterations(self, duration_us: float) -> int:
        """How many iterations take that long."""
        return iterations_of(duration_us, self.order.ns_per_iteration)

    def flood_s(self, task: Task, arguments: Sequence[Argument]) -> float:
        """Seconds that a flood takes."""
        began = time.perf_counter()
        self.session.flood(task, arguments)
        return time.perf_counter() - began


def warm_up(bench: Bench) -> float:
    """Let everything be imported and started; return no-op tasks per second, roughly."""
    bench.session.flood(Task.NOTHING, range(WARM_UP_TASKS))
    for task, argument in ((Task.COMPUTE, 1), (Task.ECHO, b"warm")):
        bench.session.flood(task, [argument] * 2 * bench.workers)
    return PROBE_TASKS / bench.flood_s(Task.NOTHING, range(PROBE_TASKS))


def round_trip(bench: Bench, rate: float) -> Iterator[Number]:
    """One lone task, again and again."""
    del rate
    probe = bench.session.trips(Task.NOTHING, 0, FEWEST_TRIPS).durations_ns
    count = max(FEWEST_TRIPS, int(bench.share_s * 1e9 / percentile(probe, 0.5)))
    times = [duration / 1e3 for duration in bench.session.trips(Task.NOTHING, 0, count).durations_ns]
    yield Number(Figure.P50_US, percentile(times, 0.5))
    yield Number(Figure.P99_US, percentile(times, 0.99))
    if count >= ENOUGH_FOR_P999:
        yield Number(Figure.P999_US, percentile(times, 0.999))


def throughput(bench: Bench, rate: float) -> Iterator[Number]:
    """No-op tasks, many at once, and what they cost the process that submits."""
    count = min(MOST_TASKS, max(PROBE_TASKS, int(rate * bench.share_s)))
    process_ns, thread_ns = time.process_time_ns(), time.thread_time_ns()
    took_s = bench.flood_s(Task.NOTHING, range(count))
    thread_ns, process_ns = time.thread_time_ns() - thread_ns, time.process_time_ns() - process_ns
    yield Number(Figure.RATE, count / took_s)
    yield Number(Figure.MAIN_CPU_US, process_ns / 1e3 / count)
    yield Number(Figure.THREAD_CPU_US, thread_ns / 1e3 / count)


def efficiency(bench: Bench, rate: float, duration_us: float, seconds: float) -> float:
    """Useful work of a flood of tasks of one duration, per second of its time, relative to the peak."""
    per_task_s = max(1 / rate, duration_us / 1e6 / bench.workers)
    count = min(MOST_TASKS, max(FEWEST_PER_WORKER * bench.workers, int(seconds / per_task_s)))
    iterations = bench.iterations(duration_us)
    took_s = bench.flood_s(Task.COMPUTE, [iterations] * count)
    return count * iterations * bench.order.ns_per_iteration / 1e9 / took_s / bench.peak


def metg(bench: Bench, rate: float) -> Iterator[Number]:
    """Efficiency at durations around those where it falls: from where it is expected to be half, up and down."""
    seconds = bench.share_s / 8
    first_us = min(LONGEST_US, max(SHORTEST_US, bench.peak / rate * 1e6))
    steps: tuple[tuple[float, Callable[[float, float], bool]], ...] = (
        (STEP, lambda duration_us, reached: reached < EFFICIENT and duration_us < LONGEST_US),
        (1 / STEP, lambda duration_us, reached: reached > INEFFICIENT and duration_us > SHORTEST_US),
    )
    deadline = time.perf_counter() + PATIENCE * bench.share_s
    middle = efficiency(bench, rate, first_us, seconds)
    yield Number(Figure.EFFICIENCY, middle, first_us)
    for factor, goes_on in steps:
        duration_us, reached = first_us, middle
        while goes_on(duration_us, reached) and time.perf_counter() < deadline:
            duration_us *= factor
            reached = efficiency(bench, rate, duration_us, seconds)
            yield Number(Figure.EFFICIENCY, reached, duration_us)


def order(bench: Bench, rate: float) -> Iterator[Number]:
    """Tasks of very different durations: where strict order has a price, it is here."""
    mean_s = sum(mixed_durations(1_000)) / 1_000 / 1e6
    per_task_s = max(1 / rate, mean_s / bench.peak)
    count = min(MOST_TASKS, max(FEWEST_PER_WORKER * bench.workers, int(bench.share_s / per_task_s)))
    took_s = bench.flood_s(Task.COMPUTE, [bench.iterations(duration_us) for duration_us in mixed_durations(count)])
    yield Number(Figure.MIXED_RATE, count / took_s)


def mixed_durations(count: int) -> list[float]:
    """Durations of the mix in µs: from one seed, so the same for everybody."""
    draw = random.Random(MIXED_SEED)  # noqa: S311 - a workload, not a secret
    low, high = MIXED_US
    return [low * (high / low) ** draw.random() for _ in range(count)]


def payload(bench: Bench, rate: float) -> Iterator[Number]:
    """One echo after the other, of bodies of many sizes; those for which memory or time would not do are left out."""
    del rate
    ended = time.perf_counter() + bench.share_s
    last_s, last_size = 0.0, 1
    for size in SIZES:
        expected_s = last_s * size / last_size - PATIENCE * bench.share_s
        if COPIES * size > psutil.virtual_memory().available or time.perf_counter() + expected_s > ended:
            return
        body = b"\xa5" * size
        probe_ns = bench.session.trips(Task.ECHO, body, 1).durations_ns[0]
        count = min(MOST_ECHOED // size, int(bench.share_s / len(SIZES) * 1e9 / probe_ns))
        times = bench.session.trips(Task.ECHO, body, count).durations_ns if count else [probe_ns]
        last_s, last_size = percentile(times, 0.5) / 1e9, size
        yield Number(Figure.ECHO_US, last_s * 1e6, float(size))


def scaling(bench: Bench, rate: float) -> Iterator[Number]:
    """Tasks of one duration per second, with this many workers."""
    per_task_s = max(1 / rate, SCALED_US / 1e6 / bench.workers)
    count = min(MOST_TASKS, max(FEWEST_PER_WORKER * bench.workers, int(bench.share_s / per_task_s)))
    took_s = bench.flood_s(Task.COMPUTE, [bench.iterations(SCALED_US)] * count)
    yield Number(Figure.SCALED_RATE, count / took_s, float(bench.order.workers))


MEASURES: Final[dict[Measure, Callable[[Bench, float], Iterator[Number]]]] = {
    Measure.ROUND_TRIP: round_trip,
    Measure.THROUGHPUT: throughput,
    Measure.METG: metg,
    Measure.ORDER: order,
    Measure.SCALING: scaling,
    Measure.PAYLOAD: payload,
}
"""In this order, as echoes leave most behind in memory."""


def measured(session: Session, order: Order, *, is_parallel: bool) -> Iterator[Number]:
    """Warm up, then make all measures that are ordered."""
    wanted = [measure for measure in MEASURES if measure in order.measures]
    whole = sum(PARTS[measure] for measure in wanted)
    rate = warm_up(Bench(session, order, 0.0, is_parallel))
    for measure in wanted:
        share_s = order.share_s * PARTS[measure] / whole
        yield from MEASURES[measure](Bench(session, order, share_s, is_parallel), rate)
