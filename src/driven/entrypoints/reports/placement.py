"""Who would run where on this machine, and why: settings and decorators together, as opening a bus takes them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from driven.bus.auto_placement import PlacementDecision
from driven.bus.routing import routes
from driven.bus.shared_statistics import read_statistics
from driven.configuration import load_settings
from driven.entrypoints.reports.placement_advice import warnings
from driven.placement import Placement
from driven.pool.affinity import pins as pins_of
from driven.pool.cpus import CpuCount, available_cpus, numa_nodes
from driven.service.registry import build_registry
from driven.settings import DEFAULT_FILE, DEFAULT_GROUP
from driven.workforce import uses_workers, worker_groups

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from driven.bus.routing import Route
    from driven.pool.affinity import Pins
    from driven.service.application import Application
    from driven.service.registry import Registry
    from driven.settings import Settings

COUNT_VARIABLE = "DRIVEN_WORKERS_COUNT"
"""What sets `[workers] count` from the environment."""

Runs: TypeAlias = Literal["inline", "worker", "either"]
"""Where a command runs in the end: in the main process, in a worker, or where measuring shows it is cheaper."""


class GroupReport(msgspec.Struct, frozen=True):
    """One group of workers."""

    name: str
    workers: int
    because: str
    """What made it that number."""
    cpus: tuple[int, ...]
    """CPUs that its workers are pinned to; none: not pinned."""
    commands: tuple[str, ...]
    """Names of the commands that its workers run."""
    is_started: bool
    """Whether opening a bus starts its workers: no, when no command of the application uses workers."""


class PlacedCommand(msgspec.Struct, frozen=True):
    """One command type and its route."""

    name: str
    handler: str
    placement: Placement
    """As decided; see `runs` for what becomes of it."""
    runs: Runs
    group: str
    workers: int
    """How many workers its group has."""
    cpus: tuple[int, ...]
    """CPUs that those are pinned to; none: not pinned."""
    key: str | None
    sticky: bool
    timeout_s: float | None
    """Seconds that one attempt may take in a worker; None: no limit."""
    max_attempts: int
    """Workers that it may bring to death before it fails."""
    decided_by: str
    """``decorator``, or the section of the configuration that changed it."""


class PlacementReport(msgspec.Struct, frozen=True):
    """What `driven placement` finds."""

    application: str
    reference: str
    """``package.module:attribute``, as it was typed."""
    config: str
    """The file that was read; empty: there is none, and defaults and the environment decide."""
    cpus: CpuCount
    groups: tuple[GroupReport, ...]
    commands: tuple[PlacedCommand, ...]
    bus_cpus: tuple[int, ...] = ()
    """CPUs that the bus thread is pinned to; none: not pinned."""
    live: int = 0
    """The process of the running bus that was asked; 0: none was."""
    decisions: tuple[PlacementDecision, ...] = ()
    """What measuring has decided in that bus, for commands with `Placement.AUTO`."""
    faults: tuple[str, ...] = ()
    """What keeps workers from starting on this machine."""
    warnings: tuple[str, ...] = ()
    """What is legal and has no effect, or not the one that was meant."""

    @property
    def is_ok(self) -> bool:
        """Whether the workers would start."""
        return not self.faults


def placement_report(
    application: Application, reference: str, config: Path | None, live: int | None = None
) -> PlacementReport:
    """Find out who would run where; nothing is started.

    `config` None: ``driven.toml`` in the current folder, where there is one. `live` is a process with an open bus of
    the application, if it is to be asked what it has decided.

    Raises:
        StatisticsUnavailable: there is no such bus.
        RegistrationError: the application is faulty.
        SettingsError: the configuration is, or it does not fit the application.

    """
    settings = load_settings(config)
    registry = build_registry(application)
    try:
        counts = worker_groups(settings)
        table = routes(registry, settings, counts)
    finally:
        registry.injector.close()
    cpus = available_cpus()
    pins = pins_of(settings, cpus.affinity, numa_nodes())
    commands = tuple(_commands(registry, table, pins, counts))
    groups = tuple(_groups(commands, settings, pins, counts, cpus, is_started=bool(counts) and uses_workers(table)))
    return PlacementReport(
        application=application.name,
        reference=reference,
        config=str(config or DEFAULT_FILE) if config or DEFAULT_FILE.exists() else "",
        cpus=cpus,
        groups=groups,
        commands=commands,
        bus_cpus=pins.bus,
        live=0 if live is None else live,
        decisions=() if live is None else read_statistics(live, application.name).placements,
        faults=pins.faults if counts else (),
        warnings=tuple(warnings(groups, commands, cpus)),
    )


def _commands(
    registry: Registry, table: Mapping[int, Route], pins: Pins, counts: Mapping[str, int]
) -> Iterator[PlacedCommand]:
    for type_id, handler in registry.handlers.items():
        route = table[type_id]
        runs: Runs = "inline"
        if route.placement is not Placement.INLINE and route.group in counts:
            runs = "worker" if route.placement is Placement.WORKER else "either"
        yield PlacedCommand(
            name=registry.name_of(type_id),
            handler=handler.name,
            placement=route.placement,
            runs=runs,
            group=route.group,
            workers=counts.get(route.group, 0),
            cpus=pins.groups.get(route.group, ()),
            key=handler.options.key,
            sticky=route.sticky,
            timeout_s=route.timeout_s,
            max_attempts=route.max_attempts,
            decided_by=route.decided_by,
        )


def _groups(  # noqa: PLR0913 - one argument per source of what is said
    commands: tuple[PlacedCommand, ...],
    settings: Settings,
    pins: Pins,
    counts: Mapping[str, int],
    cpus: CpuCount,
    *,
    is_started: bool,
) -> Iterator[GroupReport]:
    for name in sorted({DEFAULT_GROUP, *settings.workers.groups}, key=lambda name: (name != DEFAULT_GROUP, name)):
        yield GroupReport(
            name=name,
            workers=counts.get(name, 0),
            because=_because(name, settings, cpus),
            cpus=pins.groups.get(name, ()),
            commands=tuple(one.name for one in commands if one.group == name and one.runs != "inline"),
            is_started=is_started,
        )


def _because(group: str, settings: Settings, cpus: CpuCount) -> str:
    count = settings.workers.count
    told_by = f"{COUNT_VARIABLE} =" if COUNT_VARIABLE in os.environ else "[workers] count ="
    if count == 0:
        return f"{told_by} 0: no workers in any group"
    if group != DEFAULT_GROUP:
        return f"[workers.groups.{group}] count = {settings.workers.groups[group].count}"
    return f'{told_by} "auto": {cpus.detail}' if count == "auto" else f"{told_by} {count}"
