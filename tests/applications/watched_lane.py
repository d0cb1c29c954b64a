"""A lane of real workers whose listener writes down all it is told: what the tests of workers look through.

It lives for one test, and when it ends it has a look at what is left: no process, no thread, and no descriptor more
than before.
"""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from driven import WorkerSettings
from driven.domain.messages import Envelope
from driven.pool.process_worker import ProcessWorker
from driven.pool.thread_worker import ThreadWorker
from driven.pool.worker_lane import WorkerLane
from driven.service.registry import build_registry
from driven.service.wiring import Recipe, recipe_of
from driven.wire import AggregateState, Failure, Submission, Succeeded
from driven_worker.thread import WorkerThread
from worker_test_app import app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from driven import Command
    from driven.errors import InfrastructureError
    from driven.pool.kinds import Kind
    from driven.pool.worker import MakeWorker
    from driven.pool.worker_pool import WorkerPool
    from driven.wire import Completion, ReadRequest

REFERENCE = "worker_test_app:app"
PATIENCE_S = 30.0
"""How long anything may take before a test says that it does not come."""

MAKERS: dict[Kind, MakeWorker] = {
    "processes": ProcessWorker,
    "threads": partial(ThreadWorker, program=WorkerThread),
}
both_kinds = pytest.mark.parametrize("kind", MAKERS)
"""For what holds whatever a worker is; `test_workers_threads` lists the rest, with reasons."""

_REGISTRY = build_registry(app)
RECIPE = recipe_of(_REGISTRY, REFERENCE)


