"""The bounds of the HTTP face: what is counted, waited for, signed and said to be ready, to the last one."""

from __future__ import annotations

import asyncio
import hmac
import os
import signal
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import attacked
import parking
import shop
from driven import BusSettings, Command, HttpSettings, Settings, WorkerSettings, open_bus
from driven.adapters.stores.memory import MemoryStore
from driven.entrypoints.http import Api, HttpApi, Request, asgi, watching

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

PATH = "/commands/shop.PlaceOrder"
SLEEP, NAP = "/commands/attacked.Sleep", "/commands/attacked.Nap"
ORDER = {"order_id": "a", "amount": 2}
LONG_S = 600.0
PATIENCE_S = 30.0
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@asynccontextmanager
async def served(api: Api, workers: int = 0, **http: Any) -> AsyncIterator[tuple[httpx.AsyncClient, HttpApi]]:  # noqa: ANN401 - fields of HttpSettings
    """A client of an API whose bus is open; what has not settled at the end is given up, without patience."""
    settings = Settings(workers=WorkerSettings(count=workers, stop_timeout_s=0, grace_s=0), http=HttpSettings(**http))
    face = asgi(api, settings)
    transport = httpx.ASGITransport(face)
    async with face.opened() as bus, httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        try:
            yield client, face
        finally:
            bus.give_up()


