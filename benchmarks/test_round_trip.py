"""One lone task, submitted and awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driven.entrypoints.bench.contenders.port import Task

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from driven.entrypoints.bench.contenders.port import Session

TRIPS = 200


def test_a_task_that_does_nothing_goes_there_and_back(session: Session, benchmark: BenchmarkFixture) -> None:
    """Two hundred of them, one after the other."""
    benchmark(session.trips, Task.NOTHING, 0, TRIPS)
