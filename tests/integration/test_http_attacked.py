"""The HTTP face, asked as somebody would who means harm: what he gets, what is logged, and what is left of it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

import attacked
import shop
from driven import Application, Command, HttpSettings, RegistrationError, Settings, WorkerSettings
from driven.entrypoints.http import Api, HttpApi, Request, asgi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

PATH = "/commands/shop.PlaceOrder"
ORDER = {"order_id": "a", "amount": 2}
TOKEN = "s3cret"  # noqa: S105 - opens nothing
READ = ["/openapi.json", "/docs", "/docs/swagger-ui.css", "/metrics", "/receipts/x", "/orders/a"]


def settings(workers: int = 0, **http: Any) -> Settings:  # noqa: ANN401 - fields of HttpSettings
    """Everything inline, unless said otherwise."""
    return Settings(workers=WorkerSettings(count=workers, stop_timeout_s=0), http=HttpSettings(**http))


@asynccontextmanager
async def served(
    api: Api = shop.api,
    workers: int = 0,
    **http: Any,  # noqa: ANN401 - as above
) -> AsyncIterator[tuple[httpx.AsyncClient, HttpApi]]:
    """A client of an API whose bus is open."""
    face = asgi(api, settings(workers, **http))
    transport = httpx.ASGITransport(face)
    async with face.opened(), httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        yield client, face


async def test_without_the_token_nobody_learns_what_there_is() -> None:
    """What there is, what there is not, and what is asked in a wrong way are one and the same; health apart."""
    paths = [
        *READ,
        "/nothing",
        "/commands/",
        PATH + "/",
        "/health",
        "/health/live/",
        "//health/live",
        "/health/../docs",
    ]
    async with served(token=TOKEN) as (client, _):
        answers = [await client.request(method, path) for path in paths for method in ("GET", "DELETE", "OPTIONS")]
        health = await client.get("/health/ready")

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert health.status_code == 200


@pytest.mark.parametrize(
    ("values", "status"),
    [
        (["Bearer s3cret"], 200),
        (["bEARER s3cret"], 200),
        (["Bearer s3cret", "Bearer s3cret"], 401),
        (["Bearer wrong", "Bearer s3cret"], 401),
        (["Bearer"], 401),
        (["Bearer "], 401),
        (["s3cret"], 401),
        (["Bearer s3cret s3cret"], 401),
        (["Bearer s3cretx"], 401),
        (["Bearer S3CRET"], 401),
        (["Bearer s3cr\u00e9t"], 401),
        (["Bearer " + "s" * 100_000], 401),
        ([], 401),
    ],
)
async def test_a_token_is_itself_and_nothing_like_it(values: list[str], status: int) -> None:
    """Once, whole, and under its scheme, which may be written as one likes."""
    async with served(token=TOKEN) as (client, _):
        headers = [(b"authorization", value.encode("latin-1")) for value in values]
        answer = await client.get("/openapi.json", headers=headers)

    assert answer.status_code == status


async def test_where_authorize_decides_it_decides_about_reading_too() -> None:
    """Nothing but health is answered without its word; for what issues no command it is asked with None."""
    asked: list[tuple[str, Command | None]] = []

    def authorize(request: Request, command: Command | None) -> bool:
        asked.append((request.path, command))
        return request.headers.get("x-user") == "ann"

    api = Api(shop.app, authorize=authorize)
    api.query("/orders/{order_id}")(shop.order)
    async with served(api) as (client, _):
        others = [(await client.get(path)).status_code for path in READ]
        ann = [(await client.get(path, headers={"X-User": "ann"})).status_code for path in READ]
        health = await client.get("/health/live")

    assert others == [403] * len(READ)
    assert ann == [200, 200, 200, 200, 404, 404]
    assert asked == [(path, None) for path in READ * 2]
    assert health.status_code == 200


@pytest.mark.parametrize("word", [1, "yes", None, [True], NotImplemented])
async def test_only_true_is_a_yes(word: object) -> None:
    """A hook that answers something odd keeps everybody out."""
    async with served(Api(shop.app, authorize=lambda _request, _command: word)) as (client, face):  # type: ignore[arg-type,return-value]  # what is wrong
        answer = await client.post(PATH, json=ORDER)
        assert face.bus.statistics().admitted == 0

    assert answer.status_code == 403


async def test_an_encoded_body_is_refused_and_not_read_as_it_is() -> None:
    """415: nothing is unpacked here, so nothing small can become large."""
    async with served() as (client, _):
        packed = await client.post(PATH, json=ORDER, headers={"Content-Encoding": "gzip"})
        plain = await client.post(PATH, json=ORDER, headers={"Content-Encoding": "identity"})

    assert (packed.status_code, plain.status_code) == (415, 200)
    assert packed.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("length", ["\u00b2", "9" * 5_000, "-1", "x", "1e9", ""])
async def test_a_length_that_is_none_harms_nobody(length: str) -> None:
    """What servers let through, and events of AWS hold: 4xx, or the body counts."""
    face = asgi(shop.api, settings())
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b'{"order_id": "a"}', "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = [(b"content-type", b"application/json"), (b"content-length", length.encode("latin-1"))]
    scope = {"type": "http", "method": "POST", "path": PATH, "query_string": b"", "headers": headers}
    async with face.opened():
        await face(scope, receive, send)

    assert statuses in ([200], [413])


async def test_whoever_asks_decides_nothing_about_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A query that fails is logged with its traceback, in one line that is ours; outside nothing is told."""
    async with served(attacked.api) as (client, _):
        answer = await client.get("/failing/x%0AERROR%20the%20disk%20is%20full%1b[31m" + "y" * 5_000)

    (record,) = caplog.records
    assert (answer.status_code, "1234" in answer.text) == (500, False)
    assert "\n" not in record.getMessage()
    assert "\x1b" not in record.getMessage()
    assert len(record.getMessage()) < 300
    assert record.levelno == logging.ERROR
    assert "the password is 1234" in str(record.exc_info)


