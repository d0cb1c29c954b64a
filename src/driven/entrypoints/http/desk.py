"""The desk: where a command from outside is handed to the bus, waited for, and answered.

::

    JSON -> command -> authorize? -> room? -> bus.submit -> handled (or settled) in time?  200 : 202 + Location

Giving up waiting cancels nothing (X1): whoever gets 202 asks with the receipt. As long-lived as the API that is served,
on the bus's event loop.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from driven.entrypoints.http.answers import Telling, encode, problem_of
from driven.entrypoints.http.problems import Problem, refusal_of
from driven.errors import BusClosed, CommandFailed, CommandParked, DrivenError

if TYPE_CHECKING:
    from driven.bus.message_bus import MessageBus
    from driven.bus.receipts import Receipt
    from driven.domain.messages import Command
    from driven.entrypoints.http.api import Api
    from driven.entrypoints.http.binding import Request
    from driven.entrypoints.http.doors import Doors
    from driven.entrypoints.http.terms import Terms
    from driven.entrypoints.http.tickets import Tickets
    from driven.service.catalog import Catalog
    from driven.settings import HttpSettings

logger = logging.getLogger("driven.http")

RETRY_AFTER_S: Final = 1
"""When it may be worth sending a command again that there was no room for, in seconds."""
_SHOWN: Final = 200
"""So much of the text of an error is said in a line."""


class Desk:
    """Takes commands of one API for one bus."""

    def __init__(self, api: Api, catalog: Catalog, settings: HttpSettings, tickets: Tickets, doors: Doors) -> None:
        """The bus comes with each call: it opens later."""
        self._doors: Final = doors
        self._settings: Final = settings
        self._tickets: Final = tickets
        self.telling: Final = Telling(catalog, api.refusals)
        self._unsettled: Final[set[asyncio.Task[None]]] = set()
        self._open = 0

    @property
    def open_roots(self) -> int:
        """Commands that came in here and have not settled."""
        return self._open

    async def settled(self) -> None:
        """Wait until all that came in here has settled."""
        await asyncio.gather(*self._unsettled)

    async def take(self, bus: MessageBus, command: Command, request: Request, terms: Terms, base: str) -> Response:
        """Hand over one command, and answer; `base` is where the API is mounted.

        Raises:
            Problem: it was refused, or did not do what it was told.

        """
        await self._doors.check(request, command)
        if self._open >= self._settings.max_in_flight:
            raise Problem(
                429,
                "Too many commands are under way",
                "Send it again later.",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        self._open += 1
        try:
            receipt = await self._submit(bus, command, terms)
        except BaseException:
            self._open -= 1
            raise
        try:
            await _reached(receipt, terms)
        finally:  # also when the server cancels what nobody waits for any more
            self._count_until_settled(receipt)
        answer = await self.telling.answer(receipt, self._tickets.issue(receipt.id))
        if problem := problem_of(answer):
            if receipt.is_settled:  # else it is said when it has
                await self._say_what_failed(receipt)
            raise problem
        is_done = receipt.is_settled if terms.until_settled else receipt.is_handled
        headers = {"Location": f"{base}/receipts/{answer.receipt}"}
        if terms.applied:
            headers["Preference-Applied"] = terms.applied
        return Response(encode(answer), 200 if is_done else 202, headers=headers, media_type="application/json")

    async def _submit(self, bus: MessageBus, command: Command, terms: Terms) -> Receipt:
        try:
            return await bus.submit(
                command,
                command_id=terms.command_id,
                wait_s=self._settings.accept_timeout_s,
                trace=terms.trace,
            )
        except DrivenError as error:
            if problem := refusal_of(error, RETRY_AFTER_S):
                raise problem from error
            raise

    def _count_until_settled(self, receipt: Receipt) -> None:
        if receipt.is_settled:
            self._open -= 1
            return
        task = asyncio.get_running_loop().create_task(self._settle(receipt))
        self._unsettled.add(task)  # the event loop holds tasks weakly
        task.add_done_callback(self._unsettled.discard)

    async def _settle(self, receipt: Receipt) -> None:
        try:
            await receipt.settled()
        except BusClosed:
            return
        finally:
            self._open -= 1
        await self._say_what_failed(receipt)

    async def _say_what_failed(self, receipt: Receipt) -> None:
        """Tell those who run the service of a failure: whoever sent the command is not told what it was (F1)."""
        try:
            await receipt.handled()
        except CommandFailed as failure:
            if not self.telling.reason(failure):
                logger.warning(
                    "%s at position %d failed: %s(%a); `driven log --from %d --to %d --json` has its traceback.",
                    failure.command,
                    failure.position,
                    failure.error_type,
                    failure.error_message[:_SHOWN],
                    failure.position,
                    failure.position,
                )
        except (CommandParked, BusClosed):
            return  # said where it was parked; closed meanwhile


async def _reached(receipt: Receipt, terms: Terms) -> None:
    """Wait until the command is as far as was asked for, or for as long."""
    reached = receipt.settled() if terms.until_settled else receipt.handled()
    if terms.wait_s <= 0:
        reached.close()
        return
    try:
        async with asyncio.timeout(terms.wait_s):
            await reached
    except (TimeoutError, CommandFailed, CommandParked, BusClosed):
        return  # what there is to say, the answer says
