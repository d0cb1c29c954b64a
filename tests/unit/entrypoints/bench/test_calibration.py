"""Work is counted in iterations and CPU time; a clock on the wall has no say in it."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from driven.entrypoints.bench.calibration import (
    Burst,
    burst,
    cpu_ns,
    cpu_ns_per_iteration,
    iterations_of,
    usable_cores,
    variation,
)
from driven.entrypoints.bench.work import compute

SMALL, LARGE = 20_000, 1_000_000
RIVALS = 3


def test_more_iterations_cost_more_cpu_time() -> None:
    """Fifty times the work is never less work, on whatever machine."""
    costs = [cpu_ns(iterations) for iterations in (SMALL, LARGE)]

    assert 0 < costs[0] < costs[1]


def test_a_longer_task_has_more_iterations() -> None:
    """And the shortest has one."""
    counts = [iterations_of(duration_us, 40.0) for duration_us in (0.0, 1.0, 10.0, 1_000.0)]

    assert counts == [1, 25, 250, 25_000]


@pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="without the GIL, threads here do not share a CPU"
)
def test_what_others_compute_meanwhile_is_not_counted() -> None:
    """CPU time of the thread, not time that passes: three busy threads make one wait, and not look slower."""
    ended = threading.Event()

    def be_busy() -> None:
        while not ended.is_set():
            compute(SMALL)

    rivals = [threading.Thread(target=be_busy) for _ in range(RIVALS)]
    for rival in rivals:
        rival.start()
    try:
        began = time.perf_counter_ns()
        cost = cpu_ns(4 * LARGE)
        passed = time.perf_counter_ns() - began
    finally:
        ended.set()
        for rival in rivals:
            rival.join()

    assert cost < 0.75 * passed


def test_one_bare_process_is_at_most_one_core() -> None:
    """The peak of one worker, from a process of its own."""
    found = usable_cores(1, cpu_ns_per_iteration(), repeats=1)

    assert 0 < found <= 1


def test_noise_is_the_variation_of_the_same_loop() -> None:
    """0 where every loop takes the same time; known for two that differ."""
    assert variation([Burst((100, 100)), Burst((100,))]) == 0
    assert variation([Burst((90, 110))]) == pytest.approx(0.1414, abs=0.001)
    assert variation([]) == 0
    assert all(wall_ns > 0 for wall_ns in burst(3).wall_ns)
