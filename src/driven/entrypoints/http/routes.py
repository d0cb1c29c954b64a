"""Routes: what an `Api` noted, checked all together when it is served (R1).

A route is a way to a command that says ``exposed=True``, and a query a way to a read model; nothing else is.
"""

from __future__ import annotations

import re
import typing
from typing import TYPE_CHECKING, Any, Final

import msgspec

from driven.domain.messages import Command
from driven.entrypoints.http.binding import Binding, Unbindable, read_binding
from driven.entrypoints.http.exposure import json_refusal
from driven.errors import RegistrationError
from driven.service.dependencies import Lifetime
from driven.service.naming import qualified_name, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from driven.entrypoints.http.api import Api, NotedRoute
    from driven.service.registry import Registry

METHODS: Final = ("POST", "PUT", "PATCH", "DELETE")
"""Methods that may stand for a command: those that change something."""

RESERVED: Final = ("/commands", "/receipts", "/health", "/metrics", "/openapi.json", "/docs")
"""Paths that are taken, with all below them."""

_PARAMETER: Final = re.compile(r"{[a-z_]\w*}")


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


def checked_routes(api: Api, registry: Registry, exposed: Collection[type[Command]]) -> tuple[Route, ...]:
    """The routes of `api`.

    Raises:
        RegistrationError: with everything that is wrong with them.

    """
    faults: list[str] = []
    routes: list[Route] = []
    taken: set[tuple[str, str]] = set()
    for noted in api.noted:
        name = f"{noted.method} {noted.path} ({qualified_name(noted.function)})"
        if fault := _fault(noted, taken):
            faults.append(f"{name} {fault}")
            continue
        taken.add(_shape(noted))
        try:
            route = Route(noted.method, noted.path, noted.function, read_binding(noted.function, noted.path))
        except Unbindable as error:
            faults.append(f"{name} {error}")
            continue
        routes.append(route)
        faults += [f"{name} {fault}" for fault in _faults_of(route, registry, exposed)]
    if faults:
        raise RegistrationError(api.application.name, faults)
    return tuple(routes)


def _shape(noted: NotedRoute) -> tuple[str, str]:
    """What of a route decides which requests it gets: not how its parameters are called."""
    return noted.method, _PARAMETER.sub("{}", noted.path)


def _fault(noted: NotedRoute, taken: set[tuple[str, str]]) -> str:
    if noted.method != "GET" and noted.method not in METHODS:
        return f"is no method for a command; use one of {', '.join(METHODS)}"
    if not noted.path.startswith("/"):
        return "does not begin with a slash; write /" + noted.path
    if any(noted.path == one or noted.path.startswith(one + "/") for one in RESERVED):
        return f"is taken by Driven, as {', '.join(RESERVED)} are; use another path"
    parameters = _PARAMETER.findall(noted.path)
    if re.search("[{}]", _PARAMETER.sub("", noted.path)) or len(set(parameters)) < len(parameters):
        return "has a parameter that is none; write {name} for each: lower case, once, its type is that of the function"
    if _shape(noted) in taken:
        return "is registered twice; drop one"
    return ""


def _faults_of(route: Route, registry: Registry, exposed: Collection[type[Command]]) -> Iterator[str]:
    binding = route.binding
    told = [(one.name, one.annotation) for one in (*binding.path, *binding.query)]
    if binding.body is not None:
        told.append((binding.body.name, binding.body.annotation))
    if route.is_query:
        told.append(("what it returns", binding.returns))
    else:
        yield from _faults_of_result(binding.returns, exposed)
    for name, annotation in told:
        if refusal := json_refusal(annotation):
            yield f"has {name}: {shown(annotation)}, which has no JSON ({refusal}); use types that JSON has"
    for one in binding.injected:
        for fault in registry.injector.faults_of(one.annotation, Lifetime.APP):
            yield f"{fault} (its parameter {one.name!r})"


def _faults_of_result(annotation: Any, exposed: Collection[type[Command]]) -> Iterator[str]:  # noqa: ANN401 - any annotation
    for kind in typing.get_args(annotation) or (annotation,):
        if not (isinstance(kind, type) and issubclass(kind, Command)):
            yield f"returns {shown(kind)}, and no command; return one, or make it a query"
        elif kind is not Command and kind not in exposed:
            yield f"returns {kind.__name__}, which is not exposed; say exposed=True where it is handled"
