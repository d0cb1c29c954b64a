"""What many cores can expect: a model of one bus thread and many workers, from costs that are measured here.

Run it with ``python -m benchmarks.model`` (half a minute). It measures four costs in CPU time, on whatever machine,
prints the table of docs/explanation/scaling.md, and with ``--page`` puts table and chart there.

::

    workers w, each:  hand-over h, task d, ...      bus thread: a per command, b per turn of its loop
       finished --> turn: takes the k that are there, retires them, gives out k more: b + k * a --> rings

In formulas: commands per second = min(1 / (a + b / k), w / (h + d)); efficiency = d * that / w; and so METG(e), the
smallest task that reaches the efficiency e, = max(e * w * a, h * e / (1 - e)). The simulation below has no formula in
it, only the drawing above, tasks of random durations, and the rings' few commands of advance.
"""

from __future__ import annotations

import argparse
import heapq
import random
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import psutil

from benchmarks.forgetful_store import ForgetfulStore
from benchmarks.page import put
from driven import Settings, WorkerSettings, open_bus, run
from driven.entrypoints.bench.application import DoNothing, app

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from driven import MessageBus, Receipt

WORKERS: Final = (1, 2, 4, 8, 16, 32, 63, 191)
"""The last two: machines of 64 and 192 vCPUs, of which the bus thread has one."""
TASKS_US: Final = (100.0, 1_000.0, 10_000.0)
ADVANCE: Final = 4
"""Commands in the ring of a worker, the running one included."""
SEED: Final = 7
COMMANDS_PER_WORKER: Final = 300
FLOOD: Final = 20_000
TRIPS: Final = 3_000
ROUNDS: Final = 5
PAGE: Final = Path(__file__).parents[1] / "docs/explanation/scaling.md"
CHART: Final = "scaling.svg"


class Costs(NamedTuple):
    """What one command costs, in µs of CPU time; waiting is not in it."""

    command_us: float
    """Of the bus thread, per command (a)."""
    turn_us: float
    """Of the bus thread, per turn of its loop: wake-up, doorbell (b)."""
    hand_over_us: float
    """Of the worker, besides the handler, when there is more to do (h)."""


def throughput(costs: Costs, workers: int, task_us: float, per_turn: float = float("inf")) -> float:
    """Commands per µs: what the bus thread allows, or the workers, whichever is less."""
    return min(1 / (costs.command_us + costs.turn_us / per_turn), workers / (costs.hand_over_us + task_us))


def efficiency(costs: Costs, workers: int, task_us: float) -> float:
    """The part of the workers' time that goes into tasks."""
    return task_us * throughput(costs, workers, task_us) / workers


def metg_us(costs: Costs, workers: int, threshold: float) -> float:
    """The smallest task that reaches this efficiency."""
    return max(threshold * workers * costs.command_us, costs.hand_over_us * threshold / (1 - threshold))


class Simulated(NamedTuple):
    """What a simulated run came to."""

    per_us: float
    """Commands per µs."""
    per_turn: float
    """Commands that shared a turn, on average."""


def simulate(costs: Costs, workers: int, task_us: float) -> Simulated:
    """Run the drawing at the head of this module: exponential durations of that mean, always more to do."""
    draw = random.Random(SEED)  # noqa: S311 - a workload, not a secret
    left = total = COMMANDS_PER_WORKER * workers
    free_at = [0.0] * workers
    finished: list[tuple[float, int]] = []
    now, turns, retired = 0.0, 0, 0
    given = [worker for _ in range(ADVANCE) for worker in range(workers)]
    while retired < total:
        now += costs.turn_us + costs.command_us * len(given)
        turns += 1
        for worker in given[:left]:
            free_at[worker] = max(free_at[worker], now) + costs.hand_over_us + draw.expovariate(1 / task_us)
            heapq.heappush(finished, (free_at[worker], worker))
        left -= len(given[:left])
        given = []
        now = max(now, finished[0][0]) if finished else now
        while finished and finished[0][0] <= now:
            given.append(heapq.heappop(finished)[1])
        retired += len(given)
    return Simulated(total / now, total / turns)


async def measure(workers: int) -> Costs:
    """Measure the costs on this machine: the least of some rounds, as whatever disturbs only adds."""
    rounds = []
    async with open_bus(app, Settings(workers=WorkerSettings(count=workers)), store=ForgetfulStore()) as bus:
        await flood(bus, FLOOD)
        for _ in range(ROUNDS):
            busy_us, workers_us = await spent_us(bus, flood(bus, FLOOD), FLOOD)
            lone_us, _ = await spent_us(bus, lone(bus, TRIPS), TRIPS)
            rounds.append((busy_us, lone_us, workers_us))
    command_us, lone_us, hand_over_us = (min(column) for column in zip(*rounds, strict=True))
    return Costs(command_us, max(0.0, lone_us - command_us), hand_over_us)


