"""Lines to a running service, byte by byte: who sends nothing, too much, or takes nothing, is cut off."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
from typing import TYPE_CHECKING

import httpx
import pytest

import attacked
from http_service import Service, running

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LONGEST_S = 30.0
SHORT_S = "0.2"
"""For those that are to be cut off. It may be over before a service on a busy machine has seen what came."""
PATIENT_S = "2"
"""For those that are to be answered."""
HEAD = b"POST /commands/attacked.Sleep HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@contextlib.contextmanager
def waiting(folder: Path, seconds: str) -> Iterator[Service]:
    """A service that waits so long for what is to come."""
    bounds = {"DRIVEN_HTTP_BODY_TIMEOUT_S": seconds, "DRIVEN_HTTP_MAX_BODY_BYTES": "100000"}
    with running(folder, "attacked:api", "--store", "memory://", DRIVEN_WORKERS_COUNT="0", **bounds) as one:
        yield one


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One that waits for nobody for long."""
    with waiting(tmp_path_factory.mktemp("service"), SHORT_S) as one:
        yield one


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One that gives everybody time to say what is to be answered, and to take the answer."""
    with waiting(tmp_path_factory.mktemp("patient"), PATIENT_S) as one:
        yield one


def sent(service: Service, pieces: Iterable[bytes]) -> bytes:
    """What came back until the service closed the line; a time-out if it does not."""
    with socket.create_connection(("127.0.0.1", httpx.URL(service.url).port or 0), timeout=LONGEST_S) as line:
        with contextlib.suppress(ConnectionError):  # it was closed meanwhile
            for piece in pieces:
                line.sendall(piece)
        received = b""
        with contextlib.suppress(ConnectionError):
            while piece := line.recv(1 << 16):
                received += piece
        return received


def slowly(service: Service, opening: bytes, piece: bytes) -> bytes:
    """Like `sent`: something every so often, which keeps the line busy, until it is closed."""
    with socket.create_connection(("127.0.0.1", httpx.URL(service.url).port or 0), timeout=LONGEST_S) as line:
        line.sendall(opening)
        line.settimeout(float(SHORT_S) / 4)
        received = b""
        for _ in range(int(LONGEST_S / float(SHORT_S)) * 4):
            try:
                if not (came := line.recv(1 << 16)):
                    return received
                received += came
            except TimeoutError:
                with contextlib.suppress(ConnectionError):
                    line.sendall(piece)
            except ConnectionError:
                return received
        raise TimeoutError


@pytest.mark.parametrize("pieces", [[], [b"P"], [HEAD], [HEAD + b"X: "], [b"\r\n"]], ids=repr)
def test_who_sends_no_whole_head_is_cut_off(service: Service, pieces: list[bytes]) -> None:
    """A line that is held open for nothing would be one of few."""
    assert sent(service, pieces) == b""


@pytest.mark.parametrize(
    ("opening", "piece"), [(HEAD, b"X: y\r\n"), (HEAD + b"X: ", b"y"), (b"", b"\r\n"), (b"GET /", b"a")]
)
def test_who_sends_a_head_by_the_drop_is_cut_off(service: Service, opening: bytes, piece: bytes) -> None:
    """The head has so long altogether, however busy the line is."""
    assert slowly(service, opening, piece) == b""


@pytest.mark.parametrize(
    ("header", "piece"),
    [(b"Content-Length: 50000", b" "), (b"Transfer-Encoding: chunked", b"1\r\n \r\n")],
    ids=["by its length", "in chunks"],
)
def test_a_body_by_the_drop_is_answered_408(patient: Service, header: bytes, piece: bytes) -> None:
    """It has so long altogether, too."""
    assert slowly(patient, HEAD + header + b"\r\n\r\n", piece).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "piece", [b"X: " + b"y" * 10_000 + b"\r\n", b"y" * 10_000], ids=["many headers", "one endless header"]
)
def test_a_head_without_end_is_answered_431(patient: Service, piece: bytes) -> None:
    """Nothing of it is kept."""
    pieces = itertools.chain([HEAD + b"Z: "], itertools.repeat(piece, 5_000))
    answer = sent(patient, pieces)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert next(pieces, None) is not None
    assert not answer or head.startswith(b"HTTP/1.1 431 ")  # what was under way may have overtaken it
    assert not answer or f"content-length: {len(body)}".encode() in head


def test_chunks_without_end_are_answered_413(patient: Service) -> None:
    """Without a length to go by, what came counts."""
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    pieces = itertools.chain([HEAD + b"Transfer-Encoding: chunked\r\n\r\n"], itertools.repeat(chunk, 5_000))
    answer = sent(patient, pieces)

    assert next(pieces, None) is not None
    assert not answer or answer.startswith(b"HTTP/1.1 413 ")


def test_who_takes_nothing_of_an_answer_is_cut_off(service: Service) -> None:
    """Its memory is free again; who takes some of it, however slowly, gets all."""
    with socket.create_connection(("127.0.0.1", httpx.URL(service.url).port or 0), timeout=LONGEST_S) as line:
        line.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        line.recv(1)
        # Nothing is taken until the service has let go: then there is less than was promised, and the end.
        until_others_wait(service)
        received = 1
        with contextlib.suppress(ConnectionError):
            while piece := line.recv(1 << 20):
                received += len(piece)

    assert received < attacked.LARGE_BYTES


def until_others_wait(service: Service) -> None:
    """As long as a line may do nothing, several times over: seen by lines that are cut off for it."""
    for _ in range(4):
        assert sent(service, []) == b""


def test_who_takes_an_answer_in_time_gets_all_of_it(patient: Service) -> None:
    """However large it is."""
    assert len(httpx.get(f"{patient.url}/large", timeout=LONGEST_S).json()) == attacked.LARGE_BYTES


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:1"}, 200),
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "evil.example:127.0.0.1"}, 403),
        ({"Host": "127.0.0.1@evil.example"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_a_page_of_elsewhere_cannot_have_a_browser_ask(patient: Service, headers: dict[str, str], status: int) -> None:
    """Where only this machine may ask and nothing else keeps anybody out: by no name that is not its own."""
    assert httpx.get(f"{patient.url}/health/live", headers=headers, timeout=LONGEST_S).status_code == status


def test_with_a_token_the_service_may_have_any_name(tmp_path: Path) -> None:
    """What stands in front of it passes on the name that it was asked by."""
    with running(tmp_path, "attacked:api", "--store", "memory://", DRIVEN_HTTP_TOKEN="x") as service:  # noqa: S106 - opens nothing
        answer = httpx.get(
            f"{service.url}/health/live", headers={"Host": "shop.example", "Origin": "https://a"}, timeout=LONGEST_S
        )

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "text",
    [
        b"\x00\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"X" * 99,
    ],
)
def test_what_is_no_http_is_a_problem_too(patient: Service, text: bytes) -> None:
    """Told as everything else is."""
    head, _, body = sent(patient, [text]).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["status"] == 400
