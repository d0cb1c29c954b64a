"""Workers die, by every means and at every instruction; one command is blamed, everything else goes on."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import psutil
import pytest

from driven import WorkerSettings
from driven.wire import AggregateState, RecordKind
from watched_lane import PATIENCE_S, WatchedLane, watched_lane
from worker_test_app import Do, DoWithState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driven.wire import Failure

WORKER_DIED = "driven.errors.WorkerDied"


def until(condition: Callable[[], bool]) -> None:
    """Wait, and let nothing else happen on the bus thread meanwhile."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s


async def one_death(lane: WatchedLane) -> tuple[tuple[int, int] | None, Failure, set[tuple[int, int]]]:
    """Wait until a worker is gone and its successor is ready; return what was told about it."""
    await lane.until(lambda: len(lane.gone) == 1 and len(lane.ready) == 1)
    return next(iter(lane.gone.values()))


@pytest.mark.parametrize(
    ("point", "completes", "blamed"),
    [
        ("before the write", False, "the first"),
        ("in the middle of the body", False, "the first"),
        ("after the body, before it is published", False, "the first"),
        ("after it is published, before the doorbell", True, None),
        ("after the doorbell, before the status", True, None),
        ("after the status", True, None),
        ("before the next read", True, None),
        ("after the next read", True, None),
        ("before the next command begins", True, None),
        ("when the next command has begun", True, "the second"),
    ],
)
async def test_whatever_instruction_a_worker_is_at_nothing_is_lost_doubled_or_misblamed(
    point: str, *, completes: bool, blamed: Literal["the first", "the second"] | None
) -> None:
    """D1, D8, W3: what was published is told, what ran is blamed, what waited is neither."""
    async with watched_lane() as lane:
        first, second, third = lane.send(Do("die at", point)), lane.send(Do("echo")), lane.send(Do("echo"))
        told_blamed, _, outstanding = await one_death(lane)

        expected = {(second, 1), (third, 1)} | (set() if completes else {(first, 1)})
        assert told_blamed == {"the first": (first, 1), "the second": (second, 1), None: None}[blamed]
        assert outstanding == expected
        assert set(lane.completions) == {(first, 1), (second, 1), (third, 1)} - expected
        assert await lane.text(Do("echo", "on it goes")) == "on it goes"


@pytest.mark.parametrize(
    ("deed", "argument", "text", "traceback"),
    [
        ("exit at once", "3", "exit code 3", ""),
        ("crash", "", "SIGSEGV", "in _crash"),
        ("kill oneself", "", "SIGKILL, which Driven did not send", ""),
    ],
)
async def test_the_cause_of_a_death_is_told(deed: str, argument: str, text: str, traceback: str) -> None:
    """P14, W5: exit code or signal, a hint, and where it was."""
    async with watched_lane() as lane:
        position = lane.send(Do(deed, argument))
        blamed, cause, _ = await one_death(lane)

        assert blamed == (position, 1)
        assert cause.error_type == WORKER_DIED
        assert text in cause.message
        assert traceback in cause.traceback


async def test_what_waited_behind_the_command_that_died_is_not_blamed(tmp_path: Path) -> None:
    """W3, D8: killed from outside while one runs and two wait."""
    async with watched_lane() as lane:
        running = lane.send(Do("wait for file", str(tmp_path / "go")))
        waiting = [lane.send(Do("echo")) for _ in range(2)]
        await lane.until_there(tmp_path / "go.begun")
        os.kill(lane.pid(), signal.SIGKILL)
        blamed, _, outstanding = await one_death(lane)

        assert blamed == (running, 1)
        assert outstanding == {(position, 1) for position in (running, *waiting)}


async def test_what_a_worker_started_dies_with_it_however_it_dies(tmp_path: Path) -> None:
    """P4: the worker alone is killed, from outside."""
    async with watched_lane() as lane:
        lane.send(Do("start child", str(tmp_path / "child")))
        await lane.until_there(tmp_path / "child")
        os.kill(lane.pid(), signal.SIGKILL)
        await one_death(lane)

        until(lambda: not is_running(int((tmp_path / "child").read_text("ascii"))))


async def test_nobody_is_blamed_for_the_death_of_an_idle_worker() -> None:
    """W3: and its replacement has another id."""
    async with watched_lane() as lane:
        old = lane.worker
        await lane.text(Do("echo", "once"))
        os.kill(lane.pid(), signal.SIGKILL)
        blamed, _, outstanding = await one_death(lane)

        assert (blamed, outstanding) == (None, set())
        assert old not in lane.ready
        assert not lane.try_send(old, lane.submission(Do("echo"), 99))
        assert await lane.text(Do("echo", "new")) == "new"


