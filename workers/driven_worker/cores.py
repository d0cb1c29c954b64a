"""Which CPUs a worker runs on: all that the bus has, or those of its group. Decided once, at startup."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from driven.errors import WorkersUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection


def pin(cpus: Collection[int]) -> None:
    """Run on these CPUs only, and everything that this process starts as well; nothing to do when there are none.

    Where a process cannot be pinned (macOS) it runs anywhere: pinning is for speed and changes no outcome.

    Raises:
        WorkersUnavailable: this process may not use all of them.

    """
    if not cpus or not hasattr(os, "sched_setaffinity"):
        return
    allowed = os.sched_getaffinity(0)
    if missing := sorted(set(cpus) - allowed):
        raise WorkersUnavailable(
            f"CPU {_listed(missing)} cannot be used, only {_listed(sorted(allowed))}; "
            f"name CPUs in [workers.groups] cpus that this machine or container gives"
        )
    os.sched_setaffinity(0, cpus)


def _listed(numbers: Collection[int]) -> str:
    return ", ".join(str(number) for number in numbers)
