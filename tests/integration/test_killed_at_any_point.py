"""U9, U3, U4: a process with a bus over a file is killed at each numbered point, and the log is whole all the same.

The slice that runs every time: each point once. `make stress-durable` kills at each point many more times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from doomed_program import Errand
from fault_points import ONCE, FaultPoint
from killing import survive

if TYPE_CHECKING:
    from pathlib import Path

WITH_WORKERS = {FaultPoint.DISPATCHED, FaultPoint.HANDLER_RUNS, FaultPoint.STARTED}
"""Points that need workers, or mean more with them; the others are tried without, which starts faster."""


@pytest.mark.parametrize("point", FaultPoint, ids=lambda point: point.name.lower())
def test_a_process_that_is_killed_leaves_a_whole_log(point: FaultPoint, tmp_path: Path) -> None:
    """U9: nothing that was accepted is lost, nothing happened twice, and the digest is that of an undisturbed run."""
    errand = Errand(
        file=str(tmp_path / "driven.db"),
        seed=int(point),
        workers=2 if point in WITH_WORKERS else 0,
        has_long=point is FaultPoint.STARTED,
        point=point,
        hit=1 if point in ONCE else 2,
    )

    kills = survive(errand, tmp_path)

    assert kills >= 1
