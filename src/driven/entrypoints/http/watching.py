"""Watching a receipt: each step of a command as a server-sent event, until it has settled.

::

    event: accepted | handled | failed | parked | settled        data: the same JSON as GET /receipts/{receipt}

A comment every fifteen seconds keeps proxies from cutting the line. Who leaves cancels nothing (X1).
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from starlette.responses import StreamingResponse

from driven.entrypoints.http.answers import encode
from driven.entrypoints.http.problems import Problem
from driven.errors import BusClosed, HandlerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.responses import Response

    from driven.bus.receipts import Receipt
    from driven.entrypoints.http.answers import Telling

KEEP_ALIVE_S: Final = 15.0
"""Seconds of silence after which a comment is sent."""

LAST_STEP: Final = "settled"
"""The id of the event after which none comes. A browser whose line ends asks again with the last id that it saw."""


def watch(receipt: Receipt, ticket: str, telling: Telling) -> Response:
    """A stream of what becomes of a command, from how far it is now."""
    return StreamingResponse(
        _steps(receipt, ticket, telling), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


async def _steps(receipt: Receipt, ticket: str, telling: Telling) -> AsyncIterator[bytes]:
    with contextlib.suppress(Problem):  # the service is stopping: the line ends, and the client comes back
        if not receipt.is_handled:
            yield await _step(receipt, ticket, telling)
            async for comment in _until(receipt, is_settled=False):
                yield comment
        if not receipt.is_settled:
            yield await _step(receipt, ticket, telling)
            async for comment in _until(receipt, is_settled=True):
                yield comment
        yield await _step(receipt, ticket, telling)


async def _until(receipt: Receipt, *, is_settled: bool) -> AsyncIterator[bytes]:
    """Wait for the next step; a comment now and then."""
    while not (receipt.is_settled if is_settled else receipt.is_handled):
        try:
            async with asyncio.timeout(KEEP_ALIVE_S):
                await (receipt.settled() if is_settled else receipt.handled())
        except TimeoutError:
            yield b": still waiting\n\n"
        except (HandlerError, BusClosed):
            return


async def _step(receipt: Receipt, ticket: str, telling: Telling) -> bytes:
    answer = await telling.answer(receipt, ticket)
    reached = LAST_STEP if receipt.is_settled else answer.status
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (reached.encode(), answer.status.encode(), encode(answer))
