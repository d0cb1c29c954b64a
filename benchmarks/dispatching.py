"""What scheduler and traffic cost the bus thread, per worker command, over a lane that only takes notes.

Run it with ``python -m benchmarks.dispatching``. Everything is real but the lane: no ring, no process, no wire. The
figures are CPU time of this thread, the least of several rounds, in nanoseconds a command; what admission and
retirement cost is not in them.

``loaded``: there is always more work than workers can hold, and eight workers at a time report eight commands each.
``lone``: one command at a time, with every worker idle: what the number of workers adds to a round trip.
"""

from __future__ import annotations

import argparse
import platform
import time
from typing import TYPE_CHECKING, Final

from driven.adapters.stores.memory import MemoryStore
from driven.bus.lane import PoolStatistics
from driven.bus.middleware import Hooks
from driven.bus.order import StrictOrder
from driven.bus.routing import routes
from driven.bus.sequencer import Entry, Sequencer
from driven.bus.tally import Tally
from driven.bus.traffic import WorkerTraffic
from driven.bus.working_state import WorkingState
from driven.entrypoints.bench.application import DoNothing, app
from driven.service.intake import draft
from driven.service.registry import build_registry
from driven.settings import DEFAULT_GROUP, Settings
from driven.wire import Completion, Submission, Succeeded

if TYPE_CHECKING:
    from driven.bus.lane import Vitals
    from driven.wire import AggregateState

ELAPSED_NS: Final = 15_000
"""What workers say that each command took them."""

RING_ROOM: Final = 256
"""Commands that one worker has room for."""


class NotedLane:
    """A lane that keeps what it was sent, by worker."""

    def __init__(self) -> None:
        self.sent: dict[int, list[Submission]] = {}

    def send(self, worker_id: int, submission: Submission, timeout_s: float | None) -> bool:
        """Take it, if there is room."""
        del timeout_s
        notes = self.sent.setdefault(worker_id, [])
        if len(notes) >= RING_ROOM:
            return False
        notes.append(submission)
        return True

    def ring(self) -> None:
        """Nobody sleeps here."""

    def reply(self, worker_id: int, state: AggregateState) -> None:
        """Nobody asks."""

    def grow(self, group: str) -> None:
        """Nobody comes."""

    def retire(self, worker_id: int) -> None:
        """Nobody goes."""

    def statistics(self) -> PoolStatistics:
        """Nobody counts."""
        return PoolStatistics("processes", ())

    def vitals(self) -> tuple[Vitals, ...]:
        """Nobody is there."""
        return ()


class Bench:
    """One traffic over a noted lane, and how long each part of it took."""

    def __init__(self, workers: int) -> None:
        registry = build_registry(app)
        self.sequencer: Final = Sequencer(0)
        self.lane: Final = NotedLane()
        self.traffic: Final = WorkerTraffic(
            registry=registry,
            routes=routes(registry, Settings(), [DEFAULT_GROUP]),
            sequencer=self.sequencer,
            order=StrictOrder(self.sequencer),
            state=WorkingState(MemoryStore()),
            hooks=Hooks(()),
            lane=self.lane,
            groups=[DEFAULT_GROUP],
            turn_now=lambda: None,
            break_off=lambda _: None,
            timer_ns=time.monotonic_ns,
            arrived=None,
            tally=Tally(registry.handlers, time.monotonic_ns),
        )
        for worker_id in range(1, workers + 1):
            self.traffic.worker_ready(worker_id, DEFAULT_GROUP)
        self.draft: Final = draft(registry, DoNothing(1))
        self.handler: Final = registry.handlers[self.draft.type_id]
        self.spent_ns: Final = {"enqueue": 0, "dispatch": 0, "complete": 0}
        self.commands = 0

    def admit(self, count: int) -> None:
        """So many commands get positions and may start."""
        entries = [self._entry() for _ in range(count)]
        began_ns = time.thread_time_ns()
        for entry in entries:
            self.traffic.enqueue(entry)
        self.spent_ns["enqueue"] += time.thread_time_ns() - began_ns

    def dispatch(self) -> None:
        """One turn."""
        began_ns = time.thread_time_ns()
        self.traffic.dispatch()
        self.spent_ns["dispatch"] += time.thread_time_ns() - began_ns

    def report(self, worker_id: int, count: int) -> int:
        """A worker has finished some of what it was sent; how many."""
        notes = self.lane.sent.get(worker_id, [])
        done, notes[:count] = notes[:count], []
        completions = [
            Completion(one.envelope.position, one.generation, ELAPSED_NS, Succeeded((), (), ())) for one in done
        ]
        began_ns = time.thread_time_ns()
        for completion in completions:
            self.traffic.completed(worker_id, (completion,))
        self.spent_ns["complete"] += time.thread_time_ns() - began_ns
        self.commands += len(done)
        return len(done)

    def retire(self) -> None:
        """What has come back leaves the queue, in order."""
        while (head := self.sequencer.head) and self.traffic.reorder_buffer.retire(head.envelope.position):
            self.sequencer.retire(head)

    def per_command(self) -> dict[str, float]:
        """Nanoseconds."""
        return {part: spent_ns / self.commands for part, spent_ns in self.spent_ns.items()}

    def _entry(self) -> Entry:
        entry = self.sequencer.admit_root(self.draft, None, 0, "")
        entry.handler = self.handler
        entry.is_on_lane = True
        return entry


def loaded(workers: int, turns: int) -> dict[str, float]:
    """More work than fits, and eight workers that report eight each."""
    bench = Bench(workers)
    bench.admit(workers)
    bench.dispatch()
    for worker_id in range(1, workers + 1):  # now the type is known
        bench.report(worker_id, 1)
    bench.admit(workers * 200)
    bench.dispatch()
    bench.spent_ns.update(dict.fromkeys(bench.spent_ns, 0))
    bench.commands = 0
    for turn in range(turns):
        done = sum(bench.report((turn * 8 + step) % workers + 1, 8) for step in range(8))
        bench.admit(done)
        bench.dispatch()
        bench.retire()
    return bench.per_command()


def lone(workers: int, turns: int) -> dict[str, float]:
    """One command, again and again."""
    bench = Bench(workers)
    for _ in range(turns):
        bench.admit(1)
        bench.dispatch()
        for worker_id, notes in bench.lane.sent.items():
            if notes:
                bench.report(worker_id, 1)
        bench.retire()
    return bench.per_command()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--turns", type=int, default=300)
    options = parser.parse_args()
    print(f"{'scenario':>8} {'workers':>8} {'enqueue':>8} {'dispatch':>9} {'complete':>9} {'all':>8}   ns a command")
    for scenario in (loaded, lone):
        for workers in (2, 192):
            rounds = [scenario(workers, options.turns) for _ in range(options.rounds)]
            best = {part: min(one[part] for one in rounds) for part in rounds[0]}
            parts = "".join(f"{best[part]:>9.0f}" for part in ("enqueue", "dispatch", "complete"))
            print(f"{scenario.__name__:>8} {workers:>8} {parts} {sum(best.values()):>8.0f}")
    print(f"Python {platform.python_version()}, {platform.machine()}")


if __name__ == "__main__":
    main()
