"""The Lambda handler, called as the runtime calls it: each kind of event, and what is left behind."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import psutil
import pytest

import shop
from driven import BusSettings, Command, CommandFailed, Settings, StoreSettings, WorkerSettings
from driven.entrypoints.aws_lambda import Sources, lambda_handler
from driven.entrypoints.aws_lambda.events import Unintelligible

if TYPE_CHECKING:
    from pathlib import Path

INLINE = Settings(workers=WorkerSettings(count=0))


class Context:
    """What the runtime tells of an invocation, as far as we look."""

    def __init__(self, left_ms: int = 30_000) -> None:
        """So many milliseconds are left."""
        self._left_ms = left_ms

    def get_remaining_time_in_millis(self) -> int:
        """As the runtime has it."""
        return self._left_ms


def placed(order_id: str, amount: int = 1) -> dict[str, Any]:
    """A command by its name."""
    return {"command": "shop.PlaceOrder", "data": {"order_id": order_id, "amount": amount}}


def message(number: int, amount: int = 1, group: str | None = None, receipt: int = 1) -> dict[str, Any]:
    """A record of SQS."""
    attributes = {"ApproximateReceiveCount": str(receipt)} | ({"MessageGroupId": group} if group else {})
    body = json.dumps(placed(str(number), amount))
    return {"messageId": f"m{number}", "eventSource": "aws:sqs", "body": body, "attributes": attributes}


def given_back(answer: Any) -> list[str]:  # noqa: ANN401 - what a handler returns
    """The messages that are to be delivered again."""
    return [one["itemIdentifier"] for one in answer["batchItemFailures"]]


def test_a_direct_invocation_gives_the_events_and_leaves_nothing() -> None:
    """No thread, no process outlives the answer."""
    handler = lambda_handler(shop.app, INLINE)
    handler(placed("a"), Context())  # what libraries open once and keep
    before = threading.active_count(), psutil.Process().num_fds()

    answers = [handler(placed("a") | {"id": "x"}, Context()) for _ in range(3)]

    assert answers == [{"position": 1, "events": [{"order_id": "a", "amount": 1}]}] * 3
    assert (threading.active_count(), psutil.Process().num_fds()) == before


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({}, "command"),
        ({"command": "shop.Nothing"}, "there is no command 'shop.Nothing' (there are: shop.Hold"),
        ({"command": "shop.OrderPlaced"}, "there is no command"),
        (placed("a", "x"), "Expected `int`, got `str` - at `$.amount`"),  # type: ignore[arg-type]  # what is wrong
        ({"Records": [{"eventSource": "aws:kinesis"}]}, "its records are of 'aws:kinesis'"),
        ({"Records": [{"eventSource": "aws:s3", "s3": {}}]}, "missing required field `bucket`"),
        ({"detail-type": "shop.Nothing", "id": "1"}, "there is no command"),
        ({"Records": []}, "command"),
    ],
)
def test_an_event_that_stands_for_nothing_is_named(event: dict[str, Any], words: str) -> None:
    """With what it is and what there is."""
    with pytest.raises(Unintelligible) as refusal:
        lambda_handler(shop.app, INLINE)(event, Context())

    assert words in str(refusal.value)


def test_a_failed_command_fails_the_invocation() -> None:
    """F1: with its error, so that whoever invoked is told."""
    with pytest.raises(CommandFailed, match="only 10 are left"):
        lambda_handler(shop.app, INLINE)(placed("a", 11), Context())


def test_of_a_standard_queue_only_what_failed_is_given_back() -> None:
    """Partial batch failure: the others are done."""
    records = [message(1), message(2, amount=11), message(3)]
    records[0]["body"] = "no JSON"

    assert given_back(lambda_handler(shop.app, INLINE)({"Records": records}, Context())) == ["m1", "m2"]


def test_of_a_fifo_queue_what_stands_behind_a_failure_in_its_group_is_given_back() -> None:
    """Order is kept when they come again; other groups go on."""
    records = [
        message(1, group="a"),
        message(2, group="b"),
        message(3, group="a", amount=11),
        message(4, group="b"),
        message(5, group="a"),
    ]
    with contextlib.closing(lambda_handler(shop.app, INLINE, keeps_bus=True)) as handler:
        assert given_back(handler({"Records": records}, Context())) == ["m3", "m5"]


def test_a_second_delivery_changes_nothing_but_gives_a_failed_one_another_chance(tmp_path: Path) -> None:
    """U5: over a log that outlives the function."""
    settings = Settings(workers=WorkerSettings(count=0), store=StoreSettings(url=f"sqlite:///{tmp_path}/log.db"))
    handler = lambda_handler(shop.app, settings)
    first = handler({"Records": [message(1)]}, Context())
    again = handler({"Records": [message(1, receipt=2)]}, Context())
    told = handler(placed("x"), Context())
    failing = handler({"Records": [message(9, amount=11)]}, Context())
    still = handler({"Records": [message(9, amount=11, receipt=2)]}, Context())

    assert given_back(first) == given_back(again) == []
    assert told["position"] == 4  # the order, its event and the packing came first, once
    assert given_back(failing) == given_back(still) == ["m9"]


V2 = {"version": "2.0", "rawPath": "/commands/shop.PlaceOrder", "rawQueryString": ""}


def test_the_gateways_are_answered_as_http_is() -> None:
    """v1, v2 and function URLs: the same answer, in their form."""
    handler = lambda_handler(shop.app, INLINE, api=shop.api)
    body = json.dumps({"order_id": "a", "amount": 2})
    http = {"http": {"method": "POST", "sourceIp": "1.2.3.4"}}
    v2 = handler(
        V2 | {"headers": {"content-type": "application/json"}, "requestContext": http, "body": body}, Context()
    )
    encoded = base64.b64encode(body.encode()).decode()
    v1 = handler(
        {
            "httpMethod": "POST",
            "path": "/commands/shop.PlaceOrder",
            "multiValueHeaders": {"Content-Type": ["application/json"]},
            "requestContext": {},
            "body": encoded,
            "isBase64Encoded": True,
        },
        Context(),
    )
    wrong = handler(V2 | {"headers": {}, "requestContext": http, "body": body}, Context())

    assert (v1["statusCode"], v2["statusCode"], wrong["statusCode"]) == (200, 200, 415)
    assert json.loads(v1["body"])["events"] == json.loads(v2["body"])["events"]
    assert json.loads(v2["body"])["settlement"]["messages"] == 3
    assert v2["headers"]["location"].startswith("/receipts/")
    assert v1["multiValueHeaders"]["content-type"] == ["application/json"]


def test_a_query_reads_what_the_kept_bus_knows() -> None:
    """A bus that is kept has its read models from one event to the next."""
    event = V2 | {
        "rawPath": "/orders/b",
        "rawQueryString": "times=2",
        "headers": {},
        "requestContext": {"http": {"method": "GET"}},
    }

    with contextlib.closing(lambda_handler(shop.app, INLINE, api=shop.api, keeps_bus=True)) as handler:
        handler(placed("b", 4), Context())
        answer = handler(event, Context())

    assert json.loads(answer["body"]) == 8


def test_sources_say_what_records_mean() -> None:
    """S3 and EventBridge, one command, several, or none."""

    def of_object(record: Any) -> list[Command]:  # noqa: ANN401 - a record
        return [shop.PlaceOrder(record["s3"]["object"]["key"]), shop.PlaceOrder("second")]

    sources = Sources(s3=of_object, eventbridge=lambda _event: None)
    handler = lambda_handler(shop.app, INLINE, sources=sources)
    record = {"eventSource": "aws:s3", "s3": {"bucket": {"name": "b"}, "object": {"key": "k", "sequencer": "1"}}}

    outcomes = handler({"Records": [record]}, Context())

    assert [one["events"][0]["order_id"] for one in outcomes] == ["k", "second"]
    assert handler({"detail-type": "whatever", "id": "1", "detail": {}}, Context()) == []


def test_when_time_runs_out_the_invocation_fails_before_lambda_ends_it() -> None:
    """The next event gets a bus that works."""
    shop.go_on.clear()
    settings = Settings(workers=WorkerSettings(count=1), bus=BusSettings(drain_timeout_s=0.1))
    handler = lambda_handler(shop.slow_app, settings)
    with pytest.raises(TimeoutError):
        handler({"command": "slow.Sleep", "data": {"for_s": 60}}, Context(left_ms=1_500))

    assert handler({"command": "slow.Sleep", "data": {"for_s": 0}}, Context())["position"] == 1


def test_what_is_imported_at_a_cold_start_is_little() -> None:
    """Neither HTTP nor the command line nor a pool is there before something asks for it."""
    program = (
        "import sys; from driven.entrypoints.aws_lambda import lambda_handler; "
        "print(*sorted({'starlette', 'uvicorn', 'tyro', 'rich', 'psutil', 'numpy', 'driven.pool.worker_pool', "
        "'multiprocessing.shared_memory', 'sqlite3', 'matplotlib'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    assert told.stdout.split() == []
