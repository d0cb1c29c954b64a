"""A rebuild while no bus is there: resumable after a kill, and nothing but projections is made (X2, B10, B14)."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from driven import (
    LogBusy,
    MisuseError,
    ProjectionStopped,
    Settings,
    StoreSettings,
    WorkerSettings,
    open_bus_sync,
    rebuild,
)
from driven.adapters.stores.memory import MemoryStore
from driven.adapters.stores.sqlite.store import SqliteStore
from rebuilt_app import FORBIDDEN, STANDS_AT, Sell, Sold, app, write_log

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
EVENTS = 40_000


def recorded(folder: Path, events: int = EVENTS) -> Path:
    """A log of so many sales, on which no bus has been."""
    with closing(SqliteStore(folder / "log.db")) as store:
        store.open()
        write_log(store, events)
    return folder / "log.db"


def settings(log: Path) -> Settings:
    """A bus on that log."""
    return Settings(workers=WorkerSettings(count=0), store=StoreSettings(url=f"sqlite:///{log}"))


def read(log: Path, sql: str) -> list[tuple[object, ...]]:
    """As any program reads it."""
    with closing(sqlite3.connect(f"file:{log}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def typed(log: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """`driven rebuild`, where nobody may make a notifier."""
    sources = os.pathsep.join(str(ROOT / folder) for folder in ("src", "workers", "tests/applications"))
    return subprocess.Popen(
        [sys.executable, "-m", "driven", "rebuild", "rebuilt_app:app", *arguments, "--store", f"sqlite:///{log}"],
        env={**os.environ, "PYTHONPATH": sources, FORBIDDEN: "1", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_rebuild_makes_neither_reactions_nor_notifiers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """B10, X2: a notifier that raises when it is made keeps a bus from opening, and a rebuild from nothing."""
    log = recorded(tmp_path, 3_000)
    monkeypatch.setenv(FORBIDDEN, "1")

    (built,) = rebuild(app, settings=settings(log))

    assert (built.projection, built.version, built.position, built.resumed_at) == ("sales", 1, 6_000, 0)
    assert read(log, "SELECT count(*), sum(pieces) FROM sales") == [(3_000, 3_000)]
    with pytest.raises(AssertionError, match="a notifier is made"):
        open_bus_sync(app, settings(log)).__enter__()


def test_a_rebuild_that_is_killed_goes_on_where_it_was_while_the_old_one_is_read(tmp_path: Path) -> None:
    """B14, X2: SIGKILL in the middle; what it had done is kept, and readers never miss a row."""
    log = recorded(tmp_path)
    rebuild(app, settings=settings(log))
    place = "SELECT position FROM cursor WHERE name = 'projection/sales/next'"

    killed = typed(log, "sales", **{STANDS_AT: str(EVENTS * 3 // 4)})
    deadline = time.monotonic() + PATIENCE_S
    while not read(log, place):
        assert time.monotonic() < deadline
        assert read(log, "SELECT count(*) FROM sales") == [(EVENTS,)]
    killed.kill()
    killed.communicate()
    ((reached,),) = read(log, place)
    assert isinstance(reached, int)
    assert 0 < reached < 2 * EVENTS
    assert read(log, "SELECT count(*) FROM sales") == [(EVENTS,)]

    again = typed(log, "--json")
    printed, complaints = again.communicate(timeout=PATIENCE_S)

    assert again.returncode == 0, complaints
    (told,) = msgspec.json.decode(printed)["projections"]
    assert told["resumed_at"] == reached
    assert read(log, "SELECT count(*), count(DISTINCT number) FROM sales") == [(EVENTS, EVENTS)]
    tables = read(log, "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'sales%'")
    assert tables == [("sales__e3",)]


def test_a_rebuild_that_was_cut_short_is_finished_by_the_next_bus(tmp_path: Path) -> None:
    """B14: a bus that is needed at once need not wait for it, and goes on with it while it serves."""
    log = recorded(tmp_path)
    rebuild(app, settings=settings(log))

    def stop(progress: object) -> None:
        if read(log, "SELECT position FROM cursor WHERE name = 'projection/sales/next'"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild(app, settings=settings(log), tell=stop)

    with open_bus_sync(app, settings(log)) as bus:
        again = bus.rebuild("sales")
        assert again.progress.position > 0
        bus.submit(Sell("b", 1)).settled(PATIENCE_S, projections=["sales"])
        assert again.done(PATIENCE_S)
        assert bus.query("SELECT count(*) FROM sales") == [(EVENTS + 1,)]


def test_who_waits_for_the_live_one_does_not_wait_for_the_rebuild(tmp_path: Path) -> None:
    """B14, X1: what is read is kept up to date while another edition is built beside it."""
    log = recorded(tmp_path)
    with open_bus_sync(app, settings(log)) as bus:
        bus.submit(Sell("b", 1)).settled(PATIENCE_S, projections=["sales"])

        again = bus.rebuild("sales")
        bus.submit(Sell("b", 1)).settled(PATIENCE_S, projections=["sales"])

        (told,) = bus.statistics().projections
        assert told.rebuild is not None
        assert told.rebuild.position < 2 * EVENTS
        assert bus.query("SELECT count(*) FROM sales") == [(EVENTS + 2,)]
        assert again.done(PATIENCE_S)
        assert bus.query("SELECT count(*) FROM sales") == [(EVENTS + 2,)]


def test_a_rebuild_beside_a_running_bus_is_told_who_has_the_log(tmp_path: Path) -> None:
    """U7: one writer; that bus can do it by itself."""
    log = recorded(tmp_path, 10)
    with open_bus_sync(app, settings(log)), pytest.raises(LogBusy, match=str(os.getpid())):
        rebuild(app, settings=settings(log))


def test_a_rebuild_that_raises_says_where_and_leaves_what_is_read(tmp_path: Path) -> None:
    """B9, X2: with the exit code of faults; mended, it goes on."""
    log = recorded(tmp_path, 100)
    rebuild(app, settings=settings(log))
    faulty = app.copy()
    faulty.projections.clear()
    projection = faulty.projection("sales", version=2, tables=["sales"])
    projection.creators.extend(app.projections[0].creators)

    @projection.projects(Sold)
    def refuse(event: Sold) -> None:
        text = "not this one"
        raise ValueError(text)

    with pytest.raises(ProjectionStopped, match="stands at position 1, stopped by ValueError: not this one"):
        rebuild(faulty, settings=settings(log))

    assert read(log, "SELECT count(*) FROM sales") == [(100,)]
    rebuild(app, settings=settings(log))
    assert read(log, "SELECT count(*) FROM sales") == [(100,)]


def test_what_does_not_last_cannot_be_built_anew() -> None:
    """R1: the names that there are, are told."""
    with pytest.raises(MisuseError, match="'sails' is no projection of application 'rebuilt'"):
        rebuild(app, "sails", store=MemoryStore())
