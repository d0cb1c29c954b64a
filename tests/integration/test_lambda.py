"""The Lambda handler, called as the runtime calls it: each kind of event, and what is left behind."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest

import attacked
import parking
import shop
from driven import (
    Application,
    BusSettings,
    Command,
    CommandFailed,
    Event,
    Settings,
    StoreFailed,
    StoreSettings,
    WorkerSettings,
)
from driven.adapters.stores.sqlite.store import SqliteStore
from driven.entrypoints.aws_lambda import Sources, lambda_handler
from driven.entrypoints.aws_lambda.bridge import answer
from driven.entrypoints.aws_lambda.events import Unintelligible
from driven.entrypoints.http import Api, Request

if TYPE_CHECKING:
    from pathlib import Path

INLINE = Settings(workers=WorkerSettings(count=0))
LONG_S = 600.0
"""Longer than any test may take."""


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


def at(folder: Path) -> Settings:
    """Everything inline, over a log that outlives the function."""
    return Settings(workers=WorkerSettings(count=0), store=StoreSettings(url=f"sqlite:///{folder}/log.db"))


def ids_in(folder: Path) -> list[str]:
    """Of the commands that were given one."""
    store = SqliteStore(folder / "log.db")
    ids = [record.message.envelope.id for record in store.read(0, 100)]
    store.close()
    return [one for one in ids if not one.startswith("@")]


def test_what_failed_once_and_was_done_then_is_not_done_again(tmp_path: Path) -> None:
    """U5: AWS may deliver a message once more after it was done, whatever happened before."""
    app, done, is_broken = Application("flaky"), list[int](), [True]

    class Do(Command):
        number: int

    @app.handles(Do)
    def do(command: Do) -> None:
        if is_broken[0]:
            raise RuntimeError("broken")
        done.append(command.number)

    def delivered(times: int) -> list[str]:
        record = message(1, receipt=times) | {"body": '{"command": "flaky.Do", "data": {"number": 1}}'}
        return given_back(lambda_handler(app, at(tmp_path))({"Records": [record]}, Context()))

    before = [delivered(1), delivered(2)]
    is_broken[0] = False
    after = [delivered(3), delivered(4), delivered(5)]

    assert (before, after) == ([["m1"], ["m1"]], [[], [], []])
    assert done == [1]
    assert ids_in(tmp_path) == ["sqs:m1", "sqs:m1#2", "sqs:m1#3"]


def test_what_is_parked_is_not_carried_out_under_another_name(tmp_path: Path) -> None:
    """F3: it is in the log; whoever redrives it would have it twice."""

    def delivered(number: int, command: str, data: dict[str, Any], times: int) -> list[str]:
        record = message(number, receipt=times) | {"body": json.dumps({"command": command, "data": data})}
        return given_back(lambda_handler(parking.app, at(tmp_path))({"Records": [record]}, Context()))

    parking.BROKEN.add(1)
    try:
        delivered(1, "parking.Begin", {"items": [["k", 1]]}, 1)
        behind = [delivered(2, "parking.Apply", {"key": "k", "number": 2}, times) for times in (1, 2)]
    finally:
        parking.BROKEN.clear()

    assert behind == [["m2"], ["m2"]]
    assert ids_in(tmp_path) == ["sqs:m1", "sqs:m2"]


def test_an_event_of_eventbridge_that_failed_gets_another_chance(tmp_path: Path) -> None:
    """AWS delivers it again for just that."""
    handler = lambda_handler(shop.app, at(tmp_path))
    event = {"detail-type": "shop.PlaceOrder", "id": "e", "detail": {"order_id": "a", "amount": 11}}
    for _ in range(2):
        with pytest.raises(CommandFailed):
            handler(event, Context())

    assert ids_in(tmp_path) == ["eventbridge:e", "eventbridge:e#2"]


def test_groups_of_two_queues_are_two_groups() -> None:
    """And a message that is twice in a batch is given back once."""
    records = [
        message(1, amount=11, group="a") | {"eventSourceARN": "one"},
        message(2, group="a") | {"eventSourceARN": "two"},
        message(3, group="a") | {"eventSourceARN": "one"},
        message(3, group="a") | {"eventSourceARN": "one"},
    ]

    assert given_back(lambda_handler(shop.app, INLINE)({"Records": records}, Context())) == ["m1", "m3"]


def test_a_bus_that_could_not_be_opened_is_opened_with_the_next_event(tmp_path: Path) -> None:
    """What was in the way may be gone then; the function that keeps its bus keeps no broken one."""
    with contextlib.closing(lambda_handler(shop.app, at(tmp_path / "folder"), keeps_bus=True)) as handler:
        for _ in range(2):
            with pytest.raises(StoreFailed):
                handler(placed("a"), Context())
        (tmp_path / "folder").mkdir()

        assert [handler(placed("a"), Context())["position"] for _ in range(2)] == [1, 4]


def test_no_time_is_lost_on_what_there_is_no_time_for() -> None:
    """A bus is not drained when time has run out, and its worker is not waited for: Lambda would end both."""
    settings = Settings(workers=WorkerSettings(count=1, stop_timeout_s=LONG_S), bus=BusSettings(drain_timeout_s=LONG_S))
    with pytest.raises(TimeoutError):
        lambda_handler(shop.slow_app, settings)({"command": "slow.Sleep", "data": {"for_s": LONG_S}}, Context(1_500))


def test_arrays_are_told_as_they_are_everywhere() -> None:
    """What was done is not told as a failure."""
    app = Application("arrays")

    class Count(Command):
        to: int

    class Counted(Event):
        values: np.ndarray[Any, Any]

    @app.handles(Count)
    def count(command: Count) -> Counted:
        return Counted(np.arange(command.to))

    answer = lambda_handler(app, INLINE)({"command": "arrays.Count", "data": {"to": 3}}, Context())

    json.dumps(answer)
    assert answer["events"][0]["values"][:2] == ("<i8", (3,))


@pytest.mark.parametrize("command_id", ["", "@1", "\ud800"])
def test_an_id_that_is_none_is_named(command_id: str) -> None:
    """Nothing is carried out."""
    with pytest.raises(Unintelligible, match="the id of a command"):
        lambda_handler(shop.app, INLINE)(placed("a") | {"id": command_id}, Context())


@pytest.mark.parametrize(
    ("event", "location"),
    [
        (V2 | {"stage": "$default"}, "/receipts/"),
        (V2 | {"stage": "prod", "rawPath": "/prod/commands/shop.PlaceOrder"}, "/prod/receipts/"),
        (V2 | {"stage": "prod"}, "/receipts/"),
        ({"httpMethod": "POST", "path": "/commands/shop.PlaceOrder", "whole": ""}, "/receipts/"),
        ({"httpMethod": "POST", "path": "/commands/shop.PlaceOrder", "whole": "/prod"}, "/prod/receipts/"),
    ],
)
def test_a_stage_is_part_of_the_way_and_not_of_the_path(event: dict[str, Any], location: str) -> None:
    """Under a named stage paths begin with it; what is told leads back there."""
    context = {"http": {"method": "POST"}, "stage": event.get("stage", "prod")}
    if "whole" in event:
        context["path"] = event["whole"] + event["path"]
    headers = {"content-type": "application/json"}
    asked = event | {"requestContext": context, "headers": headers, "body": '{"order_id": "a"}'}
    answer = lambda_handler(shop.app, INLINE, api=shop.api)(asked, Context())

    told = answer.get("headers") or {name: values[0] for name, values in answer["multiValueHeaders"].items()}
    assert (answer["statusCode"], told["location"].startswith(location)) == (200, True)


def test_a_source_that_raises_gives_its_message_back_alone(caplog: pytest.LogCaptureFixture) -> None:
    """And the ids of AWS do not break lines of the log."""

    def meaning(record: Any) -> Command:  # noqa: ANN401 - a record
        if "\n" in record["messageId"]:
            raise KeyError("what")
        return shop.PlaceOrder("a")

    records = [message(1), message(2) | {"messageId": "m2\nERROR"}, message(3)]
    answer = lambda_handler(shop.app, INLINE, sources=Sources(sqs=meaning))({"Records": records}, Context())

    assert given_back(answer) == ["m2\nERROR"]
    assert [one.getMessage() for one in caplog.records] == [r"SQS message 'm2\nERROR' is given back."]


def sleeping() -> list[dict[str, Any]]:
    """A command that leads to another, which takes a while in a worker: in each form that a kept bus is given it."""
    named = {"command": "attacked.Nap", "data": {"for_s": 0.2}}
    http = {"http": {"method": "POST"}, "stage": "$default"}
    headers = {"content-type": "application/json"}
    return [
        named,
        {"Records": [message(1) | {"body": json.dumps(named)}]},
        {"detail-type": "attacked.Nap", "id": "1", "detail": {"for_s": 0.2}},
        V2
        | {"rawPath": "/commands/attacked.Nap", "requestContext": http, "headers": headers, "body": '{"for_s": 0.2}'},
        V2
        | {
            "rawPath": "/commands/attacked.Nap",
            "requestContext": http,
            "headers": headers | {"prefer": "respond-async"},
            "body": '{"for_s": 0.2}',
        },
    ]


@pytest.mark.parametrize("event", sleeping(), ids=["direct", "SQS", "EventBridge", "HTTP", "HTTP, at once"])
def test_everything_has_settled_before_the_answer(tmp_path: Path, event: dict[str, Any]) -> None:
    """Also where the bus is kept: what is left for later, nobody may ever come to do."""
    settings = Settings(workers=WorkerSettings(count=1), store=StoreSettings(url=f"sqlite:///{tmp_path}/log.db"))
    with contextlib.closing(lambda_handler(attacked.app, settings, api=attacked.api, keeps_bus=True)) as handler:
        handler(event, Context())
        store = SqliteStore(tmp_path / "log.db")
        records = store.read(0, 10)
        store.close()

    assert [record.outcome is not None for record in records] == [True] * 3


def test_requests_are_what_they_were_in_either_form() -> None:
    """Cookies, values that stand there several times, bodies that are no text."""
    api = Api(shop.app)
    seen: list[Request] = []

    @api.query("/seen")
    def look(request: Request, *, word: str) -> str:
        seen.append(request)
        return word

    function = lambda_handler(shop.app, INLINE, api=api)
    v2 = {
        "version": "2.0",
        "rawPath": "/seen",
        "rawQueryString": "word=a%26b&x=1",
        "headers": {"x-a": "1,2"},
        "cookies": ["c=1", "d=2"],
        "requestContext": {"http": {"method": "GET"}},
    }
    v1 = {
        "httpMethod": "GET",
        "path": "/seen",
        "queryStringParameters": {"word": "a&b", "x": "1"},
        "headers": {"X-A": "1,2", "Cookie": "c=1; d=2"},
        "requestContext": {},
    }
    several = v1 | {"multiValueQueryStringParameters": {"word": ["a&b"], "x": ["0", "1"]}}
    answers = [function(event, Context()) for event in (v2, v1, several)]

    assert [json.loads(answer["body"]) for answer in answers] == ["a&b"] * 3
    for request in seen:
        assert (request.headers["x-a"], request.headers["cookie"]) == ("1,2", "c=1; d=2")
        assert request.query == {"word": "a&b", "x": "1"}


def test_an_answer_that_is_no_text_is_encoded() -> None:
    """As AWS has it; and headers that are there several times are one in the second form."""
    sent = [
        {"type": "http.response.start", "status": 200, "headers": [(b"a", b"1"), (b"b", b"x"), (b"a", b"2")]},
        {"type": "http.response.body", "body": b"\xff", "more_body": True},
        {"type": "http.response.body", "body": b"\xfe"},
    ]

    async def face(_scope: Any, _receive: Any, send: Any) -> None:  # noqa: ANN401 - as ASGI has it
        for one in sent:
            await send(one)

    v2 = asyncio.run(answer(face, {**V2, "requestContext": {"http": {"method": "GET"}}}))  # type: ignore[arg-type]  # it is called, and no more
    v1 = asyncio.run(answer(face, {"httpMethod": "GET"}))  # type: ignore[arg-type]  # the same

    assert (v2["body"], v2["isBase64Encoded"], v2["headers"]) == ("//4=", True, {"a": "1, 2", "b": "x"})
    assert v1["multiValueHeaders"] == {"a": ["1", "2"], "b": ["x"]}


def test_an_object_that_is_stored_again_is_another_record(tmp_path: Path) -> None:
    """Its sequencer tells; a key however long has an id that fits."""
    sources = Sources(s3=lambda _record: shop.PlaceOrder("a"))
    handler = lambda_handler(shop.app, at(tmp_path), sources=sources)
    for key, sequencer in (("k", "1"), ("k", "2"), ("k", "2"), ("k" * 1_000, "1"), ("k\n", "1")):
        stored = {"bucket": {"name": "b"}, "object": {"key": key, "sequencer": sequencer}}
        handler({"Records": [{"eventSource": "aws:s3", "s3": stored}]}, Context())

    ids = ids_in(tmp_path)
    assert ids[:2] == ["s3:b/k:1", "s3:b/k:2"]
    assert len(ids) == len(set(ids)) == 4
    assert all(len(one) < 100 and one.isprintable() for one in ids)


def test_what_stands_behind_a_failure_in_its_group_is_not_touched(tmp_path: Path) -> None:
    """Given back is not carried out: it would be done before what it stands behind."""
    records = [message(1, amount=11, group="a"), message(2, group="a"), message(3, group="b"), message(4, group="a")]
    answer = lambda_handler(shop.app, at(tmp_path))({"Records": records}, Context())

    assert given_back(answer) == ["m1", "m2", "m4"]
    assert sorted(ids_in(tmp_path)) == ["sqs:m1", "sqs:m3"]


def test_when_time_runs_out_of_a_batch_only_what_is_not_done_comes_again() -> None:
    """What was done would be done twice, where the log does not outlive the function."""

    def sleeping_for(number: int, for_s: float) -> dict[str, Any]:
        return message(number) | {"body": json.dumps({"command": "slow.Sleep", "data": {"for_s": for_s}})}

    settings = Settings(workers=WorkerSettings(count=1, stop_timeout_s=0), bus=BusSettings(drain_timeout_s=0))
    with contextlib.closing(lambda_handler(shop.slow_app, settings, keeps_bus=True)) as handler:
        handler({"command": "slow.Sleep", "data": {"for_s": 0}}, Context())
        records = [sleeping_for(1, 0), sleeping_for(2, LONG_S), sleeping_for(3, 0)]
        answer = handler({"Records": records}, Context(left_ms=3_000))

    assert given_back(answer) == ["m2", "m3"]
