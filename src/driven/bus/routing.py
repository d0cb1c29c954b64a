"""Routing: where commands of each type run and how often they may fail; the decorator's word, then the operator's.

A route is decided once, when the bus opens; what operators write in ``[commands.<name>]`` wins over the decorator.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import msgspec

from driven.errors import SettingsError
from driven.named_variables import spelling
from driven.placement import Placement
from driven.service.handlers import OnExhausted
from driven.settings import DEFAULT_GROUP

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from driven.service.handlers import Handler
    from driven.service.registry import Registry
    from driven.settings import CommandSettings, Settings


class Route(msgspec.Struct, frozen=True):
    """Everything operational about one command type."""

    placement: Placement
    group: str
    sticky: bool
    detached: bool
    timeout_s: float | None
    max_attempts: int
    retries: int
    on_exhausted: OnExhausted
    decided_by: str
    """``decorator``, or the section of the configuration that changed it."""


def routes(registry: Registry, settings: Settings, groups: Collection[str]) -> dict[int, Route]:
    """The route of every command type, by type id; `groups` are the worker groups there are.

    Raises:
        SettingsError: a section names a command that is not there, or a group that has no workers.

    """
    sections, faults = _matched(registry, settings.commands)
    known = {DEFAULT_GROUP, *settings.workers.groups, *groups}
    found = {}
    for type_id, handler in registry.handlers.items():
        name, section = sections.get(type_id, ("", None))
        route = found[type_id] = _route(handler, settings, name, section)
        if route.placement is not Placement.INLINE and route.group not in known:
            faults.append(
                f"{registry.name_of(type_id)} runs in worker group {route.group!r}, which is not configured "
                f"(there are: {', '.join(sorted(known))}); add [workers.groups.{route.group}] with a count"
            )
        if section is not None and route.sticky and handler.options.key is None:
            faults.append(
                f"[commands.{name}] sticky = true is for {registry.name_of(type_id)}, which has no key to stick to; "
                f"say key= in its decorator, or drop sticky"
            )
        if route.detached and route.placement is not Placement.WORKER:
            faults.append(
                f"[commands.{name}] makes {registry.name_of(type_id)} detached with placement = "
                f'"{route.placement.value}", but only a worker can go on with it; say placement = "worker", or '
                f"detached = false"
            )
        if route.placement is Placement.INLINE and section is not None and section.timeout_s is not None:
            faults.append(
                f"[commands.{name}] timeout_s = {route.timeout_s:g} is for {registry.name_of(type_id)}, which runs "
                f'inline, where nothing can be killed; add placement = "worker", or drop timeout_s'
            )
    if faults:
        raise SettingsError("of this bus", faults)
    return found


def _matched(
    registry: Registry, commands: Mapping[str, CommandSettings]
) -> tuple[dict[int, tuple[str, CommandSettings]], list[str]]:
    """Sections by the type id that their names mean, full or short, and faults for the rest."""
    meant: dict[str, list[int]] = {}
    for type_id in registry.handlers:
        name = registry.name_of(type_id)
        meant.setdefault(name, []).append(type_id)
        if (short := name.rpartition(".")[2]) != name:
            meant.setdefault(short, []).append(type_id)
    spelt: dict[str, list[int]] = {}
    for name, type_ids in meant.items():
        spelt.setdefault(spelling(name), []).extend(type_ids)
    sections: dict[int, tuple[str, CommandSettings]] = {}
    faults: list[str] = []
    for name, section in commands.items():
        type_ids = meant.get(name) or (spelt.get(name, []) if name == spelling(name) else [])
        if len(type_ids) == 1:
            sections[type_ids[0]] = (name, section)
        elif type_ids:
            faults.append(f"[commands.{name}] fits several commands; write the full name in quotes")
        else:
            close = difflib.get_close_matches(name, meant, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            known = ", ".join(registry.name_of(type_id) for type_id in registry.handlers)
            faults.append(f"[commands.{name}] names no command of this application{hint} (there are: {known})")
    return sections, faults


def _route(handler: Handler, settings: Settings, name: str, section: CommandSettings | None) -> Route:
    options = handler.options
    route = Route(
        placement=options.placement,
        group=options.group,
        sticky=options.sticky,
        detached=options.detached,
        timeout_s=options.timeout_s,
        max_attempts=options.max_attempts or settings.workers.max_attempts,
        retries=settings.bus.retries if options.retries is None else options.retries,
        on_exhausted=options.on_exhausted or OnExhausted.PARK,
        decided_by="decorator",
    )
    if section is None:
        return route
    told = {field: value for field, value in msgspec.structs.asdict(section).items() if value is not None}
    if "placement" in told:
        told["placement"] = Placement(told["placement"])
    return msgspec.structs.replace(route, **told, decided_by=f"[commands.{name}]")
