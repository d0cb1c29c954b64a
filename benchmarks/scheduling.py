"""Who should be given what, and how much in advance: the real scheduler against rivals, in simulated time.

Run it with ``python -m benchmarks.scheduling`` (about two minutes); ``--chart scheduling.png`` draws as well, where
there is matplotlib, and ``--credits`` asks how large the credit should be instead. There are 2 to 192 workers, one bus
thread that every command passes twice, and mixes of commands from 50 µs to 200 ms. The seeds decide everything: the
same command line prints the same figures on any machine.

::

    arrivals --> bus thread --hop--> ring of a worker, first in, first out --hop--> bus thread --> retired in order
                 12 µs a command     nothing is ever taken back                     away for 1 ms in every 10

Contenders: ``Driven`` is `driven.bus.scheduler.Scheduler` itself. ``round robin`` gives each command at once to the
next worker. ``credit k`` lets a worker hold at most k commands, whatever they take; ``credit 1`` is what a pool with
one shared queue does.

Figures, means over the seeds: ``busy`` is the throughput while a backlog is worked off, as a share of what workers and
bus thread could do. ``wait`` is how long commands below 1 ms wait from the moment they may start until they do, with
arrivals at 70 % of what is possible, median and 99th percentile, in ms. ``turn`` is how long their outcomes wait for
those before them in the same run, 99th percentile, in ms: the price of order.
"""

from __future__ import annotations

import argparse
import heapq
import random
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from driven.bus.scheduler import Scheduler
from driven.bus.worker_group import CREDIT_NS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

GROUP: Final = "default"

US: Final = 1_000
MS: Final = 1_000_000

BUS_NS: Final = 12 * US
"""What a command takes of the bus thread, half of it on its way out."""

HOP_NS: Final = 25 * US
"""From the bus thread to a sleeping worker and back: a doorbell and a wake-up."""

AWAY_NS: Final = MS
"""How long the bus thread does other things at a time: reactions, inline handlers, garbage, the rest of its loop."""

AWAY_EVERY_NS: Final = 10 * MS
"""From one such time to the next."""

OPEN_LOAD: Final = 0.7
"""Arrivals, as a share of what workers and bus thread can do."""

SMALL_NS: Final = MS
"""Commands below this are small: their waiting is what is measured."""


class Job:
    """One command: what it takes, and when what happened to it."""

    __slots__ = ("arrived_ns", "began_ns", "cost_ns", "key", "load_ns", "position", "returned_ns", "type_id")

    def __init__(self, position: int, type_id: int, cost_ns: int) -> None:
        self.position = position
        self.type_id = type_id
        self.cost_ns = cost_ns
        self.key = None
        self.load_ns = 0.0
        self.arrived_ns = 0.0
        self.began_ns = 0.0
        self.returned_ns = 0.0


class Contender(Protocol):
    """Who decides."""

    def add_worker(self, worker_id: int, group: str) -> None:
        """There is a worker."""

    def enqueue(self, candidate: Job) -> None:
        """A command may start."""

    def assign(self) -> Iterator[tuple[Job, int]]:
        """Who is given what now."""

    def complete(self, worker_id: int, position: int, elapsed_ns: int) -> None:
        """A worker has finished one."""


class RoundRobin:
    """Each command goes at once to the next worker, whatever that has."""

    def __init__(self) -> None:
        self._workers: list[int] = []
        self._waiting: deque[Job] = deque()
        self._next = 0

    def add_worker(self, worker_id: int, group: str) -> None:
        """In the order in which they come."""
        del group
        self._workers.append(worker_id)

    def enqueue(self, candidate: Job) -> None:
        """Until the next turn."""
        self._waiting.append(candidate)

    def assign(self) -> Iterator[tuple[Job, int]]:
        """All of it."""
        while self._waiting:
            yield self._waiting.popleft(), self._workers[self._next % len(self._workers)]
            self._next += 1

    def complete(self, worker_id: int, position: int, elapsed_ns: int) -> None:
        """It does not care."""


