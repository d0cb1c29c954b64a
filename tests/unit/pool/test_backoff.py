"""The backoff: longer and longer, to a bound, each group for itself."""

from __future__ import annotations

from driven.pool.backoff import BACKOFF_S, LONGEST_BACKOFF_S, Backoff


def test_each_setback_in_a_row_waits_longer_to_a_bound() -> None:
    """W5, P15: what dies as soon as it starts must not be started as fast as it dies."""
    backoff = Backoff()

    delays_s = [backoff.delay_s("default") for _ in range(50)]

    assert delays_s[:3] == [BACKOFF_S, 2 * BACKOFF_S, 4 * BACKOFF_S]
    assert delays_s == sorted(delays_s)
    assert delays_s[-1] == LONGEST_BACKOFF_S


def test_work_that_was_done_ends_the_row_of_its_group_alone() -> None:
    """W5: a group that works is not made to wait for one that does not."""
    backoff = Backoff()
    for group in ("default", "pricing"):
        backoff.delay_s(group)

    backoff.forget("default")

    assert backoff.delay_s("default") == BACKOFF_S
    assert backoff.delay_s("pricing") == 2 * BACKOFF_S
