"""Who counts as a worker that is there, when it is asked how many there should be."""

from __future__ import annotations

import pytest

from driven.bus.lane import Vitals
from driven.pool.scaler import Attendance


def seen(worker_id: int, state: str) -> Vitals:
    """A worker in this state, which has finished nothing."""
    return Vitals(worker_id, 1, "default", state, 0, 0.0, 0)


@pytest.mark.parametrize("state", ["starting", "stopping", "abandoned"])
def test_who_takes_no_commands_is_not_counted_as_there(state: str) -> None:
    """W9: an abandoned thread as little as one that starts: its successor is still on the way."""
    attendance = Attendance()

    attendance.idle_s((seen(1, "idle"), seen(2, state)), 1.0)

    assert attendance.idle_s((seen(1, "idle"), seen(2, state)), 1.0) == ((1, 1.0),)
