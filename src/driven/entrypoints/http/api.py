"""The API of an application: which commands HTTP reaches, and the routes and queries that are its own.

Like an `Application` it only notes what it is told and starts nothing; all of it is checked together when it is
served.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from driven.entrypoints.http.binding import Binding, Unbindable, read_binding
from driven.errors import RegistrationError
from driven.service.naming import qualified_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from driven.domain.messages import Command
    from driven.entrypoints.http.binding import Request
    from driven.service.application import Application

F = TypeVar("F", bound="Callable[..., Any]")

METHODS: Final = ("POST", "PUT", "PATCH", "DELETE")
"""Methods that may stand for a command: those that change something."""

RESERVED: Final = ("/commands", "/receipts", "/health", "/metrics", "/openapi.json", "/docs")
"""Paths that are taken, with all below them."""


class NotedRoute(msgspec.Struct, frozen=True):
    """One use of `Api.route` or `Api.query`."""

    method: str
    path: str
    function: Any


class Route(msgspec.Struct, frozen=True):
    """A route that was checked."""

    method: str
    path: str
    function: Any
    binding: Binding

    @property
    def is_query(self) -> bool:
        """Whether it reads, and issues no command."""
        return self.method == "GET"


class Api:
    """The HTTP face of `application`: its exposed commands, and routes of its own."""

    def __init__(
        self,
        application: Application,
        *,
        title: str = "",
        version: str = "0",
        authorize: Callable[[Request, Command], bool | Awaitable[bool]] | None = None,
        refusals: Sequence[type[Exception]] = (),
    ) -> None:
        """Wire nothing yet.

        Args:
            application: whose commands are reached; those that say ``exposed=True``, and no others.
            title: how its OpenAPI document is called; empty: as the application.
            version: the version of that document.
            authorize: whether this request may issue this command; asked before the bus is. An exception is a no.
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

    def routes(self) -> tuple[Route, ...]:
        """The routes, checked.

        Raises:
            RegistrationError: with everything that is wrong with them.

        """
        faults: list[str] = []
        routes: list[Route] = []
        taken: set[tuple[str, str]] = set()
        for noted in self.noted:
            name = f"{noted.method} {noted.path} ({qualified_name(noted.function)})"
            if fault := _fault(noted, taken):
                faults.append(f"{name} {fault}")
                continue
            taken.add((noted.method, noted.path))
            try:
                binding = read_binding(noted.function, noted.path)
            except Unbindable as error:
                faults.append(f"{name} {error}")
            else:
                routes.append(Route(noted.method, noted.path, noted.function, binding))
        if faults:
            raise RegistrationError(self.application.name, faults)
        return tuple(routes)

    def _noting(self, method: str, path: str) -> Callable[[F], F]:
        def note(function: F) -> F:
            self.noted.append(NotedRoute(method, path, function))
            return function

        return note


def _fault(noted: NotedRoute, taken: set[tuple[str, str]]) -> str:
    if noted.method != "GET" and noted.method not in METHODS:
        return f"is no method for a command; use one of {', '.join(METHODS)}"
    if not noted.path.startswith("/"):
        return "does not begin with a slash; write /" + noted.path
    if any(noted.path == one or noted.path.startswith(one + "/") for one in RESERVED):
        return f"is taken by Driven, as {', '.join(RESERVED)} are; use another path"
    if (noted.method, noted.path) in taken:
        return "is registered twice; drop one"
    return ""
