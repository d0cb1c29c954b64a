"""`driven due`: what is due later in a log, and what an operator cancels of it. Records; they live as long as the verb.

Looking reads the log beside a bus that may be writing to it. Cancelling opens the log as a bus does.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import msgspec

from driven.bootstrap import open_bus_sync
from driven.bus.due_messages import DueCommand, DueMessages
from driven.entrypoints.configured import configured
from driven.entrypoints.loading import load_application
from driven.entrypoints.operating import refuse, who_types
from driven.entrypoints.output import kept_clean
from driven.entrypoints.reading import log_to_read
from driven.errors import CommandFailed, NothingDue
from driven.service.naming import qualified_name

if TYPE_CHECKING:
    from pathlib import Path


class DueReport(msgspec.Struct, frozen=True):
    """What is due later: what `driven due list` finds."""

    commands: tuple[DueCommand, ...]
    """In the order in which they enter."""
    is_all: bool
    """Whether nothing is due behind these."""

    @property
    def is_ok(self) -> bool:
        """It is no fault that something is due."""
        return True


class CancelReport(msgspec.Struct, frozen=True):
    """What `driven due cancel` has done."""

    position: int
    """Of the cancel itself, in the log."""
    cause: int
    """Position of what had scheduled the command that will not enter."""
    number: int
    """Which one it was of those."""

    @property
    def is_ok(self) -> bool:
        """What could not be cancelled has raised."""
        return True


def due_report(reference: str, *, limit: int, config: Path | None, url: str | None) -> DueReport:
    """List what is due later, in the order in which it enters."""
    load_application(reference)
    with contextlib.closing(log_to_read(configured(config, url).store)) as log:
        found = asyncio.run(DueMessages(log, refuse).list(limit=limit + 1))
    return DueReport(found[:limit], len(found) <= limit)


def cancel_report(  # noqa: PLR0913 - each was typed
    reference: str, cause: int, number: int, *, by: str | None, why: str, config: Path | None, url: str | None
) -> CancelReport:
    """Let a command that is due later not enter.

    Raises:
        LogBusy: a bus has the log; ask it.
        NothingDue: it is not due, or has entered.

    """
    application = load_application(reference)
    settings = configured(config, url)
    log_to_read(settings.store).close()  # what is not there is told now
    with kept_clean(), open_bus_sync(application, settings) as bus:
        receipt = bus.due.cancel(cause, number, by=who_types(by), why=why)
        try:
            receipt.handled()
        except CommandFailed as error:
            if error.error_type != qualified_name(NothingDue):
                raise
            raise NothingDue(cause, number) from None
    return CancelReport(receipt.position, cause, number)
