"""Reach: who can get as far as the socket, and whether anything keeps out those who do not belong.

A service of this machine alone needs no token: nobody else reaches it. But a browser on this machine does, and a page
of anywhere can lead it here, by a name of its own that it lets point to 127.0.0.1. Such requests carry that name.
"""

from __future__ import annotations

import ipaddress
import logging
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from driven.entrypoints.http.problems import Problem
from driven.errors import SettingsError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from driven.entrypoints.http.serving import HttpApi

logger = logging.getLogger("driven.http")


def check_reach(api: HttpApi, source: str) -> None:
    """Refuse to be reached by anybody.

    Raises:
        SettingsError: the address is not this machine's own, and nothing keeps anybody out.

    """
    host = api.settings.http.host
    if is_guarded(api) or _is_own(host):
        return
    fault = (
        f"[http] host = {host!r} can be reached from other machines, and nothing keeps anybody out; set "
        f"DRIVEN_HTTP_TOKEN, give Api(authorize=...), or say [http] allow_anonymous = true"
    )
    raise SettingsError(source, [fault])


def is_guarded(api: HttpApi) -> bool:
    """Whether something keeps others out, or was said not to be wanted."""
    http = api.settings.http
    return bool(http.token) or http.allow_anonymous or api.api.authorize is not None


class OnlyFromHere:
    """`app`, for requests that were sent to this machine by its own name; as long-lived as the server."""

    def __init__(self, app: ASGIApp) -> None:
        """`app` is what nothing else guards."""
        self._app: Final = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        for name, value in scope.get("headers", ()):
            if name in {b"host", b"origin"} and not _names_this_machine(value.decode("latin-1"), name == b"origin"):
                logger.warning(
                    "A request by the %s %a was refused; where others may ask, say so: set DRIVEN_HTTP_TOKEN, give "
                    "Api(authorize=...), or say [http] allow_anonymous = true",
                    name.decode(),
                    value[:_SHOWN],
                )
                problem = Problem(403, "That is not allowed", "Ask for it as localhost or 127.0.0.1.")
                await problem.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)


_SHOWN: Final = 80
"""Bytes of a name that are told."""


def _names_this_machine(text: str, is_origin: bool) -> bool:  # noqa: FBT001 - which of the two headers it is
    try:
        host = urlsplit(text if is_origin else f"//{text}").hostname
    except ValueError:
        return False
    return host is not None and _is_own(host)


def _is_own(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
