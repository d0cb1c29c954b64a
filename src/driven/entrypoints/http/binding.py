"""Binding: what a function of a route asks for, read once from its signature, and how a request fills it.

::

    @api.query("/surveys/{survey_id}")
    def survey(survey_id: str, table: SurveyTable, *, page: int = 1) -> SurveyRow | None: ...
                 |               |                   `- after the star: from the query string
                 |               `- any other type: injected, in scope APP
                 `- named in the path

A parameter named ``body`` is the JSON of the request as what it is annotated with; one annotated with `Request` is the
request itself.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import msgspec

from driven.entrypoints.http.problems import Problem, WrongField, wrong_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Scope

_IN_PATH: Final = re.compile(r"{([a-z_]\w*)}")


class Request(msgspec.Struct, frozen=True):
    """A request as routes and `authorize` see it; header names are lower case."""

    method: str
    path: str
    path_parameters: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers of a request by their names; of one that stands there several times, the first."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}


def seen(scope: Scope, headers: Mapping[str, str], body: bytes = b"") -> Request:
    """A request as routes and `authorize` see it.

    Raises:
        Problem: its query string cannot be read.

    """
    query: dict[str, str] = {}
    if text := scope["query_string"]:
        try:
            query = dict(parse_qsl(text.decode("latin-1"), keep_blank_values=True, errors="strict"))
        except ValueError:
            raise Problem(400, "The query string cannot be read", "Send it as UTF-8.") from None
    return Request(scope["method"], scope["path"], scope["path_params"], query, headers, body)


class Field(msgspec.Struct, frozen=True):
    """One parameter that a request fills."""

    name: str
    annotation: Any
    default: Any = inspect.Parameter.empty

    @property
    def is_required(self) -> bool:
        """Whether a request must have it."""
        return self.default is inspect.Parameter.empty


class Unbindable(Exception):
    """A function that no request can be bound to; the text names what and the remedy."""


class Binding(msgspec.Struct, frozen=True):
    """What a function is given."""

    path: tuple[Field, ...]
    query: tuple[Field, ...]
    body: Field | None
    request: str | None
    """The name of the parameter that takes the request itself."""
    injected: tuple[Field, ...]
    returns: Any

    def arguments(self, request: Request, resolve: Callable[[Any], Any]) -> dict[str, Any]:
        """The arguments for one request; `resolve` gives injected objects.

        Raises:
            Problem: the request does not have them, or not as they should be.

        """
        given = {one.name: _converted(request.path_parameters[one.name], one, "path") for one in self.path}
        for one in self.query:
            if one.name in request.query:
                given[one.name] = _converted(request.query[one.name], one, "query")
            elif one.is_required:
                missing = WrongField(f"query.{one.name}", "is missing")
                raise Problem(422, "A value is missing", f"Add ?{one.name}= to the path.", errors=(missing,))
        if self.body is not None:
            given[self.body.name] = decoded(request.body, self.body.annotation)
        if self.request is not None:
            given[self.request] = request
        given.update((one.name, resolve(one.annotation)) for one in self.injected)
        return given


def decoded(body: bytes, wanted: Any) -> Any:  # noqa: ANN401 - whatever is wanted
    """The JSON of a request as what is wanted.

    Raises:
        Problem: it is no JSON, or something else.

    """
    try:
        try:
            return msgspec.json.decode(body, type=wanted)
        except msgspec.ValidationError as error:
            if "got `float`" not in str(error):
                raise
            return msgspec.convert(_integers(msgspec.json.decode(body)), wanted, str_keys=True)
    except msgspec.ValidationError as error:
        raise wrong_value(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "The body is no JSON", str(error)) from None


def _integers(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """`value` with ``2.0`` as ``2``: to JSON Schema, and to the clients made from ours, they are the same number."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, list):
        return [_integers(one) for one in value]
    return {key: _integers(one) for key, one in value.items()} if isinstance(value, dict) else value


def read_binding(function: Callable[..., Any], path: str) -> Binding:
    """Read what `function` asks for.

    Raises:
        Unbindable: it cannot be called with what a request has.

    """
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception as error:
        raise Unbindable(f"has an annotation that cannot be read ({error}); import what it names") from error
    if inspect.iscoroutinefunction(function):
        raise Unbindable("is a coroutine function, but runs on the bus's thread between commands; make it a plain one")
    if "return" not in hints:
        raise Unbindable("has no return annotation; annotate what it returns")
    fields: dict[str, list[Field]] = {"path": [], "query": [], "body": [], "request": [], "injected": []}
    in_path = set(_IN_PATH.findall(path))
    for parameter in inspect.signature(function).parameters.values():
        fields[_source(parameter, in_path, hints)].append(_field(parameter, hints))
    if missing := in_path - {one.name for one in fields["path"]}:
        raise Unbindable(
            f"does not take {', '.join(sorted(missing))} of its path {path}; add parameters of these names"
        )
    return Binding(
        path=tuple(fields["path"]),
        query=tuple(fields["query"]),
        body=next(iter(fields["body"]), None),
        request=next((one.name for one in fields["request"]), None),
        injected=tuple(fields["injected"]),
        returns=hints["return"],
    )


def _source(parameter: inspect.Parameter, in_path: set[str], hints: Mapping[str, Any]) -> str:
    if parameter.name not in hints:
        raise Unbindable(f"has no annotation for {parameter.name!r}; annotate it")
    if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY}:
        raise Unbindable(f"takes {parameter}, which has no name in a request; give each parameter a name")
    if parameter.name in in_path:
        return "path"
    if parameter.kind is parameter.KEYWORD_ONLY:
        return "query"
    if hints[parameter.name] is Request:
        return "request"
    return "body" if parameter.name == "body" else "injected"


def _field(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Field:
    return Field(parameter.name, hints[parameter.name], parameter.default)


def _converted(text: str, field: Field, place: str) -> Any:  # noqa: ANN401 - whatever is wanted
    try:
        return msgspec.convert(text, field.annotation, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise wrong_value(error, f"{place}.{field.name}") from None


def may_be_none(annotation: Any) -> bool:  # noqa: ANN401 - any type annotation
    """Whether None is among what it allows."""
    is_union = typing.get_origin(annotation) in {typing.Union, types.UnionType}
    return annotation is type(None) or (is_union and type(None) in typing.get_args(annotation))
