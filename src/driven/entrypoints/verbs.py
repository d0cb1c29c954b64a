"""What can be typed: each verb is a struct whose fields are its arguments and whose docstring is its help.

Needs tyro, so it is imported by `cli` only, and there as late as possible. What a verb finds out with is imported
when it runs: the doctor is there for those on whose machine the rest cannot be imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, TypeAlias

import msgspec
import tyro

from driven.entrypoints.drawing.check import check_page
from driven.entrypoints.drawing.doctor import doctor_page
from driven.entrypoints.drawing.placement import placement_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driven.entrypoints.drawing.page import Page
    from driven.entrypoints.reports.check import CheckReport
    from driven.entrypoints.reports.doctor import DoctorReport
    from driven.entrypoints.reports.placement import PlacementReport

DESCRIPTION: Final = "Driven, a message bus: looks at applications and machines. `driven --version` says which it is."

ModuleApp: TypeAlias = Annotated[
    str,
    tyro.conf.Positional,
    tyro.conf.arg(metavar="module:app", help='The application, as "package.module:attribute".'),
]
AsJson: TypeAlias = Annotated[bool, tyro.conf.arg(help="Print the record as JSON, for programs.")]
ConfigFile: TypeAlias = Annotated[
    Path | None,
    tyro.conf.arg(metavar="FILE", help="The configuration; by default driven.toml in the current folder, if any."),
]


class Answer(NamedTuple):
    """What a verb found out, for programs and for people."""

    report: CheckReport | PlacementReport | DoctorReport
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
    json: AsJson = False

    def answer(self) -> Answer:
        """Find out who would run where."""
        from driven.entrypoints.loading import load_application  # noqa: PLC0415 - see the head of this module
        from driven.entrypoints.reports.placement import placement_report  # noqa: PLC0415 - the same

        report = placement_report(load_application(self.application), self.application, self.config)
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


Verb: TypeAlias = (
    Annotated[Check, tyro.conf.subcommand("check")]
    | Annotated[Place, tyro.conf.subcommand("placement")]
    | Annotated[Examine, tyro.conf.subcommand("doctor")]
)


def parse(arguments: Sequence[str]) -> Verb:
    """Understand what was typed; help and mistakes end the program, with 0 and 2."""
    return tyro.cli(
        Verb, prog="driven", description=DESCRIPTION, args=arguments, config=(tyro.conf.FlagCreatePairsOff,)
    )