async def test_no_answer_leads_to_another_host() -> None:
    """A path that nearly is one is none: to be led on, by the Host that was sent, would lead anywhere."""
    async with served() as (client, _):
        answers = [
            await client.get(path, headers={"Host": "evil"}) for path in ("/openapi.json/", "/orders/a/", "/docs/")
        ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert not any("location" in answer.headers for answer in answers)


async def test_the_same_key_at_the_same_time_is_one_command() -> None:
    """U5: neither of two that come together is second."""
    async with served() as (client, face):
        key = {"Idempotency-Key": "k"}
        answers = await asyncio.gather(*(client.post(PATH, json=ORDER, headers=key) for _ in range(5)))
        admitted = face.bus.statistics().admitted

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["receipt"] for answer in answers}) == 1
    assert admitted == 3  # the order, its event, the packing


async def test_a_watcher_who_leaves_leaves_nothing_behind() -> None:
    """X1: the stream ends with its line, the command goes on."""
    async with served(attacked.api, workers=1) as (client, face):
        later = await client.post("/commands/attacked.Sleep", json={"for_s": 60}, headers={"Prefer": "respond-async"})
        before = asyncio.all_tasks()
        seen = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await seen.wait()
            return {"type": "http.disconnect"}

        async def send(message: Mapping[str, Any]) -> None:
            if message.get("body"):
                seen.set()

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "method": "GET",
            "path": later.headers["location"],
            "query_string": b"",
            "headers": [(b"accept", b"text/event-stream")],
        }
        async with asyncio.timeout(20):
            await face(scope, receive, send)
        left = asyncio.all_tasks() - before
        face.bus.give_up()

    assert later.status_code == 202
    assert left == set()


async def test_a_browser_that_watched_to_the_end_asks_no_more() -> None:
    """Its line ends with the last step, and it comes back with the id of that: 204 tells it not to."""
    async with served() as (client, _):
        location = (await client.post(PATH, json=ORDER)).headers["location"]
        watching = {"Accept": "text/event-stream"}
        seen = (await client.get(location, headers=watching)).text
        (last,) = [line.removeprefix("id: ") for line in seen.splitlines() if line.startswith("id: ")][-1:]
        again = await client.get(location, headers=watching | {"Last-Event-ID": last})
        earlier = await client.get(location, headers=watching | {"Last-Event-ID": "accepted"})

    assert (again.status_code, again.content) == (204, b"")
    assert (earlier.status_code, earlier.text) == (200, seen)


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("wait=2, respond-async", "wait=2"),
        ("respond-async, wait=2", "wait=2"),
        ("wait=1, wait=2", "wait=1"),
        ("WAIT=3", "wait=3"),
        ("wait=1e9", "wait=60"),
        ("wait=-1", None),
        ("wait=nan", None),
        ("wait=inf", None),
        ("wait=\u00b2", None),
        ("=;,;=" * 1_000, None),
    ],
)
async def test_what_is_preferred_is_read_as_it_is_meant_or_not_at_all(prefer: str, applied: str | None) -> None:
    """RFC 7240: no preference can be wrong; the first of several counts."""
    async with served() as (client, _):
        answer = await client.post(PATH, json=ORDER, headers=[(b"prefer", prefer.encode("latin-1"))])

    assert (answer.status_code, answer.headers.get("preference-applied")) == (200, applied)


