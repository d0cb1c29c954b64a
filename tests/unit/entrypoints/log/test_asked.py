"""What is asked of a log: every condition takes what it names and nothing else, and what is no condition is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from driven import MisuseError
from driven.domain.messages import Envelope
from driven.entrypoints.log.asked import KINDS, STATUSES, Asked, known, moment_ns
from driven.service.event_store import LoggedMessage, LoggedOutcome, LogRecord, MessageKind, Status

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


def record(**changes: Any) -> LogRecord:  # noqa: ANN401 - of any field
    """A message with some of it changed."""
    told: dict[str, Any] = {
        "kind": MessageKind.COMMAND,
        "name": "shop.Pay",
        "status": Status.SUCCEEDED,
        "key": "a",
        "at": 5,
        "root": 2,
    }
    told |= changes
    envelope = Envelope(3, "@3", told["root"], 2, 1, told["key"], told["at"])
    outcome = None if told["status"] is None else LoggedOutcome(3, told["status"], 1)
    return LogRecord(LoggedMessage(envelope, told["kind"], told["name"], 1, b"\x80"), outcome)


@pytest.mark.parametrize(
    ("asked", "others"),
    [
        (Asked(names=("shop.Pay",)), {"name": "shop.Paid"}),
        (Asked(names=("Pay", "Other")), {"name": "shop.Paid"}),
        (Asked(kinds=("command",)), {"kind": MessageKind.EVENT}),
        (Asked(statuses=("succeeded",)), {"status": Status.FAILED}),
        (Asked(statuses=("succeeded",)), {"status": None}),
        (Asked(key="a"), {"key": None}),
        (Asked(correlation=2), {"root": 3}),
        (Asked(since_ns=5), {"at": 4}),
        (Asked(until_ns=5), {"at": 6}),
    ],
)
def test_a_condition_takes_what_it_names(asked: Asked, others: dict[str, Any]) -> None:
    """docs/reference/command-line.md: each filter of `driven log`."""
    assert asked.takes(record())
    assert not asked.takes(record(**others))
    assert Asked().takes(record(**others))


def test_what_has_not_retired_waits() -> None:
    """docs/reference/command-line.md: `--status waiting`."""
    assert Asked(statuses=("waiting",)).takes(record(status=None))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", datetime(2026, 11, 30, 11, 58, 30, tzinfo=UTC)),
        ("2h", datetime(2026, 11, 30, 10, 0, tzinfo=UTC)),
        ("3d", datetime(2026, 11, 27, 12, 0, tzinfo=UTC)),
        ("2026-11-30T08:15:00.25Z", datetime(2026, 11, 30, 8, 15, 0, 250_000, tzinfo=UTC)),
        ("2026-11-30T08:15+02:00", datetime(2026, 11, 30, 6, 15, tzinfo=UTC)),
    ],
)
def test_a_time_is_a_moment_or_how_long_ago(text: str, moment: datetime) -> None:
    """docs/reference/command-line.md: `--since` and `--until`."""
    assert moment_ns("--since", text, NOW) == int(moment.timestamp() * 1_000_000) * 1_000


def test_what_is_no_time_and_no_status_is_refused_with_what_would_be() -> None:
    """Style: the culprit, and what to write instead."""
    with pytest.raises(MisuseError, match=r"--since yesterday is no time; write .*15m"):
        moment_ns("--since", "yesterday", NOW)
    with pytest.raises(MisuseError, match=r"--status done is not known; say one of: succeeded, .*waiting"):
        known("--status", ("done",), STATUSES)
    assert known("--kind", ("event",), KINDS) == ("event",)
