"""Doors: who is let in, before anything of a request is looked at but its head, and before anything is read.

::

    /health/live, /health/ready     everybody
    all else                        with the token, if there is one: what there is, and what there is not
                                    with the word of `authorize`, if there is one: to issue a command, or to read

As long-lived as the API that is served.
"""

from __future__ import annotations

import hmac
import inspect
import logging
from typing import TYPE_CHECKING, Final

from driven.entrypoints.http.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Scope

    from driven.domain.messages import Command
    from driven.entrypoints.http.binding import Request

    Authorize = Callable[[Request, Command | None], bool | Awaitable[bool]]

logger = logging.getLogger("driven.http")

OPEN: Final = ("/health/live", "/health/ready")
"""What everybody may ask."""


class Doors:
    """The doors of one API."""

    def __init__(self, token: str, authorize: Authorize | None) -> None:
        """`token` empty: none is asked for."""
        self._token: Final = token.encode()
        self._authorize: Final = authorize

    def refusal(self, scope: Scope) -> Problem | None:
        """Why a request is not let in, by what it carries; None: it is."""
        if not self._token or scope["path"].removeprefix(scope.get("root_path", "")) in OPEN:
            return None
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        is_it = hmac.compare_digest(token.strip(b" "), self._token)
        if is_it and scheme.lower() == b"bearer":
            return None
        return Problem(401, "Who are you?", headers={"WWW-Authenticate": "Bearer"})

    async def check(self, request: Request, command: Command | None) -> None:
        """Ask `authorize` whether this request may issue `command`, or read where it is None.

        Raises:
            Problem: it may not.

        """
        if self._authorize is None:
            return
        try:
            allowed = self._authorize(request, command)
            if inspect.isawaitable(allowed):
                allowed = await allowed
        except Exception:
            logger.exception("authorize raised, so %s is not allowed.", _told(command))
            allowed = False
        if allowed is not True:
            raise Problem(403, "That is not allowed")


def _told(command: Command | None) -> str:
    return "reading" if command is None else type(command).__name__
