"""Which CPUs the bus thread and each group of workers may run on: decided once, when the bus opens.

::

    [bus] cpu = 0                          --> the bus thread: 0                     while the bus is open
    [workers.groups.pricing]  exclusive,
                              cpus = [2,3] --> its workers: 2, 3                     nobody else there
    [workers.groups.reports]  cpus =
                              "numa:1"     --> its workers: the CPUs of that node    that this process may use
    [workers.groups.default]  "others"     --> its workers: 1, 4, 5, ...             all but the bus's

Pure but for `pinned_thread`: settings and what the machine has go in; pins and faults come out.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from driven.errors import SettingsError
from driven.pool.cpus import available_cpus, numa_nodes
from driven.settings import DEFAULT_GROUP, GroupSettings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from driven.settings import Settings, WorkerSettings

NUMA: Final = "numa:"
"""Followed by the number of a NUMA node, this stands for its CPUs."""

OTHERS: Final = "others"
"""Stands for all CPUs but the bus's."""


class Pins(msgspec.Struct, frozen=True):
    """Who may run where; an empty tuple: wherever the process may."""

    bus: tuple[int, ...]
    groups: dict[str, tuple[int, ...]]
    """Every configured group, and ``default``."""
    faults: tuple[str, ...] = ()
    """What does not fit this machine, or each other."""


def pins_here(settings: Settings) -> Pins:
    """The pins on this machine."""
    return pins(settings, available_cpus().affinity, numa_nodes())


def pins(settings: Settings, affinity: Sequence[int], nodes: Sequence[Sequence[int]]) -> Pins:
    """Decide who may run where, on a machine that lets this process use `affinity` and has these NUMA nodes."""
    plan = _Plan(settings, affinity, nodes)
    return Pins(plan.bus(), plan.groups, tuple(plan.faults))


def pinned_settings(settings: Settings) -> tuple[WorkerSettings, tuple[int, ...]]:
    """The section ``[workers]`` with nothing but CPU numbers in it, and the CPUs of the bus thread.

    Raises:
        SettingsError: it does not fit this machine.

    """
    found = pins_here(settings)
    if found.faults:
        raise SettingsError("of this bus", list(found.faults))
    configured = settings.workers.groups
    groups = {
        name: msgspec.structs.replace(configured.get(name, GroupSettings()), cpus=cpus)
        for name, cpus in found.groups.items()
    }
    return msgspec.structs.replace(settings.workers, groups=groups), found.bus


@contextmanager
def pinned_thread(cpus: Collection[int]) -> Iterator[None]:
    """Keep the calling thread on these CPUs while the block runs; nothing to do when there are none.

    Threads and processes that it starts meanwhile are kept there as well: that is how the kernel hands affinity down.
    """
    if not cpus or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class _Plan:
    """One decision, and what was found wrong on the way."""

    def __init__(self, settings: Settings, affinity: Sequence[int], nodes: Sequence[Sequence[int]]) -> None:
        self.faults: list[str] = []
        self._bus_cpu: Final = settings.bus.cpu
        self._configured: Final = {DEFAULT_GROUP: GroupSettings(), **settings.workers.groups}
        self._affinity: Final = tuple(affinity)
        self._nodes: Final = nodes
        if self._bus_cpu is not None and self._bus_cpu not in self._affinity:
            self._refuse(f"[bus] cpu = {self._bus_cpu} is not there", self._affinity)
        named = {name: self._named(name, group) for name, group in self._configured.items()}
        self._exclusive: Final = {
            cpu: name for name, group in self._configured.items() if group.exclusive for cpu in named[name]
        }
        self.groups: Final = {name: self._without_exclusive(name, cpus) for name, cpus in named.items()}

    def bus(self) -> tuple[int, ...]:
        """The CPUs of the bus thread."""
        owner = self._exclusive.get(-1 if self._bus_cpu is None else self._bus_cpu)
        if owner is not None:
            self.faults.append(
                f"[bus] cpu = {self._bus_cpu} belongs to group {owner!r} alone; give another CPU, "
                f"or take exclusive from [workers.groups.{owner}]"
            )
        if self._bus_cpu is not None:
            return (self._bus_cpu,)
        return self._rest() if self._exclusive else ()

    def _named(self, name: str, group: GroupSettings) -> tuple[int, ...]:
        """The CPUs that a group's `cpus` stands for, those that are there."""
        cpus = group.cpus
        if isinstance(cpus, tuple):
            if missing := [cpu for cpu in cpus if cpu not in self._affinity]:
                self._refuse(f"[workers.groups.{name}] cpus: CPU {_listed(missing)} is not there", self._affinity)
            if group.exclusive and not cpus:
                self.faults.append(f"[workers.groups.{name}] exclusive = true needs CPUs; name them in cpus")
            return cpus
        if cpus == OTHERS:
            if self._bus_cpu is None:
                self.faults.append(
                    f'[workers.groups.{name}] cpus = "others" means all but the bus\'s CPU, and the bus has none; '
                    f"give it one, as [bus] cpu"
                )
            return tuple(cpu for cpu in self._affinity if cpu != self._bus_cpu)
        return self._of_node(name, int(cpus.removeprefix(NUMA)))

    def _of_node(self, name: str, number: int) -> tuple[int, ...]:
        if number >= len(self._nodes):
            there = _listed(range(len(self._nodes))) or "none that is known"
            self.faults.append(
                f'[workers.groups.{name}] cpus = "numa:{number}": there is no such NUMA node; give one that is there '
                f"(there are: {there})"
            )
            return ()
        found = tuple(cpu for cpu in self._nodes[number] if cpu in self._affinity)
        if not found:
            self._refuse(f'[workers.groups.{name}] cpus = "numa:{number}": none of its CPUs is there', self._affinity)
        return found

    def _without_exclusive(self, name: str, cpus: tuple[int, ...]) -> tuple[int, ...]:
        """Keep a group away from the CPUs that belong to another one alone."""
        taken = sorted({cpu for cpu in cpus if self._exclusive.get(cpu, name) != name})
        configured = self._configured[name].cpus
        if taken and isinstance(configured, tuple):
            owner = self._exclusive[taken[0]]
            self.faults.append(
                f"[workers.groups.{name}] cpus: CPU {_listed(taken)} belongs to group {owner!r} alone; give others, "
                f"or take exclusive from [workers.groups.{owner}]"
            )
        left = tuple(cpu for cpu in cpus if cpu not in taken)
        if not self._exclusive or self._configured[name].exclusive or (cpus and left):
            return left
        rest = self._rest()
        if not rest:
            self.faults.append(
                f"[workers.groups.{name}] has no CPU left to run on, as all belong to exclusive groups; leave it one"
            )
        return rest

    def _rest(self) -> tuple[int, ...]:
        return tuple(cpu for cpu in self._affinity if cpu not in self._exclusive)

    def _refuse(self, what: str, there: Sequence[int]) -> None:
        self.faults.append(f"{what}, or this process may not use it; give CPUs that are (there are: {_listed(there)})")


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(str(number) for number in numbers)