async def test_a_body_that_is_said_to_be_too_large_is_not_waited_for() -> None:
    """413 by its length alone."""
    face = asgi(shop.api, Settings(workers=WorkerSettings(count=0), http=HttpSettings(max_body_bytes=1_000)))
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("it was read")

    async def send(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = [(b"content-type", b"application/json"), (b"content-length", b"1001")]
    async with face.opened():
        await face(
            {"type": "http", "method": "POST", "path": PATH, "query_string": b"", "headers": headers}, receive, send
        )

    assert statuses == [413]


async def test_a_body_that_breaks_off_is_not_taken_for_whole() -> None:
    """400, though what came would do."""
    face = asgi(shop.api, Settings(workers=WorkerSettings(count=0)))
    statuses: list[int] = []
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b'{"order_id": "a"}', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = [(b"content-type", b"application/json")]
    async with face.opened() as bus:
        await face(
            {"type": "http", "method": "POST", "path": PATH, "query_string": b"", "headers": headers}, receive, send
        )
        assert bus.statistics().admitted == 0

    assert statuses == [400]


async def test_what_is_over_or_was_refused_takes_no_room() -> None:
    """Of the commands that may be under way at a time."""
    wait = {"Prefer": "wait=5; until=settled"}
    async with served(shop.api, max_in_flight=1) as (client, _):
        done = [(await client.post(PATH, json=ORDER, headers=wait)).status_code for _ in range(3)]
        key = {"Idempotency-Key": "k"}
        await client.post(PATH, json=ORDER, headers=wait | key)
        refused = [(await client.post(PATH, json={"order_id": "b"}, headers=key)).status_code for _ in range(3)]
        after = await client.post(PATH, json=ORDER, headers=wait)
        metrics = await client.get("/metrics")

    assert (done, refused, after.status_code) == ([200] * 3, [409] * 3, 200)
    assert "driven_http_open_roots 0.0" in metrics.text


async def test_what_is_under_way_takes_room_until_it_has_settled() -> None:
    """Also when its answer was sent."""
    async with served(attacked.api, workers=1, max_in_flight=1) as (client, _):
        answers = [await client.post(NAP, json={"for_s": LONG_S}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]


async def test_an_answer_is_not_waited_for_longer_than_was_asked() -> None:
    """202 after that time, and with what was applied."""
    async with served(attacked.api, workers=1) as (client, _):
        async with asyncio.timeout(PATIENCE_S):
            asked = await client.post(SLEEP, json={"for_s": LONG_S}, headers={"Prefer": "wait=0.01"})
            until = await client.post(NAP, json={"for_s": LONG_S}, headers={"Prefer": "wait=0.01; until=settled"})

    assert (asked.status_code, asked.headers["preference-applied"]) == (202, "wait=0.01")
    assert (until.status_code, until.headers["preference-applied"]) == (202, "wait=0.01; until=settled")


async def test_nobody_is_waited_for_longer_than_the_service_says() -> None:
    """Neither by default nor because somebody asks."""
    async with served(attacked.api, workers=1, wait_s=0.01, max_wait_s=0.02) as (client, _):
        async with asyncio.timeout(PATIENCE_S):
            by_default = await client.post(SLEEP, json={"for_s": LONG_S})
            asked = await client.post(SLEEP, json={"for_s": LONG_S}, headers={"Prefer": "wait=500"})

    assert (by_default.status_code, asked.status_code) == (202, 202)
    assert asked.headers["preference-applied"] == "wait=0.02"


async def test_a_receipt_is_good_for_one_command_of_one_service() -> None:
    """The signature of one is none of another; a service that has no secret of its own makes a new one."""
    async with served(shop.api) as (one, _), served(shop.api) as (two, _):
        first, second = [
            (await one.post(PATH, json=ORDER, headers={"Idempotency-Key": key})).json()["receipt"] for key in ("a", "b")
        ]
        await two.post(PATH, json=ORDER, headers={"Idempotency-Key": "a"})
        crossed = f"{first.partition('.')[0]}.{second.partition('.')[2]}"
        statuses = [(await one.get(f"/receipts/{receipt}")).status_code for receipt in (first, second, crossed)]
        elsewhere = await two.get(f"/receipts/{first}")

    assert statuses == [200, 200, 404]
    assert elsewhere.status_code == 404


async def test_receipts_outlive_a_restart_where_their_secret_does() -> None:
    """The same secret, the same receipt; another, another."""
    receipts = []
    for secret in ("a" * 16, "a" * 16, "b" * 16):
        async with served(shop.api, receipt_secret=secret) as (client, _):
            answer = await client.post(PATH, json=ORDER, headers={"Idempotency-Key": "a"})
            receipts.append(answer.json()["receipt"])

    assert receipts[0] == receipts[1] != receipts[2]


async def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the one function that promises it, whole: the token, and the signatures of receipts."""
    compared: list[tuple[object, object]] = []
    compare = hmac.compare_digest

    def spy(one: Any, other: Any) -> bool:  # noqa: ANN401 - as the original has it
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    async with served(shop.api, token="s3cret") as (client, _):  # noqa: S106 - opens nothing
        for token in ("s3cret", "x"):
            await client.get("/receipts/YQ.mac", headers={"Authorization": f"Bearer {token}"})

    assert [pair for pair in compared if b"s3cret" in pair] == [(b"s3cret", b"s3cret"), (b"x", b"s3cret")]
    assert [one for one, _ in compared if one == b"mac"] == [b"mac"]


async def test_a_service_whose_head_is_blocked_is_not_ready() -> None:
    """Beyond the limit; before, it is."""
    async with served(attacked.api, workers=1, head_timeout_s=0.05) as (client, _):
        before = await client.get("/health/ready")
        await client.post(SLEEP, json={"for_s": LONG_S}, headers={"Prefer": "respond-async"})
        after = await until_not_ready(client)

    assert before.status_code == 200
    assert after.json()["detail"].startswith("the head of the queue has been blocked for ")


async def test_a_service_without_its_workers_is_not_ready() -> None:
    """None is up between the death of the only one and the start of the next."""
    async with served(attacked.api, workers=1) as (client, face):
        while not (workers := face.bus.statistics().workers) or (await client.get("/health/ready")).status_code != 200:
            await asyncio.sleep(0.01)
        os.kill(workers[0].pid, signal.SIGKILL)
        answer = await until_not_ready(client)

    assert answer.json()["detail"] == "no worker is up in group default"


async def until_not_ready(client: httpx.AsyncClient) -> httpx.Response:
    """The first answer that says so."""
    deadline_s = time.monotonic() + PATIENCE_S
    while (answer := await client.get("/health/ready")).status_code == 200:
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0)
    return answer


async def test_a_watcher_sees_each_step_in_turn_and_hears_that_the_line_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accepted, handled, settled; and comments, as nothing else happens for long."""
    monkeypatch.setattr(watching, "KEEP_ALIVE_S", 0.02)
    before, behind, seen = tmp_path / "before", tmp_path / "behind", bytearray()

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Mapping[str, Any]) -> None:
        """Let the next step come when the one before was seen."""
        seen.extend(message.get("body", b""))
        if b": still waiting" in seen:
            before.touch()
        if b"event: handled" in seen:
            behind.touch()

    respond = {"Prefer": "respond-async"}
    async with served(attacked.api, workers=1) as (client, face), asyncio.timeout(PATIENCE_S):
        await client.post(SLEEP, json={"for_s": 0, "until": str(before)}, headers=respond)
        later = await client.post(NAP, json={"for_s": 0, "until": str(behind)}, headers=respond)
        path, headers = later.headers["location"], [(b"accept", b"text/event-stream")]
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}
        await face(scope, receive, send)

    parts = seen.decode().split("\n\n")
    steps = [part.splitlines()[1] for part in parts if part.startswith("id: ")]
    assert steps == ["event: accepted", "event: handled", "event: settled"]
    assert parts.index(": still waiting") < parts.index(next(part for part in parts if "event: handled" in part))


