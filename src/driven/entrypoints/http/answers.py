"""Answers: what came of a command, as JSON.

::

    accepted -> started (detached ones) -> handled | failed | parked -> settled
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from driven.domain.arrays import to_plain
from driven.entrypoints.http.problems import Problem
from driven.errors import BusClosed, CommandFailed, CommandParked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from driven.bus.receipts import Receipt, Settlement
    from driven.domain.messages import Event
    from driven.service.catalog import Catalog

encode: Final = msgspec.json.Encoder(enc_hook=to_plain).encode
"""Any answer as JSON."""


class EventAnswer(msgspec.Struct, frozen=True):
    """One event that a command emitted."""

    type: str
    """Its stable name."""
    version: int
    data: Any
    """Its fields."""


class SettlementAnswer(msgspec.Struct, frozen=True):
    """What came of a command and everything that it caused."""

    messages: int
    failed: int
    parked: int


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a command has come."""

    receipt: str
    """Where to look again: ``GET /receipts/<receipt>``."""
    position: int
    """Its place in the log."""
    status: str
    """``accepted``, ``handled``, ``settled``, ``failed`` or ``parked``."""
    events: tuple[EventAnswer, ...] = ()
    """Of a command that was handled: what it emitted, in order."""
    settlement: SettlementAnswer | None = None
    """Once everything it caused has retired."""
    reason: str = ""
    """Of a command that was refused: why, if it is meant for its sender."""


class Telling:
    """Turns receipts into answers, without a word that is not meant for outside."""

    def __init__(self, catalog: Catalog, refusals: Collection[str]) -> None:
        """`refusals` are the qualified names of errors whose text is meant for whoever sent the command."""
        self._catalog: Final = catalog
        self._refusals: Final = frozenset(refusals)

    async def answer(self, receipt: Receipt, ticket: str) -> Answer:
        """How far it is now; waits for nothing.

        Raises:
            Problem: the bus is gone.

        """
        if not receipt.is_handled:
            return Answer(ticket, receipt.position, "accepted")
        status, reason = "handled", ""
        events: tuple[EventAnswer, ...] = ()
        settlement = None
        try:
            try:
                events = self._events((await receipt.handled()).events)
            except CommandParked:
                status = "parked"
            except CommandFailed as failure:
                status, reason = "failed", self.reason(failure)
            if receipt.is_settled:
                settlement = _settled(await receipt.settled())
                status = "settled" if status == "handled" else status
        except BusClosed as closed:
            raise _gone(ticket) from closed
        return Answer(ticket, receipt.position, status, events, settlement, reason)

    def reason(self, failure: CommandFailed) -> str:
        """Why a command was refused, as far as it is meant for outside."""
        return failure.error_message if failure.error_type in self._refusals else ""

    def _events(self, events: Iterable[Event]) -> tuple[EventAnswer, ...]:
        told = []
        for event in events:
            entry = self._catalog.entry_of(type(event))
            assert entry is not None  # noqa: S101 - it was decoded with this catalog
            told.append(EventAnswer(entry.name, entry.version, event))
        return tuple(told)


def problem_of(answer: Answer) -> Problem | None:
    """What is to be told instead of `answer` when the command did not do what it was told; None: it did."""
    if answer.status == "parked":
        detail = "It was accepted and set aside; those who run the service know."
        return Problem(500, "The command is parked", detail, receipt=answer.receipt)
    if answer.status != "failed":
        return None
    if answer.reason:
        return Problem(422, "The command was refused", answer.reason, receipt=answer.receipt)
    return Problem(500, "The command failed", "Those who run the service know.", receipt=answer.receipt)


def _settled(settlement: Settlement) -> SettlementAnswer:
    return SettlementAnswer(settlement.messages, settlement.failed, settlement.parked)


def _gone(ticket: str) -> Problem:
    detail = "The service is stopping; what was accepted is kept where its log is durable. Look again later."
    return Problem(503, "The service is stopping", detail, receipt=ticket, headers={"Retry-After": "5"})