class FixedCredit:
    """A worker holds at most so many commands; whoever holds fewest is next."""

    def __init__(self, credit: int) -> None:
        self._credit = credit
        self._waiting: deque[Job] = deque()
        self._held: dict[int, int] = {}
        self._least: list[tuple[int, int]] = []

    def add_worker(self, worker_id: int, group: str) -> None:
        """It holds nothing."""
        del group
        self._held[worker_id] = 0
        heapq.heappush(self._least, (0, worker_id))

    def enqueue(self, candidate: Job) -> None:
        """Until somebody has credit."""
        self._waiting.append(candidate)

    def assign(self) -> Iterator[tuple[Job, int]]:
        """The oldest to whoever holds fewest."""
        while self._waiting and self._least:
            held, worker_id = heapq.heappop(self._least)
            if held != self._held[worker_id] or held >= self._credit:
                continue
            self._held[worker_id] = held + 1
            heapq.heappush(self._least, (held + 1, worker_id))
            yield self._waiting.popleft(), worker_id

    def complete(self, worker_id: int, position: int, elapsed_ns: int) -> None:
        """One fewer."""
        del position, elapsed_ns
        self._held[worker_id] -= 1
        heapq.heappush(self._least, (self._held[worker_id], worker_id))


def driven(credit_ns: int = CREDIT_NS) -> Callable[[Sequence[Job]], Contender]:
    """The real scheduler, which has seen none of these commands before."""

    def make(jobs: Sequence[Job]) -> Contender:
        scheduler: Scheduler[Job] = Scheduler(credit_ns)
        for type_id in {job.type_id for job in jobs}:
            scheduler.declare(type_id, GROUP)
        return scheduler

    return make


CONTENDERS: Final[dict[str, Callable[[Sequence[Job]], Contender]]] = {
    "Driven": driven(),
    "round robin": lambda _: RoundRobin(),
    "credit 1": lambda _: FixedCredit(1),
    "credit 8": lambda _: FixedCredit(8),
    "credit 64": lambda _: FixedCredit(64),
}


class Mix(msgspec.Struct, frozen=True):
    """What commands there are: a draw gives a type and what it takes, in nanoseconds."""

    name: str
    draw: Callable[[random.Random], tuple[int, int]]
    per_worker: int
    """Commands for each worker in one run."""


MIXES: Final = (
    Mix("50 µs only", lambda _: (0, 50 * US), 2_000),
    Mix("200 ms only", lambda _: (0, 200 * MS), 20),
    Mix(
        "1 of 200 ms to 100 of 50 µs",
        lambda chance: (1, 200 * MS) if chance.random() < 1 / 101 else (0, 50 * US),
        1_000,
    ),
    Mix(
        "one type, 1 % of 20 ms, rest 50 µs",
        lambda chance: (0, 20 * MS if chance.random() < 1 / 100 else 50 * US),
        2_000,
    ),
    Mix(
        "one type, Pareto tail from 50 µs",
        lambda chance: (0, min(int(50 * US * chance.paretovariate(1.2)), 500 * MS)),
        2_000,
    ),
    Mix("100 types, unknown at first", lambda chance: (kind := chance.randrange(100), 20 * US * (1 + kind)), 1_000),
)


class Figures(msgspec.Struct, frozen=True):
    """What one contender made of one mix."""

    busy: float
    """Of what is possible, 0 to 1."""
    wait_p50_ms: float
    wait_p99_ms: float
    turn_p99_ms: float


MOST_JOBS: Final = 60_000
"""Commands in one run, at most."""


def jobs_of(mix: Mix, workers: int, seed: int, most: int) -> list[Job]:
    """The same commands for every contender."""
    chance = random.Random(seed)  # noqa: S311 - reproducible by design
    count = min(mix.per_worker * workers, most)
    return [Job(position, *mix.draw(chance)) for position in range(1, count + 1)]


