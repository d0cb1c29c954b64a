"""Power cuts: the disk holds what was synced, and of all else any part. What was accepted must be there (U4)."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec
import pytest

from driven.adapters.stores.sqlite.store import SqliteStore
from recorded_disk import Deed, after_a_power_cut, library

if TYPE_CHECKING:
    from pathlib import Path

CUTS = 60
"""Moments at which the power is cut, of each run."""

RECORD = """
import sys
from pathlib import Path
import msgspec
from recorded_disk import record
from driven.adapters.stores.sqlite.store import SqliteStore
from driven.service.event_store import Cursor
from driven.testing.contracts import batch, change, command, outcome

deeds = record()
store = SqliteStore(Path(sys.argv[1]), sys.argv[2])
store.open()
for number in range(60):
    first, second = 2 * number + 1, 2 * number + 2
    body = bytes([number]) * (100 if number % 3 else 200_000)  # the write-ahead log is emptied now and then
    store.append(batch(command(first), command(second), outcome(first, change(number, body=body)), outcome(second)))
    deeds.append(("accepted", "", second, b""))
    if number % 7 == 0:
        store.advance(lambda _: [Cursor("follower", second)])
store.close()
Path(sys.argv[3]).write_bytes(msgspec.msgpack.encode(deeds))
"""


@pytest.fixture(params=["each", "group", "none"])
def durability(request: pytest.FixtureRequest) -> str:
    """One policy after the other."""
    return str(request.param)


@pytest.mark.skipif(library() is None, reason="the SQLite of this Python cannot be reached by name")
def test_what_was_accepted_survives_a_power_cut_and_the_log_never_has_a_gap(durability: str, tmp_path: Path) -> None:
    """U3, U4: with durability "none" the last batches may be gone, but nothing before them, and none is torn."""
    deeds = recorded(tmp_path, durability)
    draw = random.Random(durability)
    lost = []

    for number in range(CUTS):
        cut = draw.randrange(len(deeds))
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, content in after_a_power_cut(deeds[:cut], draw).items():
            (folder / name).write_bytes(content)
        accepted = max((at for kind, _, at, _ in deeds[:cut] if kind == "accepted"), default=0)

        kept = checked(folder / "driven.db")

        lost.append(accepted - kept)
        if durability != "none":
            assert kept >= accepted, f"the cut before deed {cut} of {len(deeds)}"
    assert (max(lost) > 0) == (durability == "none")
    checkpoints = [kind for kind, name, _, _ in deeds if name == "driven.db"]
    assert checkpoints.count("sync") > 1  # before the one at the end


def recorded(tmp_path: Path, durability: str) -> list[Deed]:
    """What a store of this policy does to its files while it is given sixty batches."""
    found = tmp_path / "deeds"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command_line = [sys.executable, "-W", "error", "-c", RECORD, str(tmp_path / "driven.db"), durability, str(found)]
    subprocess.run(command_line, env=environment, check=True, timeout=60)
    return msgspec.msgpack.decode(found.read_bytes(), type=list[Deed])


def checked(path: Path) -> int:
    """Open what a power cut left, see that it is whole, and return how long the log is."""
    with closing(SqliteStore(path)) as store:
        store.open()
        records = list(store.read(0, 1_000))
        positions = [record.message.envelope.position for record in records]
        assert positions == list(range(1, len(records) + 1))
        assert all(record.outcome is not None for record in records)
        assert store.load("shop.Cart", "a").version * 2 == len(records)
        assert store.cursor("follower").position <= len(records)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return len(records)
