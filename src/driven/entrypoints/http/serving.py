"""The ASGI application: one API, its bus, and every path that leads to it.

::

    POST /commands/{name}      GET /receipts/{receipt}      GET /health/live, /health/ready      GET /metrics
    the API's own routes       (also as server-sent events) GET /openapi.json, /docs

`asgi` makes it. It opens the bus when the server says that the application starts (ASGI lifespan), or `HttpApi.opened`
does inside an application that mounts it; everything runs on the event loop of the bus.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final

import starlette.requests
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as StarletteRoute

from driven.bootstrap import open_bus
from driven.configuration import load_settings
from driven.entrypoints.http.answers import encode
from driven.entrypoints.http.api import Api
from driven.entrypoints.http.binding import decoded, headers_of, seen
from driven.entrypoints.http.bodies import body_of
from driven.entrypoints.http.desk import Desk
from driven.entrypoints.http.doors import Doors
from driven.entrypoints.http.exposure import exposed_commands
from driven.entrypoints.http.health import readiness
from driven.entrypoints.http.metrics import exposition
from driven.entrypoints.http.openapi import document, servers
from driven.entrypoints.http.page import page, static
from driven.entrypoints.http.problems import Problem
from driven.entrypoints.http.routes import Route, checked_routes
from driven.entrypoints.http.terms import terms_of
from driven.entrypoints.http.tickets import Tickets
from driven.entrypoints.http.watching import LAST_STEP, watch
from driven.errors import DrivenError
from driven.service.application import Application
from driven.service.registry import build_registry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.types import Receive, Scope, Send

    from driven.bus.message_bus import MessageBus
    from driven.settings import Settings

    Endpoint = Callable[[starlette.requests.Request], Awaitable[Response]]

logger = logging.getLogger("driven.http")

_COMMANDS: Final = "/commands/"

_SHOWN: Final = 200
"""Characters of a path that are told."""


def asgi(api: Api | Application, settings: Settings | None = None) -> HttpApi:
    """An ASGI application that serves `api`, for any ASGI server.

    Raises:
        RegistrationError: the application, or a route of the API, is faulty; every fault is listed.
        SettingsError: the configuration is.

    """
    return HttpApi(Api(api) if isinstance(api, Application) else api, settings or load_settings())


class HttpApi:
    """One served API; the bus is open between start and end of its lifespan, or of `opened`."""

    def __init__(self, api: Api, settings: Settings) -> None:
        """Check everything that can be checked without a bus."""
        registry = build_registry(api.application)
        self.api: Final = api
        self.settings: Final = settings
        self._http: Final = settings.http
        self._exposed: Final = exposed_commands(registry)
        self._commands: Final = frozenset(one.command for one in self._exposed.values())
        self._tickets: Final = Tickets(settings.http.receipt_secret)
        self._doors: Final = Doors(settings.http.token, api.authorize)
        self._desk: Final = Desk(api, registry.catalog, settings.http, self._tickets, self._doors)
        self._answer: Final = _answering(self._command)
        self._bus: MessageBus | None = None
        own = checked_routes(api, registry, self._commands)
        registry.injector.close()
        self._document: Final = document(api, tuple(self._exposed.values()), own, registry.catalog, settings.http)
        self._starlette: Final = Starlette(
            routes=self._routes(own),
            lifespan=self._lifespan,
            exception_handlers={HTTPException: _told_by_starlette},
        )
        self._starlette.router.redirect_slashes = False  # it would lead to whatever host a request names

    @property
    def takes_commands(self) -> bool:
        """Whether any command is exposed."""
        return bool(self._exposed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and (refusal := self._doors.refusal(scope)):
            await refusal.response()(scope, receive, send)
            return
        if scope["type"] == "http" and scope["method"] == "POST":
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            if path.startswith(_COMMANDS):  # the way of nearly all: no table of routes is searched for it
                scope["path_params"] = {"name": path.removeprefix(_COMMANDS)}
                response = await self._answer(starlette.requests.Request(scope, receive))
                await response(scope, receive, send)
                return
        await self._starlette(scope, receive, send)

    @contextlib.asynccontextmanager
    async def opened(self, bus: MessageBus | None = None) -> AsyncIterator[MessageBus]:
        """Have a bus to serve while the block lasts: `bus`, which is somebody else's to close, or one of its own."""
        async with contextlib.AsyncExitStack() as stack:
            if bus is None:
                bus = await stack.enter_async_context(open_bus(self.api.application, self.settings))
            self._bus = bus
            try:
                yield bus
            finally:
                self._bus = None

    async def settled(self) -> None:
        """Wait until every command that came in here has settled."""
        await self._desk.settled()

    @property
    def bus(self) -> MessageBus:
        """The bus that is served.

        Raises:
            Problem: it is not open.

        """
        if self._bus is None:
            raise Problem(503, "The service is not up", "Send it again later.", headers={"Retry-After": "1"})
        return self._bus

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        if self._bus is not None:  # opened by whoever serves it
            yield
            return
        async with self.opened():
            yield

    def _routes(self, own: tuple[Route, ...]) -> list[StarletteRoute]:
        reading = [
            ("/receipts/{receipt}", self._receipt),
            ("/metrics", self._metrics),
            ("/openapi.json", self._openapi),
            *((one.path, self._query(one)) for one in own if one.is_query),
        ]
        if self._http.docs:
            reading += [("/docs", self._docs), ("/docs/{file}", self._static)]
        endpoints = [
            ("POST", _COMMANDS + "{name}", self._command),  # here for what is no POST
            *(("GET", path, self._reading(endpoint)) for path, endpoint in reading),
            *((one.method, one.path, self._own(one)) for one in own if not one.is_query),
            ("GET", "/health/live", self._live),
            ("GET", "/health/ready", self._ready),
        ]
        return [StarletteRoute(path, _answering(endpoint), methods=[method]) for method, path, endpoint in endpoints]

    def _reading(self, endpoint: Endpoint) -> Endpoint:
        """`endpoint`, which issues no command, for whoever may read."""

        async def reading(request: starlette.requests.Request) -> Response:
            await self._doors.check(seen(request.scope, headers_of(request.scope)), None)
            return await endpoint(request)

        return reading if self.api.authorize is not None else endpoint

    async def _command(self, request: starlette.requests.Request) -> Response:
        exposed = self._exposed.get(request.path_params["name"])
        if exposed is None:
            raise Problem(404, "There is no such command")
        headers = headers_of(request.scope)
        body = await body_of(request.receive, headers, self._http, must_be_json=True)
        command = decoded(body, exposed.command)
        terms = terms_of(headers, self._http)
        return await self._desk.take(self.bus, command, seen(request.scope, headers, body), terms, _base(request))

    def _own(self, route: Route) -> Endpoint:
        async def endpoint(request: starlette.requests.Request) -> Response:
            headers = headers_of(request.scope)
            body = await body_of(request.receive, headers, self._http, must_be_json=route.binding.body is not None)
            asked = seen(request.scope, headers, body)
            result = route.function(**route.binding.arguments(asked, self.bus.resolve))
            if type(result) not in self._commands:
                raise TypeError(f"{route.method} {route.path} returned a {type(result).__name__}: no exposed command")
            return await self._desk.take(self.bus, result, asked, terms_of(headers, self._http), _base(request))

        return endpoint

    def _query(self, route: Route) -> Endpoint:
        async def endpoint(request: starlette.requests.Request) -> Response:
            asked = seen(request.scope, headers_of(request.scope))
            result = route.function(**route.binding.arguments(asked, self.bus.resolve))
            if result is None:
                raise Problem(404, "There is nothing here")
            return Response(encode(result), media_type="application/json")

        return endpoint

    async def _receipt(self, request: starlette.requests.Request) -> Response:
        ticket = request.path_params["receipt"]
        command_id = self._tickets.command_id(ticket)
        receipt = None if command_id is None else self.bus.receipt(command_id)
        if receipt is None:
            raise Problem(404, "There is no such receipt", "Send the command again with its Idempotency-Key.")
        if "text/event-stream" in request.headers.get("accept", ""):
            if request.headers.get("last-event-id") == LAST_STEP:
                return Response(status_code=204)  # a browser that watched to the end asks no more
            return watch(receipt, ticket, self._desk.telling)
        answer = await self._desk.telling.answer(receipt, ticket)
        return Response(encode(answer), media_type="application/json")

    async def _live(self, _request: starlette.requests.Request) -> Response:
        return JSONResponse({"status": "live"})

    async def _ready(self, _request: starlette.requests.Request) -> Response:
        if reason := readiness(self._bus, self._http):
            raise Problem(503, "Not ready", reason)
        return JSONResponse({"status": "ready"})

    async def _metrics(self, _request: starlette.requests.Request) -> Response:
        body, media_type = exposition(self.bus.statistics(), self._desk.open_roots)
        return Response(body, headers={"Content-Type": media_type})

    async def _openapi(self, request: starlette.requests.Request) -> Response:
        return Response(encode(self._document | servers(_base(request))), media_type="application/json")

    async def _docs(self, _request: starlette.requests.Request) -> Response:
        return page(self.api.title)

    async def _static(self, request: starlette.requests.Request) -> Response:
        return static(request.path_params["file"])


def _answering(endpoint: Endpoint) -> Endpoint:
    """`endpoint`, whose problems are answers; what else it raises is said in the log, and not outside."""

    async def answering(request: starlette.requests.Request) -> Response:
        try:
            return await endpoint(request)
        except Problem as problem:
            return problem.response()
        except DrivenError as error:
            logger.error("%a %a cannot be answered: %s", request.method, _path(request), error)  # noqa: TRY400 - ours
        except Exception:
            logger.exception("%a %a cannot be answered.", request.method, _path(request))
        return Problem(500, "Something went wrong", "Those who run the service know.").response()

    return answering


def _path(request: starlette.requests.Request) -> str:
    """For the log: whoever asks decides neither where a line ends nor how much of it there is."""
    return str(request.scope["path"])[:_SHOWN]


async def _told_by_starlette(_request: starlette.requests.Request, error: Exception) -> Response:
    """A path or a method that there is not."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for these
    return Problem(error.status_code, str(error.detail), headers=error.headers).response()


def _base(request: starlette.requests.Request) -> str:
    """Where the API is mounted; empty: at the root."""
    return str(request.scope.get("root_path", ""))
