"""The bridge from events of API Gateway (v1, v2) and function URLs to the HTTP API, by ASGI, and back.

Nothing of HTTP is decided here: status, problems, limits and receipts are those of `driven.entrypoints.http`.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote, urlencode

from driven.entrypoints.aws_lambda.events import GatewayV1, GatewayV2, Unintelligible, as_a

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from driven.entrypoints.http import HttpApi


class _Asked(NamedTuple):
    """A request, whatever the form of its event."""

    method: str
    base: str
    """Where the API is: the stage, as clients have to name it; empty: at the root."""
    path: str
    """From there on."""
    query: str
    headers: list[tuple[str, str]]
    body: bytes
    is_v2: bool


async def answer(api: HttpApi, event: Mapping[str, Any]) -> dict[str, Any]:
    """Serve one HTTP event; the answer in the form of its version.

    Raises:
        Unintelligible: it is no such event.

    """
    asked = _asked_v2(event) if event.get("version") == "2.0" else _asked_v1(event)
    is_told = False
    sent: list[Mapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        nonlocal is_told
        if is_told:
            return {"type": "http.disconnect"}
        is_told = True
        return {"type": "http.request", "body": asked.body, "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    await api(_scope(asked), receive, send)
    return _answer(sent, is_v2=asked.is_v2)


def _asked_v2(event: Mapping[str, Any]) -> _Asked:
    told = as_a(GatewayV2, event, "the event of a gateway")
    headers = list((told.headers or {}).items())
    if told.cookies:
        headers.append(("cookie", "; ".join(told.cookies)))
    body = _body(told.body, is_encoded=told.isBase64Encoded)
    path, base = unquote(told.rawPath), f"/{told.requestContext.stage}"
    if path != base and not path.startswith(base + "/"):  # a domain of its own, or $default: the stage is not named
        base = ""
    method, query = told.requestContext.http.method, told.rawQueryString
    return _Asked(method, base, path.removeprefix(base), query, headers, body, is_v2=True)


def _asked_v1(event: Mapping[str, Any]) -> _Asked:
    told = as_a(GatewayV1, event, "the event of a gateway")
    query = _several(told.multiValueQueryStringParameters, told.queryStringParameters)
    headers = list(_several(told.multiValueHeaders, told.headers))
    body = _body(told.body, is_encoded=told.isBase64Encoded)
    whole = told.requestContext.path
    base = whole.removesuffix(told.path) if whole.endswith(told.path) else ""
    return _Asked(told.httpMethod, base, told.path, urlencode(list(query)), headers, body, is_v2=False)


def _several(
    several: Mapping[str, tuple[str, ...]] | None, single: Mapping[str, str] | None
) -> Iterable[tuple[str, str]]:
    """Names and values, those with several values once for each."""
    if several:
        return ((name, value) for name, values in several.items() for value in values)
    return (single or {}).items()


def _body(body: str | None, *, is_encoded: bool) -> bytes:
    if not is_encoded:
        return (body or "").encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body or "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unintelligible("the event of a gateway", f"its body is not Base64, though it says so ({error})") from None


def _scope(asked: _Asked) -> dict[str, Any]:
    path = asked.base + asked.path
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": asked.method.upper(),
        "scheme": "https",
        "path": path,
        "raw_path": quote(path, errors="replace").encode(),
        "query_string": asked.query.encode("utf-8", "replace"),
        "root_path": asked.base,
        "headers": [
            (name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace"))
            for name, value in asked.headers
        ],
        "client": None,
        "server": ("lambda", 443),
    }


def _answer(sent: list[Mapping[str, Any]], *, is_v2: bool) -> dict[str, Any]:
    start = next(message for message in sent if message["type"] == "http.response.start")
    body = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    headers: dict[str, list[str]] = {}
    for name, value in start["headers"]:
        headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    told: dict[str, Any] = {"statusCode": start["status"]}
    if is_v2:
        told["headers"] = {name: ", ".join(values) for name, values in headers.items()}
    else:
        told["multiValueHeaders"] = headers
    try:
        return {**told, "body": body.decode(), "isBase64Encoded": False}
    except UnicodeDecodeError:
        return {**told, "body": base64.b64encode(body).decode(), "isBase64Encoded": True}
