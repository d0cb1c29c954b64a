"""What can be typed: each verb is a struct whose fields are its arguments and whose docstring is its help.

Needs tyro, so it is imported by `cli` only, and there as late as possible. What a verb finds out with is imported
when it runs: the doctor is there for those on whose machine the rest cannot be imported.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple, TypeAlias

import msgspec
import tyro

from driven.entrypoints.drawing.check import check_page
from driven.entrypoints.drawing.doctor import doctor_page
from driven.entrypoints.drawing.placement import placement_page
from driven.entrypoints.drawing.rebuild import rebuild_page
from driven.entrypoints.drawing.schema import schema_page
from driven.entrypoints.drawing.top import top_page
from driven.entrypoints.drawing.verify import verify_page
from driven.entrypoints.log_verb import Log, StoreUrl, ToPosition
from driven.entrypoints.parked_verb import Parked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from driven.domain.messages import Command
    from driven.entrypoints.bench.record import BenchReport
    from driven.entrypoints.drawing.page import Page
    from driven.entrypoints.rebuild import RebuildReport
    from driven.entrypoints.reports.check import CheckReport
    from driven.entrypoints.reports.doctor import DoctorReport
    from driven.entrypoints.reports.placement import PlacementReport
    from driven.entrypoints.reports.top import TopReport
    from driven.entrypoints.schema.report import SchemaReport
    from driven.verification.report import VerificationReport

DESCRIPTION: Final = "Driven, a message bus: looks at applications and machines. `driven --version` says which it is."

ModuleApp: TypeAlias = Annotated[
    str,
    tyro.conf.Positional,
    tyro.conf.arg(metavar="module:app", help='The application, as "package.module:attribute".'),
]
ModuleApi: TypeAlias = Annotated[
    str,
    tyro.conf.Positional,
    tyro.conf.arg(metavar="module:app", help='An Application, or an Api of one, as "package.module:attribute".'),
]
ProcessId: TypeAlias = Annotated[
    int, tyro.conf.Positional, tyro.conf.arg(metavar="PID", help="The process that opened the bus.")
]
LiveProcess: TypeAlias = Annotated[
    int | None,
    tyro.conf.arg(metavar="PID", help="A process with an open bus of it: show what measuring has decided there."),
]
ApplicationName: TypeAlias = Annotated[
    str | None, tyro.conf.arg(metavar="NAME", help="Which bus of that process, if it has several.")
]
AsJson: TypeAlias = Annotated[bool, tyro.conf.arg(help="Print the record as JSON, for programs.")]
FromPosition: TypeAlias = Annotated[int, tyro.conf.arg(name="from", metavar="N", help="The first position to look at.")]
ConfigFile: TypeAlias = Annotated[
    Path | None,
    tyro.conf.arg(metavar="FILE", help="The configuration; by default driven.toml in the current folder, if any."),
]


class Answer(NamedTuple):
    """What a verb found out, for programs and for people."""

    report: (
        CheckReport
        | PlacementReport
        | DoctorReport
        | BenchReport
        | TopReport
        | VerificationReport
        | RebuildReport
        | SchemaReport
    )
    page: Page


class Check(msgspec.Struct, frozen=True):
    """Find all faults of an application; or list its parts, and draw what leads to what."""

    application: ModuleApp
    json: AsJson = False

    def answer(self) -> Answer:
        """Check the application."""
        from driven.entrypoints.loading import load_application  # noqa: PLC0415 - see the head of this module
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
        from driven.entrypoints.loading import load_application  # noqa: PLC0415 - see the head of this module
        from driven.entrypoints.reports.placement import placement_report  # noqa: PLC0415 - the same

        report = placement_report(load_application(self.application), self.application, self.config, self.live)
        return Answer(report, placement_page(report))


class Examine(msgspec.Struct, frozen=True):
    """Look at this machine: CPUs, memory, limits, libraries, and whether workers start."""

    json: AsJson = False

    def answer(self) -> Answer:
        """Look at the running system."""
        from driven.entrypoints.reports.doctor import doctor_report  # noqa: PLC0415 - see the head of this module
        from driven.entrypoints.reports.finding import Machine  # noqa: PLC0415 - the same

        report = doctor_report(Machine())
        return Answer(report, doctor_page(report))


class Bench(msgspec.Struct, frozen=True):
    """Measure what Driven costs on this machine, beside what else is installed; write a report with charts."""

    quick: Annotated[bool, tyro.conf.arg(help="Three short rounds, in less than 90 s on 2 CPUs.")] = False
    report: Annotated[Path, tyro.conf.arg(metavar="DIR", help="The folder that the report is written to.")] = Path(
        "driven-bench"
    )
    only: Annotated[tuple[str, ...], tyro.conf.arg(metavar="MEASURE ...", help="What to measure; by default all.")] = ()
    contenders: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="KEY ...", help="Who takes part; by default all that are installed.")
    ] = ()
    workers: Annotated[
        int | None, tyro.conf.arg(metavar="N", help="How many workers; by default one for each CPU to use.")
    ] = None
    json: AsJson = False

    def answer(self) -> Answer:
        """Measure; takes a minute or many."""
        from driven.entrypoints.bench.asking import bench  # noqa: PLC0415 - see the head of this module
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
    once: Annotated[bool, tyro.conf.arg(help="Look once, also on a terminal.")] = False
    json: AsJson = False

    def answer(self) -> Answer:
        """Look once."""
        return next(self.looks())

    def looks(self) -> Iterator[Answer]:
        """Look again and again."""
        from driven.entrypoints.reports.top import top_reports  # noqa: PLC0415 - see the head of this module

        return (Answer(report, top_page(report)) for report in top_reports(self.pid, self.application))


class Verify(msgspec.Struct, frozen=True):
    """Run recorded commands through today's code, and show where it does not do what is recorded; writes nothing."""

    application: ModuleApp
    store: StoreUrl = None
    from_: FromPosition = 1
    to: ToPosition = None
    workers: Annotated[
        int | None, tyro.conf.arg(metavar="N", help="How many workers; by default as configured. 0: none.")
    ] = None
    command: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME ...", help="Which commands to run; by default all.")
    ] = ()
    config: ConfigFile = None
    json: AsJson = False

    def answer(self) -> Answer:
        """Verify; takes as long as the commands take, divided by the workers."""
        from driven.entrypoints.verify import verification  # noqa: PLC0415 - see the head of this module

        report = verification(
            self.application,
            config=self.config,
            url=self.store,
            first=self.from_,
            last=self.to,
            workers=self.workers,
            commands=self.command,
        )
        return Answer(report, verify_page(report))


