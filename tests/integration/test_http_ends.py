"""How the HTTP face begins and ends: with the lifespan of a server, with a bus that stops while somebody waits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import attacked
import kiosk
import shop
from driven import BusClosed, HttpSettings, Settings, WorkerSettings
from driven.bus.receipts import Receipt
from driven.entrypoints.http import HttpApi, asgi
from driven.entrypoints.http.answers import Telling
from driven.entrypoints.http.problems import Problem
from driven.service.registry import build_registry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PATIENCE_S = 30.0
INLINE = Settings(workers=WorkerSettings(count=0))
LONG = {"for_s": 600.0}


def asleep() -> HttpApi:
    """A service that lets its worker go at once."""
    return asgi(attacked.api, Settings(workers=WorkerSettings(count=1, stop_timeout_s=0, grace_s=0)))


def client_of(face: HttpApi) -> httpx.AsyncClient:
    """A client, of as much of it as there is."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(face), base_url="http://shop")


async def until_admitted(face: HttpApi) -> None:
    """Wait until the command is on the bus."""
    async with asyncio.timeout(PATIENCE_S):
        while not face.bus.statistics().admitted:
            await asyncio.sleep(0)


async def test_the_lifespan_of_a_server_opens_and_closes_the_bus() -> None:
    """Before and after, 503."""
    face = asgi(shop.api, INLINE)
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def receive() -> dict[str, Any]:
        return await told.get()

    async def send(message: Mapping[str, Any]) -> None:
        heard.put_nowait(message["type"])

    async with client_of(face) as client, asyncio.timeout(PATIENCE_S):
        ready = [(await client.get("/health/ready")).status_code]
        living = asyncio.create_task(face({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send))
        for step in ("startup", "shutdown"):
            told.put_nowait({"type": f"lifespan.{step}"})
            assert await heard.get() == f"lifespan.{step}.complete"
            ready.append((await client.get("/health/ready")).status_code)
        await living

    assert ready == [503, 200, 503]


async def test_whoever_waits_when_the_bus_gives_up_is_told_where_to_ask_again() -> None:
    """X4: 503 with the receipt, as what was accepted may be durable; nothing of it counts as under way."""
    face = asleep()
    async with face.opened() as bus, client_of(face) as client, asyncio.timeout(PATIENCE_S):
        waiting = asyncio.create_task(client.post("/commands/attacked.Sleep", json=LONG, headers={"Prefer": "wait=60"}))
        await until_admitted(face)
        bus.give_up()
        answer = await waiting
        metrics = await client.get("/metrics")

    assert (answer.status_code, answer.headers["retry-after"], bool(answer.json()["receipt"])) == (503, "5", True)
    assert "driven_http_open_roots 0.0" in metrics.text


async def test_a_command_of_which_something_was_left_when_the_bus_gave_up_is_to_be_asked_for_again() -> None:
    """X1, X4: it was handled, and never settled; that is no fault of the service, and 503 like any other."""
    receipt = Receipt(7, "@7")
    receipt.succeed(tuple, ())
    receipt.abandon(BusClosed)

    with pytest.raises(Problem) as raised:
        await Telling(build_registry(shop.app).catalog, ()).answer(receipt, "ticket")

    assert raised.value.details.status == 503


async def test_whoever_watches_when_the_bus_gives_up_sees_the_line_end() -> None:
    """And comes back, as browsers do."""
    face = asleep()
    async with face.opened() as bus, client_of(face) as client, asyncio.timeout(PATIENCE_S):
        later = await client.post("/commands/attacked.Sleep", json=LONG, headers={"Prefer": "respond-async"})
        sent: list[Mapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Mapping[str, Any]) -> None:
            sent.append(message)
            if b"event: accepted" in message.get("body", b""):
                asyncio.get_running_loop().call_soon(bus.give_up)

        headers = [(b"accept", b"text/event-stream")]
        path = later.headers["location"]
        await face(
            {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}, receive, send
        )
        body = b"".join(message.get("body", b"") for message in sent)

    assert (body.count(b"event: "), b"settled" in body) == (1, False)
    assert sent[-1].get("more_body") is False


async def test_a_client_that_leaves_cancels_nothing(tmp_path: Path) -> None:
    """X1: what it sent goes on, and takes room until it has settled, also where the server cancels the answer."""
    face = asgi(attacked.api, Settings(workers=WorkerSettings(count=1), http=HttpSettings(max_in_flight=1)))
    async with face.opened() as bus, client_of(face) as client, asyncio.timeout(PATIENCE_S):
        held = {"for_s": 0, "until": str(tmp_path / "go")}
        waiting = asyncio.create_task(client.post("/commands/attacked.Nap", json=held))
        await until_admitted(face)
        waiting.cancel()
        await asyncio.wait({waiting})
        meanwhile = await client.post("/commands/attacked.Nap", json={"for_s": 0})
        (tmp_path / "go").touch()
        while not bus.is_settled:
            await asyncio.sleep(0.01)
        retired = bus.statistics().retired
        after = await client.post("/commands/attacked.Nap", json={"for_s": 0})

    assert retired == 3
    assert (meanwhile.status_code, after.status_code) == (429, 200)


async def test_the_document_tells_unions_apart_by_the_name_of_the_event() -> None:
    """OpenAPI 3.1, made from the message types."""
    async with client_of(asgi(kiosk.api, INLINE)) as client:
        document = (await client.get("/openapi.json")).json()

    events = document["components"]["schemas"]["kiosk.Buy.answer"]["properties"]["events"]["items"]
    assert document["openapi"] == "3.1.0"
    assert events["discriminator"]["propertyName"] == "type"
    assert list(events["discriminator"]["mapping"]) == ["kiosk.Bought", "kiosk.Nothing"]
    assert len(events["oneOf"]) == 2
    assert "security" not in document