async def spent_us(bus: MessageBus, work: Coroutine[None, None, None], count: int) -> tuple[float, float]:
    """CPU time of this thread, and of all workers, per command of some work."""
    workers = [psutil.Process(one.pid) for one in bus.statistics().workers]
    before_ns, theirs_s = time.thread_time_ns(), sum(sum(one.cpu_times()[:2]) for one in workers)
    await work
    ours_ns = time.thread_time_ns() - before_ns
    return ours_ns / 1e3 / count, (sum(sum(one.cpu_times()[:2]) for one in workers) - theirs_s) * 1e6 / count


async def flood(bus: MessageBus, count: int) -> None:
    """Many commands, a thousand of them under way."""
    waiting: deque[Receipt] = deque()
    for number in range(count):
        waiting.append(await bus.submit(DoNothing(number)))
        if len(waiting) == 1_000:
            await waiting.popleft().handled()
    for receipt in waiting:
        await receipt.handled()


async def lone(bus: MessageBus, count: int) -> None:
    """One command after the other: each has its turn for itself."""
    for number in range(count):
        await bus.handle(DoNothing(number))


def table(costs: Costs) -> str:
    """The table of the page."""
    heads = [f"{task_us:,.0f} µs" for task_us in TASKS_US]
    lines = [
        f"| workers | METG(50 %) | METG(90 %) | {' | '.join(f'cores at work, {head}' for head in heads)} | per turn |",
        "|---" * (len(heads) + 4) + "|",
    ]
    for workers in WORKERS:
        cells = [f"{metg_us(costs, workers, threshold):,.0f} µs" for threshold in (0.5, 0.9)]
        for task_us in TASKS_US:
            formula = workers * efficiency(costs, workers, task_us)
            simulated = simulate(costs, workers, task_us).per_us * task_us
            cells.append(f"{formula:.1f} ({simulated:.1f})")
        cells.append(f"{simulate(costs, workers, TASKS_US[0]).per_turn:.1f}")
        lines.append(f"| {workers} | {' | '.join(cells)} |")
    return "\n".join(lines)


def modelled(costs: Costs) -> str:
    """What stands between the marks of the page."""
    return (
        f"Measured, in CPU time: {costs.command_us:.1f} µs of bus thread per command (*a*), {costs.turn_us:.1f} µs more"
        f" for a command that\nhas a turn for itself (*b*), {costs.hand_over_us:.1f} µs of worker per command (*h*). In"
        " brackets what the simulation says; *per turn*\nis how many commands of"
        f" {TASKS_US[0]:.0f} µs shared a turn in it.\n\n{table(costs)}\n"
    )


def draw(costs: Costs, file: Path) -> None:
    """Cores at work, and METG, by number of workers."""
    import matplotlib as mpl  # noqa: PLC0415 - it may be missing
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    with mpl.rc_context({"svg.hashsalt": "driven", "svg.fonttype": "none", "font.size": 9.0}):
        canvas = Figure(figsize=(9, 4), layout="constrained")
        left, right = canvas.subplots(1, 2)
        for task_us, colour in zip(TASKS_US, ("#c1121f", "#457b9d", "#3a5a40"), strict=True):
            at_work = [workers * efficiency(costs, workers, task_us) for workers in WORKERS]
            left.plot(WORKERS, at_work, color=colour, label=f"tasks of {task_us:,.0f} µs")
            simulated = [simulate(costs, workers, task_us).per_us * task_us for workers in WORKERS]
            left.plot(WORKERS, simulated, "o", color=colour, markersize=4)
        left.set(title="Cores at work (dots: simulated)", xlabel="workers", xscale="log", yscale="log")
        for threshold, style in ((0.5, "-"), (0.9, "--")):
            values = [metg_us(costs, workers, threshold) for workers in WORKERS]
            right.plot(WORKERS, values, style, color="#1d3557", label=f"METG({100 * threshold:.0f} %)")
        right.set(title="Smallest task worth sending, µs", xlabel="workers", xscale="log", yscale="log")
        for axes in (left, right):
            axes.set_xticks(WORKERS, [str(workers) for workers in WORKERS])
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
            axes.minorticks_off()
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(frameon=False)
        canvas.savefig(file, metadata={"Date": None, "Creator": None})


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and put it onto the page where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2, help="to measure with")
    parser.add_argument("--page", action="store_true", help="write docs/explanation/scaling.md and its chart")
    options = parser.parse_args(arguments)
    costs = run(measure(options.workers))
    text = modelled(costs)
    sys.stdout.write(text)
    if options.page:
        put("modelled", text, PAGE)
        draw(costs, PAGE.with_name(CHART))


if __name__ == "__main__":
    main()
