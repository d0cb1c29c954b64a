"""The executor when workers die: one call is blamed, the others complete, nothing hangs."""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deeds_to_call import (
    DiesWhenMade,
    die_getting_ready,
    die_if_told,
    kill_myself,
    note,
    wait_and_return,
    wait_for,
    write_over_the_ring,
)
from driven import DrivenError, Executor, ExecutorBroken, InfrastructureError, WorkerDied
from driven.calls import RETURNED
from driven.executor.manager import FAILED_STARTS
from driven.wire import RecordKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

PATIENCE_S = 60.0


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_one_dead_worker_fails_one_future_and_the_others_complete(tmp_path: Path) -> None:
    """W3, D8, P15: each of the others ran exactly once, though they lay in rings around the poison."""
    notes = str(tmp_path / "notes")
    with Executor(2) as executor:
        for _ in range(40):
            executor.submit(note, notes, "warm").result(PATIENCE_S)
        before = [executor.submit(note, notes, str(number)) for number in range(100)]
        poison = executor.submit(kill_myself)
        after = [executor.submit(note, notes, str(number)) for number in range(100, 200)]
        error = poison.exception(PATIENCE_S)
        for future in (*before, *after):
            future.result(PATIENCE_S)

    assert isinstance(error, WorkerDied)
    assert isinstance(error, BrokenProcessPool)
    assert isinstance(error, InfrastructureError)
    assert "SIGKILL" in error.reason
    words = Path(notes).read_text("utf-8").split()
    assert sorted(int(word) for word in words if word != "warm") == list(range(200))


@pytest.mark.parametrize(
    ("deed", "words"), [((os._exit, 3), "exit code 3"), ((os.abort,), "SIGABRT"), ((id, DiesWhenMade()), "exit code 9")]
)
def test_the_error_says_how_the_worker_ended(
    deed: tuple[Callable[..., object], *tuple[object, ...]], words: str
) -> None:
    """P14: exit code or signal, wherever in the call it was; the next call runs."""
    with Executor(1) as executor:
        error = executor.submit(*deed).exception(PATIENCE_S)
        value = executor.submit(abs, -1).result(PATIENCE_S)

    assert isinstance(error, WorkerDied)
    assert words in error.reason
    assert value == 1


def test_a_worker_that_is_killed_while_idle_is_nobodys_fault() -> None:
    """W3: the next call runs elsewhere."""
    with Executor(1) as executor:
        first = executor.submit(os.getpid).result(PATIENCE_S)
        os.kill(first, signal.SIGKILL)
        second = executor.submit(os.getpid).result(PATIENCE_S)

    assert second != first


def test_what_waited_behind_a_dead_worker_runs_elsewhere(tmp_path: Path) -> None:
    """W3: it had not begun; only who ran is blamed."""
    with Executor(1) as executor:
        running = executor.submit(wait_for, str(tmp_path / "run"))
        until(lambda: (tmp_path / "run").exists() and (tmp_path / "run").read_text("utf-8") != "")
        waiting = [executor.submit(abs, -number) for number in range(5)]
        os.kill(int((tmp_path / "run").read_text("utf-8")), signal.SIGKILL)
        values = [future.result(PATIENCE_S) for future in waiting]

    assert isinstance(running.exception(), WorkerDied)
    assert values == [0, 1, 2, 3, 4]


def test_what_lay_in_the_ring_of_a_dead_worker_runs_elsewhere_once(tmp_path: Path) -> None:
    """W3, D8: calls that are known to be short lie in the ring behind the one that kills; they run once, in order."""
    order, notes = tmp_path / "order", tmp_path / "notes"
    with Executor(1) as executor:
        for _ in range(100):
            executor.submit(die_if_told, str(order)).result(PATIENCE_S)
            executor.submit(note, str(tmp_path / "other"), "warm").result(PATIENCE_S)
        order.touch()
        poison = executor.submit(die_if_told, str(order))
        behind = [executor.submit(note, str(notes), str(number)) for number in range(20)]
        for future in behind:
            future.result(PATIENCE_S)

    assert isinstance(poison.exception(), WorkerDied)
    assert notes.read_text("utf-8").split() == [str(number) for number in range(20)]


