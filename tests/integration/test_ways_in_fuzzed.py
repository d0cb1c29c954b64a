"""Whatever comes in, by HTTP or as an event of AWS: a clean answer or a clean error, and nothing reaches the bus."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shop
from driven import DrivenError, HttpSettings, Settings, WorkerSettings
from driven.entrypoints.aws_lambda import lambda_handler
from driven.entrypoints.http import asgi

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from driven.entrypoints.aws_lambda.handler import Function

INLINE = Settings(workers=WorkerSettings(count=0), http=HttpSettings(max_body_bytes=10_000))
EXAMPLES = 200
FACE = asgi(shop.api, INLINE)

PATHS = st.sampled_from(
    ["/commands/shop.PlaceOrder", "/commands/", "/receipts/x", "/orders/a", "/metrics", "/health/ready", "/docs/x", "/"]
) | st.text(max_size=20).map(lambda text: "/" + text)
NAMES = st.sampled_from(
    [b"content-type", b"content-length", b"prefer", b"idempotency-key", b"authorization", b"traceparent", b"accept"]
)
VALUES = st.sampled_from(
    [b"application/json", b"text/event-stream", b"wait=-1", b"wait=1e999", b"respond-async", b"@x", b"-5", b"bearer"]
) | st.binary(max_size=30)
BODIES = st.binary(max_size=60) | st.sampled_from(
    [
        b"{}",
        b"null",
        b'{"order_id": 1}',
        b'{"order_id": "a", "amount": 1e400}',
        b'{"order_id": "\\ud800"}',
        b"[" * 5_000,
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """An HTTP request as an ASGI server passes it on."""
    path = draw(PATHS)
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "X"])),
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "query_string": draw(st.binary(max_size=20)),
        "root_path": "",
        "headers": draw(st.lists(st.tuples(NAMES, VALUES), max_size=5)),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }, draw(BODIES)


async def status_of(scope: dict[str, Any], body: bytes) -> int:
    """Ask once, of a bus of its own."""
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async with FACE.opened():
        await FACE(scope, receive, send)
    (status,) = statuses
    return status


@settings(max_examples=EXAMPLES)
@given(request=requests())
def test_any_request_is_answered_and_none_is_a_fault_of_ours(request: tuple[dict[str, Any], bytes]) -> None:
    """Bad input gets 4xx, whatever is in it."""
    assert asyncio.run(status_of(*request)) < 500


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["aws:sqs", "aws:s3", "2.0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
RECORD = st.fixed_dictionaries(
    {},
    optional={
        "messageId": JSON,
        "eventSource": st.sampled_from(["aws:sqs", "aws:s3"]) | JSON,
        "attributes": JSON,
        "body": st.sampled_from(['{"command": "shop.PlaceOrder", "data": {"order_id": "a"}}', "{"]) | JSON,
        "s3": st.fixed_dictionaries({}, optional={"bucket": JSON, "object": JSON}) | JSON,
    },
)
EVENTS = JSON | st.fixed_dictionaries(
    {},
    optional={
        "command": st.sampled_from(["shop.PlaceOrder", "shop.Nothing"]) | JSON,
        "data": st.just({"order_id": "a"}) | JSON,
        "id": JSON,
        "Records": st.lists(RECORD | JSON, max_size=3) | JSON,
        "requestContext": st.fixed_dictionaries({}, optional={"http": JSON, "path": JSON, "stage": JSON}) | JSON,
        "version": st.sampled_from(["1.0", "2.0"]) | JSON,
        "httpMethod": st.sampled_from(["GET", "POST"]) | JSON,
        "path": JSON,
        "rawPath": JSON,
        "rawQueryString": JSON,
        "headers": JSON,
        "multiValueHeaders": JSON,
        "multiValueQueryStringParameters": JSON,
        "body": JSON,
        "isBase64Encoded": JSON,
        "detail-type": st.sampled_from(["shop.PlaceOrder"]) | JSON,
        "detail": JSON,
    },
)


@pytest.fixture(scope="module")
def handler() -> Iterator[Function]:
    """One function with one bus for all events."""
    function = lambda_handler(shop.app, INLINE, api=shop.api, keeps_bus=True)
    yield function
    function.close()


@settings(max_examples=EXAMPLES)
@given(event=EVENTS)
def test_any_event_is_answered_or_refused_with_an_error_of_ours(handler: Function, event: Any) -> None:  # noqa: ANN401 - any JSON
    """What is answered is JSON; what is refused says what it is that cannot be used."""
    try:
        answer = handler(event, None)
    except DrivenError:
        return
    json.dumps(answer)
    assert not isinstance(answer, dict) or answer.get("statusCode", 0) < 500
