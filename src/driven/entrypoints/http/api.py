"""The API of an application: which commands HTTP reaches, and the routes and queries that are its own.

Like an `Application` it only notes what it is told and starts nothing; all of it is checked together when it is
served.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from driven.service.naming import qualified_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from driven.domain.messages import Command
    from driven.entrypoints.http.binding import Request
    from driven.service.application import Application

F = TypeVar("F", bound="Callable[..., Any]")


class NotedRoute(msgspec.Struct, frozen=True):
    """One use of `Api.route` or `Api.query`."""

    method: str
    path: str
    function: Any


class Api:
    """The HTTP face of `application`: its exposed commands, and routes of its own."""

    def __init__(
        self,
        application: Application,
        *,
        title: str = "",
        version: str = "0",
        authorize: Callable[[Request, Command | None], bool | Awaitable[bool]] | None = None,
        refusals: Sequence[type[Exception]] = (),
    ) -> None:
        """Wire nothing yet.

        Args:
            application: whose commands are reached; those that say ``exposed=True``, and no others.
            title: how its OpenAPI document is called; empty: as the application.
            version: the version of that document.
            authorize: whether this request may issue this command; or read, where it issues none: queries, receipts,
                metrics and the documents of the API. Asked before the bus is, on its thread, for all but health. Only
                True is a yes.
            refusals: errors with which handlers refuse a command on purpose: their text is shown to whoever sent it,
                with status 422. The text of all others stays inside, and the answer is 500.

        """
        self.application: Final = application
        self.title: Final = title or application.name
        self.version: Final = version
        self.authorize: Final = authorize
        self.refusals: Final = frozenset(qualified_name(error) for error in refusals)
        self.noted: Final[list[NotedRoute]] = []

    def route(self, method: str, path: str) -> Callable[[F], F]:
        """Register a function that makes a command of a request: ``(...) -> Command``."""
        return self._noting(method.upper(), path)

    def query(self, path: str) -> Callable[[F], F]:
        """Register a function that answers ``GET path`` from read models: ``(...) -> anything that JSON can hold``.

        None is answered with 404. It runs on the bus's thread, between commands: let it look something up, not compute.
        """
        return self._noting("GET", path)

    def _noting(self, method: str, path: str) -> Callable[[F], F]:
        def note(function: F) -> F:
            self.noted.append(NotedRoute(method, path, function))
            return function

        return note
