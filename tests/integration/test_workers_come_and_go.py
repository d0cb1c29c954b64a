"""Workers are added and told to leave while others work: nothing is lost, and nobody is blamed."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import TYPE_CHECKING

from driven import WorkerSettings
from watched_lane import PATIENCE_S, WatchedLane, watched_lane
from worker_test_app import Do

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


async def until_there_are(lane: WatchedLane, number: int) -> None:
    """Wait until the lane knows so many processes, those that leave included."""
    async with asyncio.timeout(PATIENCE_S):
        while len(lane.lane.vitals()) != number:
            await asyncio.sleep(0.005)


async def test_a_worker_that_is_added_takes_commands_and_is_replaced_when_it_dies() -> None:
    """D3: the group has one more from now on."""
    async with watched_lane() as lane:
        lane.lane.grow("default")
        await lane.until(lambda: len(lane.ready) == 2)
        added = lane.worker
        text = await lane.text(Do("echo", "to the new one"), added)
        os.kill(lane.pid(added), signal.SIGKILL)
        await lane.until(lambda: added in lane.gone and len(lane.ready) == 2)

        assert text == "to the new one"
        assert set(lane.ready) == {1, 3}


async def test_a_group_may_begin_with_nobody_and_end_with_nobody() -> None:
    """D3: a lane may open without workers, and be left without."""
    async with watched_lane({"default": 1, "rare": 0}) as lane:
        lane.lane.grow("rare")
        await lane.until(lambda: "rare" in lane.ready.values())
        rare = lane.worker
        lane.lane.retire(rare)
        lane.lane.retire(1)
        await lane.until(lambda: set(lane.left) == {1, rare})
        await until_there_are(lane, 0)

        assert lane.ready == {}
        assert lane.gone == {}


async def test_a_worker_that_retires_finishes_what_it_runs_and_nobody_follows_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """D3, W3: what waited behind is the bus's again, unblamed, and no log warns of it."""
    async with watched_lane({"default": 2}) as lane:
        leaving = lane.worker
        running = lane.send(Do("wait for file", str(tmp_path / "go")), leaving)
        waiting = [lane.send(Do("echo"), leaving) for _ in range(3)]
        await lane.until_there(tmp_path / "go.begun")
        with caplog.at_level(logging.WARNING):
            lane.lane.retire(leaving)
            told_at_once = list(lane.leaving)
            is_refused = not lane.try_send(leaving, lane.submission(Do("echo"), 99))
            states = {one.worker_id: one.state for one in lane.lane.vitals()}
            (tmp_path / "go").touch()
            await lane.until(lambda: bool(lane.left))
            await until_there_are(lane, 1)

        assert told_at_once == [leaving]
        assert is_refused
        assert states[leaving] == "stopping"
        assert set(lane.completions) == {(running, 1)}
        assert lane.left == {leaving: {(position, 1) for position in waiting}}
        assert (len(lane.ready), lane.gone, caplog.messages) == (1, {}, [])


async def test_a_worker_that_retires_before_it_is_ready_was_never_there() -> None:
    """D3: it may be told to leave while it imports, and again."""
    async with watched_lane() as lane:
        lane.lane.grow("default")
        await until_there_are(lane, 2)
        starting = max(one.worker_id for one in lane.lane.vitals())
        lane.lane.retire(starting)
        lane.lane.retire(starting)
        await until_there_are(lane, 1)

        assert await lane.text(Do("echo", "on it goes")) == "on it goes"
        assert (set(lane.ready), lane.leaving, lane.gone) == ({1}, [], {})


async def test_a_worker_that_dies_on_its_way_out_is_blamed_and_not_replaced(tmp_path: Path) -> None:
    """W3: the command that it still ran is the one; others are not touched."""
    async with watched_lane({"default": 2}) as lane:
        leaving = lane.worker
        running = lane.send(Do("wait for file", str(tmp_path / "go")), leaving)
        await lane.until_there(tmp_path / "go.begun")
        lane.lane.retire(leaving)
        os.kill(lane.pid(leaving), signal.SIGKILL)
        await lane.until(lambda: bool(lane.gone))
        (blamed, _, _) = lane.gone[leaving]
        await until_there_are(lane, 1)

        assert blamed == (running, 1)
        assert lane.left == {}
        assert await lane.text(Do("echo", "on it goes")) == "on it goes"


async def test_who_retires_twice_or_is_unknown_is_no_news() -> None:
    """D3: no number is wrong after it."""
    async with watched_lane({"default": 3}) as lane:
        for worker in (1, 1, 77):
            lane.lane.retire(worker)
        await lane.until(lambda: bool(lane.left))
        lane.lane.retire(1)
        lane.lane.grow("default")
        await lane.until(lambda: len(lane.ready) == 3)

        assert set(lane.ready) == {2, 3, 4}


async def test_a_worker_whose_thread_stays_is_ended_after_its_farewell() -> None:
    """W7: GOODBYE frees what it held at once; its process has `stop_timeout_s` to follow."""
    async with watched_lane({"default": 2}, WorkerSettings(stop_timeout_s=0.1)) as lane:
        await lane.completion(lane.send(Do("cannot receive", "1"), 1))  # leaves a thread that sleeps
        lane.lane.retire(1)
        await lane.until(lambda: 1 in lane.left)
        await until_there_are(lane, 1)

        assert lane.gone == {}


async def test_a_lane_that_stops_while_a_worker_leaves_tells_it_once(tmp_path: Path) -> None:
    """D3, D4: stop during recycling; it finishes what it runs all the same."""
    async with watched_lane({"default": 2}) as lane:
        running = lane.send(Do("wait for file", str(tmp_path / "go")), 1)
        await lane.until_there(tmp_path / "go.begun")
        lane.lane.retire(1)
        stopping = asyncio.create_task(lane.lane.stop(PATIENCE_S))
        await lane.until_leaving()
        (tmp_path / "go").touch()
        await stopping

        assert set(lane.completions) == {(running, 1)}
        assert sorted(lane.leaving) == sorted(lane.left) == [1, 2]


async def test_workers_come_and_go_while_commands_run() -> None:
    """D3, D5, D8: 400 commands, and now and then one worker comes and another leaves; none is lost, none told twice."""
    async with watched_lane({"default": 2}) as lane:
        to_send = [(position, 1) for position in range(400, 0, -1)]
        turns = 0
        freed: set[int] = set()
        async with asyncio.timeout(PATIENCE_S):
            while len(lane.completions) < 400:
                for worker in set(lane.left) - freed:
                    freed.add(worker)
                    again = [(position, generation + 1) for position, generation in lane.left[worker]]
                    to_send.extend(sorted(again, reverse=True))
                for worker in tuple(lane.ready):
                    while to_send and lane.outstanding(worker) < 5:
                        position, generation = to_send.pop()
                        assert lane.try_send(worker, lane.submission(Do("echo"), position, generation))
                lane.lane.ring()
                if len(lane.completions) > turns * 40:
                    turns += 1
                    lane.lane.grow("default")
                    lane.lane.retire(next(iter(lane.ready)))
                await lane.news()

        assert {position for position, _ in lane.completions} == set(range(1, 401))
        assert lane.gone == {}
        assert len(lane.leaving) >= 8
