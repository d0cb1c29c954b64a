"""The HTTP face, asked as a client would: what is answered, and what never is."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.routing import Mount

import shop
from driven import (
    Application,
    BusSettings,
    Command,
    HttpSettings,
    RegistrationError,
    Settings,
    WorkerSettings,
    open_bus,
)
from driven.adapters.stores.memory import MemoryStore
from driven.entrypoints.http import Api, HttpApi, Request, asgi
from driven.entrypoints.http.reach import check_reach
from driven.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

PATH = "/commands/shop.PlaceOrder"
PROBLEM = "application/problem+json"
ORDER = {"order_id": "a", "amount": 2}
TOKEN = "s3cret"  # noqa: S105 - opens nothing


def settings(**http: Any) -> Settings:  # noqa: ANN401 - fields of HttpSettings
    """Everything inline."""
    return Settings(workers=WorkerSettings(count=0), http=HttpSettings(**http))


@asynccontextmanager
async def served(api: Api = shop.api, **http: Any) -> AsyncIterator[tuple[httpx.AsyncClient, HttpApi]]:  # noqa: ANN401 - as above
    """A client of an API whose bus is open."""
    face = asgi(api, settings(**http))
    transport = httpx.ASGITransport(face)
    async with face.opened(), httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        yield client, face


@pytest.fixture(autouse=True)
def _nobody_holds() -> Iterator[None]:
    shop.go_on.clear()
    yield
    shop.go_on.set()


async def test_a_command_is_answered_with_its_events() -> None:
    """200 when handled in time; the receipt tells the same, and that it has settled."""
    async with served() as (client, _):
        answer = await client.post(PATH, json=ORDER, headers={"Prefer": "wait=5; until=settled"})
        again = await client.get(answer.headers["location"])

    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=5; until=settled"
    assert answer.json() == again.json()
    assert answer.json() | {"receipt": ""} == {
        "receipt": "",
        "position": 1,
        "status": "settled",
        "events": [{"type": "shop.OrderPlaced", "version": 1, "data": ORDER}],
        "settlement": {"messages": 3, "failed": 0, "parked": 0},
    }


async def test_a_command_that_takes_longer_is_answered_with_a_receipt() -> None:
    """X1: 202 and where to look; giving up waiting cancels nothing."""
    async with served() as (client, face):
        held = asyncio.get_running_loop().run_in_executor(None, shop.go_on.wait, 20)
        later = await client.post("/commands/shop.Hold", json={}, headers={"Prefer": "respond-async"})
        before = later.json()
        shop.go_on.set()
        await held
        await face.settled()
        after = (await client.get(later.headers["location"])).json()

    assert (later.status_code, later.headers["preference-applied"]) == (202, "respond-async")
    assert (before["status"], after["status"]) == ("accepted", "settled")


async def test_a_receipt_can_be_watched_until_it_has_settled() -> None:
    """Server-sent events, each once."""
    async with served() as (client, _):
        answer = await client.post(PATH, json=ORDER, headers={"Prefer": "respond-async"})
        seen = await client.get(answer.headers["location"], headers={"Accept": "text/event-stream"})

    steps = [line.removeprefix("event: ") for line in seen.text.splitlines() if line.startswith("event: ")]
    assert steps[-1] == "settled"
    assert len(steps) == len(set(steps))
    last = json.loads(seen.text.strip().splitlines()[-1].removeprefix("data: "))
    assert last["settlement"]["messages"] == 3


async def test_an_idempotency_key_is_for_one_command_for_ever() -> None:
    """U5: sent again, it is done once; another command under it is refused."""
    async with served() as (client, face):
        key = {"Idempotency-Key": "order-1"}
        first = await client.post(PATH, json=ORDER, headers=key)
        again = await client.post(PATH, json=ORDER, headers={"Idempotency-Key": '"order-1"'})
        other = await client.post(PATH, json=ORDER | {"amount": 3}, headers=key)
        admitted = face.bus.statistics().commands

    assert first.json()["position"] == again.json()["position"] == 1
    assert (other.status_code, other.headers["content-type"]) == (409, PROBLEM)
    assert {one.name: one.admitted for one in admitted}["shop.PlaceOrder"] == 1


WRONG = {
    "no JSON": (b"{", 400, ""),
    "no UTF-8": (b'{"order_id": "\xff"}', 400, ""),
    "another type": (b'{"order_id": "a", "amount": "two"}', 422, "$.amount"),
    "a field too few": (b"{}", 422, "$"),
    "no object": (b"[]", 422, "$"),
    "a number that nothing can hold": (b'{"order_id": "a", "amount": 99999999999999999999999}', 422, "$.amount"),
    "a number that no message can hold": (b'{"order_id": "a", "amount": 1e300}', 422, "$.amount"),
    "nothing": (b"", 400, ""),
    "too deep": (b'{"order_id": "a", "more": ' + b"[" * 100_000, 400, ""),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_body_is_told_what_is_wrong_and_where(case: str) -> None:
    """Bad input gets an error that names the culprit, and nothing else is harmed."""
    body, status, path = WRONG[case]
    async with served() as (client, face):
        answer = await client.post(PATH, content=body, headers={"Content-Type": "application/json"})
        assert face.bus.statistics().admitted == 0

    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    assert answer.json()["status"] == status
    if path:
        assert answer.json()["errors"][0]["path"] == path


async def test_a_whole_number_may_be_written_with_a_point() -> None:
    """JSON Schema has one number where Python has two; a fraction is none of the one kind."""
    async with served() as (client, _):
        whole = await client.post(PATH, json=ORDER | {"amount": 2.0})
        fraction = await client.post(PATH, json=ORDER | {"amount": 2.5})

    assert (whole.status_code, whole.json()["events"][0]["data"]["amount"]) == (200, 2)
    assert (fraction.status_code, fraction.json()["errors"][0]["path"]) == (422, "$.amount")


async def test_what_a_handler_says_on_purpose_is_told_and_nothing_else() -> None:
    """F1: a refusal is for its sender; any other failure stays inside, its receipt apart."""
    async with served() as (client, _):
        refused = await client.post(PATH, json=ORDER | {"amount": 11})
        failed = await client.post(PATH, json=ORDER | {"amount": -1})
        looked_up = await client.get(f"/receipts/{failed.json()['receipt']}")

    assert (refused.status_code, refused.json()["detail"]) == (422, "only 10 are left")
    assert (failed.status_code, looked_up.json()["status"]) == (500, "failed")
    for answer in (failed, looked_up):
        assert "1234" not in answer.text
        assert "Traceback" not in answer.text


@pytest.mark.parametrize("prefer", ["wait=5", "respond-async"])
async def test_who_runs_the_service_is_told_once_what_failed(prefer: str, caplog: pytest.LogCaptureFixture) -> None:
    """F1: the sender is told to ask those who run it, so they know; a refusal is the sender's own matter."""
    async with served() as (client, face):
        await client.post(PATH, json=ORDER | {"amount": 11}, headers={"Prefer": prefer})
        await client.post(PATH, json=ORDER | {"amount": -1}, headers={"Prefer": prefer})
        await face.settled()

    (said,) = [record for record in caplog.records if record.name == "driven.http"]
    assert said.levelname == "WARNING"
    assert said.getMessage() == (
        "shop.PlaceOrder at position 2 failed: RuntimeError('the password is 1234'); "
        "`driven log --from 2 --to 2 --json` has its traceback."
    )


