"""What the benchmarks share: every installed contender, opened with a worker for each CPU, warmed up, and closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driven.entrypoints.bench.contenders import CATALOGUE
from driven.entrypoints.bench.contenders.port import Task
from driven.pool.cpus import available_cpus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.entrypoints.bench.contenders.port import Session

WARM_UP_TASKS = 200
COMPARED = [one for one in CATALOGUE if one.version() and not one.is_batched]


@pytest.fixture(params=COMPARED, ids=lambda one: one.key)
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    """An open contender."""
    with request.param.open(available_cpus().count) as opened:
        opened.flood(Task.NOTHING, range(WARM_UP_TASKS))
        yield opened
