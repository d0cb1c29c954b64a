"""What the machine has left: CPUs that do nothing, and whether the kernel holds this process back.

A `MachineWatch` remembers the counters of its last look, so what it says is of the time between two looks. Whoever
makes one owns it and uses it from one thread.

Sources: proc_stat(5), by way of psutil; the kernel's admin-guide/cgroup-v2 (``cpu.stat``: nr_throttled) and
scheduler/sched-bwc (the same file in version 1).
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from driven.pool.cpus import available_cpus, throttled_periods
from driven.pool.scaling import Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class MachineWatch:
    """Looks at the machine, again and again."""

    def __init__(
        self,
        *,
        root: Path = Path("/"),
        environ: Mapping[str, str] = os.environ,
        cpu_seconds: Callable[[], tuple[float, float]] | None = None,
    ) -> None:
        """The first look begins now.

        Args:
            root: the folder that holds ``/proc`` and ``/sys``.
            environ: where DRIVEN_CPUS may be.
            cpu_seconds: idle seconds and all seconds of all CPUs since some moment; by default, of this machine.

        """
        self._root: Final = root
        self._environ: Final = environ
        self._cpu_seconds: Final = cpu_seconds or _cpu_seconds
        self._before = self._cpu_seconds()
        self._throttled = throttled_periods(root)
        self._is_throttled = False
        self._cpus = 1
        self.read_limits()

    def read_limits(self) -> None:
        """Read anew how many CPUs there may be, and whether the quota was used up: a few dozen small files."""
        throttled = throttled_periods(self._root)
        self._cpus = available_cpus(root=self._root, environ=self._environ).count
        self._is_throttled = throttled > self._throttled
        self._throttled = throttled

    def look(self) -> Machine:
        """What the CPUs did since the look before; limits are those that were read last."""
        idle_s, all_s = self._cpu_seconds()
        idle_before_s, all_before_s = self._before
        self._before = idle_s, all_s
        share = (idle_s - idle_before_s) / (all_s - all_before_s) if all_s > all_before_s else 0.0
        return Machine(
            cpus=self._cpus, idle_cpus=max(0.0, share) * (os.cpu_count() or 1), is_throttled=self._is_throttled
        )


def _cpu_seconds() -> tuple[float, float]:
    try:
        times = psutil.cpu_times()
    except (psutil.Error, OSError):  # no /proc: then nobody is seen to work, and all may be idle
        now_s = time.monotonic()
        return now_s, now_s
    waiting_s = float(getattr(times, "iowait", 0.0))
    guests_s = float(getattr(times, "guest", 0.0)) + float(getattr(times, "guest_nice", 0.0))  # are in user as well
    return float(times.idle) + waiting_s, float(sum(times)) - guests_s