def possible_s(jobs: Sequence[Job], workers: int) -> float:
    """The least time in which workers and bus thread can do all of it."""
    costs_ns = [job.cost_ns for job in jobs]
    bus_ns = BUS_NS * (1 + AWAY_NS / AWAY_EVERY_NS)
    return max(sum(costs_ns) / workers, len(jobs) * bus_ns, *costs_ns) / 1e9


class Run:
    """One contender with one list of jobs; the bus thread is a clock that goes on with whatever it does."""

    def __init__(self, contender: Contender, jobs: Sequence[Job], workers: int) -> None:
        self._contender: Final = contender
        self._jobs: Final = jobs
        self._free_ns = [0.0] * workers
        """When each worker has finished what it was given."""
        self._returning: list[tuple[float, int, int]] = []
        self._arrived = 0
        self._now_ns = 0.0
        self._away_at_ns = AWAY_EVERY_NS / 2
        for worker_id in range(workers):
            contender.add_worker(worker_id, GROUP)

    def finish(self) -> float:
        """Run all of it; the jobs know then what happened to them. When the last has returned, in ns."""
        while self._arrived < len(self._jobs) or self._returning:
            self._wait()
            self._take_back()
            self._let_in()
            self._give_out()
        return self._now_ns

    def _wait(self) -> None:
        news_ns = [returning[0] for returning in self._returning[:1]]
        news_ns += [job.arrived_ns for job in self._jobs[self._arrived : self._arrived + 1]]
        self._spend(max(0.0, min(news_ns) - self._now_ns))

    def _spend(self, spent_ns: float) -> None:
        """The bus thread is at it, or asleep, for so long; and away now and then."""
        self._now_ns += spent_ns
        if self._now_ns >= self._away_at_ns:
            self._now_ns += AWAY_NS
            self._away_at_ns = self._now_ns + AWAY_EVERY_NS

    def _take_back(self) -> None:
        returning = self._returning
        while returning and returning[0][0] <= self._now_ns:
            _, position, worker_id = heapq.heappop(returning)
            job = self._jobs[position - 1]
            self._contender.complete(worker_id, position, job.cost_ns)
            self._spend(BUS_NS / 2)
            job.returned_ns = self._now_ns

    def _let_in(self) -> None:
        jobs = self._jobs
        while self._arrived < len(jobs) and jobs[self._arrived].arrived_ns <= self._now_ns:
            self._contender.enqueue(jobs[self._arrived])
            self._arrived += 1

    def _give_out(self) -> None:
        for job, worker_id in self._contender.assign():
            self._spend(BUS_NS / 2)
            job.began_ns = max(self._free_ns[worker_id], self._now_ns + HOP_NS)
            done_ns = self._free_ns[worker_id] = job.began_ns + job.cost_ns
            heapq.heappush(self._returning, (done_ns + HOP_NS, job.position, worker_id))


