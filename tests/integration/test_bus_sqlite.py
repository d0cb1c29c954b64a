"""A bus over one SQLite file: chosen by its settings, kept for the next bus, written by one at a time (U2 to U9)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from both_loops import on_both_loops
from counting import Increase, Increased, counters, on
from driven import LogBusy, Settings, WorkerSettings, open_bus
from driven.adapters.stores.memory import MemoryStore
from driven.adapters.stores.sqlite.store import SqliteStore
from ordering import app
from ordering_draws import drawn_commands, ticking_clock

if TYPE_CHECKING:
    from pathlib import Path

    from driven import Command
    from driven.service.event_store import EventStore
    from driven.settings import Durability


@pytest.mark.parametrize("durability", ["each", "group", "none"])
@on_both_loops
async def test_a_log_goes_on_where_the_bus_before_left_it(durability: Durability, tmp_path: Path) -> None:
    """U9, U5: state, positions and ids are those of the file, whoever wrote them."""
    settings = on(tmp_path / "driven.db", durability)
    async with open_bus(counters, settings) as bus:
        await asyncio.gather(*(bus.handle(Increase(str(number % 3))) for number in range(60)))
        first = await bus.submit(Increase("0"), command_id="mine")
        await first.settled()
        digest = bus.log_digest()

    async with open_bus(counters, settings) as bus:
        assert bus.log_digest() == digest
        again = await bus.submit(Increase("0"), command_id="mine")
        assert again.position == first.position
        assert (await bus.handle(Increase("0"))).events == (Increased("0", 22),)


@on_both_loops
async def test_a_second_bus_on_the_same_file_is_told_who_has_it(tmp_path: Path) -> None:
    """U7: it does no harm, and may come when the first has gone."""
    settings = on(tmp_path / "driven.db")
    async with open_bus(counters, settings) as bus:
        with pytest.raises(LogBusy, match=r"driven.db failed: another bus writes to this log \(process \d+ on "):
            async with open_bus(counters, settings):
                pytest.fail("two buses write to one log")
        await bus.handle(Increase("a"))

    async with open_bus(counters, settings) as bus:
        assert (await bus.handle(Increase("a"))).events == (Increased("a", 2),)


@on_both_loops
async def test_submit_answers_when_the_command_is_in_the_file(tmp_path: Path) -> None:
    """U4: another reader of the file finds it, and once it was handled its outcome."""
    path = tmp_path / "driven.db"
    reader = SqliteStore(path)
    async with open_bus(counters, on(path)) as bus:
        for number in range(20):
            receipt = await bus.submit(Increase(str(number)))
            assert reader.last_position >= receipt.position
            outcome = await receipt.handled()
            assert reader.read(outcome.position - 1, 1)[0].outcome is not None
    reader.close()


async def digest_on(store: EventStore, commands: list[Command], workers: int) -> str:
    """Accept all commands before the first retires, and return the digest of the log once all has."""
    settings = Settings(workers=WorkerSettings(count=workers, max_attempts=100))
    async with open_bus(app, settings, store=store, clock_ns=ticking_clock()) as bus:
        for receipt in await bus.submit_all(commands):
            await receipt.settled()
        return bus.log_digest()


@pytest.mark.parametrize("durability", ["each", "group", "none"])
@pytest.mark.parametrize("seed", range(3))
def test_the_log_in_a_file_is_that_in_memory(seed: int, durability: Durability, tmp_path: Path) -> None:
    """O6, U2: with worker processes and a store that lags behind, byte for byte what an inline run keeps in memory."""
    commands = drawn_commands(seed)
    store = SqliteStore(tmp_path / "driven.db", durability)
    store.open()
    store.close()

    in_memory = asyncio.run(digest_on(MemoryStore(store.log_id), commands, 0))

    assert asyncio.run(digest_on(store, commands, 2)) == in_memory
