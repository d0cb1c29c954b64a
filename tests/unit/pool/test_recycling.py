"""When a worker has done its share, by numbers alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from driven import WorkerSettings
from driven.pool.recycling import DUE, JITTER, OVERDUE, Recycling, jitter


@given(st.integers(1, 1 << 40))
def test_limits_differ_from_worker_to_worker_within_bounds_and_never_from_run_to_run(worker_id: int) -> None:
    """P13: jittered, so that those that began together do not leave together."""
    assert 1 - JITTER <= jitter(worker_id) <= 1 + JITTER
    assert jitter(worker_id) == jitter(worker_id)


def test_neighbours_have_different_limits() -> None:
    """P13: eight workers that start together are due at eight different counts."""
    recycling = Recycling(WorkerSettings(recycle_after_commands=1_000))
    due = {next(n for n in range(2_000) if recycling.wear(worker, n, 0) >= DUE) for worker in range(1, 9)}

    assert len(due) == 8
    assert all(800 <= count <= 1_200 for count in due)


def test_without_limits_nobody_is_worn() -> None:
    """P13: it is off unless asked for."""
    recycling = Recycling(WorkerSettings())

    assert not recycling.is_wanted
    assert recycling.wear(1, 1 << 40, 1 << 40) == 0.0


@given(st.integers(1, 100))
def test_a_worker_is_worn_by_what_it_has_most_of(worker_id: int) -> None:
    """P13: commands or growth; at twice its share it is overdue, and even a limit of one is one command at least."""
    both = Recycling(WorkerSettings(recycle_after_commands=10, recycle_after_growth_bytes=1_000))
    one = Recycling(WorkerSettings(recycle_after_commands=1))

    assert both.wear(worker_id, 12, 0) >= DUE
    assert both.wear(worker_id, 0, 1_200) >= DUE
    assert both.wear(worker_id, 0, 2_400) >= OVERDUE
    assert both.wear(worker_id, 7, 700) < DUE
    assert (one.wear(worker_id, 0, 0), one.wear(worker_id, 1, 0), one.wear(worker_id, 2, 0)) == (0.0, DUE, OVERDUE)
