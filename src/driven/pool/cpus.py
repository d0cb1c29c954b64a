"""How many CPUs this process may use, and which limit says so.

::

    affinity, cpusets among it       sched_getaffinity ----------------------------.
    cgroup v2 quota                  cpu.max            } of the process's cgroup   |
    cgroup v1 quota                  cpu.cfs_quota_us   } and all its ancestors ----+--> the smallest,
    AWS Lambda                       its memory size -------------------------------|    rounded up,
    DRIVEN_CPUS                      what the user says ----------------------------'    at least 1

Shares and weights (`cpu.shares`, `cpu.weight`) divide CPUs among those who compete for them; they do not limit
anybody, so they are never read. The pool owns this module. Nothing is kept: every call reads anew, because quotas and
affinity change while a process runs. Reading takes a few dozen small files, so do it seconds apart, not per command.

Sources: sched_setaffinity(2), cgroups(7), cgroup_namespaces(7), proc_pid_mountinfo(5); the kernel's
admin-guide/cgroup-v2 ("CPU Interface Files") and scheduler/sched-bwc; the AWS Lambda developer guide, "Configure
Lambda function memory".
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from driven.errors import SettingsError
from driven.settings import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

CpuSource: TypeAlias = Literal["affinity", "cgroup v2 quota", "cgroup v1 quota", "lambda memory", "DRIVEN_CPUS"]

LAMBDA_MEMORY_PER_VCPU_MB = 1_769
"""At this memory size an AWS Lambda function has the equivalent of one vCPU; CPU grows in proportion to memory."""

MAX_CPUS = 65_536
"""More CPUs than any kernel numbers (Linux is built for 8,192 at most); a list that exceeds it is garbage."""

_MAX_DIGITS = 18
"""Quotas and periods are 64-bit microseconds; what is longer is garbage."""

_CGROUP_FILE = PurePosixPath("/proc/self/cgroup")
_MOUNTINFO_FILE = PurePosixPath("/proc/self/mountinfo")


class CpuLimit(msgspec.Struct, frozen=True):
    """One limit that was read."""

    source: CpuSource
    """Who sets this limit."""
    value: float
    """Number of CPUs, not rounded: 0.25 is a quarter of one."""
    detail: str
    """What was read, and where, for people."""


class CpuCount(msgspec.Struct, frozen=True):
    """How many CPUs this process may use at one moment, and why."""

    count: int
    """The smallest of all limits, rounded up to whole CPUs, at least 1."""
    source: CpuSource
    """The limit that decided; among equals, the one that stands first in `limits`."""
    detail: str
    """What was read for it, and where, for people; then what was ignored because it could not be understood."""
    limits: tuple[CpuLimit, ...]
    """Every limit that was read, affinity first. A file that says "no limit" is none."""
    affinity: tuple[int, ...]
    """Numbers of the CPUs the process may run on, ascending; these are the ones workers can be pinned to."""


def available_cpus(
    *,
    root: Path = Path("/"),
    environ: Mapping[str, str] = os.environ,
    affinity: Collection[int] | None = None,
) -> CpuCount:
    """Count the CPUs that this process may use; reads everything anew.

    `root` is the folder that holds `/proc` and `/sys`, `affinity` the numbers of the CPUs the process may run on;
    by default, those of the running system. Where there is no affinity (macOS) all CPUs count; where there is no
    `/proc` there are no quotas.

    Raises `SettingsError` if DRIVEN_CPUS is no whole number of at least 1. Nothing else raises: files that cannot be
    read or understood are ignored, and `detail` says so.
    """
    system = _SystemFiles(root)
    own = _read_affinity() if affinity is None else tuple(sorted(set(affinity)))
    limits = (
        CpuLimit("affinity", float(len(own)), f"affinity to {len(own)} " + ("CPU" if len(own) == 1 else "CPUs")),
        *_quotas(system),
        *_lambda_limits(environ, system),
        *_user_limits(environ),
    )
    tightest = min(limits, key=lambda limit: limit.value)
    return CpuCount(
        count=max(1, math.ceil(tightest.value)),
        source=tightest.source,
        detail="; ".join([tightest.detail, *(f"ignored {fault}" for fault in system.faults)]),
        limits=limits,
        affinity=own,
    )


def numa_nodes(root: Path = Path("/")) -> tuple[tuple[int, ...], ...]:
    """Read which CPUs share a memory controller: one tuple of CPU numbers per NUMA node, in order of the nodes.

    Nodes without CPUs are left out. Empty when the layout is unknown: no Linux, or files that cannot be understood.
    """
    try:
        folders = (root / "sys/devices/system/node").glob("node[0-9]*")
        numbered = sorted((int(folder.name.removeprefix("node")), folder) for folder in folders)
        nodes = [cpu_list((folder / "cpulist").read_text(encoding="ascii")) for _, folder in numbered]
    except (OSError, ValueError):
        return ()
    return tuple(node for node in nodes if node)


def throttled_periods(root: Path = Path("/")) -> int:
    """Count the periods in which the kernel held this process back, as a quota of its cgroups was used up.

    It only grows; what matters is whether it has. 0 where there are no such counters.
    """
    system = _SystemFiles(root)
    mounts = list(_mounts(system))
    return sum(
        _positive(value) or 0
        for source, cgroup in _memberships(system)
        for folder, _ in _visible_folders(cgroup, [mount for mount in mounts if mount.source == source])
        for name, _, value in (line.partition(" ") for line in (system.read(folder / "cpu.stat") or "").splitlines())
        if name == "nr_throttled"
    )


def cpu_list(text: str) -> tuple[int, ...]:
    """Parse a kernel list such as ``"0-3,8"`` to ascending CPU numbers, ``(0, 1, 2, 3, 8)``; empty text is no CPUs.

    The format is the "List format" of cpuset(7). Raises `ValueError` for anything else.
    """
    cpus: set[int] = set()
    for part in text.strip().split(",") if text.strip() else ():
        matched = re.fullmatch(r"([0-9]{1,7})(?:-([0-9]{1,7}))?", part)
        first, last = (int(matched[1]), int(matched[2] or matched[1])) if matched else (0, -1)
        if not first <= last < MAX_CPUS:
            message = f"{text!r} is not a list of CPUs such as '0-3,8'"
            raise ValueError(message)
        cpus.update(range(first, last + 1))
    return tuple(sorted(cpus))


class _SystemFiles:
    """The files below one root, for one count; remembers what could not be read or understood."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.faults: list[str] = []

    def read(self, path: PurePosixPath) -> str | None:
        """Return the text of `path`, or None if there is no such file or it cannot be read."""
        try:
            return (self._root / path.relative_to("/")).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:  # ValueError: a path with a null byte, from a garbled /proc
            self.faults.append(f"{path} ({error})")
            return None

    def ignore(self, path: PurePosixPath, text: str | None) -> None:
        """Remember that `path` is there and says nothing that can be understood."""
        said = "is missing" if text is None else "is empty" if not text.strip() else f"says {text.strip()[:40]!r}"
        self.faults.append(f"{path} ({said})")


