"""The bridge from events of API Gateway (v1, v2) and function URLs to the HTTP API, by ASGI, and back.

Nothing of HTTP is decided here: status, problems, limits and receipts are those of `driven.entrypoints.http`.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driven.entrypoints.http import HttpApi


async def answer(api: HttpApi, event: Mapping[str, Any]) -> dict[str, Any]:
    """Serve one HTTP event; the answer in the form of its version."""
    body = _body(event)
    is_told = False
    sent: list[Mapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        nonlocal is_told
        if is_told:
            return {"type": "http.disconnect"}
        is_told = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    await api(_scope(event), receive, send)
    return _answer(sent, is_v2=event.get("version") == "2.0")


def _body(event: Mapping[str, Any]) -> bytes:
    body = event.get("body") or ""
    return base64.b64decode(body) if event.get("isBase64Encoded") else str(body).encode()


def _scope(event: Mapping[str, Any]) -> dict[str, Any]:
    if event.get("version") == "2.0":
        http = event["requestContext"]["http"]
        method, path, query = http["method"], event.get("rawPath", "/"), event.get("rawQueryString", "")
        headers = [(name, value) for name, value in (event.get("headers") or {}).items()]
        source = http.get("sourceIp", "")
    else:
        method, path = event["httpMethod"], event.get("path", "/")
        several = event.get("multiValueQueryStringParameters") or {}
        query = urlencode([(name, value) for name, values in several.items() for value in values])
        listed = event.get("multiValueHeaders") or {
            name: [value] for name, value in (event.get("headers") or {}).items()
        }
        headers = [(name, value) for name, values in listed.items() for value in values]
        source = event.get("requestContext", {}).get("identity", {}).get("sourceIp", "")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": quote(path).encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            (name.lower().encode("latin-1"), str(value).encode("latin-1", "replace")) for name, value in headers
        ],
        "client": (source, 0),
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
