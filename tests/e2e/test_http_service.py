"""The service from end to end: `driven run` as a process, many clients, a signal in the middle, the log afterwards."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import subprocess
from collections import Counter
from typing import TYPE_CHECKING

import httpx
import pytest

from driven.adapters.stores.sqlite.store import SqliteStore
from driven.domain.messages import Envelope
from driven.service.event_store import READ_CHUNK, Batch, LoggedMessage, MessageKind, Status
from driven.wire import encode_body
from http_service import Service, command, environment, running
from shop import PlaceOrder

if TYPE_CHECKING:
    from pathlib import Path

    from driven.service.event_store import LogRecord

CLIENTS = 200
LONGEST_S = 60.0


def ended(service: Service, number: signal.Signals) -> tuple[int, str]:
    """Send a signal; the exit code, and what was said until the end."""
    service.process.send_signal(number)
    _, said = service.process.communicate(timeout=LONGEST_S)
    return service.process.returncode, said


def log_in(folder: Path) -> list[LogRecord]:
    """All that the log of a service holds."""
    store = SqliteStore(folder / "driven.db")
    records: list[LogRecord] = []
    while found := store.read(len(records), READ_CHUNK):
        records += found
    store.close()
    return records


class Client:
    """Sends commands one after the other, each under an id of its own, until the service is gone."""

    def __init__(self, number: int, client: httpx.AsyncClient) -> None:
        """`number` tells it from the others."""
        self._number = number
        self._client = client
        self.answers: dict[str, int] = {}
        """Status by command id; of those that got no answer there is none."""

    async def send_all(self, answered: asyncio.Semaphore) -> None:
        """Some are handled, some refused, some fail, some are wrong; some wait and some do not."""
        for turn in range(10_000):
            command_id = f"c{self._number}-{turn}"
            amount = (1, 2, 11, 3, "x")[turn % 5]
            prefer = ("wait=20", "respond-async", "wait=20; until=settled")[turn % 3]
            try:
                answer = await self._client.post(
                    "/commands/shop.PlaceOrder",
                    json={"order_id": command_id, "amount": amount},
                    headers={"Idempotency-Key": command_id, "Prefer": prefer},
                )
            except httpx.TransportError:
                return
            self.answers[command_id] = answer.status_code
            answered.release()
            if answer.status_code == 503:
                return


HELD = "held"
"""The id of a command that is certainly not done when it is answered."""


async def flood(service: Service, before_signal: int, folder: Path) -> dict[str, int]:
    """All clients at once; SIGTERM when so many answers came, while a command is held. Status by command id."""
    limits = httpx.Limits(max_connections=CLIENTS + 1)
    async with httpx.AsyncClient(base_url=service.url, limits=limits, timeout=LONGEST_S) as client:
        answered = asyncio.Semaphore(0)
        clients = [Client(number, client) for number in range(CLIENTS)]
        sending = asyncio.gather(*(one.send_all(answered) for one in clients))
        for _ in range(before_signal):
            await answered.acquire()
        held = await client.post(
            "/commands/shop.Hold",
            json={"until": str(folder / "go")},
            headers={"Idempotency-Key": HELD, "Prefer": "respond-async"},
        )
        service.process.send_signal(signal.SIGTERM)
        (folder / "go").touch()
        await sending
    return {HELD: held.status_code} | {key: status for one in clients for key, status in one.answers.items()}


@pytest.mark.timeout(300)
def test_what_was_answered_is_in_the_log_once_and_what_was_accepted_is_carried_out(tmp_path: Path) -> None:
    """X4, U5: 200 clients, SIGTERM in the middle. No 2xx is lost or doubled, and nothing that was accepted is left."""
    in_a_worker = {"DRIVEN_COMMANDS_SHOP_HOLD_PLACEMENT": "worker", "DRIVEN_WORKERS_COUNT": "1"}
    with running(tmp_path, "shop:api", **in_a_worker) as service:
        answers = asyncio.run(flood(service, before_signal=1_000, folder=tmp_path))
        _, said = service.process.communicate(timeout=LONGEST_S)

    records = log_in(tmp_path)
    logged = Counter(record.message.envelope.id for record in records)
    by_id = {record.message.envelope.id: record for record in records}
    assert service.process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in said
    assert answers[HELD] == 202
    assert {200, 202, 422} <= set(answers.values()) <= {200, 202, 422, 503}
    for command_id, status in answers.items():
        if status in {200, 202}:
            assert logged[command_id] == 1, (command_id, status)
        elif status == 503:
            assert logged[command_id] == 0, (command_id, status)
    assert max(logged.values()) == 1
    assert [record.message.envelope.position for record in records] == list(range(1, len(records) + 1))
    assert {record.outcome.status for record in by_id.values() if record.outcome} == {Status.SUCCEEDED, Status.FAILED}
    assert all(record.outcome is not None for record in records)


def test_a_service_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """U4, U9: accepted is durable; sent again under the same key, it is not done twice."""
    body, key = {"order_id": "a", "amount": 2}, {"Idempotency-Key": "order-a"}
    with running(tmp_path, "shop:api") as service:
        first = httpx.post(f"{service.url}/commands/shop.PlaceOrder", json=body, headers=key, timeout=LONGEST_S)
        service.process.kill()
    with running(tmp_path, "shop:api") as service:
        again = httpx.post(f"{service.url}/commands/shop.PlaceOrder", json=body, headers=key, timeout=LONGEST_S)
        found = httpx.get(f"{service.url}/orders/a", timeout=LONGEST_S)
        code, said = ended(service, signal.SIGINT)

    assert (first.status_code, again.status_code) == (200, 200)
    assert (first.json()["position"], again.json()["position"], found.json()) == (1, 1, 2)
    assert (code, said) == (128 + signal.SIGINT, "")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("shop:api", "--host", "0.0.0.0"), "nothing keeps anybody out"),  # noqa: S104 - refused
        (("shop:nothing",), "applications in shop: shop:app"),
        (("shop:nothing",), "apis in shop: shop:api"),
        (("shop:api", "--port", "abc"), "'abc' is no whole number; give one, in digits"),
        (("shop:api", "--port", "99999"), "configuration of the command line is not valid: 1 fault\n  1. [http] port"),
        (("shop:api", "--store", "sqlite:////nowhere/at/all.db"), "nowhere"),
    ],
)
def test_what_cannot_be_served_ends_with_2_and_says_why(tmp_path: Path, typed: tuple[str, ...], words: str) -> None:
    """Bad input gets an error that names the culprit and the remedy."""
    done = subprocess.run(
        command(*typed),
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )

    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("token", "is_offered"), [("", True), ("s3cret", False)])
def test_the_page_is_offered_to_whom_it_answers(tmp_path: Path, token: str, is_offered: bool) -> None:
    """A browser sends no bearer token: whoever followed the line would be answered 401."""
    with running(tmp_path, "shop:api", DRIVEN_HTTP_TOKEN=token) as service:
        assert httpx.get(f"{service.url}/docs").status_code == (200 if is_offered else 401)
        assert (f"to try it: {service.url}/docs" in service.said) is is_offered


HIDDEN = """
from driven import Application, Command

