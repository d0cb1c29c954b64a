"""Leases: who has one, and what becomes of a bus whose lease did not hold."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from driven.adapters.stores.sqlite.store import SqliteStore
from driven.errors import LogBusy
from driven.service.event_store import Cursor
from driven.testing.contracts import batch, command, outcome

if TYPE_CHECKING:
    from collections.abc import Iterator


def open_files() -> int:
    """How many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """An open log of one command."""
    store = SqliteStore(tmp_path / "driven.db")
    store.open()
    store.append(batch(command(1)))
    yield store
    store.close()


def test_whoever_is_refused_is_told_host_process_program_and_time(store: SqliteStore) -> None:
    """U7: enough to find it and to end it."""
    with pytest.raises(LogBusy) as refused:
        SqliteStore(store.path).open()

    holder = refused.value.holder
    assert holder.startswith(f"process {os.getpid()} on {socket.gethostname()}, ")
    assert sys.orig_argv[0] in holder
    assert "\n" not in holder
    assert ", since 20" in holder
    assert str(store.path) in str(refused.value)


def test_a_store_that_was_refused_harms_nobody_and_may_come_later(store: SqliteStore) -> None:
    """U7: it leaves no descriptor behind, and the holder goes on."""
    rival = SqliteStore(store.path)
    before = open_files()
    for _ in range(3):
        with pytest.raises(LogBusy):
            rival.open()
    assert open_files() == before

    store.append(batch(command(2)))
    store.close()

    rival.open()
    assert rival.last_position == 2
    rival.close()


def test_a_store_that_is_open_is_not_opened_again(store: SqliteStore) -> None:
    """U7: not even by itself."""
    with pytest.raises(LogBusy, match="another bus writes to this log"):
        store.open()

    store.append(batch(command(2)))


def test_who_lost_the_lease_writes_nothing_more(store: SqliteStore) -> None:
    """U7: a lock beside the file can get lost; the generation inside it cannot, and tells before a write."""
    store.path.with_name("driven.db-lease").unlink()
    usurper = SqliteStore(store.path)
    usurper.open()
    usurper.append(batch(command(2, "theirs")))

    told = f"process {os.getpid()} on "
    with pytest.raises(LogBusy, match=told):
        store.append(batch(command(2, "ours"), outcome(1)))
    with pytest.raises(LogBusy, match=told):
        store.advance(lambda _: [Cursor("ours", 1)])
    with pytest.raises(LogBusy, match=told):
        store.keep_snapshots({})

    assert store.find("ours") is None
    assert store.cursor("ours") == Cursor("ours")
    usurper.append(batch(command(3), outcome(1)))
    assert usurper.last_position == 3
    usurper.close()


def test_a_log_has_one_lease_however_many_names_it_has(store: SqliteStore, tmp_path: Path) -> None:
    """U7: a link to the file, or to its folder, is no way to a second bus."""
    folder = tmp_path / "elsewhere"
    folder.symlink_to(tmp_path)
    link = tmp_path / "link.db"
    link.symlink_to(store.path)

    for name in (link, folder / "driven.db"):
        with pytest.raises(LogBusy):
            SqliteStore(name).open()

    store.append(batch(command(2)))


def test_a_closed_log_is_free_though_a_child_was_forked_meanwhile(tmp_path: Path) -> None:
    """U7: a fork has the descriptor too, which keeps a lock that was not let go of."""
    store = SqliteStore(tmp_path / "driven.db")
    store.open()
    held = os.dup(store._lease._descriptor)  # type: ignore[union-attr]  # noqa: SLF001 - as a fork has it
    try:
        store.close()

        store.open()
    finally:
        os.close(held)
        store.close()


def test_a_forked_child_that_closes_what_it_inherited_leaves_the_lease_to_its_parent(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """U7: a lock belongs to all who have its descriptor, so a child could let go of it for its parent."""
    lease = store._lease  # noqa: SLF001 - what a child inherits of a bus
    assert lease is not None
    parent, lease._descriptor = lease._descriptor, os.dup(lease._descriptor)  # noqa: SLF001 - as a fork has it
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: 0)
        lease.release()
    lease._descriptor = parent  # noqa: SLF001 - the parent's own

    with pytest.raises(LogBusy) as refused:
        SqliteStore(store.path).open()

    assert f"process {os.getpid()} on " in refused.value.holder
