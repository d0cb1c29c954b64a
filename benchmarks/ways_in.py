"""The ways in, measured: commands over HTTP beside plain starlette, and a Lambda function from cold.

::

    python -m benchmarks.ways_in            both; minutes
    python -m benchmarks.ways_in http|lambda

HTTP: the same requests by the same client, over so many connections that stay open, to the same route of three servers
on uvicorn, one after the other in each round: starlette alone, which decodes the body and answers as much; the bus
with its log in memory; the bus with its log in a file. Lambda: the time from starting the runtime interface client to
the answer of the first event, and of the next, beside a handler that does nothing. Medians over rounds, with the
spread.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

TESTS: Final = Path(__file__).parents[1] / "tests" / "applications"
sys.path.insert(0, str(TESTS))

from http_service import environment, running  # noqa: E402 - found where the tests have it
from lambda_runtime import Runtime  # noqa: E402 - the same

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS: Final = 5
CONNECTIONS: Final = 32
REQUESTS: Final = 200
"""On each connection, one after the other."""
_BODY: Final = b'{"order_id": "a", "amount": 2}'

PLAIN: Final = """
    import msgspec, uvicorn
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    class PlaceOrder(msgspec.Struct):
        order_id: str
        amount: int = 1

    async def place(request):
        command = msgspec.json.decode(await request.body(), type=PlaceOrder)
        answer = {"receipt": "x" * 49, "position": 1, "status": "settled", "events": [
            {"type": "shop.OrderPlaced", "version": 1, "data": command}],
            "settlement": {"messages": 3, "failed": 0, "parked": 0}}
        return Response(msgspec.json.encode(answer), media_type="application/json")

    app = Starlette(routes=[Route("/commands/shop.PlaceOrder", place, methods=["POST"])])
    config = uvicorn.Config(app, port=0, http="httptools", loop="uvloop", access_log=False, log_level="critical")
    server = uvicorn.Server(config)

    async def main():
        import asyncio, sys
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        print("", file=sys.stderr)
        host, port = server.servers[0].sockets[0].getsockname()
        print(f"listening on http://{host}:{port}", file=sys.stderr, flush=True)
        await serving

    import uvloop
    uvloop.run(main())
"""


class Sample(NamedTuple):
    """One round of one server."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float


async def _connection(host: str, port: int, took_s: list[float]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    request = (
        b"POST /commands/shop.PlaceOrder HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
    )
    for _ in range(REQUESTS):
        began_s = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        took_s.append(time.perf_counter() - began_s)
    writer.close()


async def _flood(url: str) -> Sample:
    host, _, port = url.removeprefix("http://").partition(":")
    took_s: list[float] = []
    began_s = time.perf_counter()
    await asyncio.gather(*(_connection(host, int(port), took_s) for _ in range(CONNECTIONS)))
    elapsed_s = time.perf_counter() - began_s
    cuts = statistics.quantiles(took_s, n=100)
    return Sample(len(took_s) / elapsed_s, cuts[49] * 1_000, cuts[98] * 1_000)


def _of_plain() -> Sample:
    process = subprocess.Popen(  # noqa: S603 - the program above
        [sys.executable, "-c", textwrap.dedent(PLAIN)], env=environment(), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        process.stderr.readline()
        return asyncio.run(_flood(process.stderr.readline().split()[-1]))
    finally:
        process.kill()
        process.communicate()


def _of_bus(store: str) -> Sample:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), "shop:api", "--store", store) as service:
        return asyncio.run(_flood(service.url))


SERVERS: Final[dict[str, Callable[[], Sample]]] = {
    "starlette alone": _of_plain,
    "the bus, log in memory": lambda: _of_bus("memory://"),
    "the bus, log in a file": lambda: _of_bus("sqlite:///driven.db"),
}


def _show(name: str, samples: list[Sample]) -> str:
    columns = [f"{name:<24}"]
    for values, form in zip(zip(*samples, strict=True), ("{:,.0f}", "{:.1f}", "{:.1f}"), strict=True):
        middle, least, most = (form.format(one) for one in (statistics.median(values), min(values), max(values)))
        columns.append(f"{middle} ({least}-{most})")
    return "| " + " | ".join(columns) + " |"


def http() -> None:
    """Measure and print the three servers."""
    samples: dict[str, list[Sample]] = {name: [] for name in SERVERS}
    for number in range(ROUNDS):
        names = list(SERVERS)
        for name in names[number % 3 :] + names[: number % 3]:
            samples[name].append(SERVERS[name]())
    lines = [
        f"{CONNECTIONS} connections, {CONNECTIONS * REQUESTS:,} requests a round; median of {ROUNDS} rounds (spread)",
        "",
        "| server | requests/s | p50 ms | p99 ms |",
        "|---|---:|---:|---:|",
        *(_show(name, taken) for name, taken in samples.items()),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


NOTHING: Final = """
    def handler(event, context):
        return event
"""
ORDERS: Final = """
    from driven import Application, Command, Event
    from driven.entrypoints.aws_lambda import lambda_handler

    app = Application("shop")

    class PlaceOrder(Command):
        order_id: str

    class OrderPlaced(Event):
        order_id: str

    @app.handles(PlaceOrder)
    def place(command: PlaceOrder) -> OrderPlaced:
        return OrderPlaced(command.order_id)

    handler = lambda_handler(app)
    kept = lambda_handler(app, keeps_bus=True)
"""
FUNCTIONS: Final = {
    "a handler that does nothing": (NOTHING, "function.handler"),
    "a bus for each event": (ORDERS, "function.handler"),
    "a bus that is kept": (ORDERS, "function.kept"),
}
_EVENT: Final = {"command": "shop.PlaceOrder", "data": {"order_id": "a"}}
_WARM: Final = 50


def _cold_and_warm(source: str, handler: str) -> tuple[float, float]:
    """Milliseconds from the start of the client to the first answer, and of a later answer, in the middle."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "function.py").write_text(textwrap.dedent(source), "utf-8")
        runtime = Runtime(Path(folder), handler)
        try:
            runtime.invoke(_EVENT)
            cold_ns = time.monotonic_ns() - runtime.started_ns
            warm_ns = []
            for _ in range(_WARM):
                began_ns = time.monotonic_ns()
                runtime.invoke(_EVENT)
                warm_ns.append(time.monotonic_ns() - began_ns)
        finally:
            runtime.close()
    return cold_ns / 1e6, statistics.median(warm_ns) / 1e6


def lambda_function() -> None:
    """Measure and print the functions."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in FUNCTIONS}
    for _ in range(ROUNDS):
        for name, (source, handler) in FUNCTIONS.items():
            taken[name].append(_cold_and_warm(source, handler))
    lines = [f"median of {ROUNDS} rounds (spread)", "", "| function | cold ms | warm ms |", "|---|---:|---:|"]
    for name, samples in taken.items():
        columns = [
            f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"
            for values in zip(*samples, strict=True)
        ]
        lines.append(f"| {name} | {' | '.join(columns)} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    asked = sys.argv[1:] or ["http", "lambda"]
    for what in asked:
        {"http": http, "lambda": lambda_function}[what]()
        sys.stdout.write("\n")