def percentile(samples: Sequence[float], share: float) -> float:
    """The value below which `share` of the samples lie."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def figures(
    make: Callable[[Sequence[Job]], Contender], mix: Mix, workers: int, seed: int, most: int = MOST_JOBS
) -> Figures:
    """Work off a backlog, then serve arrivals."""
    jobs = jobs_of(mix, workers, seed, most)
    best_s = possible_s(jobs, workers)
    makespan_ns = Run(make(jobs), jobs, workers).finish()
    jobs = jobs_of(mix, workers, seed, most)
    let_arrive(jobs, workers, seed)
    Run(make(jobs), jobs, workers).finish()
    small = [job for job in jobs if job.cost_ns < SMALL_NS] or jobs
    turns_ns, retired_ns = [], 0.0
    for job in jobs:
        retired_ns = max(retired_ns, job.returned_ns)
        if job.cost_ns < SMALL_NS:
            turns_ns.append(retired_ns - job.returned_ns)
    waits_ns = [job.began_ns - job.arrived_ns for job in small]
    return Figures(
        busy=best_s * 1e9 / makespan_ns,
        wait_p50_ms=percentile(waits_ns, 0.5) / MS,
        wait_p99_ms=percentile(waits_ns, 0.99) / MS,
        turn_p99_ms=percentile(turns_ns, 0.99) / MS,
    )


def let_arrive(jobs: Sequence[Job], workers: int, seed: int) -> None:
    """Arrivals at random, at a share of what is possible."""
    chance = random.Random(seed + 1)  # noqa: S311 - reproducible by design
    mean_cost_ns = sum(job.cost_ns for job in jobs) / len(jobs)
    gap_ns = max(mean_cost_ns / workers, BUS_NS) / OPEN_LOAD
    now_ns = 0.0
    for job in jobs:
        now_ns += chance.expovariate(1 / gap_ns)
        job.arrived_ns = now_ns


def means(make: Callable[[Sequence[Job]], Contender], mix: Mix, workers: int, seeds: int) -> Figures:
    """The figures of several seeds."""
    found = [figures(make, mix, workers, seed) for seed in range(1, seeds + 1)]
    names = [field.name for field in msgspec.structs.fields(Figures)]
    return Figures(**{name: sum(getattr(one, name) for one in found) / seeds for name in names})


def credits_compared() -> dict[str, Callable[[Sequence[Job]], Contender]]:
    """The real scheduler with smaller and larger credits."""
    return {f"{credit_ns / MS:g} ms": driven(credit_ns) for credit_ns in (MS // 8, MS // 2, MS, 2 * MS, 4 * MS, 8 * MS)}


def chart(path: Path, results: Mapping[tuple[str, int, str], Figures]) -> None:
    """Draw `busy` and the 99th percentile of `wait`, a row for each mix."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    mixes = list(dict.fromkeys(mix for mix, _, _ in results))
    names = list(dict.fromkeys(name for _, _, name in results))
    figure = Figure(figsize=(11, 2.6 * len(mixes)), layout="constrained")
    axes = figure.subplots(len(mixes), 2, squeeze=False)
    for row, mix in enumerate(mixes):
        for name in names:
            points = {workers: one for (of_mix, workers, of), one in results.items() if (of_mix, of) == (mix, name)}
            busy, wait = [one.busy for one in points.values()], [one.wait_p99_ms for one in points.values()]
            axes[row][0].plot(list(points), busy, "o-", label=name)
            axes[row][1].plot(list(points), wait, "o-", label=name)
        axes[row][0].set(title=f"{mix}: busy", xscale="log", ylim=(0, 1.05))
        axes[row][1].set(title=f"{mix}: wait p99, ms", xscale="log", yscale="log")
    for axis in axes[-1]:
        axis.set_xlabel("workers")
    axes[0][0].legend(fontsize="small")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print the table, as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 8, 32, 192])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--credits", action="store_true", help="compare credits, not contenders")
    parser.add_argument("--chart", type=Path, help="draw to this file as well")
    options = parser.parse_args()
    contenders = credits_compared() if options.credits else CONTENDERS
    results: dict[tuple[str, int, str], Figures] = {}
    print("| mix | workers | contender | busy | wait p50 | wait p99 | turn p99 |")
    print("|---|---|---|---|---|---|---|")
    for mix in MIXES:
        for workers in options.workers:
            for name, make in contenders.items():
                one = results[mix.name, workers, name] = means(make, mix, workers, options.seeds)
                cells = f"{one.busy:.3f} | {one.wait_p50_ms:.2f} | {one.wait_p99_ms:.1f} | {one.turn_p99_ms:.1f}"
                print(f"| {mix.name} | {workers} | {name} | {cells} |", flush=True)
    if options.chart is not None:
        chart(options.chart, results)


if __name__ == "__main__":
    main()