@pytest.mark.parametrize("name", ["shop.PackOrder", "shop.Nothing", "PlaceOrder", "shop.OrderPlaced", "%00", "../x"])
async def test_what_is_not_exposed_does_not_exist(name: str) -> None:
    """The answer to a hidden command is that to one which there never was."""
    async with served() as (client, face):
        answer = await client.post(f"/commands/{name}", json={"order_id": "a"})
        nothing = await client.post("/commands/none", json={"order_id": "a"})
        assert face.bus.statistics().admitted == 0

    assert answer.status_code == nothing.status_code == 404
    if "/" not in name:
        assert answer.json() == nothing.json()


async def test_receipts_cannot_be_guessed() -> None:
    """Knowing a command's id is not enough to read what came of it."""
    async with served() as (client, _):
        answer = await client.post(PATH, json=ORDER, headers={"Idempotency-Key": "a"})
        name, _, mac = answer.json()["receipt"].partition(".")
        wrong = [name, f"{name}.", f"{name}.{'A' * len(mac)}", f"YQ.{mac[::-1]}", "a", "1", "@1", "é.ü", "." * 50]
        statuses = [(await client.get(f"/receipts/{one}")).status_code for one in wrong]

    assert statuses == [404] * len(wrong)


async def test_a_body_that_is_too_large_is_not_read() -> None:
    """413: by its length, and by what comes in."""

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 100

    async with served(max_body_bytes=1_000) as (client, _):
        declared = await client.post(PATH, content=b" " * 1_001, headers={"Content-Type": "application/json"})
        streamed = await client.post(PATH, content=stream(), headers={"Content-Type": "application/json"})
        fits = await client.post(PATH, json=ORDER)

    assert (declared.status_code, streamed.status_code, fits.status_code) == (413, 413, 200)