async def test_whatever_may_be_sent_again_says_when() -> None:
    """429 and 503 carry Retry-After, each of them."""
    http = HttpSettings(accept_timeout_s=0)
    settings = Settings(bus=BusSettings(max_pending=1), workers=WorkerSettings(count=0), http=http)
    face = asgi(shop.api, settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(face), base_url="http://shop") as client:
        answers = [await client.post(PATH, json=ORDER)]
        async with face.opened() as bus:
            full = await asyncio.gather(*(client.post(PATH, json=ORDER) for _ in range(5)))
            answers += [answer for answer in full if answer.status_code != 200]
            await bus.drain(5)
            answers.append(await client.post(PATH, json=ORDER))

    assert [answer.status_code for answer in answers] == [503, 429, 429, 429, 429, 503]
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)


@pytest.mark.parametrize(("trace", "kept"), [(TRACE, TRACE), (TRACE.upper(), ""), (TRACE + "x", ""), ("a\tb", "")])
async def test_a_trace_is_carried_along_if_it_is_one(trace: str, kept: str) -> None:
    """Into the envelope of the command, and no further text of anybody's."""
    settings, store = Settings(workers=WorkerSettings(count=0)), MemoryStore()
    face = asgi(shop.api, settings)
    transport = httpx.ASGITransport(face)
    async with (
        open_bus(shop.app, settings, store=store) as bus,
        face.opened(bus),
        httpx.AsyncClient(transport=transport, base_url="http://shop") as client,
    ):
        await client.post(PATH, json=ORDER, headers={"traceparent": trace})
    record = store.read(0, 10)[0]

    assert record.message.envelope.trace == kept


async def test_what_is_wrong_is_told_in_words_of_its_own() -> None:
    """The path apart, as programs read it."""
    async with served(shop.api) as (client, _):
        answer = (await client.post(PATH, json={"order_id": "a", "amount": "two"})).json()

    assert answer["detail"] == "Expected `int`, got `str`"
    assert answer["errors"] == [{"path": "$.amount", "detail": "Expected `int`, got `str`"}]


async def test_a_command_that_is_set_aside_is_told_to_be_so() -> None:
    """F2: behind a failure of its key; whoever sent it learns that it did not happen, and not why."""
    api = Api(parking.app)
    parking.BROKEN.add(1)
    try:
        async with served(api) as (client, _):
            wait = {"Prefer": "wait=5; until=settled"}
            begun = await client.post("/commands/parking.Begin", json={"items": [["k", 1]]}, headers=wait)
            behind = await client.post("/commands/parking.Apply", json={"key": "k", "number": 2}, headers=wait)
            receipt = await client.get(f"/receipts/{behind.json()['receipt']}")
    finally:
        parking.BROKEN.clear()

    assert (begun.status_code, begun.json()["settlement"]["parked"]) == (200, 2)
    assert (behind.status_code, behind.json()["title"]) == (500, "The command is parked")
    assert receipt.json()["status"] == "parked"
    assert "broken" not in behind.text + receipt.text


async def test_of_a_header_that_stands_there_twice_the_first_counts() -> None:
    """For everybody who looks at it: a hook that saw another one would decide about another request."""
    seen: list[Request] = []

    def authorize(request: Request, _command: Command | None) -> bool:
        seen.append(request)
        return True

    headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "two"), ("X-User", "ann"), ("X-User", "bob")]
    async with served(Api(shop.app, authorize=authorize)) as (client, face):
        await client.post(PATH, json=ORDER, headers=headers)
        found = [face.bus.receipt(key) is not None for key in ("one", "two")]

    assert (seen[0].headers["idempotency-key"], seen[0].headers["x-user"]) == ("one", "ann")
    assert found == [True, False]