async def test_apis_that_are_mounted_side_by_side_know_nothing_of_each_other() -> None:
    """Each document tells where its paths begin; a receipt is good where it was given."""
    one, two = asgi(shop.api, settings()), asgi(attacked.api, settings())
    outer = Starlette(routes=[Mount("/one", one), Mount("/two", two)])
    transport = httpx.ASGITransport(outer)
    async with one.opened(), two.opened(), httpx.AsyncClient(transport=transport, base_url="http://outer") as client:
        documents = [(await client.get(f"/{name}/openapi.json")).json() for name in ("one", "two")]
        location = (await client.post(f"/one{PATH}", json=ORDER)).headers["location"]
        here = await client.get(location)
        there = await client.get(location.replace("/one/", "/two/"))
        other = await client.post(f"/two{PATH}", json=ORDER)

    assert [document["servers"] for document in documents] == [[{"url": "/one"}], [{"url": "/two"}]]
    assert (here.status_code, there.status_code, other.status_code) == (200, 404, 404)


async def test_a_token_is_asked_for_where_the_api_is_mounted() -> None:
    """Health is open there, and at no other path."""
    face = asgi(shop.api, settings(token=TOKEN))
    outer = Starlette(routes=[Mount("/bus", face)])
    transport = httpx.ASGITransport(outer)
    async with face.opened(), httpx.AsyncClient(transport=transport, base_url="http://outer") as client:
        statuses = [(await client.get(f"/bus{path}")).status_code for path in ("/health/live", "/metrics", "/health")]

    assert statuses == [200, 401, 401]


async def test_what_nobody_opened_says_so() -> None:
    """Mounted, and no lifespan of it run: 503, and nothing is broken."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(asgi(shop.api, settings())), base_url="http://shop"
    ) as client:
        answers = [await client.post(PATH, json=ORDER), await client.get("/metrics"), await client.get("/health/ready")]

    assert [answer.status_code for answer in answers] == [503, 503, 503]


async def test_a_route_reaches_exposed_commands_only(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it says that it returns."""
    async with served(attacked.api) as (client, face):
        answer = await client.post("/sleeps")
        assert face.bus.statistics().admitted == 0

    assert answer.status_code == 500
    assert "no exposed command" in caplog.text


class Odd:
    """JSON has none of these."""


def coroutine() -> Callable[..., object]:
    """Nobody would await it."""

    async def query() -> int:
        return 1

    return query


def query_of(annotation: object) -> Callable[..., object]:
    """A query with one parameter from the query string."""

    def query(*, x: int) -> int:
        return x

    query.__annotations__["x"] = annotation
    return query


def returning(annotation: object) -> Callable[..., object]:
    """A function that returns something."""

    def function() -> object:
        raise AssertionError

    function.__annotations__["return"] = annotation
    return function


def asking(name: str, annotation: object) -> Callable[..., object]:
    """A function that asks for one thing."""
    namespace: dict[str, Any] = {}
    exec(f"def function({name}): ...", namespace)  # noqa: S102 - the name is one of ours
    function: Callable[..., object] = namespace["function"]
    function.__annotations__.update({name: annotation, "return": int})
    return function


@pytest.mark.parametrize(
    ("method", "path", "function", "words"),
    [
        ("GET", "/a", coroutine(), "is a coroutine function"),
        ("GET", "/a/{x:int}", asking("x", int), "has a parameter that is none"),
        ("GET", "/a/{x", asking("x", int), "has a parameter that is none"),
        ("GET", "/a/{X}", asking("X", int), "has a parameter that is none"),
        ("GET", "/a/{x}/{x}", asking("x", int), "has a parameter that is none"),
        ("GET", "/orders/{other}", asking("other", int), "is registered twice"),
        ("GET", "/a", returning(Odd), "has what it returns: Odd, which has no JSON"),
        ("GET", "/a", query_of(Odd), "has x: Odd, which has no JSON"),
        ("POST", "/a", returning(int), "returns int, and no command"),
        ("POST", "/a", returning(shop.PackOrder), "returns PackOrder, which is not exposed"),
        ("POST", "/a", returning(shop.PlaceOrder | shop.PackOrder), "returns PackOrder, which is not exposed"),
        ("GET", "/a", asking("wanted", Odd), "nothing is bound for Odd"),
    ],
)
def test_a_route_that_could_not_be_served_is_named(
    method: str, path: str, function: Callable[..., object], words: str
) -> None:
    """R1: when it is served, and not with the first request; with a remedy."""
    api = Api(shop.app)
    api.query("/orders/{order_id}")(shop.order)
    api.route(method, path)(function)

    with pytest.raises(RegistrationError) as refusal:
        asgi(api, settings())

    (fault,) = refusal.value.faults
    assert fault.startswith(f"{method} {path} (")
    assert words in fault
    assert ";" in fault


def test_a_command_that_no_path_leads_to_is_named() -> None:
    """R1: its name has a slash."""
    app = Application("shop")

    class Take(Command):
        message_name = "shop/Take"

    @app.handles(Take, exposed=True)
    def take(command: Take) -> None: ...

    with pytest.raises(RegistrationError, match="no path leads to a name with a slash"):
        asgi(app, settings())