async def test_a_body_that_is_not_said_to_be_json_is_refused() -> None:
    """415: a form of a foreign page cannot send commands."""
    async with served() as (client, _):
        form = await client.post(PATH, data={"order_id": "a"})
        json_of_a_kind = await client.post(
            PATH, content=b'{"order_id": "a"}', headers={"Content-Type": "application/vnd.shop+json; charset=utf-8"}
        )

    assert (form.status_code, json_of_a_kind.status_code) == (415, 200)


async def test_too_many_at_once_are_told_to_come_back() -> None:
    """429 with Retry-After, for the own bound and for that of the bus; the others go on."""
    async with served(max_in_flight=1) as (client, face):
        async with asyncio.timeout(20):
            first = asyncio.create_task(client.post(PATH, json=ORDER, headers={"Prefer": "respond-async"}))
            second = asyncio.create_task(client.post(PATH, json=ORDER, headers={"Prefer": "respond-async"}))
            answers = [await first, await second]
        await face.settled()
        after = await client.post(PATH, json=ORDER)

    assert sorted(one.status_code for one in answers) in ([200, 429], [202, 429])
    assert [one.headers["retry-after"] for one in answers if one.status_code == 429] == ["1"]
    assert after.status_code == 200


async def test_a_full_bus_answers_429_and_a_closed_one_503() -> None:
    """F4, X4: what cannot be accepted is said to be so, and may be sent again."""
    bus_settings = BusSettings(max_pending=1)
    face = asgi(
        shop.api, Settings(bus=bus_settings, workers=WorkerSettings(count=0), http=HttpSettings(accept_timeout_s=0))
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(face), base_url="http://shop") as client:
        before = await client.post(PATH, json=ORDER)
        async with face.opened() as bus:
            full = await asyncio.gather(*(client.post(PATH, json=ORDER) for _ in range(5)))
            await bus.drain(5)
            closed = await client.post(PATH, json=ORDER)
            ready = await client.get("/health/ready")

    assert {one.status_code for one in full} == {200, 429}
    assert (before.status_code, closed.status_code, ready.status_code) == (503, 503, 503)
    assert "retry-after" in closed.headers


async def test_a_token_keeps_everybody_else_out() -> None:
    """Nothing but health is answered without it."""
    async with served(token=TOKEN) as (client, face):
        right = {"Authorization": "Bearer s3cret"}
        paths = ["/openapi.json", "/docs", "/metrics", "/receipts/x", "/orders/a"]
        without = [(await client.get(path)).status_code for path in paths]
        wrong = [
            (await client.post(PATH, json=ORDER, headers=[(b"authorization", value.encode("latin-1"))])).status_code
            for value in ("", "Bearer", "Bearer s3cre", "Basic s3cret", "bearer  x", "Bearer s3cr\u00e9t")
        ]
        assert face.bus.statistics().admitted == 0
        in_order = await client.post(PATH, json=ORDER, headers=right)
        health = await client.get("/health/live")
        refusal = await client.post(PATH, json=ORDER)

    assert set(without) == set(wrong) == {401}
    assert refusal.headers["www-authenticate"] == "Bearer"
    assert (in_order.status_code, health.status_code) == (200, 200)


async def test_authorize_decides_about_each_command() -> None:
    """Only True is a yes; what raises is a no, and is not told."""

    async def authorize(request: Request, command: Command | None) -> bool:
        assert isinstance(command, shop.PlaceOrder)
        if command.order_id == "raises":
            raise RuntimeError("the password is 1234")
        return request.headers.get("x-user") == "ann"

    api = Api(shop.app, authorize=authorize)
    async with served(api) as (client, face):
        answers = [
            await client.post(PATH, json={"order_id": order_id}, headers={"X-User": user})
            for order_id, user in (("a", "ann"), ("a", "bob"), ("raises", "ann"))
        ]
        assert face.bus.statistics().commands[1].admitted == 1

    assert [one.status_code for one in answers] == [200, 403, 403]
    assert "1234" not in answers[2].text


