"""Verbs that look at an application, at a machine, or at a bus that runs: check, placement, doctor, bench, top."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec
import tyro

from driven.entrypoints.drawing.check import check_page
from driven.entrypoints.drawing.doctor import doctor_page
from driven.entrypoints.drawing.placement import placement_page
from driven.entrypoints.drawing.top import top_page
from driven.entrypoints.verbs.answer import Answer
from driven.entrypoints.verbs.arguments import AsJson, ConfigFile, ModuleApp, WholeNumber, argument

if TYPE_CHECKING:
    from collections.abc import Iterator

ProcessId: TypeAlias = Annotated[
    int, tyro.conf.Positional, argument(metavar="PID", help="The process that opened the bus.")
]
LiveProcess: TypeAlias = Annotated[
    WholeNumber,
    argument(metavar="PID", help="A process with an open bus of it: show what measuring has decided there."),
]
ApplicationName: TypeAlias = Annotated[
    str | None, argument(metavar="NAME", help="Which bus of that process, if it has several.")
]


class Check(msgspec.Struct, frozen=True):
    """Find all faults of an application; or list its parts, and draw what leads to what."""

    application: ModuleApp
    json: AsJson = False

    def answer(self) -> Answer:
        """Check the application."""
        from driven.entrypoints.loading import load_application  # noqa: PLC0415 - see the head of `verbs`
        from driven.entrypoints.reports.check import check_report  # noqa: PLC0415 - the same

        report = check_report(load_application(self.application), self.application)
        return Answer(report, check_page(report))


class Place(msgspec.Struct, frozen=True):
    """Show who would run where on this machine, and why."""

    application: ModuleApp
    config: ConfigFile = None
    live: LiveProcess = None
    json: AsJson = False

    def answer(self) -> Answer:
        """Find out who would run where."""
        from driven.entrypoints.loading import load_application  # noqa: PLC0415 - see the head of `verbs`
        from driven.entrypoints.reports.placement import placement_report  # noqa: PLC0415 - the same

        report = placement_report(load_application(self.application), self.application, self.config, self.live)
        return Answer(report, placement_page(report))


class Examine(msgspec.Struct, frozen=True):
    """Look at this machine: CPUs, memory, limits, libraries, and whether workers start."""

    json: AsJson = False

    def answer(self) -> Answer:
        """Look at the running system."""
        from driven.entrypoints.reports.doctor import doctor_report  # noqa: PLC0415 - see the head of `verbs`
        from driven.entrypoints.reports.finding import Machine  # noqa: PLC0415 - the same

        report = doctor_report(Machine())
        return Answer(report, doctor_page(report))


class Bench(msgspec.Struct, frozen=True):
    """Measure what Driven costs on this machine, beside what else is installed; write a report with charts."""

    quick: Annotated[bool, argument(help="Three short rounds, in less than 90 s on 2 CPUs.")] = False
    report: Annotated[Path, argument(metavar="DIR", help="The folder that the report is written to.")] = Path(
        "driven-bench"
    )
    only: Annotated[tuple[str, ...], argument(metavar="MEASURE ...", help="What to measure; by default all.")] = ()
    contenders: Annotated[
        tuple[str, ...], argument(metavar="KEY ...", help="Who takes part; by default all that are installed.")
    ] = ()
    workers: Annotated[
        WholeNumber, argument(metavar="N", help="How many workers; by default one for each CPU to use.")
    ] = None
    json: AsJson = False

    def answer(self) -> Answer:
        """Measure; takes a minute or many."""
        from driven.entrypoints.bench.asking import bench  # noqa: PLC0415 - see the head of `verbs`
        from driven.entrypoints.drawing.bench import bench_page  # noqa: PLC0415 - the same

        report = bench(
            is_quick=self.quick,
            folder=self.report,
            only=self.only,
            contenders=self.contenders,
            workers=self.workers,
            typed=self._typed(),
        )
        return Answer(report, bench_page(report, self.report))

    def _typed(self) -> str:
        """What makes the same run again."""
        words = ["driven", "bench", *(["--quick"] if self.quick else [])]
        for option, values in (("--only", self.only), ("--contenders", self.contenders)):
            words += [option, *values] if values else []
        words += [] if self.workers is None else ["--workers", str(self.workers)]
        return shlex.join(words)


class Top(msgspec.Struct, frozen=True):
    """Watch a running bus of yours: its head, command types and workers. On a terminal, until Ctrl-C; else one look."""

    pid: ProcessId
    application: ApplicationName = None
    once: Annotated[bool, argument(help="Look once, also on a terminal.")] = False
    json: AsJson = False

    def answer(self) -> Answer:
        """Look once."""
        return next(self.looks())

    def looks(self) -> Iterator[Answer]:
        """Look again and again."""
        from driven.entrypoints.reports.top import top_reports  # noqa: PLC0415 - see the head of `verbs`

        return (Answer(report, top_page(report)) for report in top_reports(self.pid, self.application))