async def test_a_command_that_waits_for_an_answer_is_the_one_that_runs() -> None:
    """W3: asking the bus does not take the blame away."""
    async with watched_lane() as lane:
        lane.answers_reads = False
        position = lane.send(DoWithState("t1"))
        await lane.until(lambda: bool(lane.reads))
        os.kill(lane.pid(), signal.SIGKILL)
        blamed, _, _ = await one_death(lane)

        assert blamed == (position, 1)


async def test_a_timeout_kills_the_command_with_all_it_started_and_nothing_else(tmp_path: Path) -> None:
    """W5, P4, D7: its child is gone, the command is blamed, what waited behind it is not."""
    child, timeout_s = tmp_path / "child", 0.15
    while not child.exists():  # on a busy machine time may be up before it has started anything
        timeout_s *= 2
        async with watched_lane() as lane:
            slow = lane.send(Do("start child", str(child)), timeout_s=timeout_s)
            waiting = lane.send(Do("echo"), timeout_s=60.0)
            blamed, cause, outstanding = await one_death(lane)

            assert blamed == (slow, 1)
            assert outstanding == {(slow, 1), (waiting, 1)}
            assert cause.message == f"it timed out after {timeout_s:g} s"
    assert "in _start_child" in cause.traceback
    until(lambda: not is_running(int(child.read_text("ascii"))))


async def test_a_timeout_is_kept_after_the_pool_had_nothing_to_do() -> None:
    """W5: its thread sleeps without an end when nothing is timed, and is woken."""
    async with watched_lane() as lane:
        await lane.until_pool_sleeps()
        position = lane.send(Do("sleep", "600"), timeout_s=0.1)
        blamed, _, _ = await one_death(lane)

        assert blamed == (position, 1)


async def test_a_timeout_ends_c_code_that_holds_the_interpreter(tmp_path: Path) -> None:
    """W5, B11: no Python code of the worker needs to run for it."""
    held, timeout_s = tmp_path / "held", 0.1
    while not held.exists():  # on a busy machine time may be up before it holds anything
        timeout_s *= 2
        async with watched_lane() as lane:
            position = lane.send(Do("hold interpreter", str(held)), timeout_s=timeout_s)
            blamed, cause, _ = await one_death(lane)

            assert blamed == (position, 1)
    assert "in _hold_interpreter" in cause.traceback


async def test_a_worker_that_ignores_sigterm_is_killed_after_the_grace() -> None:
    """W5: TERM, grace, KILL."""
    async with watched_lane(settings=WorkerSettings(grace_s=0.1)) as lane:
        position = lane.send(Do("ignore sigterm"), timeout_s=0.1)
        blamed, cause, _ = await one_death(lane)

        assert blamed == (position, 1)
        assert cause.message == "it timed out after 0.1 s"


async def test_a_command_in_time_is_left_alone() -> None:
    """W5: timeouts of commands that are done bother nobody."""
    async with watched_lane() as lane:
        for _ in range(20):
            await lane.completion(lane.send(Do("echo"), timeout_s=30.0))
        slow = lane.send(Do("sleep", "0.3"))
        await lane.completion(slow)

        assert lane.gone == {}


async def test_the_time_that_the_bus_takes_to_answer_is_not_the_commands() -> None:
    """W5: a read that is answered late times nobody out."""
    async with watched_lane() as lane:
        lane.answers_reads = False
        reading = lane.send(DoWithState("t1"), timeout_s=1.0)  # far more than it takes, however busy the machine is
        await lane.until(lambda: bool(lane.reads))
        await lane.until_older(reading, 1.5)
        lane.lane.reply(lane.worker, AggregateState("deeds.Tally", "t1", 0, None))
        await lane.completion(reading)

        assert lane.gone == {}


@pytest.mark.parametrize(
    "garbage",
    [
        str(int(RecordKind.COMPLETION)),
        str(int(RecordKind.READ_REQUEST)),
        str(int(RecordKind.SUBMISSION)),
        "9999",
        "cursor",
    ],
)
async def test_a_worker_that_writes_what_it_must_not_is_replaced(garbage: str) -> None:
    """D10, W2: the bus lives; what was to be answered is blamed, so that a command that always does it is given up."""
    async with watched_lane() as lane:
        await lane.completion(before := lane.send(Do("echo")))
        guilty, behind = lane.send(Do("garble", garbage)), lane.send(Do("echo"))
        blamed, cause, outstanding = await one_death(lane)

        assert blamed == (guilty, 1)
        assert outstanding == {(guilty, 1), (behind, 1)}
        assert set(lane.completions) == {(before, 1)}
        assert cause.error_type == WORKER_DIED
        assert await lane.text(Do("echo", "on it goes")) == "on it goes"


async def test_a_worker_whose_status_is_overwritten_is_replaced_and_its_author_known() -> None:
    """W3, W5: the state word is no state; vitals can be had meanwhile."""
    async with watched_lane() as lane:
        guilty, behind = lane.send(Do("garble state"), timeout_s=60.0), lane.send(Do("echo"))
        while not lane.gone:
            assert {one.state for one in lane.lane.vitals()} <= {"starting", "idle", "running", "stopping"}
            await asyncio.sleep(0.005)
        blamed, cause, outstanding = await one_death(lane)

        assert blamed == (guilty, 1)
        assert outstanding == {(guilty, 1), (behind, 1)}
        assert "state is 99" in cause.message