async def test_routes_and_queries_of_the_api_itself() -> None:
    """A route makes a command of a request, a query reads a read model; parameters are checked."""
    async with served() as (client, _):
        put = await client.put("/orders/b?amount=4", headers={"Prefer": "wait=5; until=settled"})
        found = await client.get("/orders/b?times=2")
        none = await client.get("/orders/nothing")
        wrong = await client.get("/orders/b?times=x")
        missing = await client.put("/orders/b")
        method = await client.delete("/orders/b")

    assert (put.status_code, found.json()) == (200, 8)
    assert [one.status_code for one in (none, wrong, missing, method)] == [404, 422, 422, 405]
    assert wrong.json()["errors"][0]["path"] == "query.times"
    assert {one.headers["content-type"] for one in (none, wrong, missing, method)} == {PROBLEM}


def test_wrong_routes_are_listed_together_when_they_are_served() -> None:
    """R1: as faults of an application are."""
    api = Api(shop.app)

    @api.query("/docs")
    def taken() -> None: ...

    @api.query("no-slash")
    def relative() -> None: ...

    @api.query("/a/{b}")
    def without_its_parameter() -> None: ...

    @api.route("GET", "/c")
    def reads(x: int): ...  # type: ignore[no-untyped-def]  # noqa: ANN202 - what is wrong with it

    @api.route("PUT", "/d")
    def untyped(x) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001 - what is wrong with it

    with pytest.raises(RegistrationError) as refusal:
        asgi(api, settings())

    assert len(refusal.value.faults) == 5


async def test_metrics_are_read_by_prometheus() -> None:
    """The text format, and figures that are those of the bus."""
    async with served() as (client, _):
        await client.post(PATH, json=ORDER, headers={"Prefer": "wait=5; until=settled"})
        text = (await client.get("/metrics")).text

    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["driven_messages_retired"].samples[0].value == 3
    running = {sample.labels["command"] for sample in families["driven_command_running_seconds"].samples}
    assert "shop.PlaceOrder" in running
    buckets = [
        sample.value
        for sample in families["driven_command_running_seconds"].samples
        if sample.name.endswith("_bucket") and sample.labels["command"] == "shop.PlaceOrder"
    ]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 1


async def test_the_page_to_try_it_fetches_nothing_from_elsewhere() -> None:
    """Everything that it loads is served here."""
    async with served() as (client, _):
        page = await client.get("/docs")
        files = [await client.get(f"/docs/{name}") for name in ("swagger-ui-bundle.js", "swagger-ui.css")]
        other = await client.get("/docs/..%2f..%2f__init__.py")

    assert "http" not in page.text.replace("http-equiv", "")
    assert [one.status_code for one in (page, *files)] == [200] * 3
    assert other.status_code == 404


async def test_it_can_be_mounted_inside_another_application() -> None:
    """Locations lead back to where it is mounted; the outer application opens the bus."""
    face = asgi(shop.api, settings())
    outer = Starlette(routes=[Mount("/bus", face)])
    store = MemoryStore()
    transport = httpx.ASGITransport(outer)
    async with (
        open_bus(shop.app, settings(), store=store) as bus,
        face.opened(bus),
        httpx.AsyncClient(transport=transport, base_url="http://outer") as client,
    ):
        answer = await client.post(f"/bus{PATH}", json=ORDER)
        again = await client.get(answer.headers["location"])

    assert answer.headers["location"].startswith("/bus/receipts/")
    assert again.status_code == 200
    assert store.last_position == 3


def test_nobody_is_served_by_accident() -> None:
    """An address that others reach needs something that keeps them out, or a word that nothing shall."""
    for http in ({}, {"host": "::1"}, {"host": "0.0.0.0", "token": "x"}, {"host": "0.0.0.0", "allow_anonymous": True}):  # noqa: S104 - not bound
        check_reach(asgi(shop.api, settings(**http)), "here")

    with pytest.raises(SettingsError, match="DRIVEN_HTTP_TOKEN"):
        check_reach(asgi(shop.api, settings(host="0.0.0.0")), "here")  # noqa: S104 - not bound


def test_a_command_that_json_cannot_hold_is_not_exposed() -> None:
    """R1: said when it is served, with a remedy."""
    app = Application("arrays")

    class Take(Command):
        values: np.ndarray[Any, Any]

    @app.handles(Take, exposed=True)
    def take(command: Take) -> None: ...

    with pytest.raises(RegistrationError, match=r"arrays\.Take is exposed, but Take cannot be sent as JSON"):
        asgi(app, settings())
