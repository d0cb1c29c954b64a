"""Terms: what a request says about how its command is to be accepted and how long its answer may take.

``Prefer`` is read as RFC 7240 has it::

    Prefer: wait=5                  answer when the command is handled, or after five seconds
    Prefer: wait=5; until=settled   ... when everything that it caused has retired as well
    Prefer: respond-async           answer as soon as it is accepted

``Idempotency-Key`` is the command's id: unique in the log for ever, so that sending again does nothing twice (U5).
"""

from __future__ import annotations

import math
import re
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

from driven.entrypoints.http.problems import Problem, WrongField

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from driven.settings import HttpSettings

KEY: Final = r"[!#-?A-\[\]-~][!#-\[\]-~]{0,199}"
"""An Idempotency-Key: visible ASCII without quotes and backslashes, at most 200; @ begins the bus's own."""
_KEY: Final = re.compile(f'"(?P<quoted>{KEY})"|(?P<bare>{KEY})')
_TRACE: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""A traceparent, as W3C Trace Context has it."""
_RANDOM_BYTES: Final = 16


class Terms(NamedTuple):
    """How a command is to be accepted, and answered."""

    command_id: str
    wait_s: float
    until_settled: bool
    trace: str
    applied: str
    """The preference that counts, as it is told in ``Preference-Applied``; empty: none was given."""


def terms_of(headers: Mapping[str, str], settings: HttpSettings) -> Terms:
    """The terms of a request.

    Raises:
        Problem: its Idempotency-Key is none.

    """
    wait_s, until_settled, applied = settings.wait_s, False, ""
    for name, value in _preferences(headers.get("prefer", "")):
        if name == "respond-async" and not applied:  # with wait=: so long, and then asynchronously
            wait_s, applied = 0.0, "respond-async"
        elif name == "wait" and not applied.startswith("wait") and (asked := _seconds(value)) is not None:
            wait_s = min(asked, settings.max_wait_s)
            applied = f"wait={wait_s:g}"
        elif name == "until" and value == "settled":
            until_settled = True
    if until_settled and applied.startswith("wait"):
        applied += "; until=settled"
    trace = headers.get("traceparent", "")
    return Terms(
        _command_id(headers.get("idempotency-key")),
        wait_s,
        until_settled,
        trace if _TRACE.fullmatch(trace) else "",
        applied,
    )


def _command_id(key: str | None) -> str:
    """The caller's key, or one that nobody can guess."""
    if key is None:
        return secrets.token_urlsafe(_RANDOM_BYTES)
    found = _KEY.fullmatch(key)
    if found is None:
        detail = "Give 1 to 200 visible ASCII characters that do not begin with @, bare or between quotes."
        wrong = WrongField("header.Idempotency-Key", "is no key")
        raise Problem(400, "The Idempotency-Key cannot be used", detail, errors=(wrong,))
    return found["quoted"] or found["bare"]


def _preferences(text: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"[,;]", text) if text else ():
        name, _, value = part.partition("=")
        yield name.strip().lower(), value.strip().strip('"')


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
