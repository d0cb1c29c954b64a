"""The OpenAPI 3.1 document of an API: every command, route and query, with the schemas of what goes in and out.

Schemas are made by msgspec from the message types, so that what is documented is what is checked. The events of an
answer are a union with a discriminator, the stable name of the event.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

import msgspec

from driven.entrypoints.http.answers import SettlementAnswer
from driven.entrypoints.http.binding import may_be_none
from driven.entrypoints.http.problems import MEDIA_TYPE, ProblemDetails, WrongField
from driven.entrypoints.http.terms import KEY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from driven.domain.messages import Event
    from driven.entrypoints.http.api import Api
    from driven.entrypoints.http.binding import Field
    from driven.entrypoints.http.exposure import Exposed
    from driven.entrypoints.http.routes import Route
    from driven.service.catalog import Catalog
    from driven.settings import HttpSettings

_REFERENCE: Final = "#/components/schemas/{name}"

_STATUSES: Final = {
    "400": "The request cannot be read.",
    "401": "The bearer token is missing or wrong.",
    "403": "The request may not issue this command.",
    "404": "There is nothing under this name.",
    "408": "The body took too long.",
    "409": "The Idempotency-Key was used for another command.",
    "413": "The body is too large.",
    "415": "The body is not said to be JSON.",
    "422": "A value is not what it should be, or the command was refused.",
    "429": "Too many commands are under way; try again later.",
    "500": "The command failed, or was set aside.",
    "503": "The service takes no commands now; try again later.",
}
_OF_COMMANDS: Final = ("400", "401", "403", "404", "408", "409", "413", "415", "422", "429", "500", "503")
_OF_READING: Final = ("401", "404", "422", "500", "503")

_HEADERS: Final = [
    {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The command's id, unique for ever: sent again, nothing is done twice.",
        "schema": {"type": "string", "pattern": f"^{KEY}$"},
    },
    {
        "name": "Prefer",
        "in": "header",
        "description": "`wait=5` (seconds), `wait=5; until=settled`, or `respond-async`.",
        "schema": {"type": "string"},
    },
]


_LEAST, _MOST = -(1 << 63), (1 << 64) - 1
"""What an integer of a message may be."""


class _Schemas:
    """The components of one document."""

    def __init__(self, types: Iterable[Any]) -> None:
        self._types = list(dict.fromkeys([ProblemDetails, WrongField, SettlementAnswer, *types]))
        schemas, self.components = msgspec.json.schema_components(self._types, ref_template=_REFERENCE)
        _bound(schemas)
        _bound(self.components)
        self._by_type = {id(kind): schema for kind, schema in zip(self._types, schemas, strict=True)}

    def of(self, kind: Any) -> dict[str, Any]:  # noqa: ANN401 - any type annotation
        return self._by_type[id(kind)]

    def add(self, name: str, schema: dict[str, Any]) -> dict[str, Any]:
        self.components[name] = schema
        return {"$ref": _REFERENCE.format(name=name)}


def _bound(schema: Any) -> None:  # noqa: ANN401 - any part of a schema
    """Say of every integer in a schema how large it may be."""
    if isinstance(schema, dict):
        if schema.get("type") == "integer":
            if not schema.keys() & {"minimum", "exclusiveMinimum"}:
                schema["minimum"] = _LEAST
            if not schema.keys() & {"maximum", "exclusiveMaximum"}:
                schema["maximum"] = _MOST
        for part in schema.values():
            _bound(part)
    elif isinstance(schema, list | tuple):
        for part in schema:
            _bound(part)


def document(
    api: Api, exposed: tuple[Exposed, ...], own: tuple[Route, ...], catalog: Catalog, settings: HttpSettings
) -> dict[str, Any]:
    """The document, ready to become JSON; but for where the API is mounted, which each request tells: `servers`."""
    schemas = _Schemas([kind for one in exposed for kind in _types(one)] + [kind for one in own for kind in _used(one)])
    events = {name: _event(schemas, catalog, name, kind) for one in exposed for name, kind in one.events}
    paths: dict[str, Any] = {}
    for one in exposed:
        paths[f"/commands/{one.name}"] = {"post": _command(one, schemas, events)}
    for route in own:
        paths.setdefault(route.path, {})[route.method.lower()] = _own(route, schemas)
    paths["/receipts/{receipt}"] = {"get": _receipt(schemas, events)}
    whole: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": api.title, "version": api.version},
        "paths": paths,
        "components": {"schemas": schemas.components},
    }
    if settings.token:
        whole["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        whole["security"] = [{"token": []}]
    return whole


def servers(base: str) -> dict[str, Any]:
    """Where the paths of the document begin; nothing: where they say."""
    return {"servers": [{"url": base}]} if base else {}


def _types(one: Exposed) -> list[Any]:
    return [one.command, *(kind for _, kind in one.events)]


def _used(route: Route) -> list[Any]:
    binding = route.binding
    fields = [*binding.path, *binding.query, *([binding.body] if binding.body else [])]
    return [one.annotation for one in fields] + ([binding.returns] if route.is_query else [])


def _event(schemas: _Schemas, catalog: Catalog, name: str, kind: type[Event]) -> dict[str, Any]:
    entry = catalog.entry_of(kind)
    assert entry is not None  # noqa: S101 - the catalog has all that handlers emit
    return schemas.add(
        f"{name}.told",
        {
            "type": "object",
            "title": name,
            "required": ["type", "version", "data"],
            "properties": {
                "type": {"const": name},
                "version": {"const": entry.version},
                "data": schemas.of(kind),
            },
        },
    )


def _answer(schemas: _Schemas, name: str, events: dict[str, dict[str, Any]]) -> dict[str, Any]:
    union: dict[str, Any] = {}
    if events:
        mapping = {key: reference["$ref"] for key, reference in events.items()}
        union = {"oneOf": list(events.values()), "discriminator": {"propertyName": "type", "mapping": mapping}}
    return schemas.add(
        name,
        {
            "type": "object",
            "required": ["receipt", "position", "status"],
            "properties": {
                "receipt": {"type": "string", "description": "Ask GET /receipts/{receipt} how far it is."},
                "position": {"type": "integer", "minimum": 1, "description": "Its place in the log."},
                "status": {"enum": ["accepted", "handled", "settled", "failed", "parked"]},
                "events": {"type": "array", "items": union},
                "settlement": schemas.of(SettlementAnswer),
                "reason": {"type": "string"},
            },
        },
    )


def _command(one: Exposed, schemas: _Schemas, events: dict[str, dict[str, Any]]) -> dict[str, Any]:
    answer = _answer(schemas, f"{one.name}.answer", {name: events[name] for name, _ in one.events})
    words = inspect.getdoc(one.command) or ""
    return {
        "operationId": one.name,
        "summary": words.partition("\n")[0],
        "description": words,
        "tags": ["commands"],
        "parameters": _HEADERS,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schemas.of(one.command)}}},
        "responses": _accepted(answer) | _problems(schemas, _OF_COMMANDS),
    }


def _own(route: Route, schemas: _Schemas) -> dict[str, Any]:
    words = inspect.getdoc(route.function) or ""
    binding = route.binding
    operation: dict[str, Any] = {
        "operationId": route.function.__name__,
        "summary": words.partition("\n")[0],
        "description": words,
        "tags": ["queries" if route.is_query else "routes"],
        "parameters": [
            *(_parameter(one, "path", schemas) for one in binding.path),
            *(_parameter(one, "query", schemas) for one in binding.query),
        ],
    }
    if binding.body is not None:
        content = {"application/json": {"schema": schemas.of(binding.body.annotation)}}
        operation["requestBody"] = {"required": True, "content": content}
    if not route.is_query:
        operation["parameters"] += _HEADERS
        accepted = _accepted(_answer(schemas, f"{route.function.__name__}.answer", {}))
        operation["responses"] = accepted | _problems(schemas, _OF_COMMANDS)
        return operation
    schema = schemas.of(binding.returns)
    operation["responses"] = {"200": {"description": "Found.", "content": {"application/json": {"schema": schema}}}}
    operation["responses"] |= _problems(schemas, _OF_READING)
    if not may_be_none(binding.returns) and not binding.path:
        del operation["responses"]["404"]
    return operation


def _receipt(schemas: _Schemas, events: dict[str, dict[str, Any]]) -> dict[str, Any]:
    answer = _answer(schemas, "receipt.answer", events)
    content = {"application/json": {"schema": answer}, "text/event-stream": {"schema": {"type": "string"}}}
    return {
        "operationId": "receipt",
        "summary": "How far a command is.",
        "description": "With `Accept: text/event-stream`: each step as it is reached, until it has settled.",
        "tags": ["receipts"],
        "parameters": [{"name": "receipt", "in": "path", "required": True, "schema": {"type": "string"}}],
        "responses": {"200": {"description": "How far it is.", "content": content}} | _problems(schemas, _OF_READING),
    }


def _parameter(field: Field, place: str, schemas: _Schemas) -> dict[str, Any]:
    return {
        "name": field.name,
        "in": place,
        "required": place == "path" or field.is_required,
        "schema": schemas.of(field.annotation),
    }


def _accepted(answer: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": answer}}
    location = {"Location": {"description": "Its receipt.", "schema": {"type": "string"}}}
    return {
        "200": {"description": "It is done.", "content": content, "headers": location},
        "202": {"description": "It is accepted, and will be done.", "content": content, "headers": location},
    }


def _problems(schemas: _Schemas, statuses: Iterable[str]) -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": schemas.of(ProblemDetails)}}
    return {status: {"description": _STATUSES[status], "content": content} for status in statuses}
