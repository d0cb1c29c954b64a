"""Batches of SQS: each message carried out, and the ones told of that have to be delivered again.

From a standard queue: all at once, in the order of the batch. From a FIFO queue: the messages of a group one after the
other, groups beside each other; after the first failure of a group that message and all later ones of its group are
given back untouched, so that order is kept when they come again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeAlias

from driven.entrypoints.aws_lambda.events import SqsRecord, Unintelligible, as_a
from driven.entrypoints.aws_lambda.sources import Asked, of_sqs
from driven.errors import CommandFailed, CommandParked, DrivenError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from driven.bus.message_bus import MessageBus
    from driven.bus.receipts import CommandOutcome, Receipt
    from driven.entrypoints.aws_lambda.sources import Sources
    from driven.service.catalog import Catalog

logger = logging.getLogger("driven.aws_lambda")

_Message: TypeAlias = "tuple[Mapping[str, Any], SqsRecord]"
"""A message as it came, and as it was understood."""


class SqsBatch:
    """One batch, for one invocation."""

    def __init__(self, bus: MessageBus, sources: Sources, catalog: Catalog) -> None:
        self._bus = bus
        self._sources = sources
        self._catalog = catalog
        self._done: set[str] = set()

    async def carry_out(self, raw: Sequence[Mapping[str, Any]]) -> list[str]:
        """Carry all of them out; the ids of those to be delivered again, in the order of the batch.

        Raises:
            Unintelligible: one of them is no message of a queue.

        """
        records = [as_a(SqsRecord, one, "a record of SQS") for one in raw]
        groups: dict[str, list[_Message]] = {}
        for one, record in zip(raw, records, strict=True):
            group = record.attributes.MessageGroupId
            own = f"group {group}" if group else f"message {record.messageId}"
            groups.setdefault(f"{record.eventSourceARN} {own}", []).append((one, record))
        try:
            await asyncio.gather(*(self._in_a_row(group) for group in groups.values()))
        except asyncio.CancelledError:  # time is up; what is done stays done, and need not come again
            logger.warning("Time is up: %d of %d SQS messages are done.", len(self._done), len(records))
        return list(dict.fromkeys(record.messageId for record in records if record.messageId not in self._done))

    async def _in_a_row(self, messages: Sequence[_Message]) -> None:
        """Carry out until one fails: neither that one nor those behind it are done."""
        for raw, record in messages:
            if not await self._is_done(raw, record):
                return
            self._done.add(record.messageId)

    async def _is_done(self, raw: Mapping[str, Any], record: SqsRecord) -> bool:
        try:
            asked = of_sqs(raw, record, self._sources, self._catalog)
            await carry_out(self._bus, await afresh(self._bus, asked))
        except DrivenError as error:
            logger.warning("SQS message %a is given back: %s", record.messageId, error)
            return False
        except Exception:
            logger.exception("SQS message %a is given back.", record.messageId)
            return False
        return True


async def carry_out(bus: MessageBus, asked: Iterable[Asked]) -> list[CommandOutcome]:
    """Submit commands in order, and wait until they and all that they cause have settled; their outcomes.

    Raises:
        Unintelligible: an id cannot be one.
        CommandFailed, CommandParked: one of them; all have settled.

    """
    receipts = [await _submitted(bus, one) for one in asked]
    for receipt in receipts:
        await receipt.settled()
    return [await receipt.handled() for receipt in receipts]


async def afresh(bus: MessageBus, asked: Iterable[Asked]) -> list[Asked]:
    """What was delivered, each under the first of ``id``, ``id#2``, ... under which it did not fail.

    Nothing of a failed command exists (F1), so what is delivered again for that is carried out again. What came of the
    last attempt counts from then on, however often it is delivered.
    """
    return [Asked(command, await _untried(bus, command_id)) for command, command_id in asked]


async def _untried(bus: MessageBus, command_id: str | None) -> str | None:
    attempt, name = 1, command_id
    while name is not None and (known := bus.receipt(name)) is not None and await _has_failed(known):
        attempt += 1
        name = f"{command_id}#{attempt}"
    return name


async def _submitted(bus: MessageBus, asked: Asked) -> Receipt:
    try:
        return await bus.submit(asked.command, command_id=asked.command_id)
    except ValueError as error:
        raise Unintelligible("the id of a command", str(error)) from None


async def _has_failed(receipt: Receipt) -> bool:
    """Whether it did; one that is parked did not: it is in the log, to be carried out when somebody redrives it."""
    if not receipt.is_handled:
        return False
    try:
        await receipt.handled()
    except CommandFailed:
        return True
    except CommandParked:
        return False
    return False
