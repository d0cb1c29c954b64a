"""A bus whose rings are as small as they may be, and whose clients never pause."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from driven import Settings, WorkerSettings, open_bus
from driven.bus.message_bus import TURN_LIMIT
from driven.program import new_event_loop
from ordering import Plan, command_of
from ordering import app as ordering
from ordering_draws import drawn_commands, ticking_clock
from worker_test_app import Do, Done, app

if TYPE_CHECKING:
    from driven import MessageBus

CLIENTS = 20
EACH = 15
LONGEST_RUN_S = 60


async def test_commands_start_in_the_order_in_which_they_were_submitted() -> None:
    """D6: twenty clients, each of which submits the next when the last is done; one worker counts what it begins."""
    submitted: list[int] = []
    begun: dict[int, int] = {}

    async def client(bus: MessageBus) -> None:
        for _ in range(EACH):
            receipt = await bus.submit(Do("count"))
            submitted.append(receipt.position)
            (event,) = (await receipt.handled()).events
            assert isinstance(event, Done)
            begun[receipt.position] = int(event.text)

    async with open_bus(app, Settings(workers=WorkerSettings(count=1, ring_bytes=1 << 12))) as bus:
        await asyncio.gather(*(client(bus) for _ in range(CLIENTS)))

    assert submitted == sorted(submitted)
    assert [begun[position] for position in submitted] == list(range(1, CLIENTS * EACH + 1))


async def digest_of(seed: int, workers: int) -> str:
    """Run hundreds of commands that read, change, fail and cause others, through rings of 4 kB."""
    settings = Settings(workers=WorkerSettings(count=workers, ring_bytes=1 << 12))
    async with asyncio.timeout(LONGEST_RUN_S), open_bus(ordering, settings, clock_ns=ticking_clock()) as bus:
        commands = [command for part in range(4) for command in drawn_commands(100 * seed + part)]
        for receipt in [await bus.submit(command) for command in commands]:
            await receipt.settled()
        return bus.log_digest()


@pytest.mark.parametrize("seed", range(2))
def test_nothing_stands_still_in_the_smallest_rings(seed: int) -> None:
    """D13, F4: submissions, questions, answers and outcomes wait for room in both directions, and never in a circle."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        assert runner.run(digest_of(seed, 2)) == runner.run(digest_of(seed, 0))


async def test_whoever_submits_without_a_pause_lets_the_event_loop_run_even_where_nothing_waits() -> None:
    """F4: commands of a parked key retire inside `submit`, one by one, and nobody else would get to do anything."""
    failing = Plan(children=(Plan(kind="keyed", fails="always"),))
    async with open_bus(ordering, Settings(workers=WorkerSettings(count=1))) as bus:
        await (await bus.submit(command_of(failing))).settled()
        others = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(others.set_result, None)

        for _ in range(2 * TURN_LIMIT):
            await bus.submit(command_of(Plan(kind="keyed")))

        assert others.done()
