"""`driven parked`: what is parked in a log, and what an operator does about it. Records; they live as long as the verb.

Looking reads the log beside a bus that may be writing to it. The verbs of a redrive open the log as a bus does: what
enters again runs here, until it has settled.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import msgspec

from driven.bootstrap import open_bus_sync
from driven.bus.parked_messages import ParkedDetails, ParkedMessage, ParkedMessages
from driven.entrypoints.configured import configured
from driven.entrypoints.loading import load_application
from driven.entrypoints.operating import refuse, who_types
from driven.entrypoints.output import kept_clean
from driven.entrypoints.reading import log_to_read
from driven.errors import CommandFailed, NothingParked
from driven.service.aside import Aside
from driven.service.built_in import Verb
from driven.service.naming import qualified_name
from driven.service.registry import build_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class ParkedReport(msgspec.Struct, frozen=True):
    """What is parked: what `driven parked list` finds."""

    messages: tuple[ParkedMessage, ...]
    is_all: bool
    """Whether nothing is parked behind these."""

    @property
    def is_ok(self) -> bool:
        """It is no fault of the verb that something is parked."""
        return True


class FailureReport(msgspec.Struct, frozen=True):
    """What went wrong with a message."""

    error_type: str
    text: str
    traceback: str
    reaction: str
    """Of an event: the reaction that failed; else empty."""


class DetailsReport(msgspec.Struct, frozen=True):
    """One parked message with all that is known about it: what `driven parked show` finds."""

    message: ParkedMessage
    body: dict[str, object] | None
    """Its fields; None: the application cannot read it any more."""
    failures: tuple[FailureReport, ...]

    @property
    def is_ok(self) -> bool:
        """As above."""
        return True


class RedriveReport(msgspec.Struct, frozen=True):
    """What a redrive has done, and what came of what has entered again."""

    verb: str
    position: int
    """Of the redrive itself."""
    entered: tuple[int, ...]
    """Where what has entered again stood before."""
    given_up: tuple[int, ...]
    released: tuple[int, ...]
    failed: int
    """How many of all that it led to failed."""
    parked: int
    """How many of those are parked again."""

    @property
    def is_ok(self) -> bool:
        """Whether nothing failed again."""
        return not self.failed and not self.parked


def parked_report(  # noqa: PLR0913 - each was typed
    reference: str, *, key: str | None, after: int, limit: int, config: Path | None, url: str | None
) -> ParkedReport:
    """List what is parked, in position order."""
    with _looking(reference, config, url) as parked:
        found = asyncio.run(parked.list(key=key, after=after, limit=limit + 1))
    return ParkedReport(found[:limit], len(found) <= limit)


def details_report(reference: str, position: int, *, config: Path | None, url: str | None) -> DetailsReport:
    """Look at one parked message.

    Raises:
        NothingParked: there is none at this position.

    """
    with _looking(reference, config, url) as parked:
        found = asyncio.run(parked.show(position))
    reactions = found.reactions or ("",) * len(found.failures)
    failures = tuple(
        FailureReport(failure.error_type, failure.message, failure.traceback, reaction)
        for failure, reaction in zip(found.failures, reactions, strict=True)
    )
    return DetailsReport(_plain(found), None if found.message is None else _fields(found.message), failures)


def redrive_report(  # noqa: PLR0913 - each was typed
    reference: str,
    verb: Verb,
    *,
    key: str | None,
    position: int,
    by: str | None,
    why: str,
    config: Path | None,
    url: str | None,
) -> RedriveReport:
    """Do what the verb says, and wait until all of it has settled.

    Raises:
        LogBusy: a bus has the log; ask it.
        NothingParked: nothing is parked there.

    """
    application = load_application(reference)
    settings = configured(config, url)
    log_to_read(settings.store).close()  # what is not there is told now
    with kept_clean(), open_bus_sync(application, settings) as bus:
        verbs = {
            Verb.RETRY: bus.parked.retry,
            Verb.SKIP: bus.parked.skip,
            Verb.RELEASE: bus.parked.release,
            Verb.DISCARD: bus.parked.discard,
        }
        receipt = verbs[verb](key=key, position=position, by=who_types(by), why=why)
        try:
            receipt.handled()
        except CommandFailed as error:
            if error.error_type != qualified_name(NothingParked):
                raise
            raise NothingParked(f"of key {key!r}" if key is not None else f"at position {position}") from None
        settlement = receipt.settled()
    with contextlib.closing(log_to_read(settings.store)) as log:
        outcome = log.read(receipt.position - 1, 1)[0].outcome
    aside = Aside() if outcome is None or outcome.aside is None else outcome.aside
    return RedriveReport(
        verb.value,
        receipt.position,
        aside.entered,
        aside.given_up,
        aside.released,
        settlement.failed,
        settlement.parked,
    )


@contextlib.contextmanager
def _looking(reference: str, config: Path | None, url: str | None) -> Iterator[ParkedMessages]:
    registry = build_registry(load_application(reference))
    with (
        contextlib.closing(registry.injector),
        contextlib.closing(log_to_read(configured(config, url).store)) as log,
    ):
        yield ParkedMessages(log, registry.catalog, refuse)


def _plain(found: ParkedDetails) -> ParkedMessage:
    return ParkedMessage(**{field: getattr(found, field) for field in ParkedMessage.__struct_fields__})


def _fields(message: msgspec.Struct) -> dict[str, object]:
    return {field: getattr(message, field) for field in message.__struct_fields__}
