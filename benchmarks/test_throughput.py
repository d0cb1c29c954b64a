"""Many tasks at once: of nothing, and of a little CPU work each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driven.entrypoints.bench.calibration import cpu_ns_per_iteration, iterations_of
from driven.entrypoints.bench.contenders.port import Task

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from driven.entrypoints.bench.contenders.port import Session

TASKS = 1_000


def test_tasks_that_do_nothing(session: Session, benchmark: BenchmarkFixture) -> None:
    """A thousand, submitted one by one."""
    benchmark(session.flood, Task.NOTHING, range(TASKS))


@pytest.mark.parametrize("duration_us", [20.0, 200.0])
def test_tasks_that_compute(session: Session, benchmark: BenchmarkFixture, duration_us: float) -> None:
    """Three hundred, of one duration."""
    iterations = iterations_of(duration_us, cpu_ns_per_iteration())

    benchmark(session.flood, Task.COMPUTE, [iterations] * 300)
