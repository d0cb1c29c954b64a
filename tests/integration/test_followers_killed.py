"""A bus is killed while its followers are busy: tables hold each event once, the world heard each (U6, B7, B8)."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from driven import open_bus_sync
from driven.adapters.stores.sqlite.store import SqliteStore
from followed_app import Outside, app, settings

ROOT = Path(__file__).resolve().parents[2]
KILLS = 4
EVENTS = 50 * KILLS
"""At least; where CPUs are busy more buses have to live for that."""
LONGEST_S = 0.4
"""A killed bus lives for so long at most, once it is open."""


def killed_bus(log: Path, outside: Path, after_s: float) -> None:
    """A bus that submits all the time, and is killed at some moment."""
    sources = os.pathsep.join(str(ROOT / folder) for folder in ("src", "workers", "tests/applications"))
    with subprocess.Popen(
        [sys.executable, "-m", "followed_app", str(log), str(outside)],
        env={**os.environ, "PYTHONPATH": sources},
        stdout=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"open\n"
        time.sleep(after_s)  # the moment of the kill, drawn by chance
        running.kill()


def test_tables_hold_each_event_once_and_the_world_heard_each_in_order_however_often_the_bus_is_killed(
    tmp_path: Path,
) -> None:
    """U6, B7, B8, U9: rows and their place are one transaction; a notifier may repeat itself, and skips nothing."""
    log, outside = tmp_path / "log.db", tmp_path / "outside"
    chance = random.Random(4)
    heard: list[list[int]] = []
    while len(heard) < KILLS or sum(map(len, heard)) <= EVENTS:
        outside.write_text("", "utf-8")
        killed_bus(log, outside, chance.uniform(0.0, LONGEST_S))
        heard.append(positions_in(outside))

    outside.write_text("", "utf-8")
    Outside.path = outside
    with open_bus_sync(app, settings(log)):
        pass  # closing waits until both are at the end of the log
    with closing(SqliteStore(log)) as store:
        events = store.events(["followed.Counted"], 0, store.last_position)
        rows = store.query("SELECT count(*), count(DISTINCT place) FROM number")
    heard.append(positions_in(outside))

    assert rows == [(len(events), len(events))]
    told = [position for run in heard for position in run]
    assert set(told) == {event.envelope.position for event in events}
    assert all(run == sorted(set(run)) for run in heard)


def positions_in(outside: Path) -> list[int]:
    """What was heard, in the order in which it was."""
    return [int(line.split()[0]) for line in outside.read_text("utf-8").splitlines() if " " in line]
