"""Bodies: what a request brings along, read to a bound in size and in time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from driven.entrypoints.http.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive

    from driven.settings import HttpSettings


_LONGEST_LENGTH: Final = 20
"""Digits of a length in bytes; one with more is no less wrong for being longer."""


async def body_of(receive: Receive, headers: Mapping[str, str], settings: HttpSettings, *, must_be_json: bool) -> bytes:
    """The body of a request.

    Raises:
        Problem: it is too large, too slow, or not said to be JSON although it has to be.

    """
    if must_be_json and not _is_json(headers.get("content-type", "")):
        raise Problem(415, "The body is not said to be JSON", "Send Content-Type: application/json.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        detail = "Send it as it is, without Content-Encoding."
        raise Problem(415, "The body is encoded", detail, headers={"Accept-Encoding": "identity"})
    bound = settings.max_body_bytes
    declared = headers.get("content-length", "0")
    if declared.isascii() and declared.isdigit() and (len(declared) > _LONGEST_LENGTH or int(declared) > bound):
        raise _too_large(bound)
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            return await _whole(receive, bound)
    except TimeoutError:
        raise Problem(408, "The body takes too long", headers={"Connection": "close"}) from None


async def _whole(receive: Receive, bound: int) -> bytes:
    parts, size, is_more = [], 0, True
    while is_more:
        message = await receive()
        if message["type"] != "http.request":
            raise Problem(400, "The body is not complete")
        part, is_more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        if size > bound:
            raise _too_large(bound)
        parts.append(part)
    return b"".join(parts)


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _too_large(bound: int) -> Problem:
    return Problem(413, "The body is too large", f"At most {bound:,} bytes are taken.", headers={"Connection": "close"})
