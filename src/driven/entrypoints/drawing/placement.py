"""How a placement looks: the CPUs, the groups of workers, who runs where, and what is to be said about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from driven.bus.auto_placement import CLEARLY, HANDOVER_NS
from driven.entrypoints.drawing.page import Heading, Numbered, Paragraph, Table, Tone, line
from driven.entrypoints.words import counted, ranges, short

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.bus.auto_placement import PlacementDecision
    from driven.entrypoints.drawing.page import Block, Line, Page
    from driven.entrypoints.reports.placement import GroupReport, PlacedCommand, PlacementReport

RUNS: Final = {"inline": line("inline", Tone.FAINT), "worker": line("worker"), "either": line("either")}
NOTHING: Final = line("-", Tone.FAINT)
EITHER: Final = (
    f"either: inline, until a command of that type is measured to take {CLEARLY:g} times what handing one over takes, "
    f"which is measured too ({HANDOVER_NS // 1_000} us until then)"
)


def placement_page(report: PlacementReport) -> Page:
    """Draw a placement."""
    return tuple(_parts(report))


def _parts(report: PlacementReport) -> Iterator[Block]:
    yield Heading(f"application {report.application}", f"{report.reference}; {report.config or 'no driven.toml'}")
    yield Heading("workers", f"on {counted(report.cpus.count, 'CPU')}: {report.cpus.detail}")
    yield Table(("group", "workers", "pinned to", "because"), tuple(_group(group) for group in report.groups))
    if report.bus_cpus:
        yield Paragraph((line(f"the bus thread is pinned to CPU {ranges(report.bus_cpus)}"),))
    yield Heading("commands")
    titles = ("command", "runs", "group", "sticky", "timeout", "attempts", "decided by")
    yield Table(titles, tuple(_command(report, command) for command in report.commands))
    if any(command.runs == "either" for command in report.commands):
        yield Paragraph((line(EITHER, Tone.FAINT),))
    if report.live:
        yield Heading(f"decided so far in process {report.live}")
        columns = ("command", "runs", "measured", "changes", "because")
        yield Table(columns, tuple(_decision(report, one) for one in report.decisions))
    if report.faults:
        yield Heading("faults", "workers would not start")
        yield Numbered(report.faults, Tone.BAD)
    if report.warnings:
        yield Heading("warnings")
        yield Numbered(report.warnings, Tone.CAUTION)


def _group(group: GroupReport) -> tuple[Line, ...]:
    idle = "" if group.is_started or not group.workers else "; not started, as no command uses workers"
    pinned = line(f"CPU {ranges(group.cpus)}") if group.cpus else NOTHING
    return (line(group.name, Tone.STRONG), line(str(group.workers)), pinned, line(group.because + idle))


def _decision(report: PlacementReport, decision: PlacementDecision) -> tuple[Line, ...]:
    return (
        line(short(decision.command, report.application), Tone.COMMAND),
        RUNS["worker" if decision.runs == "worker" else "inline"],
        line(f"{decision.samples:,}"),
        line(str(decision.changes)),
        line(decision.reason),
    )


def _command(report: PlacementReport, command: PlacedCommand) -> tuple[Line, ...]:
    name = line(short(command.name, report.application), Tone.COMMAND)
    decided_by = line(command.decided_by)
    if command.runs == "inline":
        return (name, RUNS[command.runs], NOTHING, NOTHING, NOTHING, NOTHING, decided_by)
    pinned = f" on CPU {ranges(command.cpus)}" if command.cpus else ""
    return (
        name,
        RUNS[command.runs],
        line(f"{command.group}: {counted(command.workers, 'worker')}{pinned}"),
        line(f"by {command.key}") if command.sticky and command.key else NOTHING,
        NOTHING if command.timeout_s is None else line(f"{command.timeout_s:g} s"),
        line(str(command.max_attempts)),
        decided_by,
    )
