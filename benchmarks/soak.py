"""The soak: millions of commands that do nothing, and the memory of the bus and its workers meanwhile.

Run it with ``make soak`` or ``make soak COMMANDS=200000``. It writes ``memory.csv``, and ``memory.png`` where there is
matplotlib, into the folder ``soak``, and ends with exit code 1 when memory grew after the warm-up.

Commands are submitted through a window, so that what waits is always little, and the store forgets: what grows, if
anything does, is the bus, the rings or the workers.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import psutil

from benchmarks.forgetful_store import ForgetfulStore
from driven import Settings, WorkerSettings, open_bus, run
from driven.entrypoints.bench.application import DoNothing, app
from driven.pool.cpus import available_cpus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driven import MessageBus, Receipt

WINDOW: Final = 2_000
"""Commands that wait for their outcome, at most."""
LOOKS: Final = 400
"""How often memory is looked at, in the whole run."""
WARM_UP: Final = 0.2
"""Part of the run after which memory should stay as it is."""
MIB: Final = 1 << 20
GROWTH_MIB: Final = 4.0
"""How much a process may grow after the warm-up, by the line that fits best; allocators wander a little."""


class Look(NamedTuple):
    """The memory of all processes at one moment."""

    commands: int
    """Retired so far."""
    seconds: float
    rss_bytes: dict[str, int]
    """By name: ``bus``, ``worker 1``..."""


def grown_mib(looks: Sequence[Look], name: str) -> float:
    """How much a process grew after the warm-up, in MiB: the slope of the best straight line, times its length."""
    kept = [look for look in looks if look.commands >= WARM_UP * looks[-1].commands and name in look.rss_bytes]
    xs, ys = [look.commands for look in kept], [look.rss_bytes[name] / MIB for look in kept]
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - middle_x) ** 2 for x in xs)
    if not spread:
        return 0.0
    slope = sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True)) / spread
    return slope * (xs[-1] - xs[0])


async def soak(commands: int, workers: int, store: ForgetfulStore) -> list[Look]:
    """Send that many commands through that many workers; return what was seen of the memory."""
    looks: list[Look] = []
    waiting: deque[Receipt] = deque()
    every = max(1, commands // LOOKS)
    async with open_bus(app, Settings(workers=WorkerSettings(count=workers)), store=store) as bus:
        began = time.perf_counter()
        for number in range(1, commands + 1):
            waiting.append(await bus.submit(DoNothing(number)))
            if len(waiting) == WINDOW:
                await waiting.popleft().handled()
            if number % every == 0:
                looks.append(look(bus, store.last_retired, time.perf_counter() - began))
        for receipt in waiting:
            await receipt.handled()
    return looks


def look(bus: MessageBus, commands: int, seconds: float) -> Look:
    """Look at the memory of this process and of the workers."""
    processes = {"bus": psutil.Process()}
    for one in bus.statistics().workers:
        processes[f"worker {one.worker_id}"] = psutil.Process(one.pid)
    return Look(commands, seconds, {name: process.memory_info().rss for name, process in processes.items()})


def write_csv(looks: Sequence[Look], file: Path) -> None:
    """A line per look."""
    names = list(looks[-1].rss_bytes)
    with file.open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(["commands", "seconds", *(f"{name} rss_bytes" for name in names)])
        for one in looks:
            writer.writerow([one.commands, f"{one.seconds:.3f}", *(one.rss_bytes.get(name, "") for name in names)])


def draw(looks: Sequence[Look], file: Path) -> None:
    """Memory by commands, a line per process.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.

    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - it may be missing

    canvas = Figure(figsize=(8, 4.5), layout="constrained")
    axes = canvas.add_subplot()
    for name in looks[-1].rss_bytes:
        kept = [one for one in looks if name in one.rss_bytes]
        axes.plot([one.commands / 1e6 for one in kept], [one.rss_bytes[name] / MIB for one in kept], label=name)
    axes.axvspan(0, WARM_UP * looks[-1].commands / 1e6, color="#888", alpha=0.12, label="warm-up")
    axes.set(title="Resident memory", xlabel="commands retired, millions", ylabel="MiB")
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    canvas.savefig(file, dpi=150)


def main() -> int:
    """Soak, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=10_000_000)
    parser.add_argument("--workers", type=int, default=available_cpus().count)
    parser.add_argument("--folder", type=Path, default=Path("soak"))
    options = parser.parse_args()
    store = ForgetfulStore()
    looks = run(soak(options.commands, options.workers, store))
    options.folder.mkdir(parents=True, exist_ok=True)
    write_csv(looks, options.folder / "memory.csv")
    try:
        draw(looks, options.folder / "memory.png")
    except ModuleNotFoundError:
        print("no chart, as matplotlib is not installed: pip install 'driven-bus[bench]'")
    print(f"{store.last_retired:,} commands in {looks[-1].seconds:.0f} s, in order, digest {store.digest}")
    grown = {name: grown_mib(looks, name) for name in looks[-1].rss_bytes}
    for name, mib in grown.items():
        print(f"{name}: {looks[-1].rss_bytes[name] / MIB:.1f} MiB, {mib:+.2f} MiB after the warm-up")
    return int(store.last_retired != options.commands or any(mib > GROWTH_MIB for mib in grown.values()))


if __name__ == "__main__":
    sys.exit(main())
