"""What is to be said about a placement: what has no effect, or will not do what was meant.

Pure: from the records of `reports.placement` to sentences, each with its remedy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from driven.entrypoints.words import counted
from driven.placement import Placement
from driven.settings import DEFAULT_GROUP

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from driven.entrypoints.reports.placement import GroupReport, PlacedCommand
    from driven.pool.cpus import CpuCount


def warnings(groups: Sequence[GroupReport], commands: Iterable[PlacedCommand], cpus: CpuCount) -> Iterator[str]:
    """What has no effect, or not the one that was meant."""
    for command in commands:
        yield from _command_warnings(command)
    if any(group.is_started for group in groups):
        for group in groups:
            yield from _group_warnings(group)
        yield from _crowding(groups, cpus)


def _command_warnings(command: PlacedCommand) -> Iterator[str]:
    if command.runs == "inline" and command.placement is not Placement.INLINE:
        yield f"{command.name} is placed on workers and runs inline, as there are none; raise [workers] count"
    if command.timeout_s is not None and command.runs != "worker":
        where = "runs inline" if command.runs == "inline" else "may run inline"
        yield (
            f"{command.name} has timeout_s = {command.timeout_s:g} and {where}, where nothing can be killed; "
            f"place it on workers"
        )
    if command.sticky and command.key is None:
        yield f"{command.name} is sticky and has no key to stick by; give its handler key="


def _group_warnings(group: GroupReport) -> Iterator[str]:
    is_default = group.name == DEFAULT_GROUP
    if not group.commands and group.workers > is_default:  # the default group has one at least
        remedy = "set [workers] count = 1" if is_default else f"remove [workers.groups.{group.name}]"
        yield f"group {group.name!r} starts {counted(group.workers, 'worker')}, and no command runs there; {remedy}"
    if group.cpus and group.workers > len(group.cpus):
        setting = "[workers] count" if is_default else f"[workers.groups.{group.name}] count"
        yield (
            f"the {group.workers} workers of group {group.name!r} are pinned to {counted(len(group.cpus), 'CPU')} "
            f"and take turns; pin them to more, or lower {setting}"
        )


def _crowding(groups: Iterable[GroupReport], cpus: CpuCount) -> Iterator[str]:
    started = sum(group.workers for group in groups)
    if started > cpus.count:
        yield (
            f"{started} workers in all take turns on {counted(cpus.count, 'CPU')} ({cpus.detail}); "
            f"start fewer, or give this process more CPUs"
        )
