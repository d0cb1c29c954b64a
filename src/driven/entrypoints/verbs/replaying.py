"""Verbs that take a log, or what it may hold, through the code of today: verify, rebuild, schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec
import tyro

from driven.entrypoints.drawing.rebuild import rebuild_page
from driven.entrypoints.drawing.schema import schema_page
from driven.entrypoints.drawing.verify import verify_page
from driven.entrypoints.verbs.answer import Answer
from driven.entrypoints.verbs.arguments import (
    AsJson,
    ConfigFile,
    ModuleApp,
    StoreUrl,
    ToPosition,
    WholeNumber,
    argument,
)

FromPosition: TypeAlias = Annotated[int, argument(name="from", metavar="N", help="The first position to look at.")]


class Verify(msgspec.Struct, frozen=True):
    """Run recorded commands through today's code, and show where it does not do what is recorded; writes nothing."""

    application: ModuleApp
    store: StoreUrl = None
    from_: FromPosition = 1
    to: ToPosition = None
    workers: Annotated[
        WholeNumber, argument(metavar="N", help="How many workers; by default as configured. 0: none.")
    ] = None
    command: Annotated[
        tuple[str, ...], argument(metavar="NAME ...", help="Which commands to run; by default all.")
    ] = ()
    config: ConfigFile = None
    json: AsJson = False

    def answer(self) -> Answer:
        """Verify; takes as long as the commands take, divided by the workers."""
        from driven.entrypoints.verify import verification  # noqa: PLC0415 - see the head of `verbs`

        report = verification(
            self.application,
            config=self.config,
            url=self.store,
            first=self.from_,
            last=self.to,
            workers=self.workers,
            commands=self.command,
        )
        unknown = "" if report.compared else "nothing was compared; name another log, other positions or other commands"
        return Answer(report, verify_page(report), unknown)


class BuildAnew(msgspec.Struct, frozen=True):
    """Build projections anew from the log of a service that is down. Ctrl-C loses nothing: the next one goes on."""

    application: ModuleApp
    projections: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        argument(metavar="[projection ...]", help="Which ones; by default all."),
    ] = ()
    store: StoreUrl = None
    config: ConfigFile = None
    json: AsJson = False

    def answer(self) -> Answer:
        """Rebuild; takes as long as the log is."""
        from driven.entrypoints.rebuild import rebuilding  # noqa: PLC0415 - see the head of `verbs`

        report = rebuilding(self.application, self.projections, config=self.config, url=self.store)
        return Answer(report, rebuild_page(report))


class Schema(msgspec.Struct, frozen=True):
    """Show what an application records, and what has changed since a baseline, and whether logs can still be read."""

    application: ModuleApp
    against: Annotated[
        Path | None, argument(metavar="FILE", help="A baseline to compare with, as --write wrote it.")
    ] = None
    write: Annotated[
        Path | None, argument(metavar="FILE", help="Write the schemas there, unless a log could not be read.")
    ] = None
    json: AsJson = False

    def answer(self) -> Answer:
        """Compare, and write."""
        from driven.entrypoints.loading import load_application  # noqa: PLC0415 - see the head of `verbs`
        from driven.entrypoints.schema.report import schema_report  # noqa: PLC0415 - the same

        application = load_application(self.application)
        report = schema_report(application, self.application, self.against, self.write)
        return Answer(report, schema_page(report))
