"""Workers that have done their share make room for fresh ones between commands; memory has a limit."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import psutil
import pytest

from driven import WorkerSettings
from driven.domain.messages import Envelope
from driven.pool.process_worker import ProcessWorker
from driven.pool.watch import MEMORY_LOOK_S, Watch
from driven.pool.worker import plan_of
from driven.service.registry import build_registry
from driven.settings import GroupSettings
from driven.wire import Failed, Failure, RecordKind, Submission, encode
from watched_lane import PATIENCE_S, RECIPE, WatchedLane, watched_lane
from worker_test_app import Do, app

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable

MEGABYTE = 1 << 20
QUEUED = 50


async def run_all(lane: WatchedLane, commands: int, do: Do, look: Callable[[], None] = lambda: None) -> None:
    """Run commands on whoever takes them, one beside the running one; what a worker left behind goes to others."""
    to_send = [(position, 1) for position in range(commands, 0, -1)]
    taken_back: set[int] = set()
    async with asyncio.timeout(2 * PATIENCE_S):
        while len(lane.completions) < commands:
            for worker in set(lane.left) - taken_back:
                taken_back.add(worker)
                to_send.extend(sorted(((p, g + 1) for p, g in lane.left[worker]), reverse=True))
            for worker in tuple(lane.ready):
                while to_send and lane.outstanding(worker) < 2 and worker in lane.ready:
                    position, generation = to_send[-1]
                    if not lane.try_send(worker, lane.submission(do, position, generation)):
                        break
                    to_send.pop()
            lane.lane.ring()
            await lane.news()
            look()


async def run_or_leave(lane: WatchedLane, do: Do) -> None:
    """Send a command; it is run, or its worker leaves before it has begun it."""
    command = (lane.send(do), 1)
    await lane.until(lambda: command in lane.completions or any(command in left for left in lane.left.values()))


@pytest.mark.parametrize(
    ("limit", "workers"),
    [
        (2, 2),
        (3, 1),
        *(pytest.param(*others, marks=pytest.mark.stress) for others in ((1, 1), (1, 2), (2, 1), (3, 2))),
    ],
)
async def test_queued_commands_all_run_while_workers_are_recycled(workers: int, limit: int) -> None:
    """D3, P13: after 1, 2, 3 commands, with 1 and 2 workers, and 50 queued; none is lost or blamed."""
    async with watched_lane({"default": workers}, WorkerSettings(recycle_after_commands=limit)) as lane:
        await run_all(lane, QUEUED, Do("echo"))

        assert {position for position, _ in lane.completions} == set(range(1, QUEUED + 1))
        assert len(lane.left) >= QUEUED // (2 * limit + 2) - workers
        assert (lane.gone, lane.failures) == ({}, [])


async def test_a_lane_stops_while_its_workers_are_recycled() -> None:
    """D3, D4: stop while successors start; what was not begun is left, and nobody is blamed."""
    async with watched_lane({"default": 2}, WorkerSettings(recycle_after_commands=1)) as lane:
        for worker in (1, 2):
            await lane.text(Do("echo"), worker)
        waiting = lane.send(Do("echo"), 1) if 1 in lane.ready else 0
        await lane.lane.stop(PATIENCE_S)

        assert lane.gone == {}
        assert all(position == waiting for left in lane.left.values() for position, _ in left)


async def test_a_worker_works_on_until_its_successor_is_ready() -> None:
    """P13: so that its group is not short of workers for as long as one takes to start."""
    ready: list[set[int]] = []
    async with watched_lane(settings=WorkerSettings(recycle_after_commands=4)) as lane:
        original = lane.worker_leaving

        def leaving(worker_id: int) -> None:
            ready.append(set(lane.ready))
            original(worker_id)

        lane.worker_leaving = leaving  # type: ignore[method-assign]
        for _ in range(5):
            await run_or_leave(lane, Do("echo"))
        await lane.until(lambda: 1 in lane.left)

        assert ready == [{1, 2}]
        assert set(lane.ready) == {2}


async def test_what_a_handler_leaks_is_bounded_and_nothing_is_lost() -> None:
    """P13: 10 MB more with each of 40 commands, and workers that may grow by 40."""
    settings = WorkerSettings(recycle_after_growth_bytes=40 * MEGABYTE)
    seen: list[int] = []
    async with watched_lane(settings=settings) as lane:
        await run_all(
            lane,
            40,
            Do("leak", str(10 * MEGABYTE)),
            lambda: seen.extend(one.rss_bytes for one in lane.lane.vitals()),
        )

        assert lane.left
        assert lane.gone == {}
        assert 40 * MEGABYTE < max(seen) < 300 * MEGABYTE


async def test_what_many_short_commands_leak_gets_their_worker_replaced() -> None:
    """P13: half a megabyte with each of 116 that nobody ever sees run: more than it may, less than twice as much."""
    async with watched_lane(settings=WorkerSettings(recycle_after_growth_bytes=40 * MEGABYTE)) as lane:
        await lane.until_pool_sleeps()  # it has seen the worker without the leak
        for _ in range(116):
            await run_or_leave(lane, Do("leak at once", str(MEGABYTE // 2)))
        async with asyncio.timeout(PATIENCE_S):
            while not lane.left:
                await run_or_leave(lane, Do("echo"))

        assert (set(lane.left), lane.gone) == ({1}, {})


async def test_growth_is_measured_of_a_worker_that_was_never_seen_to_run_anything() -> None:
    """P13: the pool looks before and after, and never between; the worker has a command more and 60 MB."""
    plan = plan_of(WorkerSettings(recycle_after_growth_bytes=40 * MEGABYTE), RECIPE, "log", 1)
    worker = ProcessWorker(1, "default", plan)
    try:
        watch = Watch(worker, plan)
        await told(worker, RecordKind.HELLO)
        assert watch.look(MEMORY_LOOK_S) is None
        before = watch.growth_bytes
        position = Envelope(1, "@1", 1, 0, 0, None, 1)
        encoded = build_registry(app).catalog.encode(Do("leak at once", str(60 * MEGABYTE)))
        submission = Submission(position, 1, 1, encoded.type_id, encoded.body)
        assert worker.channel.send(RecordKind.SUBMISSION, encode(submission))
        await told(worker, RecordKind.COMPLETION)
        async with asyncio.timeout(PATIENCE_S):
            while worker.channel.watched_status.running():
                await asyncio.sleep(0.001)
        assert watch.look(MEMORY_LOOK_S) is None
        after = watch.growth_bytes
        watch.look(MEMORY_LOOK_S)
        unchanged = watch.growth_bytes
    finally:
        worker.bury()
        worker.channel.close()

    assert before == 0
    assert 60 * MEGABYTE <= after < 80 * MEGABYTE
    assert unchanged == after


async def told(worker: ProcessWorker, kind: RecordKind) -> None:
    """Wait until a worker has said something of this kind."""
    async with asyncio.timeout(PATIENCE_S):
        while (record := worker.channel.receive()) is None or record[0] != kind:
            await asyncio.sleep(0.001)


async def test_those_that_have_done_more_than_their_share_are_dismissed_and_not_dead() -> None:
    """D3, P13: at twice its share a worker leaves before its successor is ready; statistics say what became of it."""
    async with watched_lane(settings=WorkerSettings(recycle_after_commands=1)) as lane:
        await run_all(lane, 6, Do("echo"))
        (group,) = lane.lane.statistics().groups

        assert lane.left
        assert (group.died, lane.gone) == (0, {})
        assert group.dismissed >= len(lane.left)


async def test_memory_beyond_the_limit_is_refused_to_one_command_and_the_worker_lives() -> None:
    """W6, P14: MemoryError in the handler, with its traceback."""
    async with watched_lane(settings=WorkerSettings(memory_limit_bytes=256 * MEGABYTE)) as lane:
        pid = await lane.text(Do("tell pid"))
        outcome = (await lane.completion(lane.send(Do("take memory", str(512 * MEGABYTE))))).outcome
        after = await lane.text(Do("take memory", str(16 * MEGABYTE)))

        assert isinstance(outcome, Failed)
        assert outcome.failure.error_type == "MemoryError"
        assert "in _take_memory" in outcome.failure.traceback
        assert after == str(16 * MEGABYTE)
        assert await lane.text(Do("tell pid")) == pid


async def test_a_group_may_have_a_memory_limit_of_its_own() -> None:
    """W6, W5: more for those who need it, without a word about the others; what it is called is said."""
    groups = {
        "roomy": GroupSettings(count=1, memory_limit_bytes=0),
        "tight": GroupSettings(count=1, memory_limit_bytes=64 * MEGABYTE),
    }
    settings = WorkerSettings(memory_limit_bytes=256 * MEGABYTE, groups=groups)
    async with watched_lane({"default": 1, **{name: one.count for name, one in groups.items()}}, settings) as lane:
        worker_of = {group: worker for worker, group in lane.ready.items()}
        asked = {
            group: lane.send(Do("take memory", str(512 * MEGABYTE)), worker) for group, worker in worker_of.items()
        }
        outcomes = {group: (await lane.completion(position)).outcome for group, position in asked.items()}
        greedy = lane.send(Do("take shared memory", str(90 * MEGABYTE)), worker_of["tight"])
        await lane.until(lambda: bool(lane.gone))
        blamed, cause, _ = lane.gone[worker_of["tight"]]

    assert {group for group, outcome in outcomes.items() if isinstance(outcome, Failed)} == {"default", "tight"}
    assert blamed == (greedy, 1)
    assert f"[workers.groups.tight] memory_limit_bytes is {64 * MEGABYTE:,}" in cause.message


async def test_a_worker_that_takes_too_much_all_the_same_is_ended_and_its_command_blamed() -> None:
    """W5, P14: shared memory is not the process's own; the pool sees it, and says both numbers."""
    limit = 64 * MEGABYTE
    async with watched_lane(settings=WorkerSettings(memory_limit_bytes=limit)) as lane:
        position = lane.send(Do("take shared memory", str(90 * MEGABYTE)))
        await lane.until(lambda: bool(lane.gone))
        blamed, cause, _ = lane.gone[1]

        assert blamed == (position, 1)
        assert isinstance(cause, Failure)
        assert f"[workers] memory_limit_bytes is {limit:,}" in cause.message
        assert "in _take_shared_memory" in cause.traceback


async def test_vitals_tell_what_a_worker_takes_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """P13: physical memory and CPU time, as the kernel says; the bus thread never waits for the kernel to say it."""
    asked: set[str] = set()
    oneshot = psutil.Process.oneshot

    def noted(process: psutil.Process) -> contextlib.AbstractContextManager[None]:
        asked.add(threading.current_thread().name)
        return oneshot(process)

    monkeypatch.setattr(psutil.Process, "oneshot", noted)
    async with watched_lane() as lane:
        await lane.text(Do("leak", str(20 * MEGABYTE)))
        real_bytes = psutil.Process(lane.pid()).memory_info().rss
        async with asyncio.timeout(PATIENCE_S):
            while (seen := lane.lane.vitals()[0]).rss_bytes < 0.8 * real_bytes:
                await asyncio.sleep(0.005)

        assert asked == {"driven-pool"}
        assert seen.rss_bytes == pytest.approx(real_bytes, rel=0.2)
        assert seen.rss_bytes > 20 * MEGABYTE
        assert seen.cpu_s > 0