class _Mount(msgspec.Struct, frozen=True):
    """One mounted cgroup hierarchy that can hold CPU quotas."""

    source: CpuSource
    root: PurePosixPath
    """The cgroup seen at the mount point; in a container often not the topmost one."""
    point: PurePosixPath
    """Where it is mounted."""


class _Quota(msgspec.Struct, frozen=True):
    """CPU time that a cgroup may use in each period: `limit` CPUs."""

    limit: float
    detail: str

    @classmethod
    def parse(cls, file_name: str, quota_us: str, period_us: str) -> _Quota | None:
        """Return the quota, or None if one of the two is no whole number of at least 1."""
        quota, period = _positive(quota_us), _positive(period_us)
        return cls(quota / period, f"{file_name} {quota}/{period}") if quota and period else None


def _read_affinity() -> tuple[int, ...]:
    try:
        return tuple(sorted(os.sched_getaffinity(0)))
    except (AttributeError, OSError):  # no such call on macOS; forbidden in some sandboxes
        return tuple(range(os.cpu_count() or 1))


def _quotas(system: _SystemFiles) -> Iterator[CpuLimit]:
    """Read the quotas of the process's cgroup and of all its visible ancestors, in both cgroup versions.

    Both are read because of hybrid systems: the kernel ties the CPU controller to one version, and which one it is
    shows in which files are there.
    """
    mounts = list(_mounts(system))
    for source, cgroup in _memberships(system):
        read_quota = _read_quota_v2 if source == "cgroup v2 quota" else _read_quota_v1
        for folder, remark in _visible_folders(cgroup, [mount for mount in mounts if mount.source == source]):
            quota = read_quota(system, folder)
            if quota:
                yield CpuLimit(source, quota.limit, f"{quota.detail} in {folder}{remark}")


def _memberships(system: _SystemFiles) -> Iterator[tuple[CpuSource, PurePosixPath]]:
    """Read /proc/self/cgroup: lines of ``hierarchy-id:controllers:path``, version 2 as ``0::path``."""
    for line in (system.read(_CGROUP_FILE) or "").splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not path.startswith("/"):
            system.ignore(_CGROUP_FILE, line)
        elif hierarchy == "0" and not controllers:
            yield "cgroup v2 quota", _absolute(path)
        elif "cpu" in controllers.split(","):
            yield "cgroup v1 quota", _absolute(path)


