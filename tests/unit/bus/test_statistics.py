"""The records of statistics are what their page says, and survive the way to another process."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from driven import (
    BusStatistics,
    CommandStatistics,
    Durations,
    GroupStatistics,
    HeadStatistics,
    PoolStatistics,
    Progress,
    WorkerStatistics,
)
from driven.bus.projections import ProjectionStatistics

PAGE = Path(__file__).parents[3] / "docs/reference/statistics.md"

WHOLE = BusStatistics(
    application="census",
    pid=7,
    taken_at_ns=8,
    uptime_s=9.5,
    admitted=10,
    retired=6,
    queued=4,
    in_flight=2,
    early=1,
    early_most=3,
    parked=1,
    head=HeadStatistics(7, "census.MeasureFile", "runs on worker 1 for 0.1 s", 0.25, Progress(0.5, "parsing")),
    commands=(CommandStatistics("census.MeasureFile", 1, 2, 3, 4, 5, 6, Durations(), Durations(1, 0.5)),),
    workers=(WorkerStatistics(1, 70, "default", "idle", "", 0, 0.0, 5, 6, 7.5, Progress(1.0, "done")),),
    pool=PoolStatistics("processes", (GroupStatistics("default", 2, 1, 1, 4, 1, 1),)),
    projections=(ProjectionStatistics("census.table", 5, None),),
)


@pytest.mark.parametrize(
    "record",
    [
        BusStatistics,
        HeadStatistics,
        CommandStatistics,
        Durations,
        PoolStatistics,
        GroupStatistics,
        WorkerStatistics,
        Progress,
    ],
)
def test_the_page_names_each_field_of_each_record(record: type[msgspec.Struct]) -> None:
    """Field names are a promise to programs: a renamed one shows here."""
    below = PAGE.read_text("utf-8").partition(f"\n## `{record.__name__}`\n")[2].partition("\n## ")[0]

    assert re.findall(r"^\| `(\w+)` \|", below, re.MULTILINE) == [one.name for one in msgspec.structs.fields(record)]


def test_statistics_are_the_same_after_the_way_to_another_process() -> None:
    """Frozen records, also readable from another process."""
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(WHOLE), type=BusStatistics) == WHOLE


def test_what_is_queued_of_a_type_is_what_has_not_ended() -> None:
    """No count is kept beside those that it follows from."""
    assert CommandStatistics("a.B", 10, 2, 3, 4, 5, 6, Durations(), Durations()).queued == 1