app = Application("hidden")


class Hide(Command): ...


@app.handles(Hide)
def hide(command: Hide) -> None: ...
"""


def test_a_service_to_which_nothing_can_be_sent_says_so(tmp_path: Path) -> None:
    """What is forgotten first: `exposed=True`. All the caller would see is that there is no such command."""
    (tmp_path / "hidden.py").write_text(HIDDEN)

    with running(tmp_path, "hidden:app") as service:
        assert service.process.stderr is not None
        said = service.process.stderr.readline()

    assert said == "no command can be sent to it: none says @app.handles(..., exposed=True)\n"


def test_a_host_that_there_is_not_is_named(tmp_path: Path) -> None:
    """Where something keeps others out."""
    done = subprocess.run(
        command("shop:api", "--host", "no.such.host.invalid"),
        cwd=tmp_path,
        env=environment(DRIVEN_HTTP_ALLOW_ANONYMOUS="true"),
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )

    assert done.returncode == 2
    assert "[http] host = 'no.such.host.invalid' is no address" in done.stderr


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    """With what to do about it."""
    with running(tmp_path, "shop:api") as service:
        port = service.url.rpartition(":")[2]
        (tmp_path / "other").mkdir()
        with subprocess.Popen(
            command("shop:api", "--port", port),
            cwd=tmp_path / "other",
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
        ) as second:
            _, said = second.communicate(timeout=LONGEST_S)

    assert second.returncode == 2
    assert f"[http] port = {port} of 127.0.0.1 cannot be listened on" in said


def test_a_service_that_takes_long_to_open_is_alive_and_not_ready(tmp_path: Path) -> None:
    """Whoever watches it neither ends it for that, nor sends it anything."""
    with subprocess.Popen(
        command("slow_start:api", "--port", "0"),
        cwd=tmp_path,
        env=environment(DRIVEN_WORKERS_COUNT="1"),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        try:
            found = re.search(r"answers at (http://\S+) that it is not ready", process.stderr.readline())
            assert found is not None
            during = [
                httpx.get(f"{found[1]}/health/{name}", timeout=LONGEST_S).status_code for name in ("live", "ready")
            ]
            early = httpx.post(f"{found[1]}/commands/slow_start.Go", json={}, timeout=LONGEST_S)
            (tmp_path / "go").touch()
            told = [process.stderr.readline(), process.stderr.readline()]
            after = httpx.get(f"{found[1]}/health/ready", timeout=LONGEST_S).status_code
            late = httpx.post(f"{found[1]}/commands/slow_start.Go", json={}, timeout=LONGEST_S)
        finally:
            process.kill()

    assert (during, early.status_code, int(early.headers["retry-after"]) > 0) == ([200, 503], 503, True)
    assert told[0].startswith("slow_start: 1 worker, log ")
    assert (after, late.status_code) == (200, 200)


def leave_something(folder: Path) -> None:
    """A log with a command that was accepted and not carried out."""
    store = SqliteStore(folder / "driven.db")
    store.open()
    envelope = Envelope(1, "left", 1, 0, 0, None, 1)
    body = encode_body(PlaceOrder("o1"))
    store.append(Batch([LoggedMessage(envelope, MessageKind.COMMAND, "shop.PlaceOrder", 1, body)], []))
    store.close()


def test_on_a_terminal_one_sees_what_an_earlier_service_left_and_how_the_end_goes(tmp_path: Path) -> None:
    """U9, X2, X4: recovery tells how far it is; in a pipe, as `running` has it, nothing stands before the address."""
    leave_something(tmp_path)
    screen, terminal = pty.openpty()
    said = ""
    with (
        open(screen, "rb", buffering=0) as shown,  # noqa: PTH123 - a descriptor
        subprocess.Popen(
            command("shop:api", "--port", "0"), cwd=tmp_path, env=environment(), stderr=terminal
        ) as service,
    ):
        os.close(terminal)
        try:
            while "listening on" not in said:
                said += shown.read(4_096).decode()
            service.send_signal(signal.SIGTERM)
            while "the program ends" not in said:
                said += shown.read(4_096).decode()
            assert service.wait(LONGEST_S) == 143
        finally:
            service.kill()

    assert "Recovery: 1 messages of 1 commands have not retired" in said
    assert said.index("Recovery is done") < said.index("listening on") < said.index("no more commands are taken")