class WatchedLane:
    """Sends commands through a lane, and keeps what comes of them; a `LaneListener`."""

    def __init__(self, lane: WorkerLane) -> None:
        self.lane = lane
        self.ready: dict[int, str] = {}
        """Workers that take commands, with their groups; in the order in which they came."""
        self.completions: dict[tuple[int, int], Completion] = {}
        """By position and generation."""
        self.gone: dict[int, tuple[tuple[int, int] | None, Failure, set[tuple[int, int]]]] = {}
        """Workers that are no more: whom to blame, the cause, and what they had been sent and had not finished."""
        self.leaving: list[int] = []
        """Workers that were told to leave."""
        self.left: dict[int, set[tuple[int, int]]] = {}
        """Workers that have left, and what they had been sent and had not finished."""
        self.failures: list[InfrastructureError] = []
        self.reads: list[ReadRequest] = []
        self.states: dict[tuple[str, str], AggregateState] = {}
        """What reads are answered with; they are not answered at all while `answers_reads` is false."""
        self.answers_reads = True
        self.has_news = False
        """Whether something was told and no turn was asked for since."""
        self._outstanding: dict[int, set[tuple[int, int]]] = {}
        self._positions = count(1)
        self._news = asyncio.Event()

    # What a bus does.

    @property
    def worker(self) -> int:
        """The worker that came last."""
        return next(reversed(self.ready))

    def submission(self, command: Command, position: int, generation: int = 1) -> Submission:
        """A command as a bus sends it."""
        encoded = _REGISTRY.catalog.encode(command)
        envelope = Envelope(position, f"@{position}", position, 0, 0, None, 1_000_000_000)
        return Submission(envelope, generation, 1, encoded.type_id, encoded.body)

    def try_send(self, worker: int, submission: Submission, timeout_s: float | None = None) -> bool:
        """Send it if there is room."""
        command = (submission.envelope.position, submission.generation)
        is_sent = self.lane.send(worker, submission, timeout_s)
        self.lane.ring()
        if is_sent:
            self._outstanding[worker].add(command)
        return is_sent

    def send(self, command: Command, worker: int | None = None, timeout_s: float | None = None) -> int:
        """Send a command to a worker that has room, and return its position."""
        position = next(self._positions)
        is_sent = self.try_send(worker or self.worker, self.submission(command, position), timeout_s)
        assert is_sent
        return position

    async def completion(self, position: int, generation: int = 1) -> Completion:
        """Wait for what came of a command."""
        await self.until(lambda: (position, generation) in self.completions)
        return self.completions[position, generation]

    async def text(self, command: Command, worker: int | None = None) -> str:
        """Run a command that succeeds, and return the text of its event."""
        outcome = (await self.completion(self.send(command, worker))).outcome
        assert isinstance(outcome, Succeeded), outcome
        text = _REGISTRY.catalog.decode(outcome.events[0].type_id, outcome.events[0].body).text
        assert isinstance(text, str)
        return text

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something was told that makes the condition true."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def news(self) -> None:
        """Wait until anything is told that was not told before the last wait."""
        async with asyncio.timeout(PATIENCE_S):
            await self._news.wait()
            self._news.clear()

    async def until_older(self, position: int, age_s: float) -> None:
        """Wait until the one worker has been seen to run the command at `position` for so long."""
        async with asyncio.timeout(PATIENCE_S):
            while (seen := self.lane.vitals()[0]).position != position or seen.age_s < age_s:
                await asyncio.sleep(0.005)

    async def until_counted(self, commands: int) -> None:
        """Wait until the one worker has counted so many commands: it does after it told of them, and tells nobody."""
        async with asyncio.timeout(PATIENCE_S):
            while self.lane.vitals()[0].completed != commands:
                await asyncio.sleep(0.005)

    async def until_pool_sleeps(self) -> None:
        """Wait until the pool has seen each worker ready, and has nothing to time."""
        async with asyncio.timeout(PATIENCE_S):
            while self.lane._pool is None or self._is_timed(self.lane._pool):  # noqa: SLF001 - it tells nobody
                await asyncio.sleep(0.005)

    @staticmethod
    def _is_timed(pool: WorkerPool) -> bool:
        watches = tuple(pool._watches.values())  # noqa: SLF001 - they tell nobody
        return any(watch.is_timed() for watch in watches) or pool._is_ticking  # noqa: SLF001 - said after the look

    async def until_leaving(self) -> None:
        """Wait until every worker was told to leave."""
        async with asyncio.timeout(PATIENCE_S):
            while any(seen.state != "stopping" for seen in self.lane.vitals()):
                await asyncio.sleep(0.005)

    def outstanding(self, worker: int) -> int:
        """How many commands a worker was sent and has not finished."""
        return len(self._outstanding[worker])

    async def until_there(self, *paths: Path) -> None:
        """Wait until handlers have written these files."""
        async with asyncio.timeout(PATIENCE_S):
            while not all(path.exists() for path in paths):
                await asyncio.sleep(0.005)

    def pid(self, worker: int | None = None) -> int:
        """The process of a worker."""
        return next(one.pid for one in self.lane.vitals() if one.worker_id == (worker or self.worker))

    # What a lane tells.

    def worker_ready(self, worker_id: int, group: str) -> None:
        """Keep it."""
        assert worker_id not in self._outstanding, "a worker id was used twice"
        self.ready[worker_id] = group
        self._outstanding[worker_id] = set()
        self._tell()

    def completed(self, worker_id: int, completions: Sequence[Completion]) -> None:
        """Keep them; nothing may be told twice, nor by a worker that was not sent it."""
        for completion in completions:
            command = (completion.position, completion.generation)
            self._outstanding[worker_id].remove(command)
            assert command not in self.completions
            self.completions[command] = completion
        self._tell()

    def read_requested(self, worker_id: int, request: ReadRequest) -> None:
        """Keep it, and answer it."""
        self.reads.append(request)
        if self.answers_reads:
            nothing = AggregateState(request.name, request.id, 0, None)
            self.lane.reply(worker_id, self.states.get((request.name, request.id), nothing))
        self._tell()

    def worker_gone(self, worker_id: int, blamed: tuple[int, int] | None, cause: Failure) -> None:
        """Keep it; only what the worker had and had not finished can be blamed."""
        outstanding = self._outstanding[worker_id]
        self.ready.pop(worker_id, None)
        assert worker_id not in self.gone
        assert worker_id not in self.left
        assert blamed is None or blamed in outstanding
        self.gone[worker_id] = (blamed, cause, outstanding)
        self._tell()

    def worker_leaving(self, worker_id: int) -> None:
        """Keep it; it is no worker to send to any more."""
        assert worker_id not in self.leaving
        del self.ready[worker_id]
        self.leaving.append(worker_id)
        self._tell()

    def worker_left(self, worker_id: int) -> None:
        """Keep it; nobody leaves twice, nor without having been told to."""
        assert worker_id in self.leaving
        assert worker_id not in self.left
        self.left[worker_id] = self._outstanding[worker_id]
        self._tell()

    def lane_failed(self, error: InfrastructureError) -> None:
        """Keep it."""
        self.failures.append(error)
        self._tell()

    def turn_wanted(self) -> None:
        """Everything was told."""
        self.has_news = False

    def _tell(self) -> None:
        self.has_news = True
        self._news.set()


@asynccontextmanager
async def watched_lane(
    groups: Mapping[str, int] | None = None,
    settings: WorkerSettings | None = None,
    *,
    recipe: Recipe = RECIPE,
    stop_timeout_s: float = 10.0,
    kind: Kind = "processes",
) -> AsyncIterator[WatchedLane]:
    """Open a lane, and see that nothing is left when it is closed."""
    resource_tracker.ensure_running()
    held = _descriptors()
    lane = WorkerLane(settings or WorkerSettings(), groups or {"default": 1}, recipe, "log", MAKERS[kind])
    watched = WatchedLane(lane)
    pids: set[int] = set()
    try:
        await lane.start(watched)
        yield watched
        pids = {one.pid for one in lane.vitals()} - {os.getpid()}
        await lane.stop(stop_timeout_s)
    finally:
        await lane.stop(0.0)
        assert lane.vitals() == ()
        assert [pid for pid in pids if psutil.pid_exists(pid)] == []
        assert [thread.name for thread in threading.enumerate() if thread.name.startswith("driven-worker")] == []
        assert sorted(_descriptors() - held) == []


def _descriptors() -> set[str]:
    """What this process holds open, by number and by what it is."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"{entry.name} {entry.readlink()}")
        except FileNotFoundError:  # the one through which we look
            continue
    return found
