"""What `driven top` shows: the head and what it waits for, times in units that suit them, nothing that is not there."""

from __future__ import annotations

import msgspec
import pytest

from driven import (
    BusStatistics,
    CommandStatistics,
    Durations,
    GroupStatistics,
    HeadStatistics,
    NotifierStatistics,
    PoolStatistics,
    Progress,
    WorkerStatistics,
)
from driven.bus.projections import ProjectionStatistics
from driven.entrypoints.drawing.plain import plain_text
from driven.entrypoints.drawing.top import duration, top_page
from driven.entrypoints.reports.top import TopReport

IDLE = BusStatistics(
    application="census",
    pid=4711,
    taken_at_ns=1,
    uptime_s=65.0,
    admitted=1_200,
    retired=1_200,
    queued=0,
    in_flight=0,
    early=0,
    early_most=9,
    parked=0,
    head=None,
    commands=(CommandStatistics("census.Rare", 0, 0, 0, 0, 0, 0, Durations(), Durations()),),
    workers=(),
    pool=None,
    projections=(),
)
TIMES = Durations(1_100, 2.2, 0.002, 0.003, 0.004, 0.005, 0.006)
BUSY = msgspec.structs.replace(
    IDLE,
    queued=100,
    parked=1,
    head=HeadStatistics(1_201, "census.MeasureFile", "runs on worker 2 for 1.2 s", 1.5, Progress(0.4, "parsing")),
    commands=(CommandStatistics("census.MeasureFile", 1_200, 1_097, 2, 1, 3, 4, TIMES, TIMES),),
    workers=(
        WorkerStatistics(
            2, 4713, "default", "running", "census.MeasureFile", 1_201, 1.2, 88, 50 << 20, 3.5, Progress(0.4, "parsing")
        ),
    ),
    pool=PoolStatistics("processes", (GroupStatistics("default", 2, 1, 1, 4, 1, 1),)),
    projections=(ProjectionStatistics("census.table", 17, "KeyError: 'x'"),),
    notifiers=(
        NotifierStatistics("mails", 1_000, 20, 5, 1, "TimeoutError: mail", None),
        NotifierStatistics("hooks", 900, 120, 5, 3, "ValueError: url", "ValueError: url"),
        NotifierStatistics("well", 1_020, 0, 5, 0, "OSError: once", None),
    ),
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.00 us"),
        (0.000_000_5, "0.50 us"),
        (0.000_048_3, "48.3 us"),
        (0.000_999_4, "999 us"),
        (0.001, "1.00 ms"),
        (0.25, "250 ms"),
        (1.2, "1.20 s"),
        (59.9, "59.9 s"),
        (65.0, "1 min 05 s"),
        (7_500.0, "2 h 05 min"),
    ],
)
def test_a_time_is_written_in_the_unit_that_suits_it(seconds: float, text: str) -> None:
    """Style: three digits tell more than nine."""
    assert duration(seconds) == text


def test_a_busy_bus_shows_its_head_its_command_types_and_its_workers() -> None:
    """What blocks the head and for how long; waiting and running time; state, age, memory, CPU of workers."""
    shown = " ".join(plain_text(top_page(TopReport(0.1, 812.4, BUSY))).split())

    assert "census process 4711, open for 1 min 05 s" in shown
    assert "1,200 of 1,200 messages retired, 812 per second" in shown
    assert "100 queued, 0 in flight, 0 early (at most 9), 1 parked" in shown
    assert (
        "MeasureFile at position 1,201 runs on worker 2 for 1.2 s; at the head for 1.50 s [####......] 40% parsing"
    ) in shown
    assert "MeasureFile 1,100 100 2.00 ms 4.00 ms 2.00 ms 4.00 ms 6.00 ms 2 failed, 1 parked, 3 stale, 4 died" in shown
    assert "workers processes, 1 of 2 of group default ready, 1 of group default died" in shown
    assert "2 4713 default running 88 3.50 s 50 MiB MeasureFile at 1,201 for 1.20 s [####......] 40% parsing" in shown
    assert "census.table at position 17: KeyError: 'x'" in shown
    assert "mails at position 1,000, 20 behind: called 1 time in vain, TimeoutError: mail" in shown
    assert "hooks at position 900, 120 behind: stopped by ValueError: url" in shown
    assert "well at position" not in shown


def test_an_idle_bus_shows_no_head_and_no_workers_that_are_not_there() -> None:
    """What is not, is not drawn; what never came has no times."""
    shown = plain_text(top_page(TopReport(5.0, None, IDLE)))

    assert "\nhead\n" not in shown
    assert "\nworkers" not in shown
    assert "per second" not in shown
    assert "idle for 5.00 s" in shown
    assert "Rare     0     0       -           -    -        -    -        -" in shown


def test_a_bus_that_is_held_up_is_said_to_be() -> None:
    """An inline handler that holds the bus thread is the first thing to look for."""
    held_up = plain_text(top_page(TopReport(12.0, None, BUSY)))
    inline = msgspec.structs.replace(IDLE, inline_because="there is no shared memory")

    assert "as of 12.0 s ago: its thread is held up" in held_up
    assert "no workers: there is no shared memory" in plain_text(top_page(TopReport(0.0, None, inline)))