class Schema(msgspec.Struct, frozen=True):
    """Show what an application records, and what has changed since a baseline, and whether logs can still be read."""

    application: ModuleApp
    against: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help="A baseline to compare with, as --write wrote it.")
    ] = None
    write: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help="Write the schemas there, unless a log could not be read.")
    ] = None
    json: AsJson = False

    def answer(self) -> Answer:
        """Compare, and write."""
        from driven.entrypoints.loading import load_application  # noqa: PLC0415 - see the head of this module
        from driven.entrypoints.schema.report import schema_report  # noqa: PLC0415 - the same

        application = load_application(self.application)
        report = schema_report(application, self.application, self.against, self.write)
        return Answer(report, schema_page(report))


class Run(msgspec.Struct, frozen=True):
    """Serve an application over HTTP, until SIGTERM or Ctrl-C; needs the extra `http`."""

    application: ModuleApi
    host: Annotated[str | None, tyro.conf.arg(metavar="HOST", help="Instead of [http] host.")] = None
    port: Annotated[int | None, tyro.conf.arg(metavar="PORT", help="Instead of [http] port; 0: any that is free.")] = (
        None
    )
    store: StoreUrl = None
    config: ConfigFile = None

    def run(self) -> None:
        """Serve; returns when a signal ended it."""
        from driven.entrypoints.running import run_api  # noqa: PLC0415 - see the head of this module

        run_api(self.application, host=self.host, port=self.port, config=self.config, store=self.store)


