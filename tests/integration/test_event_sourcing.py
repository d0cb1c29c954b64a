"""Event-sourced aggregates with real workers, real rings and a real file (O6, O5, X3, U9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driven import Settings, WorkerSettings, log_digest, open_bus_sync
from driven.adapters.stores.memory import MemoryStore
from driven.adapters.stores.sqlite.store import SqliteStore
from sourced import Look, Mix, Seen

if TYPE_CHECKING:
    from pathlib import Path

    from driven import EventStore
    from driven.domain.messages import Command

RING_BYTES = 65_536


def run(store: EventStore, commands: list[Command], workers: int) -> list[object]:
    """The events of the last command, once all have settled."""
    settings = Settings(workers=WorkerSettings(count=workers, ring_bytes=RING_BYTES))
    with open_bus_sync("sourced:app", settings, store=store) as bus:
        receipts = bus.submit_all(commands)
        for receipt in receipts:
            receipt.settled(timeout_s=60)
        return list(receipts[-1].handled().events)


def test_workers_and_a_file_leave_the_log_of_a_run_in_memory_without_workers(tmp_path: Path) -> None:
    """O6, X3: snapshots included; and a bus that opens the file again goes on from there."""
    file = SqliteStore(tmp_path / "driven.db")
    first: list[Command] = [Mix("abc"[n % 3], n, ("c",), children=n % 2) for n in range(60)]
    then: list[Command] = [*(Mix("abc"[n % 3], n) for n in range(30)), Look("c")]

    run(file, first, workers=2)
    found = run(file, then, workers=2)

    memory = MemoryStore(file.log_id)
    run(memory, first, workers=0)
    assert run(memory, then, workers=0) == found
    assert log_digest(file) == log_digest(memory)
    file.close()


def test_a_stream_larger_than_a_ring_reaches_a_worker() -> None:
    """S2, X3: what has no snapshot yet travels whole, whatever its size."""
    store = MemoryStore()
    length = 3_000
    run(store, [Mix("a", number) for number in range(length)], workers=0)
    store.keep_snapshots({})  # as if the class had changed since
    state = store.load("sourced.Account", "a")
    assert sum(len(event.body) for event in state.events) > RING_BYTES

    (seen,) = run(store, [Look("a")], workers=1)

    assert isinstance(seen, Seen)
    assert seen.balance > 0
    assert len(seen.tags) == state.version - length, "the event that opened it is no tag, and brought one"
