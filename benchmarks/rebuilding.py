"""A rebuild of a million events: its pace, its memory, a kill in the middle, and what readers see meanwhile.

::

    make rebuild                     1,000,000 events: a minute or two, and about a gigabyte of disk
    make rebuild EVENTS=50000

    log -- build, to have something to read -- rebuild, killed half way -- rebuild again, goes on
                                               `- memory, and rows for a reader, all the time -'

Beside it, in the same run, what a projection costs with the `eventsourcing` package, if that is installed: its own
recorder of places, one transaction an event, as its projections run; in a file, and in memory, where no disk is waited
for. At last a running bus builds it once more, while somebody writes and reads. Ends with exit code 1 when a row was
missing at any moment, when the second rebuild began again, or when memory was beyond the bound.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import psutil

from benchmarks.rebuilding_app import Sell, app, write_log
from driven import Rebuilt, Settings, StoreSettings, WorkerSettings, open_bus, rebuild, run
from driven.adapters.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[1]
MIB: Final = 1 << 20
MOST_MIB: Final = 160.0
"""What the process of a rebuild may have in memory, whatever the length of the log."""
RIVAL_EVENTS: Final = 5_000
"""One transaction an event is slow; a pace needs no more."""
PLACE: Final = "SELECT position FROM cursor WHERE name = 'projection/sales/next'"


class Watched(NamedTuple):
    """What was seen of one rebuild from outside."""

    seconds: float
    most_bytes: int
    """The most physical memory that it had."""
    looks: int
    """How often the live edition was read meanwhile."""
    is_whole: bool
    """Whether every row was there each time."""
    printed: str


def read(log: Path, sql: str) -> list[tuple[int, ...]]:
    """As any program reads it."""
    with closing(sqlite3.connect(f"file:{log}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def rebuilt_by_another(log: Path, rows: int, kill_at: int | None = None) -> Watched:
    """Run `driven rebuild` and look at it until it ends; it is killed at a position, if one is given."""
    began_s = time.perf_counter()
    most_bytes = looks = 0
    is_whole = True
    typed = ["rebuild", "benchmarks.rebuilding_app:app", "--store", f"sqlite:///{log}", "--json"]
    sources = os.pathsep.join(str(ROOT / folder) for folder in ("src", "workers", "."))
    with subprocess.Popen(  # noqa: S603 - this repository's own program
        [sys.executable, "-m", "driven", *typed],
        env={**os.environ, "PYTHONPATH": sources},
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        watched = psutil.Process(running.pid)
        while running.poll() is None:
            most_bytes = max(most_bytes, _rss(watched))
            is_whole = is_whole and read(log, "SELECT max(number) FROM sale") == [(rows,)]
            looks += 1
            if kill_at is not None and (place := read(log, PLACE)) and place[0][0] >= kill_at:
                running.kill()
            time.sleep(0.005)
        printed = running.stdout.read() if running.stdout else ""
    return Watched(time.perf_counter() - began_s, most_bytes, looks, is_whole, printed)


class Served(NamedTuple):
    """What a running bus did while it built the projection anew."""

    seconds: float
    waits_s: list[float]
    """How long each command took until its row could be read, in order of length."""
    is_whole: bool
    """Whether each row was there when it was to be."""


async def rebuilt_by_a_bus(settings: Settings, rows: int) -> Served:
    """Build anew beside what is read, while somebody writes, waits and reads, one after the other."""
    waits_s: list[float] = []
    is_whole = True
    async with open_bus(app, settings) as bus:
        began_s = time.perf_counter()
        again = await bus.rebuild("sales")
        building = asyncio.create_task(again.done())
        while not building.done():
            wrote_s = time.perf_counter()
            await (await bus.submit(Sell("a1", 1))).settled(projections=["sales"])
            waits_s.append(time.perf_counter() - wrote_s)
            is_whole = is_whole and bus.query("SELECT max(number) FROM sale") == [(rows + len(waits_s),)]
        seconds = time.perf_counter() - began_s
    return Served(seconds, sorted(waits_s), is_whole)


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def rival_pace(database: str, events: int) -> float | None:
    """Events/s of a projection of the `eventsourcing` package over its own log; None: it is not installed."""
    try:
        from eventsourcing.persistence import StoredEvent, Tracking  # noqa: PLC0415 - it may be missing
        from eventsourcing.sqlite import SQLiteDatastore, SQLiteProcessRecorder  # noqa: PLC0415 - the same
    except ModuleNotFoundError:
        return None
    from uuid import uuid4  # noqa: PLC0415 - needed here only

    recorder = SQLiteProcessRecorder(SQLiteDatastore(database))
    recorder.create_table()
    one, body = uuid4(), b'{"article":"a1","pieces":1}'
    recorder.insert_events([StoredEvent(one, version, "sales:Sold", body) for version in range(1, events + 1)])
    with recorder.datastore.transaction(commit=True) as cursor:
        cursor.execute("CREATE TABLE sale (number INTEGER PRIMARY KEY, article TEXT, pieces INTEGER)")
    began_s = time.perf_counter()
    for told in _notifications(recorder, events):
        event = msgspec.json.decode(told.state)
        with recorder.datastore.transaction(commit=True) as cursor:
            recorder._insert_tracking(cursor, Tracking("sales", told.id))  # noqa: SLF001 - the way to one transaction
            cursor.execute("INSERT INTO sale (article, pieces) VALUES (?, ?)", (event["article"], event["pieces"]))
    took_s = time.perf_counter() - began_s
    recorder.datastore.close()
    return events / took_s


def _notifications(recorder: Any, events: int) -> Iterator[Any]:  # noqa: ANN401 - the rival's own
    for start in range(1, events + 1, 1_000):
        yield from recorder.select_notifications(start, 1_000)


def measured(folder: Path, events: int) -> bool:
    """Measure, print, judge."""
    log = folder / "log.db"
    with closing(SqliteStore(log)) as store:
        store.open()
        write_log(store, events)
    settings = Settings(store=StoreSettings(url=f"sqlite:///{log}"), workers=WorkerSettings(count=0))
    (first,) = rebuild(app, settings=settings)
    killed = rebuilt_by_another(log, events, kill_at=events)
    reached = read(log, PLACE)[0][0]
    again = rebuilt_by_another(log, events)
    (told,) = msgspec.json.decode(again.printed, type=dict[str, list[Rebuilt]])["projections"]
    rows = read(log, "SELECT count(*), count(DISTINCT number), sum(pieces) FROM sale")
    most_mib = max(killed.most_bytes, again.most_bytes) / MIB
    rest = 2 * events - reached
    print(f"{events:,} events, {log.stat().st_size / MIB:,.0f} MiB of log and tables")
    print(f"built in {first.took_s:.1f} s: {events / first.took_s:,.0f} events/s")
    print(f"killed at position {reached:,} of {2 * events:,}; the next one began at {told.resumed_at:,}")
    print(f"and built the rest in {told.took_s:.1f} s: {rest / 2 / told.took_s:,.0f} events/s")
    print(f"most memory of the rebuilding process: {most_mib:.1f} MiB, bound {MOST_MIB:.0f}")
    is_whole = killed.is_whole and again.is_whole
    print(f"live rows read {killed.looks + again.looks:,} times meanwhile, all there: {is_whole}")
    for where, database in (("in a file", str(folder / "rival.db")), ("in memory", ":memory:")):
        rival = rival_pace(database, min(events, RIVAL_EVENTS))
        told_of_it = (
            f"{rival:,.0f} events/s, 1/{events / first.took_s / rival:.0f}"
            if rival
            else "not installed; pip install 'eventsourcing>=9.4'"
        )
        print(f"eventsourcing, one transaction an event, {where}: {told_of_it}")
    served = run(rebuilt_by_a_bus(settings, events))
    middle_ms, last_ms = (served.waits_s[int(len(served.waits_s) * part)] * 1_000 for part in (0.5, 0.99))
    print(f"in a running bus: {events / served.seconds:,.0f} events/s, and beside it {len(served.waits_s):,} commands,")
    print(f"whose rows could be read after {middle_ms:.1f} ms (p50) and {last_ms:.1f} ms (p99)")
    is_resumed = told.resumed_at == reached > 0
    return is_resumed and is_whole and served.is_whole and most_mib <= MOST_MIB and rows == [(events,) * 3]


def main() -> int:
    """Rebuild, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    with tempfile.TemporaryDirectory(prefix="driven-rebuild-", dir=".") as folder:
        return int(not measured(Path(folder).absolute(), parser.parse_args().events))


if __name__ == "__main__":
    sys.exit(main())
