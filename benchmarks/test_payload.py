"""Bodies, there and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driven.entrypoints.bench.contenders.port import Task

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from driven.entrypoints.bench.contenders.port import Session

ROUNDS = 20
"""Few: the log of a bus in memory keeps every body."""


@pytest.mark.parametrize("size_bytes", [1 << 10, 64 << 10, 1 << 20])
def test_a_body_goes_there_and_back(session: Session, benchmark: BenchmarkFixture, size_bytes: int) -> None:
    """One at a time."""
    benchmark.pedantic(  # type: ignore[no-untyped-call]  # as its authors left it
        session.trips, (Task.ECHO, b"\xa5" * size_bytes, 1), rounds=ROUNDS, warmup_rounds=1
    )
