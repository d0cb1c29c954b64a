"""The ways in, measured: commands over HTTP beside plain starlette, and a Lambda function from cold.

::

    python -m benchmarks.ways_in                  both; half a minute
    python -m benchmarks.ways_in --only lambda    or http

With ``--page`` it puts its tables into docs/explanation/performance.md, between the marks.

HTTP: the same requests by the same client, over so many connections that stay open, to the same route of three servers
on uvicorn, one after the other in each round: starlette alone, which decodes the body and answers as much; the bus
with its log in memory; the bus with its log in a file. Lambda: the time from starting the runtime interface client to
the answer of the first event, and of the next, beside a handler that does nothing. Medians over rounds, with the
spread.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.page import put, spread
from driven.entrypoints.bench.machine import machine

TESTS: Final = Path(__file__).parents[1] / "tests" / "applications"
sys.path.insert(0, str(TESTS))

from http_service import environment, running  # noqa: E402 - found where the tests have it
from lambda_runtime import Runtime  # noqa: E402 - the same

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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
        b"POST /commands/shop.PlaceOrder HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
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


def http() -> str:
    """Measure the three servers; their table."""
    samples: dict[str, list[Sample]] = {name: [] for name in SERVERS}
    for number in range(ROUNDS):
        names = list(SERVERS)
        for name in names[number % 3 :] + names[: number % 3]:
            samples[name].append(SERVERS[name]())
    return (
        f"{CONNECTIONS} connections, {CONNECTIONS * REQUESTS:,} requests a round, one command each:\n\n"
        f"{_table(('server', 'requests/s', 'p50, ms', 'p99, ms'), samples)}"
    )


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


def lambda_function() -> str:
    """Measure the functions; their table."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in FUNCTIONS}
    for _ in range(ROUNDS):
        for name, (source, handler) in FUNCTIONS.items():
            taken[name].append(_cold_and_warm(source, handler))
    return (
        "A function, from the start of the runtime interface client to the first answer, and a later answer:\n\n"
        f"{_table(('function', 'cold, ms', 'warm, ms'), taken)}"
    )


# The page.

PARTS: Final = {"http": http, "lambda": lambda_function}


def _table(heads: Sequence[str], samples: Mapping[str, Sequence[Sequence[float]]]) -> str:
    """One line for each contender, with what its columns were in all rounds."""
    lines = [f"| {' | '.join(heads)} |", "| --- |" + " ---: |" * (len(heads) - 1)]
    for name, rounds in samples.items():
        lines.append(f"| {name} | {' | '.join(spread(column) for column in zip(*rounds, strict=True))} |")
    return "\n".join(lines) + "\n"


def report(parts: Sequence[str]) -> str:
    """Measure, and say it in the words of the page."""
    load_before = os.getloadavg()[0]
    tables = [PARTS[part]() for part in parts]
    here = machine()
    return (
        f"`python -m benchmarks.ways_in`: medians of {ROUNDS} rounds, lowest and highest in brackets. {here.processor},"
        f" {here.cpus} CPUs, {here.python}, {here.system}; the load average was {load_before:.1f} before and"
        f" {os.getloadavg()[0]:.1f} after.\n\n" + "\n".join(tables)
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and put it onto the page where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, help="one of the two")
    parser.add_argument("--page", action="store_true", help="write docs/explanation/performance.md")
    options = parser.parse_args(arguments)
    text = report([options.only] if options.only else list(PARTS))
    sys.stdout.write(text)
    if options.page:
        put("ways in", text)


if __name__ == "__main__":
    main()