def _mounts(system: _SystemFiles) -> Iterator[_Mount]:
    """Read /proc/self/mountinfo; of several mounts on one point the last one hides the others."""
    mounts: dict[PurePosixPath, _Mount | None] = {}
    for line in (system.read(_MOUNTINFO_FILE) or "").splitlines():
        try:
            point, mount = _parse_mount(line)
        except ValueError:
            system.ignore(_MOUNTINFO_FILE, line)
        else:
            mounts[point] = mount
    return (mount for mount in mounts.values() if mount)


def _parse_mount(line: str) -> tuple[PurePosixPath, _Mount | None]:
    """Parse ``id parent device root point options [tags] - type device super-options``; None: no CPU quotas there."""
    place, _, filesystem = line.partition(" - ")
    _, _, _, root, point, *_ = place.split(" ")
    kind, _, options, *_ = filesystem.split(" ")
    where = _absolute(point)
    if kind == "cgroup2":
        return where, _Mount("cgroup v2 quota", _absolute(root), where)
    if kind == "cgroup" and "cpu" in options.split(","):
        return where, _Mount("cgroup v1 quota", _absolute(root), where)
    return where, None


def _absolute(text: str) -> PurePosixPath:
    """Make a path of a /proc field, in which a blank is written as backslash and 040 (octal), and so on."""
    plain = re.sub(r"\\([0-7]{3})", lambda matched: chr(int(matched[1], 8)), text)
    # Two leading slashes would be another root to pathlib.
    return PurePosixPath("/" + plain.lstrip("/"))


def _visible_folders(cgroup: PurePosixPath, mounts: Sequence[_Mount]) -> list[tuple[PurePosixPath, str]]:
    """List the folders that stand for the cgroup and its ancestors, nearest first, each with a remark.

    A container may see its cgroup by a path that the mount does not show (Docker with cgroup v1 and no cgroup
    namespace, or a mount from outside the namespace). What such a container has at the mount is its own limit.
    """
    visible = [(mount, cgroup.relative_to(mount.root).parts) for mount in mounts if cgroup.is_relative_to(mount.root)]
    folders = [
        (mount.point.joinpath(*parts[:depth]), "")
        for mount, parts in visible
        if ".." not in parts
        for depth in range(len(parts), -1, -1)
    ]
    if folders or not mounts:
        return folders
    return [(mounts[0].point, f", the top of what is mounted: {cgroup} is not visible there")]


def _read_quota_v2(system: _SystemFiles, folder: PurePosixPath) -> _Quota | None:
    """Read ``cpu.max``: ``quota period``, both in microseconds, or ``max period``."""
    text = system.read(folder / "cpu.max")
    if text is None or text.split()[:1] == ["max"]:
        return None
    quota_us, _, period_us = text.strip().partition(" ")
    quota = _Quota.parse("cpu.max", quota_us, period_us)
    if quota is None:
        system.ignore(folder / "cpu.max", text)
    return quota


def _read_quota_v1(system: _SystemFiles, folder: PurePosixPath) -> _Quota | None:
    """Read ``cpu.cfs_quota_us`` (-1: none) and ``cpu.cfs_period_us``, both in microseconds."""
    quota_us = system.read(folder / "cpu.cfs_quota_us")
    if quota_us is None or quota_us.strip() == "-1":
        return None
    period_us = system.read(folder / "cpu.cfs_period_us")
    quota = _Quota.parse("cpu.cfs_quota_us", quota_us, period_us or "")
    if quota is None:
        wrong = ("cpu.cfs_period_us", period_us) if _positive(quota_us) else ("cpu.cfs_quota_us", quota_us)
        system.ignore(folder / wrong[0], wrong[1])
    return quota


def _lambda_limits(environ: Mapping[str, str], system: _SystemFiles) -> Iterator[CpuLimit]:
    text = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    if text is None:
        return
    memory_mb = _positive(text)
    if memory_mb is None:
        system.faults.append(f"AWS_LAMBDA_FUNCTION_MEMORY_SIZE (says {text[:40]!r})")
        return
    detail = f"{memory_mb:,} MB of AWS Lambda memory at {LAMBDA_MEMORY_PER_VCPU_MB:,} MB per vCPU"
    yield CpuLimit("lambda memory", memory_mb / LAMBDA_MEMORY_PER_VCPU_MB, detail)


def _user_limits(environ: Mapping[str, str]) -> Iterator[CpuLimit]:
    text = environ.get("DRIVEN_CPUS")
    if text is None:
        return
    count = _positive(text)
    if count is None:
        fault = f'DRIVEN_CPUS = "{text}" is not valid; give a whole number of at least 1, or unset it'
        raise SettingsError(ENVIRONMENT, [fault])
    yield CpuLimit("DRIVEN_CPUS", float(count), f"DRIVEN_CPUS={count}")


def _positive(text: str) -> int | None:
    """Return the whole number of at least 1 that `text` is, else None."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
        return None
    return int(digits) or None
