"""Problems: every answer that is no success, as RFC 9457 has it (``application/problem+json``).

What is said is about the request alone: where it is wrong and what to do. Nothing of the inside gets out, neither a
traceback nor the text of an error that the application did not declare as meant for its callers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec
from starlette.responses import Response

from driven.errors import BusClosed, BusFull, CommandIdReused, EmptyKey, MalformedMessage

if TYPE_CHECKING:
    from collections.abc import Mapping

MEDIA_TYPE: Final = "application/problem+json"

_AT_PATH: Final = re.compile(r"^(?P<words>.*?) - at `(?:key in )?(?P<path>\$.*)`$", re.DOTALL)
"""How msgspec ends what it says of a wrong value."""


_OF_FIELD: Final = re.compile(r"^field '(?P<field>\w+)': (?P<words>.*)$", re.DOTALL)
"""How the bus begins what it says of a field."""


class WrongField(msgspec.Struct, frozen=True):
    """One value that is not what it should be."""

    path: str
    """Where: a JSON path from the body's root, such as ``$.lines[2].price``; of a parameter, its name."""
    detail: str


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the body of a problem holds; `type` is always ``about:blank``, so `title` says what `status` means."""

    title: str
    status: int
    detail: str = ""
    errors: tuple[WrongField, ...] = ()
    """The fields that are wrong, where that is the problem."""
    receipt: str = ""
    """The receipt of the command that this is about, if it was accepted."""


class Problem(Exception):
    """Raised wherever an answer is decided; becomes that answer."""

    def __init__(  # noqa: PLR0913 - the fields of a problem
        self,
        status: int,
        title: str,
        detail: str = "",
        *,
        errors: tuple[WrongField, ...] = (),
        receipt: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(title)
        self.details: Final = ProblemDetails(title, status, detail, errors, receipt)
        self.headers: Final = dict(headers or {})

    def response(self) -> Response:
        """The answer."""
        body = msgspec.json.encode(self.details)
        return Response(body, self.details.status, headers=self.headers, media_type=MEDIA_TYPE)


def wrong_value(error: Exception, place: str = "$") -> Problem:
    """The problem of a value that msgspec refused; `place` is where the value stands."""
    found = _AT_PATH.match(str(error))
    words, path = (found["words"], found["path"]) if found else (str(error), "$")
    return Problem(
        422, "A value is not what it should be", words, errors=(WrongField(path.replace("$", place, 1), words),)
    )


def _malformed(reason: str) -> Problem:
    """The problem of a value that JSON can hold and a message cannot."""
    found = _OF_FIELD.match(reason)
    errors = (WrongField(f"$.{found['field']}", found["words"]),) if found else ()
    return Problem(422, "A value is not what it should be", found["words"] if found else reason, errors=errors)


def refusal_of(error: Exception, retry_after_s: int) -> Problem | None:
    """The problem of a command that the bus did not accept; None: it is nobody's fault outside."""
    again = {"Retry-After": str(retry_after_s)}
    match error:
        case BusFull():
            return Problem(429, "Too many commands are waiting", "Send it again later.", headers=again)
        case BusClosed():
            return Problem(503, "The service takes no commands now", "Send it again later.", headers=again)
        case CommandIdReused():
            detail = "Its Idempotency-Key was used for another command; a key names one command for ever."
            return Problem(409, "The key is taken", detail)
        case EmptyKey():
            return Problem(
                422,
                "A value is not what it should be",
                "It is the command's key and must not be empty.",
                errors=(WrongField(f"$.{error.field}", "must not be empty"),),
            )
        case MalformedMessage():
            return _malformed(error.reason)
    return None