def test_calls_that_kill_their_workers_one_after_another_do_not_end_the_executor() -> None:
    """P15, D1: each is blamed once, and not run again."""
    with Executor(2) as executor:
        poison = [executor.submit(os._exit, 1) for _ in range(5)]
        fine = [executor.submit(abs, -number) for number in range(20)]
        errors = [future.exception(PATIENCE_S) for future in poison]
        values = [future.result(PATIENCE_S) for future in fine]
        statistics = executor.statistics()

    assert [type(error) for error in errors] == [WorkerDied] * 5
    assert values == list(range(20))
    assert statistics.died == 5


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (30, "kind 30"),
        (int(RecordKind.COMPLETION), "cannot be decoded"),
        (int(RecordKind.UNFIT), "cannot be decoded"),
        (RETURNED, "which it was not sent"),
    ],
)
def test_a_worker_that_writes_what_it_must_not_is_replaced(kind: int, words: str) -> None:
    """W2, D10: a garbled ring quarantines its worker, never the executor; the call that did it fails."""
    with Executor(1) as executor:
        error = executor.submit(write_over_the_ring, kind).exception(PATIENCE_S)
        value = executor.submit(abs, -1).result(PATIENCE_S)

    assert isinstance(error, WorkerDied)
    assert words in error.reason
    assert value == 1


def test_whatever_goes_wrong_in_its_thread_nobody_waits_for_ever(tmp_path: Path) -> None:
    """D4: here a filter of the program's log raises; what waits fails with the reason, and `shutdown` returns."""
    broken = [ZeroDivisionError("in a filter")]

    def refuse(_: logging.LogRecord) -> bool:
        if broken:
            raise broken.pop()
        return True

    logger = logging.getLogger("driven.executor")
    with Executor(1) as executor:
        runs = executor.submit(wait_for, str(tmp_path / "runs"))
        waits = executor.submit(wait_for, str(tmp_path / "waits"))
        until((tmp_path / "runs").exists)
        logger.addFilter(refuse)
        runs.set_result(7)  # somebody else does; when the call is done that is logged
        (tmp_path / "runs").unlink()
        error = waits.exception(PATIENCE_S)
    logger.removeFilter(refuse)

    assert isinstance(error, ExecutorBroken)
    assert "in a filter" in error.reason


@pytest.mark.parametrize("each", [40, pytest.param(1_000, marks=pytest.mark.stress)])
def test_eight_threads_submit_while_workers_are_killed_again_and_again(each: int) -> None:
    """D1, D4, D8, P15: every future is done exactly once, with its own value or because its worker died."""
    chance, told, is_over = random.Random(3), [0] * (8 * each), threading.Event()

    def tell(number: int, _: object) -> None:
        told[number] += 1

    def submit(client: int) -> list[Future[object]]:
        calls = []
        for number in range(client * each, (client + 1) * each):
            calls.append(executor.submit(wait_and_return, 0.002, number))
            calls[-1].add_done_callback(partial(tell, number))
        return calls

    def kill_now_and_then() -> None:
        while not is_over.wait(chance.uniform(0.0, 0.1)):
            with executor._desk.lock:  # noqa: SLF001 - only those that are ready: else it is broken, and says so
                pids = [link.worker.pid for link in executor._desk.links.values() if link.is_ready]  # noqa: SLF001
            with suppress(ProcessLookupError, IndexError):
                os.kill(chance.choice(pids), signal.SIGKILL)

    with Executor(2) as executor, ThreadPoolExecutor(9) as threads:
        killer = threads.submit(kill_now_and_then)
        calls = [call for client in threads.map(submit, range(8)) for call in client]
        errors = [call.exception(2 * PATIENCE_S) for call in calls]
        is_over.set()
        killer.result()

    assert told == [1] * len(calls)
    assert {type(error) for error in errors} <= {type(None), WorkerDied}
    assert [call.result() for call, error in zip(calls, errors, strict=True) if error is None] == [
        number for number, error in enumerate(errors) if error is None
    ]


