"""A small emulator of the AWS Lambda runtime API, and a function that runs under the real runtime interface client.

::

    test --event--> Runtime (HTTP, one thread) <--GET next, POST response|error-- awslambdaric --> handler

It serves what the interface client asks for, and nothing else; bound to 127.0.0.1, on a port of its own.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_S = 60.0
NO_SHARED_MEMORY = "mount -t tmpfs -o ro,size=0 tmpfs /dev/shm"
"""As it is on Lambda, but that the folder is there: nothing can be made in it."""


class Answer(NamedTuple):
    """What became of one invocation."""

    is_error: bool
    body: Any


class _Server(ThreadingHTTPServer):
    """A server whose client is killed while it is answered."""

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the base class has it
        """Say nothing of a client that is gone."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Runtime:
    """The runtime API, and the interface client that asks it; for one function, until `close`."""

    def __init__(self, folder: Path, handler: str, *, memory_mb: int = 1_769, mount: str = "") -> None:
        """`handler` is ``module.function``; `mount` is done in a mount namespace of its own before it starts."""
        self._events: queue.Queue[tuple[str, Any] | None] = queue.Queue()
        self._answers: queue.Queue[tuple[str, Answer]] = queue.Queue()
        self._server = _Server(("127.0.0.1", 0), _handler_for(self._events, self._answers))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="runtime-api", daemon=True).start()
        host, port = self._server.server_address[:2]
        variables = {name: value for name, value in os.environ.items() if not name.startswith("DRIVEN_")}
        command = [sys.executable, "-m", "awslambdaric", handler]
        if mount:
            command = [
                shutil.which("unshare") or "unshare",
                "--mount",
                "sh",
                "-c",
                f'{mount} && exec "$@"',
                "sh",
                *command,
            ]
        self.started_ns = time.monotonic_ns()
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={
                **variables,
                "PYTHONPATH": os.pathsep.join([str(folder), *(place for place in sys.path if place)]),
                "AWS_LAMBDA_RUNTIME_API": f"{host!s}:{port}",
                "AWS_LAMBDA_FUNCTION_NAME": "shop",
                "AWS_LAMBDA_FUNCTION_VERSION": "1",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
                "AWS_LAMBDA_LOG_GROUP_NAME": "shop",
                "AWS_LAMBDA_LOG_STREAM_NAME": "shop",
                "LAMBDA_TASK_ROOT": str(folder),
                "_HANDLER": handler,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._number = 0

    def invoke(self, event: Any) -> Answer:  # noqa: ANN401 - any JSON
        """Hand over one event; what the handler answered, or the error that it ended with."""
        self._number += 1
        self._events.put((str(self._number), event))
        while True:
            number, answer = self._answers.get(timeout=LONGEST_S)
            if number in {str(self._number), "init"}:
                return answer

    def close(self) -> str:
        """End it, as Lambda ends a sandbox; what it said on standard error."""
        self.process.kill()
        _, said = self.process.communicate()
        self._events.put(None)
        self._server.shutdown()
        self._server.server_close()
        return said


def _handler_for(
    events: queue.Queue[tuple[str, Any] | None], answers: queue.Queue[tuple[str, Answer]]
) -> type[BaseHTTPRequestHandler]:
    class Api(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: the other side would wait for the second
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            event = events.get()
            if event is None:
                self.close_connection = True
                return
            number, body = event
            self._send(
                200,
                json.dumps(body).encode(),
                {
                    "Lambda-Runtime-Aws-Request-Id": number,
                    "Lambda-Runtime-Deadline-Ms": str(int((time.time() + 30) * 1_000)),
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:1:function:shop",
                },
            )

        def do_POST(self) -> None:
            told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            parts = self.path.strip("/").split("/")
            number = "init" if "init" in parts else parts[3]
            answers.put((number, Answer(parts[-1] == "error", told)))
            self._send(202, b"{}", {})

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {
                **headers,
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as the base class calls it
            """Say nothing."""

    return Api
