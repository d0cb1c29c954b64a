"""The server behind `driven run`: one API on uvicorn, on the event loop of its bus; it ends as `driven.run` says.

::

    SIGTERM   the bus takes no more: new commands get 503   ->   what was accepted retires, and waiting answers are sent
              ->   the server stops listening, open answers are finished   ->   workers leave, the log is closed

Needs the extra `http`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import socket
import sys
import time
from typing import TYPE_CHECKING, Final

import uvicorn

from driven.entrypoints.http.connections import Connection
from driven.entrypoints.http.reach import OnlyFromHere, check_reach, is_guarded
from driven.entrypoints.words import counted
from driven.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.bus.message_bus import MessageBus
    from driven.entrypoints.http.serving import HttpApi

FINISH_S: Final = 3.0
"""How long answers may take to be sent once everything has retired, in seconds."""
_BACKLOG: Final = 2_048


class _Server(uvicorn.Server):
    """uvicorn, without its own signal handlers: `driven.run` hears them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `driven.run`."""
        yield


async def serve(api: HttpApi, source: str) -> None:
    """Listen, open the bus, and serve until cancelled. `source` is where the settings came from, for what is refused.

    Health is answered from the beginning: what takes long to recover is alive, and not ready.

    Raises:
        SettingsError: the address cannot be listened on, or anybody could reach it.
        What `open_bus` raises.

    """
    check_reach(api, source)
    began_s = time.monotonic()
    with _listening(api, source) as listener:
        _tell_opening(api, listener)
        server = _server(api)
        serving = asyncio.create_task(server.serve([listener]))
        try:
            async with api.opened() as bus:
                try:
                    _freeze()
                    _tell_start(api, bus, listener, time.monotonic() - began_s)
                    await asyncio.wait({serving})
                finally:  # before the bus closes
                    await _end(server, serving)
        finally:  # if it did not open
            await _end(server, serving)
        serving.result()


def _freeze() -> None:
    """What is there now stays: a full collection would look at all of it, and requests would wait meanwhile."""
    gc.collect()
    gc.freeze()


async def _end(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    """Listen no more, and finish the answers that are open."""
    server.should_exit = True
    await asyncio.wait({serving})


def _server(api: HttpApi) -> uvicorn.Server:
    return _Server(
        uvicorn.Config(
            api if is_guarded(api) else OnlyFromHere(api),
            http=functools.partial(Connection, longest_s=api.settings.http.body_timeout_s),  # type: ignore[arg-type]  # it is called, and no more
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=int(FINISH_S),
            backlog=_BACKLOG,
        )
    )


@contextlib.contextmanager
def _listening(api: HttpApi, source: str) -> Iterator[socket.socket]:
    http = api.settings.http
    try:
        family, _, _, _, address = socket.getaddrinfo(http.host, http.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise SettingsError(
            source, [f"[http] host = {http.host!r} is no address ({error.strerror}); give one of this machine"]
        ) from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            fault = (
                f"[http] port = {http.port} of {http.host} cannot be listened on ({error.strerror}); "
                f"end what listens there, or give another port (--port 0: any that is free)"
            )
            raise SettingsError(source, [fault]) from error
        listener.listen(_BACKLOG)
        yield listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _tell_opening(api: HttpApi, listener: socket.socket) -> None:
    to_open = f"opens the log {api.settings.store.url}"
    sys.stderr.write(f"{api.api.application.name}: {to_open}, and answers at {_url(listener)} that it is not ready\n")
    sys.stderr.flush()


def _tell_start(api: HttpApi, bus: MessageBus, listener: socket.socket, took_s: float) -> None:
    seen = bus.statistics()
    workers = counted(len(seen.workers), "worker") if seen.workers else "no workers"
    url = _url(listener)
    at = f"log {api.settings.store.url} at position {bus.last_position}"
    http = api.settings.http
    to_try = f", to try it: {url}/docs" if http.docs and not http.token else ""  # a browser sends no token
    sys.stderr.write(f"{api.api.application.name}: {workers}, {at}, open after {took_s:.2f} s\n")
    sys.stderr.write(f"listening on {url}{to_try}\n")
    if not api.takes_commands:
        sys.stderr.write("no command can be sent to it: none says @app.handles(..., exposed=True)\n")
    sys.stderr.flush()
