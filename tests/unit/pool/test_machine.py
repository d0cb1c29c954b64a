"""What the machine has left, from counters that a test writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driven.pool.cpus import available_cpus, throttled_periods
from driven.pool.machine import MachineWatch

if TYPE_CHECKING:
    from pathlib import Path

STAT = "nr_periods 100\nnr_throttled {count}\n"
HIERARCHIES = {
    "v2": ("0::/a\n", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "sys/fs/cgroup/a"),
    "v1": ("4:cpu,cpuacct:/a\n", "33 32 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n", "sys/fs/cgroup/cpu/a"),
}


def fake_system(root: Path, version: str, count: int) -> Path:
    """A root whose process is in cgroup /a; its folder."""
    cgroup, mounts, folder = HIERARCHIES[version]
    (root / "proc/self").mkdir(parents=True, exist_ok=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    (root / "proc/self/mountinfo").write_text(mounts)
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / folder / "cpu.stat").write_text(STAT.format(count=count))
    return root / folder


@pytest.mark.parametrize("version", HIERARCHIES)
def test_being_held_back_is_noticed_once_for_each_time(version: str, tmp_path: Path) -> None:
    """P9: the kernel's counters of cgroup v1 and v2 say when the quota was used up."""
    fake_system(tmp_path, version, 7)
    watch = MachineWatch(root=tmp_path, environ={})

    assert not watch.look().is_throttled
    fake_system(tmp_path, version, 8)
    watch.read_limits()
    assert watch.look().is_throttled
    watch.read_limits()
    assert not watch.look().is_throttled


def test_a_quota_that_changes_while_running_is_noticed(tmp_path: Path) -> None:
    """P9: a container may be resized at any time."""
    folder = fake_system(tmp_path, "v2", 0)
    (folder / "cpu.max").write_text("max 100000\n")
    watch = MachineWatch(root=tmp_path, environ={})
    assert watch.look().cpus == available_cpus(root=tmp_path, environ={}).count

    (folder / "cpu.max").write_text("100000 100000\n")
    watch.read_limits()

    assert watch.look().cpus == 1


def test_idle_cpus_are_those_since_the_last_look() -> None:
    """Scaling: what a CPU did before does not count."""
    seconds = iter([(1000.0, 2000.0), (1000.0, 2010.0), (1010.0, 2020.0), (1010.0, 2020.0)])
    watch = MachineWatch(cpu_seconds=lambda: next(seconds))

    busy, idle, unknown = watch.look(), watch.look(), watch.look()

    assert busy.idle_cpus == pytest.approx(0.0)
    assert idle.idle_cpus >= 1.0
    assert unknown.idle_cpus == pytest.approx(0.0)


def test_the_real_machine_can_be_looked_at() -> None:
    """Scaling: psutil and /proc are there, or say nothing."""
    machine = MachineWatch().look()

    assert machine.cpus == available_cpus().count
    assert machine.idle_cpus >= 0.0
    assert throttled_periods() >= 0
