"""Connections: one client's line, within bounds that uvicorn leaves open. Needs the extra `http`.

::

    connected -> head of a request -> body -> answer -> the next head ...
                 `- in time, and        |       `- some of it is taken, in any such time
                    not endless         `- in time (`bodies`)

Without them anybody who is let as far as the socket could hold lines open for nothing, or fill the memory with a
header.
As long-lived as the line, on the event loop of the bus.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from driven.entrypoints.http.problems import MEDIA_TYPE, ProblemDetails

if TYPE_CHECKING:
    import asyncio

MOST_HEAD_BYTES: Final = 1 << 16
"""How long the head of a request may be that comes in pieces; one that came in one piece (256 KiB at most) was read."""

_REFUSAL: Final = b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"


class Connection(HttpToolsProtocol):
    """One line. Who sends no whole head for `longest_s`, or takes nothing of an answer for as long, is cut off."""

    def __init__(self, *told: Any, longest_s: float, **more: Any) -> None:  # noqa: ANN401 - as uvicorn calls it
        """`longest_s` apart, as uvicorn has it."""
        super().__init__(*told, **more)
        self._longest_s: Final = longest_s
        self._is_head_open = False
        self._head_bytes = 0
        self._until_head: asyncio.TimerHandle | None = None
        self._until_taken: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """The clock runs."""
        super().connection_made(transport)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """No clock runs any more."""
        super().connection_lost(exc)
        for clock in (self._until_head, self._until_taken):
            if clock is not None:
                clock.cancel()

    def data_received(self, data: bytes) -> None:
        """Read; what all belongs to a head that is open for longer than this is counted."""
        was_open = self._is_head_open
        super().data_received(data)
        if self._is_head_open and was_open:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
                self._refuse(431, "The head of the request is too long")
        self._watch_head()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(400, msg)

    def _refuse(self, status: int, title: str) -> None:
        """Answer as everything else does, though there is no request to answer."""
        body = msgspec.json.encode(ProblemDetails(title, status))
        words = f"{status} {HTTPStatus(status).phrase}".encode()
        self.transport.write(_REFUSAL % (words, MEDIA_TYPE.encode(), len(body), body))
        self.transport.close()

    def on_message_begin(self) -> None:
        """The first byte of a head."""
        super().on_message_begin()
        self._is_head_open, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._is_head_open = False
        super().on_headers_complete()

    def _watch_head(self) -> None:
        """Have the clock run while there is nothing to answer. A request in one piece never starts it."""
        if self._is_head_open or self.cycle is None or self.cycle.response_complete:
            if self._until_head is None:
                self._until_head = self.loop.call_later(self._longest_s, self.transport.close)
        elif self._until_head is not None:
            self._until_head.cancel()
            self._until_head = None

    def pause_writing(self) -> None:
        """The client is slower than we are."""
        super().pause_writing()
        self._watch_taking(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """It has caught up."""
        super().resume_writing()
        if self._until_taken is not None:
            self._until_taken.cancel()
            self._until_taken = None

    def _watch_taking(self, left_bytes: int) -> None:
        self._until_taken = self.loop.call_later(self._longest_s, self._check_taken, left_bytes)

    def _check_taken(self, left_bytes: int) -> None:
        left_now = self.transport.get_write_buffer_size()
        if left_now < left_bytes:
            self._watch_taking(left_now)
        else:
            self.transport.abort()
