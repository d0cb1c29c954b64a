"""A log that an older release wrote, and everybody who reads it today (X3)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import new_release
import old_release
from driven import CommandIdReused, Settings, WorkerSettings, open_bus_sync
from driven.adapters.stores.sqlite.store import SqliteStore
from driven.domain.messages import Envelope
from driven.service.event_store import Batch, LoggedMessage, MessageKind
from driven.service.registry import build_registry
from driven.service.sourcing import rehydrated
from driven.verification.running import verify
from driven.wire import encode_body

if TYPE_CHECKING:
    from pathlib import Path

ONE_WORKER = Settings(workers=WorkerSettings(count=1))


def old_log(store: SqliteStore) -> None:
    """Four deposits of whole euros in two accounts, one of them with a snapshot, and one that was not finished."""
    with open_bus_sync(old_release.app, store=store) as bus:
        for number, account in enumerate("aaab", 1):
            bus.submit(old_release.Deposit(account, number), command_id=f"old {number}").settled()
    store.open()
    position = store.last_position + 1
    envelope = Envelope(position, "unfinished", position, 0, 0, "b", 1)
    command = LoggedMessage(envelope, MessageKind.COMMAND, "bank.Deposit", 1, encode_body(old_release.Deposit("b", 10)))
    store.append(Batch([command], []))
    store.close()


def test_everybody_reads_what_an_older_release_recorded(tmp_path: Path) -> None:
    """X3, U5, U9: recovery, workers that rehydrate, read models, receipts of known ids, and snapshots of then."""
    store = SqliteStore(tmp_path / "driven.db")
    old_log(store)

    with open_bus_sync("new_release:app", ONE_WORKER, store=store) as bus:
        taken_up = bus.submit(new_release.Deposit("b", 1_000), command_id="unfinished")
        assert taken_up.handled(timeout_s=60).events == (new_release.Deposited("b", 1_000, "400 before"),)

        known = bus.submit(new_release.Deposit("a", 200), command_id="old 2")
        assert known.handled().events == (new_release.Deposited("a", 200, "unknown"),)
        with pytest.raises(CommandIdReused):
            bus.submit(new_release.Deposit("a", 201), command_id="old 2")

        new = bus.submit(new_release.Deposit("a", 1)).handled(timeout_s=60)
        assert new.events == (new_release.Deposited("a", 1, "600 before"),)
        assert bus.resolve(new_release.Total).cents == 100 + 200 + 300 + 400 + 1_000 + 1

    state = store.load("bank.Account", "a")
    account = rehydrated(new_release.Account, state, build_registry(new_release.app).catalog)
    assert account == new_release.Account("a", 601, ("unknown", "unknown", "unknown", "600 before"))
    assert (state.version, state.events) == (4, ()), "the snapshot of then was of another schema; this one is new"


def test_a_log_of_an_older_release_can_be_verified(tmp_path: Path) -> None:
    """X3, X2: commands, and the states that they saw, are upcast; what differs is what today's code does otherwise."""
    store = SqliteStore(tmp_path / "driven.db")
    old_log(store)
    settings = Settings(workers=WorkerSettings(count=0))

    report = asyncio.run(verify("new_release:app", settings, store=store))

    assert report.not_comparable == 0
    assert report.same + report.different == 4
    places = {field.place for difference in report.differences for field in difference.fields}
    assert all("by" in place for place in places), places
    store.close()
