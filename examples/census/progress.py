"""Progress: what is going on while the census runs.

`watching` looks at the bus a few times a second, from a task of its own, and hands what it saw to a view:
`LiveView` redraws a corner of the terminal, `LineView` prints a line now and then, `NoView` keeps quiet. A
view lives as long as one run.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from census.look import RICH, look_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Self

    from rich.console import Console, RenderableType

    from census.table import SurveyRows
    from driven import BusStatistics, MessageBus, WorkerStatistics

LOOKS_PER_SECOND = 8
PACE_WINDOW_S = 2.0
"""Seconds back from now over which files per second are counted."""

LINES_PER_RUN = 10
"""Lines of progress in a run whose output is piped: one per 10 %."""


@dataclass(frozen=True)
class Progress:
    """What one look at a running census saw."""

    done: int
    expected: int
    """Files in the tree; 0 until they have been found."""
    elapsed_s: float
    files_per_second: float
    statistics: BusStatistics


class View(Protocol):
    """Shows progress somewhere; a context manager around one run."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc_info: object) -> None: ...
    def update(self, progress: Progress) -> None:
        """Show `progress`, which is later than what was shown before."""
        ...


class Pace:
    """How fast a count grows, over the last `PACE_WINDOW_S` seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque([(0.0, 0)])

    def at(self, elapsed_s: float, count: int) -> float:
        """Note `count` at `elapsed_s` since the start; returns the growth per second."""
        self._seen.append((elapsed_s, count))
        while len(self._seen) > 2 and elapsed_s - self._seen[1][0] >= PACE_WINDOW_S:  # noqa: PLR2004 - from and to
            self._seen.popleft()
        since_s, since = self._seen[0]
        return (count - since) / (elapsed_s - since_s) if elapsed_s > since_s else 0.0


@contextlib.asynccontextmanager
async def watching(bus: MessageBus, rows: SurveyRows, view: View) -> AsyncIterator[None]:
    """Keep `view` up to date until the block ends; it is shown the end as well."""
    started_s, pace = time.perf_counter(), Pace()

    def look() -> None:
        elapsed_s = time.perf_counter() - started_s
        speed = pace.at(elapsed_s, rows.done)
        view.update(Progress(rows.done, rows.expected, elapsed_s, speed, bus.statistics()))

    async def look_again_and_again() -> None:
        while True:
            look()
            await asyncio.sleep(1 / LOOKS_PER_SECOND)

    with view:
        task = asyncio.create_task(look_again_and_again())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        look()


class NoView:
    """Shows nothing: for output that another program reads."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing to tidy up."""

    def update(self, progress: Progress) -> None:
        """Ignore `progress`."""


class LineView:
    """Prints a line whenever another tenth of the files is in."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing to tidy up."""

    def update(self, progress: Progress) -> None:
        """Print, unless the last line says it already."""
        lines = progress.done * LINES_PER_RUN // progress.expected if progress.expected else 0
        if lines > self._lines:
            self._lines = lines
            share = f"{100 * progress.done // progress.expected:3d} %"
            self._console.out(f"{share}  {_files(progress)}  {_speed(progress)}", highlight=False)


class LiveView:
    """Redraws progress in place, and takes it away at the end."""

    def __init__(self, console: Console, title: str) -> None:
        self._title = title
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Clear what was drawn, and give the cursor back."""
        self._live.stop()

    def update(self, progress: Progress) -> None:
        """Draw `progress` over what is there."""
        self._live.update(frame(self._title, progress), refresh=True)


def view_for(console: Console, title: str) -> View:
    """The view that fits where `console` writes to."""
    return LiveView(console, title) if look_of(console) is RICH else LineView(console)


def frame(title: str, progress: Progress) -> RenderableType:
    """One picture of a running census: the bar, the queue, and each worker with what it is doing."""
    workers = progress.statistics.workers
    return Group(_bar(title, progress), _figures(progress), *([_workers(workers)] if workers else []))


def _bar(title: str, progress: Progress) -> Table:
    line = Table.grid(padding=(0, 3, 0, 0))
    bar = ProgressBar(total=progress.expected or None, completed=progress.done, width=32, pulse=not progress.expected)
    line.add_row(Text(title, "bold"), bar, _files(progress))
    return line


def _figures(progress: Progress) -> Text:
    now = progress.statistics
    return Text.assemble(
        (f"{_speed(progress):>12}", "bold cyan"),
        f"   queue {now.queued:>6,}   in flight {now.in_flight:>4,}   {progress.elapsed_s:>6.1f} s",
    )


def _workers(workers: tuple[WorkerStatistics, ...]) -> Table:
    table = Table.grid(padding=(0, 3, 0, 0))
    for _ in range(3):
        table.add_column(justify="right")
    for worker in workers:
        doing = Text(_doing(worker), "green" if worker.command else "dim")
        table.add_row(f"worker {worker.worker_id}", f"pid {worker.pid}", f"{worker.completed:,} done", doing)
    return table


def _doing(worker: WorkerStatistics) -> str:
    if not worker.command:
        return str(worker.state)
    told = worker.progress
    share = f"  {told.fraction:.0%} {told.text}" if told else ""
    return f"{worker.command.rpartition('.')[2]} @ {worker.position}  {worker.age_s:.2f} s{share}"


def _files(progress: Progress) -> str:
    return f"{progress.done:,} of {progress.expected:,} files" if progress.expected else "looking for files"


def _speed(progress: Progress) -> str:
    return f"{progress.files_per_second:,.0f} files/s"
