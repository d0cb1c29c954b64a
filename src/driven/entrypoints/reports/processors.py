"""The CPUs of this machine, as far as this process may use them, and who says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driven.entrypoints.reports.finding import Finding
from driven.entrypoints.words import counted, ranges
from driven.errors import SettingsError
from driven.pool.cpus import available_cpus, numa_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.entrypoints.reports.finding import Machine
    from driven.pool.cpus import CpuCount, CpuLimit


def processors(machine: Machine) -> Iterator[Finding]:
    """Look at the number of CPUs, each limit behind it, their numbers, and the NUMA nodes."""
    try:
        cpus = available_cpus(root=machine.root, environ=machine.environ)
    except SettingsError as error:
        yield _not_counted(error)
        return
    yield _count(cpus)
    yield from (_limit(limit) for limit in cpus.limits)
    yield Finding(
        topic="cpus",
        name="affinity",
        verdict="ok",
        summary=f"may run on CPU {ranges(cpus.affinity)}",
        facts={"cpus": cpus.affinity},
    )
    yield _nodes(numa_nodes(machine.root))


def _not_counted(error: SettingsError) -> Finding:
    return Finding(
        topic="cpus",
        name="cpus",
        verdict="problem",
        summary="cannot be counted: " + "; ".join(error.faults),
        remedy="correct the environment; a bus does not open in it",
        facts={"count": None, "source": None, "detail": None},
    )


def _count(cpus: CpuCount) -> Finding:
    is_single = cpus.count == 1
    return Finding(
        topic="cpus",
        name="cpus",
        verdict="note" if is_single else "ok",
        summary=f"{counted(cpus.count, 'CPU')} to use: {cpus.detail}",
        remedy="give this process more CPUs; on one, workers bring isolation and timeouts, and no speed"
        if is_single
        else "",
        facts={"count": cpus.count, "source": cpus.source, "detail": cpus.detail},
    )


def _limit(limit: CpuLimit) -> Finding:
    return Finding(
        topic="cpus",
        name="cpu_limit",
        verdict="ok",
        summary=f"{limit.value:g}: {limit.detail}",
        facts={"source": limit.source, "value": limit.value, "detail": limit.detail},
    )


def _nodes(nodes: tuple[tuple[int, ...], ...]) -> Finding:
    shown = "; ".join(f"{number}: CPU {ranges(node)}" for number, node in enumerate(nodes))
    return Finding(
        topic="cpus",
        name="numa_nodes",
        verdict="ok",
        summary=f"{counted(len(nodes), 'node')} ({shown})" if nodes else "unknown here",
        facts={"count": len(nodes) or None},
    )
