"""Progress: what the views show, and that watching a bus follows it to its end."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import msgspec
import pytest
from rich.console import Console

from census.app import app
from census.look import open_console
from census.messages import StartSurvey
from census.progress import LineView, LiveView, NoView, Pace, Progress, frame, view_for, watching
from census.table import FileTable
from driven import BusStatistics, Settings, WorkerSettings, WorkerStatistics, open_bus
from driven import Progress as Told

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

INLINE = Settings(workers=WorkerSettings(count=0))
BUSY = WorkerStatistics(
    worker_id=1,
    pid=4711,
    group="default",
    state="running",
    command="census.MeasureFile",
    position=1234,
    age_s=0.021,
    completed=602,
)
IDLE = WorkerStatistics(
    worker_id=2, pid=4712, group="default", state="idle", command="", position=0, age_s=0.0, completed=598
)


def progress(done: int, expected: int, *workers: WorkerStatistics) -> Progress:
    """A look at a bus with 1,300 queued messages."""
    now = BusStatistics(
        application="census",
        pid=4710,
        taken_at_ns=1_000_000_000,
        uptime_s=4.0,
        admitted=2500,
        retired=1200,
        queued=1300,
        in_flight=9,
        early=3,
        early_most=7,
        parked=0,
        head=None,
        commands=(),
        workers=workers,
        pool=None,
        projections=(),
    )
    return Progress(done=done, expected=expected, elapsed_s=4.0, files_per_second=312.4, statistics=now)


def drawn(picture: object, width: int = 80) -> str:
    """What a terminal of that width shows, without its colours."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    console.print(picture)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


class NotedView:
    """A view that keeps everything it was shown."""

    def __init__(self) -> None:
        self.seen: list[Progress] = []
        self.is_open = False

    def __enter__(self) -> Self:
        self.is_open = True
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.is_open = False

    def update(self, progress: Progress) -> None:
        """Keep it."""
        assert self.is_open
        self.seen.append(progress)


def test_a_picture_shows_speed_queue_and_what_each_worker_is_doing() -> None:
    """The live view of the demonstration: files/s, total, queue, in flight, workers."""
    shown = drawn(frame("with workers", progress(600, 1790, BUSY, IDLE)))

    assert "600 of 1,790 files" in shown
    assert "312 files/s" in shown
    assert re.search(r"queue +1,300 +in flight +9 +4\.0 s", shown)
    assert re.search(r"worker 1 +pid 4711 +602 done +MeasureFile @ 1234 +0\.02 s", shown)
    assert re.search(r"worker 2 +pid 4712 +598 done +idle", shown)


def test_a_picture_shows_how_far_a_handler_says_that_it_is() -> None:
    """context.progress shows in the progress view."""
    telling = msgspec.structs.replace(BUSY, progress=Told(0.4, "parsing"))

    assert "MeasureFile @ 1234  0.02 s  40% parsing" in drawn(frame("with workers", progress(600, 1790, telling)))


def test_a_picture_fits_a_terminal_of_eighty_columns() -> None:
    """A wrapped line would make the picture jump."""
    shown = drawn(frame("with workers", progress(123_456, 999_999, BUSY, IDLE)))

    assert len(shown.splitlines()) == 4


def test_before_the_files_are_found_the_picture_says_so() -> None:
    """Nothing is divided by nothing, and nothing claims to be done."""
    assert "looking for files" in drawn(frame("inline", progress(0, 0)))


def test_a_pipe_gets_one_line_per_tenth() -> None:
    """Two thousand files are no two thousand lines of a build log."""
    console = open_console(io.StringIO())
    with LineView(console) as view:
        view.update(progress(0, 0))
        for done in range(1791):
            view.update(progress(done, 1790))

    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0] == " 10 %  179 of 1,790 files  312 files/s"
    assert lines[-1] == "100 %  1,790 of 1,790 files  312 files/s"


def test_the_view_is_the_one_that_fits_the_console() -> None:
    """Control characters are for terminals."""
    terminal = Console(file=io.StringIO(), force_terminal=True)

    assert isinstance(view_for(terminal, "inline"), LiveView)
    assert isinstance(view_for(open_console(io.StringIO()), "inline"), LineView)


def test_the_live_view_gives_the_cursor_back_even_when_the_run_fails() -> None:
    """An interrupted demonstration leaves a terminal that works."""
    console = Console(file=io.StringIO(), force_terminal=True, width=80)

    def interrupted_run() -> None:
        with LiveView(console, "inline") as view:
            view.update(progress(1, 2))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_run()

    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert shown.index("\x1b[?25l") < shown.index("1 of 2 files") < shown.index("\x1b[?25h")


def test_pace_is_that_of_the_last_seconds() -> None:
    """A slow start does not weigh on what is shown at the end."""
    pace = Pace()

    assert pace.at(0.0, 0) == 0.0
    assert pace.at(1.0, 10) == 10.0
    assert pace.at(3.0, 210) == 100.0
    assert pace.at(5.0, 610) == 200.0


async def test_watching_follows_a_bus_to_its_end(tmp_path: Path) -> None:
    """The last look sees every file in and an empty queue."""
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("def f(): pass\n")
    view = NotedView()

    async with (
        open_bus(app, INLINE) as bus,
        watching(bus, bus.resolve(FileTable).survey("s1"), view),
    ):
        receipt = await bus.submit(StartSurvey("s1", str(tmp_path)))
        await receipt.settled()

    assert not view.is_open
    assert (view.seen[-1].done, view.seen[-1].expected, view.seen[-1].statistics.queued) == (2, 2, 0)


async def test_watching_closes_its_view_when_the_run_fails() -> None:
    """The error of the run is the one that is seen."""
    view = NotedView()

    async def failing_run() -> None:
        async with open_bus(app, INLINE) as bus, watching(bus, bus.resolve(FileTable).survey("s1"), view):
            raise LookupError("of the run")

    with pytest.raises(LookupError, match="of the run"):
        await failing_run()

    assert not view.is_open


def test_no_view_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Output for programs holds nothing else."""
    with NoView() as view:
        view.update(progress(1, 2))

    assert capsys.readouterr() == ("", "")
