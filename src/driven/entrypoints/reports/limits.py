"""What this process may use at most: open files, processes, locked memory, memory."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING, Final

from driven.entrypoints.reports.cgroup import cgroup_limit
from driven.entrypoints.reports.finding import Finding
from driven.entrypoints.words import counted, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.entrypoints.reports.finding import Fact, Machine

DESCRIPTORS_PER_WORKER: Final = 16
"""The main process holds seven for each: memory, two doorbells, a socket, a lifeline, a fault file, a pidfd; more while
it starts, and one for each large message on its way."""

DESCRIPTORS_OF_THE_REST: Final = 64
"""Event loop, store, standard streams, and what handlers open."""

PROCESSES_OF_THE_REST: Final = 16
"""Threads count as processes: the bus, the pool, the store, and those of libraries."""

BYTES_PER_PROCESS: Final = 64 << 20
"""A worker with a small application takes about 30 MiB; twice that leaves room for work."""


def limits(machine: Machine, workers: int) -> Iterator[Finding]:
    """Look at each limit, and whether `workers` workers fit."""
    yield open_files_finding(_soft_limit(resource.RLIMIT_NOFILE), workers)
    yield _user_processes()
    yield _cgroup_processes(machine, workers)
    yield _locked_memory()
    yield _memory(machine, workers)


def open_files_finding(limit: int | None, workers: int) -> Finding:
    """Whether that many descriptors are enough; None: no limit."""
    needed = DESCRIPTORS_OF_THE_REST + workers * DESCRIPTORS_PER_WORKER
    is_short = limit is not None and limit < needed
    return Finding(
        topic="limits",
        name="open_files",
        verdict="problem" if is_short else "ok",
        summary=f"{_shown(limit)}, {counted(workers, 'worker')} and the bus want {needed:,}",
        remedy=f"allow more open files: ulimit -n {max(needed, 1024)}" if is_short else "",
        facts={"limit": limit, "needed": needed},
    )


def _user_processes() -> Finding:
    limit = _soft_limit(resource.RLIMIT_NPROC)
    return Finding(
        topic="limits",
        name="user_processes",
        verdict="ok",
        summary=f"{_shown(limit)} for all that this user runs, threads included",
        facts={"limit": limit},
    )


def _cgroup_processes(machine: Machine, workers: int) -> Finding:
    found = cgroup_limit(machine.root, "pids", v1_file="pids.max", v2_file="pids.max")
    needed = PROCESSES_OF_THE_REST + 2 * workers
    is_short = found is not None and found.value < needed
    facts: dict[str, Fact] = {"limit": found.value if found else None, "needed": needed}
    return Finding(
        topic="limits",
        name="cgroup_processes",
        verdict="problem" if is_short else "ok",
        summary=f"{found.value:,} by {found.file}" if found else "no limit",
        remedy=f"allow the container {needed} processes (docker run --pids-limit), or set [workers] count lower"
        if is_short
        else "",
        facts=facts,
    )


def _locked_memory() -> Finding:
    limit = _soft_limit(resource.RLIMIT_MEMLOCK)
    return Finding(
        topic="limits",
        name="locked_memory",
        verdict="ok",
        summary=f"{'no limit' if limit is None else size(limit)}; Driven locks none",
        facts={"limit_bytes": limit},
    )


def _memory(machine: Machine, workers: int) -> Finding:
    found = cgroup_limit(machine.root, "memory", v1_file="memory.limit_in_bytes", v2_file="memory.max")
    physical_bytes = _physical_bytes()
    needed_bytes = (workers + 1) * BYTES_PER_PROCESS
    usable = [limit for limit in (found.value if found else None, physical_bytes) if limit is not None]
    is_short = min(usable, default=needed_bytes) < needed_bytes
    by_cgroup = f"{size(found.value)} by {found.file}" if found else "no limit by the cgroup"
    return Finding(
        topic="limits",
        name="memory",
        verdict="note" if is_short else "ok",
        summary=f"{by_cgroup}; the machine has {'an unknown size' if physical_bytes is None else size(physical_bytes)}",
        remedy=f"{counted(workers, 'worker')} may not fit; start fewer with [workers] count, or allow more memory"
        if is_short
        else "",
        facts={
            "cgroup_limit_bytes": found.value if found else None,
            "physical_bytes": physical_bytes,
            "needed_bytes": needed_bytes,
        },
    )


def _physical_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):  # not every system has these names
        return None


def _soft_limit(kind: int) -> int | None:
    soft, _ = resource.getrlimit(kind)
    return None if soft == resource.RLIM_INFINITY else soft


def _shown(limit: int | None) -> str:
    return "no limit" if limit is None else f"{limit:,}"
