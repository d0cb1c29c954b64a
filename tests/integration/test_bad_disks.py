"""Disks and files that are full, read-only, damaged, cut off, locked or something else altogether.

Each is told with the file and the remedy; nothing that was accepted is lost, and it can still be read where it is.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from both_loops import on_both_loops
from counting import Increase, counters, on
from driven import BusClosed, open_bus, open_bus_sync
from driven.adapters.stores.sqlite.store import SqliteStore
from driven.errors import StoreFailed
from driven.service.event_store import log_digest
from driven.testing.contracts import BEFORE, batch, command, outcome
from namespaces import LONGEST_RUN_S, in_a_namespace, why_no_namespace
from small_log import log_of_three

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

in_namespaces = pytest.mark.skipif(bool(why_no_namespace()), reason=why_no_namespace())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of three commands, closed; all of it in one file."""
    path = log_of_three(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["driven.db", "driven.db-lease"]
    return path


# Files that are not what they should be.


def no_database(path: Path) -> None:
    """Some text."""
    path.write_text("# a page about Driven\n" * 100, "utf-8")


def damaged(path: Path) -> None:
    """Everything behind the first page is overwritten."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))


def cut_off(path: Path) -> None:
    """The second half is gone."""
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)


def a_folder(path: Path) -> None:
    """A folder of that name."""
    path.unlink()
    path.mkdir()


def no_folder(path: Path) -> None:
    """Neither file nor folder."""
    for file in path.parent.iterdir():
        file.unlink()
    path.parent.rmdir()


BAD_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "text": (no_database, r"driven\.db failed: it is not an SQLite database: .*; name another file, or put back a"),
    "damaged": (damaged, r"driven\.db failed: it is damaged: .*; stop all that use it, keep a copy of it .*\.recover"),
    "cut off": (cut_off, r"driven\.db failed: it is damaged: .*; stop all that use it, keep a copy of it .*\.recover"),
    "a folder": (a_folder, r"driven\.db failed: it is a folder; name a file in it"),
    "no folder": (no_folder, r"driven\.db failed: there is no folder /.*; make that folder, or name another file"),
}


@pytest.mark.parametrize("bad", BAD_FILES)
def test_a_file_that_is_no_log_keeps_the_bus_from_opening(bad: str, path: Path) -> None:
    """U9: what it is, and what to do; it is left as it is, and not taken for an empty log."""
    spoil, told = BAD_FILES[bad]
    spoil(path)
    before = path.read_bytes() if path.is_file() else b""

    with pytest.raises(StoreFailed, match=told), open_bus_sync(counters, on(path)):
        pytest.fail("it opened")
    with pytest.raises(StoreFailed, match=r"driven\.db failed: (?!the disk)"):
        SqliteStore(path).read(0, 10)

    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_folder_gets_no_lease_beside_it(tmp_path: Path) -> None:
    """U7: a mistake in a path leaves nothing where nobody looks for it."""
    folder = tmp_path / "driven.db"
    folder.mkdir()

    with pytest.raises(StoreFailed, match="it is a folder"), open_bus_sync(counters, on(folder)):
        pytest.fail("it opened")

    assert list(tmp_path.iterdir()) == [folder]


def test_damage_that_is_met_later_stops_the_bus_and_what_is_whole_can_be_read(path: Path) -> None:
    """U9: pages that nobody needs for opening are looked at when somebody needs them."""
    with closing(SqliteStore(path)) as store:
        store.open()
        admitted = [command(position) for position in range(4, 3_000)]
        store.append(batch(*admitted))
        kept = store.read(0, 10)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2 // 4096 * 4096)
        file.write(b"\xa5" * (4096 * 8))

    with closing(SqliteStore(path)) as store:
        store.open()
        with pytest.raises(StoreFailed, match="it is damaged"):
            store.read(0, 3_000)
        assert store.read(0, 10) == kept


# Locked by another program.


@pytest.fixture
def locked(path: Path) -> Iterator[Path]:
    """A log in which another program is in the middle of a transaction."""
    program = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('BEGIN IMMEDIATE')\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command_line = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command_line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield path
        process.kill()


def test_a_log_that_another_program_keeps_locked_is_waited_for_and_then_named(locked: Path) -> None:
    """U9: who reads is not held up."""
    store = SqliteStore(locked, patience_s=0.1)

    with pytest.raises(
        StoreFailed, match=r"driven\.db failed: another program keeps it locked: .*; end that program's"
    ):
        store.open()

    assert [record.message for record in store.read(0, 10)] == list(BEFORE.admitted)
    store.close()


def test_a_transaction_of_another_program_refuses_a_batch_and_loses_none(path: Path) -> None:
    """U3: nothing of the batch is there, and the same batch can be appended once the other is done."""
    with closing(SqliteStore(path, patience_s=0.1)) as store, closing(sqlite3.connect(path)) as other:
        store.open()
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreFailed, match="another program keeps it locked"):
            store.append(batch(command(4), outcome(2)))
        assert store.last_position == 3

        other.execute("ROLLBACK")
        store.append(batch(command(4), outcome(2)))
        assert [record.outcome is None for record in store.read(0, 10)] == [False, False, True, True]


# Full.

FILL = """
import asyncio, sys
from pathlib import Path
from counting import Increase, counters, on
from driven import BusClosed, open_bus

async def main(path):
    accepted = []
    try:
        async with open_bus(counters, on(path)) as bus:
            while True:
                for receipt in await asyncio.gather(*(bus.submit(Increase(f"{n}" * 200)) for n in range(20))):
                    accepted.append(receipt.position)
    except BusClosed as error:
        print(max(accepted), error)

asyncio.run(main(sys.argv[1]))
"""

REOPEN = """
from driven.adapters.stores.sqlite.store import SqliteStore
from driven.service.event_store import log_digest
store = SqliteStore(Path(sys.argv[1]))
records = store.read(0, 1_000_000)
print(len(records), [one.message.envelope.position for one in records] == list(range(1, len(records) + 1)))
digest = log_digest(store)
store.close()
(Path(sys.argv[1]).parent / "ballast").unlink()
store.open()
print(digest == log_digest(store), store.last_position)
store.close()
"""


@in_namespaces
def test_a_full_disk_stops_the_bus_and_nothing_that_was_accepted_is_lost(tmp_path: Path) -> None:
    """U3, U4, U9: it is named, the log can be read as it is, and goes on once there is room."""
    ballast = f"dd if=/dev/zero of={tmp_path}/ballast bs=64k count=1 2>/dev/null"
    disk = f"mount -t tmpfs -o size=1m tmpfs {tmp_path} && {ballast}"

    run = in_a_namespace(disk, FILL + REOPEN, str(tmp_path / "driven.db"))

    assert run.returncode == 0, run.stderr
    refused, kept, reopened = run.stdout.splitlines()
    accepted, _, reason = refused.partition(" ")
    assert "driven.db failed: the disk is full: database or disk is full (SQLITE_FULL); make room" in reason
    length, is_gapless = kept.split()
    assert int(length) >= int(accepted) > 100
    assert is_gapless == "True"
    assert reopened == f"True {length}"


def test_a_file_that_may_not_grow_stops_the_bus_and_nothing_that_was_accepted_is_lost(tmp_path: Path) -> None:
    """U3, U4, U9: a limit of the process (RLIMIT_FSIZE) is met like a full disk."""
    path = tmp_path / "driven.db"
    limit = "import resource, signal\nresource.setrlimit(resource.RLIMIT_FSIZE, (700_000, 700_000))\n"

    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", limit + FILL, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=LONGEST_RUN_S,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    accepted, _, reason = run.stdout.partition(" ")
    assert "driven.db failed: the disk does not read or write it: disk I/O error" in reason
    with closing(SqliteStore(path)) as store:
        length = len(store.read(0, 1_000_000))
        digest = log_digest(store)
        assert length >= int(accepted) > 100
        store.open()
        assert (store.last_position, log_digest(store)) == (length, digest)
        store.append(batch(command(length + 1)))


# Read-only.

READ_ONLY = """
import asyncio, sys
from pathlib import Path
from counting import counters, on
from driven import open_bus
from driven.adapters.stores.sqlite.store import SqliteStore
from driven.errors import StoreFailed

async def main(path):
    async with open_bus(counters, on(path)):
        print("it opened")

try:
    asyncio.run(main(sys.argv[1]))
except StoreFailed as error:
    print(error)
store = SqliteStore(Path(sys.argv[1]))
print(len(store.read(0, 10)), store.last_position)
store.close()
"""

BIND = "mount --bind {0} {0} && mount -o remount,bind,ro {0}"


@in_namespaces
@pytest.mark.parametrize(
    ("place", "told"),
    [
        (
            "{}",
            "{}/driven.db-lease cannot be written: Read-only file system; make the folder",
        ),
        ("{}/driven.db", "it cannot be written: attempt to write a readonly database"),
    ],
    ids=["disk", "file"],
)
@pytest.mark.parametrize("was_killed", [False, True])
def test_a_log_that_cannot_be_written_is_refused_to_a_bus_and_read_by_others(
    place: str, told: str, *, was_killed: bool, path: Path
) -> None:
    """U9: also where the bus before was killed, and half of the log is in the write-ahead log."""
    if was_killed:
        crash = (
            "import os, sys; from pathlib import Path\n"
            "from driven.adapters.stores.sqlite.store import SqliteStore\n"
            "from driven.testing.contracts import batch, command\n"
            "store = SqliteStore(Path(sys.argv[1]))\nstore.open()\nstore.append(batch(command(4)))\nos._exit(0)\n"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        subprocess.run([sys.executable, "-c", crash, str(path)], env=environment, check=True, timeout=LONGEST_RUN_S)
    length = 4 if was_killed else 3

    run = in_a_namespace(BIND.format(place.format(path.parent)), READ_ONLY, str(path))

    assert run.returncode == 0, run.stderr
    refused, read = run.stdout.splitlines()
    assert f"driven.db failed: {told.format(path.parent)}" in refused
    assert read == f"{length} {length}"


@on_both_loops
async def test_a_bus_whose_disk_fails_tells_everybody_who_waits(tmp_path: Path) -> None:
    """U4, D5: nobody is left waiting, and what was accepted before is there."""
    path = tmp_path / "driven.db"
    async with open_bus(counters, on(path)) as bus:
        await bus.handle(Increase("a"))
        path.with_name("driven.db-lease").unlink()
        usurper = SqliteStore(path)
        usurper.open()

        with pytest.raises(BusClosed, match="another bus writes to this log"):
            await bus.submit(Increase("a"))

        assert usurper.last_position == 2
        usurper.close()