class Dispatch(msgspec.Struct, frozen=True):
    """Carry out a command: by its options, as JSON on standard input, or thousands as JSON lines.

    What follows the name of the command are the command's own options; `driven dispatch module:app NAME --help` lists
    them. Without any, its fields are read as JSON from standard input.
    """

    application: ModuleApp
    command: Annotated[
        str | None,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="NAME", help="The command; with --lines, what each line holds the fields of."),
    ] = None
    wait: Annotated[
        Literal["accepted", "handled", "settled"], tyro.conf.arg(help="How far to wait before it is told.")
    ] = "settled"
    lines: Annotated[
        bool, tyro.conf.arg(help='Read JSON lines: {"command": NAME, "data": {...}, "id": ...}, or data alone.')
    ] = False
    on_error: Annotated[
        Literal["stop", "continue"], tyro.conf.arg(help="Whether lines behind one that fails are carried out.")
    ] = "stop"
    store: StoreUrl = None
    config: ConfigFile = None


class BuildAnew(msgspec.Struct, frozen=True):
    """Build projections anew from the log of a service that is down. Ctrl-C loses nothing: the next one goes on."""

    application: ModuleApp
    projections: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[projection ...]", help="Which ones; by default all."),
    ] = ()
    store: StoreUrl = None
    config: ConfigFile = None
    json: AsJson = False

    def answer(self) -> Answer:
        """Rebuild; takes as long as the log is."""
        from driven.entrypoints.rebuild import rebuilding  # noqa: PLC0415 - see the head of this module

        report = rebuilding(self.application, self.projections, config=self.config, url=self.store)
        return Answer(report, rebuild_page(report))


Verb: TypeAlias = (
    Annotated[Check, tyro.conf.subcommand("check")]
    | Annotated[Place, tyro.conf.subcommand("placement")]
    | Annotated[Examine, tyro.conf.subcommand("doctor")]
    | Annotated[Bench, tyro.conf.subcommand("bench")]
    | Annotated[Top, tyro.conf.subcommand("top")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[Schema, tyro.conf.subcommand("schema")]
    | Annotated[Run, tyro.conf.subcommand("run")]
    | Annotated[Dispatch, tyro.conf.subcommand("dispatch")]
    | Annotated[Log, tyro.conf.subcommand("log")]
    | Annotated[BuildAnew, tyro.conf.subcommand("rebuild")]
    | Annotated[Parked, tyro.conf.subcommand("parked")]
)
"""`dispatch` is here for its help only: it is told apart before, as the options of a command follow."""


_TAKE_A_VALUE: Final = frozenset({"--wait", "--on-error", "--store", "--config"})
"""Options of `dispatch` after which a value follows."""


def split_dispatch(typed: Sequence[str]) -> tuple[list[str], list[str]]:
    """What is typed after ``dispatch``: what is ours, to the name of the command, and the command's own options."""
    places = 0
    is_value = False
    for number, word in enumerate(typed):
        if is_value or word.startswith("-"):
            is_value = not is_value and word in _TAKE_A_VALUE
            continue
        places += 1
        if places == 2:  # noqa: PLR2004 - the application, then the command
            return list(typed[: number + 1]), list(typed[number + 1 :])
    return list(typed), []


def parse_command(kind: type[Command], prog: str, typed: Sequence[str]) -> Command:
    """A command from its own options; help and mistakes end the program, with 0 and 2."""
    return tyro.cli(kind, prog=prog, args=typed, config=(tyro.conf.FlagCreatePairsOff,))


def parse_dispatch(arguments: Sequence[str]) -> Dispatch:
    """Understand what is ours of what was typed after ``dispatch``; as `parse`."""
    return tyro.cli(Dispatch, prog="driven dispatch", args=arguments, config=(tyro.conf.FlagCreatePairsOff,))


def parse(arguments: Sequence[str]) -> Verb:
    """Understand what was typed; help and mistakes end the program, with 0 and 2."""
    return tyro.cli(
        Verb, prog="driven", description=DESCRIPTION, args=arguments, config=(tyro.conf.FlagCreatePairsOff,)
    )