async def test_a_worker_that_cannot_receive_a_command_ends_even_if_a_thread_keeps_it() -> None:
    """P15, W6: the command is blamed, those that came before it are answered, and the process is ended."""
    async with watched_lane() as lane:
        await lane.completion(lane.send(Do("cannot receive", "1")))
        before, guilty = lane.send(Do("echo")), lane.send(Do("echo"))
        blamed, cause, outstanding = await one_death(lane)

        assert (before, 1) in lane.completions
        assert (blamed, outstanding) == ((guilty, 1), {(guilty, 1)})
        assert "MemoryError" in cause.message


async def test_a_poisonous_command_harms_none_of_its_neighbours() -> None:
    """P15, W5: one that crashes among 500; it alone is blamed, three times, all others succeed."""
    positions = set(range(1, 501))
    poison = 250
    async with watched_lane({"default": 2}) as lane:
        deaths = await run_all(lane, positions, {poison: Do("crash")}, max_deaths=3)

        assert deaths == {poison: 3}
        assert {position for position, _ in lane.completions} == positions - {poison}


async def test_killed_at_random_moments_workers_lose_and_double_nothing() -> None:
    """B6, D8, W3, W4: 2,000 commands on two workers, one of which is killed now and then."""
    positions = set(range(1, 2_001))
    chance = random.Random(20)

    async with watched_lane({"default": 2}) as lane:

        async def kill_now_and_then() -> None:
            for _ in range(12):
                answered = len(lane.completions) + chance.randint(20, 150)
                await lane.until(lambda answered=answered: len(lane.completions) >= answered and bool(lane.ready))  # type: ignore[misc]
                with suppress(ProcessLookupError, StopIteration):
                    os.kill(lane.pid(chance.choice(list(lane.ready))), signal.SIGKILL)

        killer = asyncio.create_task(kill_now_and_then())
        await run_all(lane, positions, {}, max_deaths=100)
        killer.cancel()
        with suppress(asyncio.CancelledError):
            await killer

        assert {position for position, _ in lane.completions} == positions
        assert len(lane.completions) == len(positions)
        assert len(lane.gone) > 3


async def run_all(lane: WatchedLane, positions: set[int], special: dict[int, Do], max_deaths: int) -> dict[int, int]:
    """Run a command at every position, again when its worker is gone; return how often each was blamed.

    Keeps a few commands on every worker, as a scheduler does, and gives a command up after `max_deaths`.
    """
    to_send = [(position, 1) for position in sorted(positions, reverse=True)]
    deaths: dict[int, int] = {}
    seen: set[int] = set()
    async with asyncio.timeout(PATIENCE_S * 2):
        while True:
            for worker in [worker for worker in lane.gone if worker not in seen]:
                seen.add(worker)
                blamed, _, outstanding = lane.gone[worker]
                if blamed:
                    deaths[blamed[0]] = deaths.get(blamed[0], 0) + 1
                again = [(p, g + 1) for p, g in outstanding if deaths.get(p, 0) < max_deaths]
                to_send.extend(sorted(again, reverse=True))
            for worker in tuple(lane.ready):
                while to_send and lane.outstanding(worker) < 8:
                    position, generation = to_send[-1]
                    command = special.get(position, Do("echo", str(position)))
                    if not lane.try_send(worker, lane.submission(command, position, generation)):
                        break
                    to_send.pop()
            given_up = sum(count >= max_deaths for count in deaths.values())
            if len(lane.completions) + given_up == len(positions):
                return deaths
            await lane.news()


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_worker_that_says_hello_and_dies_while_the_bus_is_busy_is_replaced() -> None:
    """D1, D8: the bus hears of its readiness and of its death in one turn, the readiness last."""
    async with watched_lane() as lane:
        lane.lane.grow("default")
        async with asyncio.timeout(PATIENCE_S):
            while len(lane.lane.vitals()) != 2:
                await asyncio.sleep(0.001)
        pool = lane.lane._pool  # noqa: SLF001 - nothing is told before this turn ends
        assert pool is not None
        worker = pool._watches[2].worker  # noqa: SLF001 - as above
        until(lambda: not worker.channel._incoming.is_empty)  # noqa: SLF001 - as above; it has said HELLO
        worker.kill()
        until(lambda: 2 not in pool._watches and worker.has_ended())  # noqa: SLF001 - as above
        await lane.until(lambda: 2 in lane.gone and len(lane.ready) == 2)

        assert lane.gone[2][0] is None
        assert await lane.text(Do("echo", "to its successor")) == "to its successor"
