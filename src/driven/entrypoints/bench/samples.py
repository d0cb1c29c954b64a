"""What a visit hands over: plain records, one per line of a file, also kept in `results.json`."""

from __future__ import annotations

import enum

import msgspec


class Measure(enum.Enum):
    """What can be measured; also what `--only` names."""

    ROUND_TRIP = "round-trip"
    THROUGHPUT = "throughput"
    METG = "metg"
    ORDER = "order"
    PAYLOAD = "payload"
    SCALING = "scaling"


class Figure(enum.Enum):
    """What one number is; the parameter and the unit of each stand here and nowhere else."""

    RATE = "tasks per second"
    """No-op tasks per second, all submitted, then all awaited. No parameter."""
    MAIN_CPU_US = "main-process CPU, µs per task"
    """CPU time of all threads of the process that submits, during `RATE`. No parameter."""
    THREAD_CPU_US = "submitting thread CPU, µs per task"
    """CPU time of the thread that submits; of a bus, that is the bus thread. No parameter."""
    P50_US = "round trip p50, µs"
    """One lone no-op task, submitted and awaited. No parameter."""
    P99_US = "round trip p99, µs"
    P999_US = "round trip p99.9, µs"
    """Left out by a visit that made fewer than 1,000 round trips."""
    EFFICIENCY = "efficiency"
    """Useful work per wall time, 1.0 is the peak of all usable cores; parameter: task duration in CPU µs."""
    MIXED_RATE = "mixed tasks per second"
    """Tasks of very different durations, the same list for everybody. No parameter."""
    ECHO_US = "echo, µs"
    """Median time of one echo; parameter: body in bytes."""
    SCALED_RATE = "tasks of fixed duration per second"
    """Parameter: workers."""


class Sample(msgspec.Struct, frozen=True):
    """One number, from one visit."""

    contender: str
    """Its key."""
    round: int
    """From 1."""
    figure: Figure
    value: float
    parameter: float = 0.0


class Problem(msgspec.Struct, frozen=True):
    """A visit that failed, and why."""

    contender: str
    round: int
    reason: str
    """The last line says what; what comes before it is the end of what the visit wrote."""


class Order(msgspec.Struct, frozen=True):
    """What a visit is to do."""

    contender: str
    round: int
    workers: int
    measures: tuple[Measure, ...]
    share_s: float
    """Seconds to spend on measuring, all measures together; a wish, not a bound."""
    ns_per_iteration: float
    """CPU nanoseconds of one iteration of `work.compute`."""
    usable_cores: float
    """Peak of bare loops, one per worker, in multiples of a single one; the peak that counts as an efficiency of 1."""
