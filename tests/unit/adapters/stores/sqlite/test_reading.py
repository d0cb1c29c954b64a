"""Reading connections: as many as calls overlap, and none that is left behind."""

from __future__ import annotations

import gc
from contextlib import closing
from pathlib import Path
from threading import Barrier, Thread

import pytest

from driven.adapters.stores.sqlite.store import SqliteStore
from driven.errors import StoreFailed
from small_log import log_of_three


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of three commands."""
    return log_of_three(tmp_path)


def open_files(path: Path) -> int:
    """How many descriptors of this process lead to the log."""
    links = (file.readlink() for file in Path("/proc/self/fd").iterdir() if file.is_symlink())
    return sum(link.name.startswith(path.name) for link in links)


def test_threads_that_come_and_go_share_connections(path: Path) -> None:
    """P13: a connection is used again, whoever used it before."""
    with closing(SqliteStore(path)) as store:
        store.read(0, 1)
        before = open_files(path)
        for _ in range(20):
            reader = Thread(target=store.read, args=(0, 9))
            reader.start()
            reader.join()
        assert open_files(path) == before

        together = Barrier(4)

        def read() -> None:
            together.wait()
            for _ in range(50):
                store.read(0, 9)

        readers = [Thread(target=read) for _ in range(4)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        assert open_files(path) <= 4 * before
    assert open_files(path) == 0


def test_a_store_that_only_read_and_is_forgotten_leaves_nothing_open(path: Path) -> None:
    """X4: neither descriptors nor a warning; and what reads takes no lease."""
    store = SqliteStore(path)
    writer = SqliteStore(path)
    assert store.last_position == 3
    writer.open()
    writer.close()
    assert open_files(path) > 0

    del store
    gc.collect()

    assert open_files(path) == 0


def test_a_query_that_is_wrong_is_told_and_harms_no_other(path: Path) -> None:
    """U6: the connection goes on to serve."""
    with closing(SqliteStore(path)) as store:
        for wrong in ("SELECT * FROM missing", "BEGIN IMMEDIATE", "nonsense"):
            with pytest.raises(StoreFailed, match=r"driven\.db failed: "):
                store.query(wrong)

        assert store.query("SELECT count(*) FROM message") == [(3,)]
