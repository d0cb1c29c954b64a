"""What is accepted, and what that means, under each policy of durability (U4): on a held store, and with SIGKILL."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from both_loops import PATIENCE_S, on_both_loops, until
from counting import Increase, counters, on
from driven import open_bus
from driven.adapters.stores.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.service.event_store import Batch
    from driven.settings import Durability

PROGRAM = Path(__file__).resolve().parents[1] / "applications" / "counting.py"
INLINE = on("unused.db")


class HeldStore(SqliteStore):
    """Notes what it is given, and appends only while it is let."""

    def __init__(self, path: Path, durability: Durability) -> None:
        super().__init__(path, durability)
        self.batches: list[Batch] = []
        self.may_append = threading.Event()

    def append(self, batch: Batch) -> None:
        """Wait until it may."""
        self.batches.append(batch)
        assert self.may_append.wait(PATIENCE_S)
        super().append(batch)

    @property
    def roots(self) -> list[int]:
        """How many commands from outside each batch had."""
        return [sum(message.envelope.hop == 0 for message in batch.admitted) for batch in self.batches]


@pytest.mark.parametrize("durability", ["each", "group"])
@on_both_loops
async def test_a_submit_is_answered_only_when_its_batch_is_in_the_file(durability: Durability, tmp_path: Path) -> None:
    """U4: whoever was told that it is accepted can pull the plug."""
    store = HeldStore(tmp_path / "driven.db", durability)
    async with open_bus(counters, INLINE, store=store) as bus:
        waiting = asyncio.create_task(bus.submit(Increase("a")))
        await until(lambda: bool(store.batches))
        await asyncio.wait([waiting], timeout=0.05)
        assert not waiting.done()

        store.may_append.set()

        assert (await waiting).position == store.read(0, 1)[0].message.envelope.position


@on_both_loops
async def test_without_durability_a_submit_is_answered_while_the_store_is_busy(tmp_path: Path) -> None:
    """U4: and what came of it is told when that is in the file, as ever."""
    store = HeldStore(tmp_path / "driven.db", "none")
    async with open_bus(counters, INLINE, store=store) as bus:
        receipts = [await bus.submit(Increase("a")) for _ in range(100)]
        receipts += await bus.submit_all([Increase("b")])
        handled = asyncio.create_task(receipts[0].handled())
        await asyncio.wait([handled], timeout=0.05)
        assert (store.last_position, handled.done()) == (0, False)

        store.may_append.set()

        assert (await handled).position == 1
        for receipt in receipts:
            await receipt.settled()
        assert store.last_position == 202


@on_both_loops
async def test_with_each_every_command_from_outside_has_a_transaction_of_its_own(tmp_path: Path) -> None:
    """U4: one each, however many wait; with group those that wait share the next one (U2)."""
    stores = {durability: HeldStore(tmp_path / f"{durability}.db", durability) for durability in ("each", "group")}
    for store in stores.values():
        async with open_bus(counters, INLINE, store=store) as bus:
            one_by_one = [asyncio.create_task(bus.submit(Increase(str(number)))) for number in range(20)]
            at_once = asyncio.create_task(bus.submit_all([Increase(str(number)) for number in range(20)]))
            await until(lambda: bool(store.batches))  # noqa: B023 - it is over before the loop goes on
            store.may_append.set()
            for receipt in [*[await one for one in one_by_one], *await at_once]:
                await receipt.settled()

    assert sum(stores["each"].roots) == sum(stores["group"].roots) == 40
    assert max(stores["each"].roots) == 1
    assert len(stores["group"].batches) < 10


@on_both_loops
async def test_a_bus_that_ends_with_full_pages_tells_everybody_who_waits(tmp_path: Path) -> None:
    """D5, X4: pages that wait behind the one under way are decided as well: they never get into the store."""
    store = HeldStore(tmp_path / "driven.db", "each")
    async with open_bus(counters, INLINE, store=store) as bus:
        waiting = [asyncio.create_task(bus.submit(Increase("a"))) for _ in range(5)]
        await until(lambda: bool(store.batches))
        bus.give_up()
        store.may_append.set()

        told = await asyncio.gather(*waiting, return_exceptions=True)

    assert all(isinstance(one, Exception) for one in told[1:])
    assert store.last_position == 1
    store.close()


@on_both_loops
async def test_without_durability_a_bus_that_ends_at_once_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    """U4, X4: who was answered was accepted, however busy the store is then; what is left is for the next bus."""
    store = HeldStore(tmp_path / "driven.db", "none")
    async with open_bus(counters, INLINE, store=store) as bus:
        for _ in range(5):
            await bus.submit(Increase("a"))
            await asyncio.sleep(0)
        await until(lambda: bool(store.batches))
        bus.give_up()
        store.may_append.set()

    assert sum(store.roots) == 5
    async with open_bus(counters, INLINE, store=SqliteStore(tmp_path / "driven.db")) as bus:
        assert (await bus.handle(Increase("a"))).position >= 6
    with closing(SqliteStore(tmp_path / "driven.db")) as log:
        assert log.load("counters.Counter", "a").version == 6


# Killed.


@contextmanager
def counting(path: Path, durability: str, clients: int) -> Iterator[subprocess.Popen[str]]:
    """The program, which is killed at the end."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, str(PROGRAM), str(path), durability, str(clients)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "open\n"
            yield process
        finally:
            process.kill()
            process.stdout.read()


def told_before_the_end(process: subprocess.Popen[str], enough: int) -> list[int]:
    """Kill it when it has told so many positions, and return all that it told."""
    assert process.stdout is not None
    told = [int(process.stdout.readline()) for _ in range(enough)]
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().splitlines(keepends=True)
    return told + [int(line) for line in rest if line.endswith("\n")]


@pytest.mark.parametrize("durability", ["each", "group", "none"])
def test_a_killed_bus_leaves_a_log_without_a_gap_and_with_all_that_it_promised(
    durability: Durability, tmp_path: Path
) -> None:
    """U3, U4, U9: what was told to be accepted is there, except without durability; nothing of a batch is torn."""
    path = tmp_path / "driven.db"
    with counting(path, durability, 8) as process:
        told = told_before_the_end(process, 60)

    store = SqliteStore(path)
    store.open()
    records = list(store.read(0, 1_000_000))
    positions = [record.message.envelope.position for record in records]
    counts = [store.load("counters.Counter", str(number)).version for number in range(8)]
    retired = sum(record.message.kind.value == "command" and record.outcome is not None for record in records)
    store.close()
    assert positions == list(range(1, len(positions) + 1))
    assert sum(counts) == retired
    if durability != "none":
        assert max(told) <= len(positions)


def test_a_log_is_free_at_once_when_its_bus_was_killed(tmp_path: Path) -> None:
    """U7: the kernel gives up the lease of whoever dies; and until then another process is told who has it."""
    path = tmp_path / "driven.db"
    rival = SqliteStore(path)
    with counting(path, "group", 0) as process:
        with pytest.raises(Exception, match=rf"another bus writes to this log \(process {process.pid} on .*counting"):
            rival.open()
        process.kill()
        process.wait(PATIENCE_S)

        rival.open()
    rival.close()
