"""The two kinds of worker beside each other: what starting one costs, and how many CPUs their handlers keep at work.

Run it with ``python -m benchmarks.kinds``. The contenders take turns; figures are medians over the rounds.

``CPUs at work`` is the CPU time that handlers took in their own threads, all together, divided by the time that passed.
Under a GIL it is at most 1 for threads that run Python code, and up to the number of workers for threads whose handlers
release the GIL and for processes. On a busy machine it is less for everybody, so compare within one run.
``start`` is the time from opening a bus to its being ready, less that of a bus without workers.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import statistics
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.kinds_app import Count, Hash, Worked, app
from driven import Settings, WorkerSettings, open_bus, run
from driven.pool.kinds import is_gil_enabled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driven import Command
    from driven.pool.kinds import Kind

KINDS: tuple[Kind, ...] = ("processes", "threads")
WORKERS = (1, 2)
JOBS: dict[str, Command] = {"releases the GIL": Hash(40), "holds the GIL": Count(1_500_000)}


async def cpus_at_work(kind: Kind, workers: int, command: Command, commands: int) -> float:
    """CPU time of all handlers by the time that passed."""
    async with open_bus(app, Settings(workers=WorkerSettings(count=workers, kind=kind))) as bus:
        await bus.handle(command)
        began = time.perf_counter()
        receipts = [await bus.submit(command) for _ in range(commands)]
        events = [event for receipt in receipts for event in (await receipt.handled()).events]
        seconds = time.perf_counter() - began
    return sum(event.cpu_ns for event in events if isinstance(event, Worked)) / 1e9 / seconds


async def start_ms(kind: Kind, workers: int) -> float:
    """Milliseconds until a bus is open."""
    began = time.perf_counter()
    async with open_bus(app, Settings(workers=WorkerSettings(count=workers, kind=kind))):
        return (time.perf_counter() - began) * 1e3


async def main(arguments: Sequence[str] | None = None) -> None:
    """Run all rounds, and print what came of them."""
    parser = argparse.ArgumentParser(description="worker processes beside worker threads")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--commands", type=int, default=24)
    options = parser.parse_args(arguments)
    contenders = list(itertools.product(JOBS, WORKERS, KINDS))
    found: dict[tuple[str, int, str], list[float]] = {contender: [] for contender in contenders}
    starts: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number in range(options.rounds):
        inline_ms = await start_ms("processes", 0)
        for kind in KINDS:
            starts[kind].append(await start_ms(kind, 1) - inline_ms)
        for job, workers, kind in contenders[number % 2 :: 1] + contenders[: number % 2]:
            found[job, workers, kind].append(await cpus_at_work(kind, workers, JOBS[job], options.commands))
    gil = "with a GIL" if is_gil_enabled() else "without a GIL"
    print(f"CPython {platform.python_version()} {gil}, {sys.platform}, {options.rounds} rounds; median (least to most)")
    for kind in KINDS:
        print(f"start of one worker, {kind:10}{shown(starts[kind])} ms")
    for job, workers, kind in contenders:
        print(f"CPUs at work, {job:17}{workers} {kind:10}{shown(found[job, workers, kind])}")


def shown(samples: Sequence[float]) -> str:
    """Median and range."""
    return f"{statistics.median(samples):8.2f}  ({min(samples):.2f} to {max(samples):.2f})"


if __name__ == "__main__":
    run(main())