@contextmanager
def sleepers(folder: Path) -> Iterator[None]:
    """Let workers that start meanwhile never get ready: however slow we are, each can be killed before it is."""
    interpreter = folder / "python"
    interpreter.write_text("#!/bin/sh\nexec sleep 600\n", "utf-8")
    interpreter.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.executable", str(interpreter))
        yield


class Killer:
    """Kills workers of an executor, each before it is ready."""

    def __init__(self, executor: Executor) -> None:
        self._desk = executor._desk  # noqa: SLF001 - nobody else knows who is not ready yet
        self._killed: set[int] = set()

    def next(self) -> int:
        """Wait until there is one."""
        until(lambda: bool(self._starting()))
        return self._starting()[0]

    def kill(self, number: int) -> None:
        """Kill so many."""
        for _ in range(number):
            pid = self.next()
            self._killed.add(pid)
            os.kill(pid, signal.SIGKILL)

    def _starting(self) -> list[int]:
        with self._desk.lock:
            links = self._desk.links.values()
            return [link.worker.pid for link in links if not link.is_ready and link.worker.pid not in self._killed]


def test_workers_killed_while_they_start_do_not_break_an_executor_that_has_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D1, P15: as long as one serves, starting is tried again; nothing is lost, and the killing may end."""
    monkeypatch.setattr("driven.pool.backoff.BACKOFF_S", 0.001)
    with Executor(2) as executor:
        held = executor.submit(wait_for, str(tmp_path / "go"))
        until((tmp_path / "go").exists)
        killer = Killer(executor)
        with sleepers(tmp_path):
            others = [executor.submit(abs, -number) for number in range(20)]
            killer.kill(2 * FAILED_STARTS - 1)
            killer.next()
        killer.kill(1)  # the next one gets ready
        results = [other.result(PATIENCE_S) for other in others]
        (tmp_path / "go").unlink()
        held.result(PATIENCE_S)

    assert results == list(range(20))


def test_workers_killed_while_they_start_break_an_executor_that_has_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D1: nobody waits for ever for processes that cannot be had; the error says how the last one ended."""
    monkeypatch.setattr("driven.pool.backoff.BACKOFF_S", 0.001)
    with Executor(1) as executor, sleepers(tmp_path):
        call = executor.submit(abs, -1)
        Killer(executor).kill(FAILED_STARTS)
        error = call.exception(PATIENCE_S)

    assert isinstance(error, ExecutorBroken)
    assert f"{FAILED_STARTS} workers in a row" in error.reason
    assert "SIGKILL" in error.reason


def test_an_initializer_that_dies_breaks_the_executor() -> None:
    """As `ProcessPoolExecutor`; and it ends, with nothing left."""
    with Executor(2, initializer=die_getting_ready) as executor:
        error = executor.submit(abs, -1).exception(PATIENCE_S)

    assert isinstance(error, ExecutorBroken)
    assert "exit code 5" in error.reason


def test_workers_that_cannot_start_break_the_executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """D1: tried a few times, then everything that waits fails; `shutdown` returns."""
    interpreter = tmp_path / "python"
    interpreter.write_text("#!/bin/sh\nexit 7\n", "utf-8")
    interpreter.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(interpreter))
    with Executor(2) as executor:
        error = executor.submit(abs, -1).exception(PATIENCE_S)

    assert isinstance(error, ExecutorBroken)
    assert "exit code 7" in error.reason


def test_no_thread_no_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    """D4: where the second thread cannot be had the first one ends, and every submit says why."""
    begin, begun = threading.Thread.start, []

    def start(thread: threading.Thread) -> None:
        begun.append(thread)
        if len(begun) > 1:
            raise RuntimeError("can't start new thread")
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    executor = Executor(1)
    for _ in range(2):
        with pytest.raises(DrivenError, match="can't start new thread"):
            executor.submit(abs, -1)
    executor.shutdown()

    until(lambda: not begun[0].is_alive())
