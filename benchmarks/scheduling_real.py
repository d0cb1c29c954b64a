"""The mix of 50 µs and 200 ms commands on real workers: credit by time beside fixed credits and round robin.

Run it with ``python -m benchmarks.scheduling_real`` (about a minute). Contenders take turns within one run, each with a
bus and workers of its own; figures are medians over the rounds. Commands come at random, as many as keep the workers
70 % busy; the seed decides which, and when. Large ones sleep, so that the figures are about who waits for whom, and not
about how many CPUs the machine has left.

``wait`` is how long small commands waited from `submit` until their handler began, on the clock that all processes
share; ``turn`` how long they waited from then until they had retired.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from typing import TYPE_CHECKING, Final
from unittest import mock

import msgspec

from benchmarks.mixed import LARGE_S, Began, Count, Sleep, app
from benchmarks.scheduling import percentile
from driven import Settings, WorkerSettings, open_bus, run
from driven.bus.scheduler import Scheduler
from driven.bus.sequencer import Entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven import MessageBus, Receipt

SHARE_OF_LARGE: Final = 1 / 101
MEAN_S: Final = SHARE_OF_LARGE * LARGE_S + (1 - SHARE_OF_LARGE) * 50e-6
LOAD: Final = 0.7


class Counting(Scheduler[Entry]):
    """The same scheduler with a credit of commands: each counts as one, whatever it takes."""

    def declare(self, type_id: int, group: str, *, is_sticky: bool = False) -> None:
        """It takes one."""
        super().declare(type_id, group, is_sticky=is_sticky)
        super().observe(type_id, 1)

    def complete(self, worker_id: int, position: int, elapsed_ns: int) -> None:
        """It took one."""
        del elapsed_ns
        super().complete(worker_id, position, 1)


CONTENDERS: Final[dict[str, Callable[[], Scheduler[Entry]]]] = {
    "Driven": Scheduler,
    "round robin": lambda: Counting(1_000_000),
    "credit 1": lambda: Counting(1),
    "credit 8": lambda: Counting(8),
}


class Round(msgspec.Struct, frozen=True):
    """What one contender did in one round, in ms."""

    wait_p50_ms: float
    wait_p99_ms: float
    turn_p50_ms: float


async def serve(bus: MessageBus, workers: int, seconds: float, seed: int) -> Round:
    """Commands that come at random."""
    chance = random.Random(seed)  # noqa: S311 - reproducible by design
    for _ in range(200):
        await bus.handle(Count())
    await bus.handle(Sleep())
    followed: list[asyncio.Task[tuple[float, float]]] = []
    receipts: list[Receipt] = []
    loop = asyncio.get_running_loop()
    due_s, end_s = loop.time(), loop.time() + seconds
    while due_s < end_s:
        due_s += chance.expovariate(LOAD * workers / MEAN_S)
        await asyncio.sleep(due_s - loop.time())
        if chance.random() < SHARE_OF_LARGE:
            receipts.append(await bus.submit(Sleep()))
        else:
            followed.append(asyncio.create_task(follow(bus)))
    times = [await one for one in followed]
    for receipt in receipts:
        await receipt.handled()
    waits, turns = [wait for wait, _ in times], [turn for _, turn in times]
    return Round(percentile(waits, 0.5), percentile(waits, 0.99), percentile(turns, 0.5))


async def follow(bus: MessageBus) -> tuple[float, float]:
    """Wait and turn of one small command, in ms."""
    submitted_ns = time.monotonic_ns()
    outcome = await bus.handle(Count())
    (began,) = outcome.events
    assert isinstance(began, Began)
    return (began.at_ns - submitted_ns) / 1e6, (time.monotonic_ns() - began.at_ns) / 1e6


async def one_round(make: Callable[[], Scheduler[Entry]], workers: int, seconds: float, seed: int) -> Round:
    """One round of one contender."""
    with mock.patch("driven.bus.traffic.Scheduler", make):
        async with open_bus(app, Settings(workers=WorkerSettings(count=workers))) as bus:
            return await serve(bus, workers, seconds, seed)


def main() -> None:
    """Take turns, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rounds: dict[str, list[Round]] = {name: [] for name in CONTENDERS}
    for seed in range(options.rounds):
        for name, make in CONTENDERS.items():
            rounds[name].append(run(one_round(make, options.workers, options.seconds, seed)))
    print("| contender | wait p50, ms | wait p99, ms | turn p50, ms |")
    print("|---|---|---|---|")
    for name, of in rounds.items():
        wait_p50, wait_p99, turn = (
            statistics.median(getattr(one, field.name) for one in of) for field in msgspec.structs.fields(Round)
        )
        print(f"| {name} | {wait_p50:.2f} | {wait_p99:.1f} | {turn:.2f} |")


if __name__ == "__main__":
    main()
