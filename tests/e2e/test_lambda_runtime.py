"""Lambda from end to end: the real runtime interface client, cold and warm, with and without ``/dev/shm``."""

from __future__ import annotations

import json
import textwrap
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from lambda_runtime import LONGEST_S, NO_SHARED_MEMORY, Runtime
from namespaces import why_no_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FUNCTION = """
    from driven import Application, Command, Event, Placement
    from driven.entrypoints.aws_lambda import lambda_handler

    app = Application("shop")


    class Count(Command):
        to: int


    class Counted(Event):
        total: int


    @app.handles(Count, placement=Placement.WORKER, exposed=True)
    def count(command: Count) -> Counted:
        if command.to < 0:
            raise ValueError("nobody counts down")
        return Counted(sum(range(command.to)))


    handler = lambda_handler(app)
    kept = lambda_handler(app, keeps_bus=True)
"""
COUNT = {"command": "shop.Count", "data": {"to": 101}}
COUNTED = {"position": 1, "events": [{"total": 5050}]}
HTTP = {
    "version": "2.0",
    "rawPath": "/commands/shop.Count",
    "rawQueryString": "",
    "headers": {"content-type": "application/json"},
    "requestContext": {"http": {"method": "POST", "sourceIp": "1.2.3.4"}},
    "body": json.dumps({"to": 101}),
}


@contextmanager
def running(folder: Path, handler: str = "function.handler", **how: Any) -> Iterator[Runtime]:  # noqa: ANN401 - as Runtime has it
    """The function above, in a folder of its own."""
    (folder / "function.py").write_text(textwrap.dedent(FUNCTION), "utf-8")
    runtime = Runtime(folder, handler, **how)
    said = ""
    try:
        yield runtime
    finally:
        said = runtime.close()
    assert "Traceback" not in said or "nobody counts down" in said, said


def record(message_id: str, to: int, group: str) -> dict[str, Any]:
    """A message of a FIFO queue."""
    attributes = {"MessageGroupId": group, "ApproximateReceiveCount": "1"}
    body = json.dumps({"command": "shop.Count", "data": {"to": to}})
    return {"messageId": message_id, "eventSource": "aws:sqs", "attributes": attributes, "body": body}


FIFO = {
    "Records": [
        record("1", 1, "a"),
        record("2", 1, "b"),
        record("3", -1, "a"),
        record("4", 1, "b"),
        record("5", 1, "a"),
    ]
}


def check_answers(runtime: Runtime) -> None:
    """Cold and warm, each kind of event has its answer."""
    assert [runtime.invoke(COUNT) for _ in range(2)] == [(False, COUNTED)] * 2
    answer = runtime.invoke(HTTP).body
    assert (answer["statusCode"], json.loads(answer["body"])["events"][0]["data"]) == (200, {"total": 5050})
    poison = runtime.invoke(FIFO).body
    assert poison == {"batchItemFailures": [{"itemIdentifier": "3"}, {"itemIdentifier": "5"}]}
    failed = runtime.invoke({"command": "shop.Count", "data": {"to": -1}})
    assert (failed.is_error, failed.body["errorType"]) == (True, "CommandFailed")
    assert runtime.invoke(COUNT) == (False, COUNTED)


def wait_for_threads(process: psutil.Process, number: int) -> int:
    """How many threads it has, at last: the kernel counts one for a moment after it was joined."""
    deadline_s = time.monotonic() + LONGEST_S
    while (found := process.num_threads()) != number and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return found


@pytest.mark.parametrize("memory_mb", [1_769, 3_600])
def test_the_answers_are_the_same_with_and_without_shared_memory(tmp_path: Path, memory_mb: int) -> None:
    """W8, S1: as there is no ``/dev/shm`` on Lambda, rings lie in memfds; with one vCPU there is no worker."""
    with running(tmp_path, memory_mb=memory_mb) as runtime:
        check_answers(runtime)
    if reason := why_no_namespace():
        pytest.skip(reason)
    with running(tmp_path, memory_mb=memory_mb, mount=NO_SHARED_MEMORY) as runtime:
        check_answers(runtime)


def test_nothing_outlives_the_answer_unless_it_was_asked_for(tmp_path: Path) -> None:
    """No thread and no process is there to be frozen; a kept bus keeps its workers, which vanish with it (W7)."""
    with running(tmp_path, memory_mb=3_600) as runtime:
        assert runtime.invoke(COUNT).body == COUNTED
        sandbox = psutil.Process(runtime.process.pid)
        assert [child.cmdline() for child in sandbox.children() if "resource_tracker" not in str(child.cmdline())] == []
        assert wait_for_threads(sandbox, 1) == 1
    with running(tmp_path, "function.kept", memory_mb=3_600) as runtime:
        positions = [runtime.invoke(COUNT).body["position"] for _ in range(3)]
        kept = psutil.Process(runtime.process.pid).children()
    assert positions == [1, 3, 5]
    _, alive = psutil.wait_procs(kept, timeout=20)
    assert alive == []


def test_a_faulty_application_is_told_at_the_start(tmp_path: Path) -> None:
    """R1: with all its faults, and not with the first event."""
    (tmp_path / "function.py").write_text(textwrap.dedent(FUNCTION).replace("to: int", "to: object"), "utf-8")
    runtime = Runtime(tmp_path, "function.handler")
    try:
        told = runtime.invoke(COUNT)
    finally:
        runtime.close()

    assert told.is_error
    assert "cannot be opened" in told.body["errorMessage"]
