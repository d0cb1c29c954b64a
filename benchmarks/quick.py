"""The quick benchmark: commands that do nothing, through workers in strict order, beside `ProcessPoolExecutor`.

Run it with ``make bench-quick``. Contenders take turns within one run, so that both see the same machine; figures are
medians over the rounds, with the lowest and highest beside them. A figure of one machine at one time, not a promise.

``round trip`` submits one command and waits for it, again and again. ``throughput`` submits all commands, then waits.
``main-process CPU`` is, per command during throughput, the CPU time of the thread that submits, orders and retires; for
the pool it is that of its main process, as its own threads have their part in a command.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.noop import DoNothing, app, nothing
from driven import Settings, WorkerSettings, open_bus, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from driven import MessageBus


class Round(msgspec.Struct, frozen=True):
    """What one contender did in one round."""

    commands_per_s: float
    main_process_us: float
    """CPU microseconds per command, in the main process."""
    p50_us: float
    p99_us: float


def percentile(samples: Sequence[float], share: float) -> float:
    """The value below which `share` of the samples lie."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def driven_round(workers: int, commands: int, trips: int) -> Round:
    """One round of Driven: a bus of its own, warmed up."""
    async with open_bus(app, Settings(workers=WorkerSettings(count=workers))) as bus:
        await flood(bus, 2_000)
        cpu_ns, began = time.thread_time_ns(), time.perf_counter()
        await flood(bus, commands)
        seconds, cpu_us = time.perf_counter() - began, (time.thread_time_ns() - cpu_ns) / 1e3
        samples = []
        for number in range(trips):
            began = time.perf_counter()
            await bus.handle(DoNothing(number))
            samples.append((time.perf_counter() - began) * 1e6)
    return Round(commands / seconds, cpu_us / commands, percentile(samples, 0.5), percentile(samples, 0.99))


async def flood(bus: MessageBus, commands: int) -> None:
    """Submit them all, then wait for all."""
    receipts = [await bus.submit(DoNothing(number)) for number in range(commands)]
    for receipt in receipts:
        await receipt.handled()


def executor_round(workers: int, commands: int, trips: int) -> Round:
    """One round of the rival: a pool of its own, warmed up."""
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(nothing, range(500)))
        cpu_ns, began = time.process_time_ns(), time.perf_counter()
        for future in [pool.submit(nothing, number) for number in range(commands)]:
            future.result()
        seconds, cpu_us = time.perf_counter() - began, (time.process_time_ns() - cpu_ns) / 1e3
        samples = []
        for number in range(trips):
            began = time.perf_counter()
            pool.submit(nothing, number).result()
            samples.append((time.perf_counter() - began) * 1e6)
    return Round(commands / seconds, cpu_us / commands, percentile(samples, 0.5), percentile(samples, 0.99))


def run_driven(workers: int, commands: int, trips: int) -> Round:
    """`driven_round` in a loop of its own."""
    return run(driven_round(workers, commands, trips))


def shown(values: Sequence[float]) -> str:
    """Median, lowest and highest."""
    return f"{statistics.median(values):,.1f}  ({min(values):,.1f} - {max(values):,.1f})"


def main() -> None:
    """Take turns, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--commands", type=int, default=20_000)
    parser.add_argument("--trips", type=int, default=2_000)
    options = parser.parse_args()
    contenders: dict[str, Callable[[], Round]] = {
        "Driven, strict order": lambda: run_driven(options.workers, options.commands, options.trips),
        "ProcessPoolExecutor": lambda: executor_round(options.workers, options.commands // 4, options.trips // 2),
    }
    rounds: dict[str, list[Round]] = {name: [] for name in contenders}
    for turn in range(options.rounds):
        names = list(contenders)
        for name in names[turn % 2 :] + names[: turn % 2]:
            rounds[name].append(contenders[name]())
    draw(rounds, options.workers)


def draw(rounds: dict[str, list[Round]], workers: int) -> None:
    """The table, and how the first contender compares with the second."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    count = len(rounds["ProcessPoolExecutor"])
    table = Table(title=f"A command that does nothing, {workers} workers; median (lowest - highest) of {count} rounds")
    for column in ("figure", *rounds, "ratio"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    figures = {
        "commands per second": "commands_per_s",
        "round trip p50, µs": "p50_us",
        "round trip p99, µs": "p99_us",
        "main-process CPU per command, µs": "main_process_us",
    }
    for title, field in figures.items():
        columns = [[getattr(one, field) for one in of_contender] for of_contender in rounds.values()]
        ours, theirs = (statistics.median(column) for column in columns)
        ratio = ours / theirs if field == "commands_per_s" else theirs / ours
        table.add_row(title, *(shown(column) for column in columns), f"{ratio:.1f} x better")
    console.print(table)
    uname = platform.uname()
    console.print(
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {uname.system} {uname.release} {uname.machine}"
    )


if __name__ == "__main__":
    main()
