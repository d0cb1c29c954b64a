"""The executor with real workers: what calls return and raise, and how they travel."""

from __future__ import annotations

import asyncio
import hashlib
import os
import pickle
import tempfile
import threading
import time
from concurrent import futures
from multiprocessing import process
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deeds_to_call import (
    BecomesText,
    BecomesTextAtHome,
    ExitsWhenMade,
    ExitsWhenPickled,
    LetsNothingBeSet,
    RaisesWhenMade,
    authkey,
    be_stubborn,
    fail_to_get_ready,
    get_ready,
    interrupt,
    note,
    ready,
    throw,
    wait_for,
    wait_for_words,
)
from driven import CallFailed, CallUnreadable, Executor, ExecutorBroken
from driven.calls import RECALL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 30.0


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    """Two workers, used by many tests; none of these harms it."""
    with Executor(2) as made:
        yield made


def test_it_is_an_executor_of_the_standard_library(executor: Executor) -> None:
    """Design 8: one changed line, and `wait`, `as_completed` and the like take its futures."""
    pending = {executor.submit(pow, 2, number) for number in range(20)}

    done, not_done = futures.wait(pending, timeout=PATIENCE_S)

    assert isinstance(executor, futures.Executor)
    assert not not_done
    assert sorted(future.result() for future in done) == [2**number for number in range(20)]


def test_map_keeps_the_order_alone_and_in_chunks(executor: Executor) -> None:
    """Design 8: as `ProcessPoolExecutor.map`."""
    singly = list(executor.map(pow, range(50), [2] * 50))
    together = list(executor.map(pow, range(50), [2] * 50, chunksize=7))

    assert singly == together == [number**2 for number in range(50)]


def test_an_exception_comes_back_itself_with_where_it_was_raised(executor: Executor) -> None:
    """W6: its type, its arguments, and the remote traceback as its cause."""
    error = executor.submit(divmod, 1, 0).exception(PATIENCE_S)

    assert type(error) is ZeroDivisionError
    assert "divmod" in str(error.__cause__) or "ZeroDivisionError" in str(error.__cause__)
    assert "Traceback" in str(error.__cause__)


@pytest.mark.parametrize(("deed", "kind"), [(interrupt, KeyboardInterrupt), (exit, SystemExit)])
def test_what_would_end_a_program_ends_a_call(
    executor: Executor, deed: Callable[[], object], kind: type[BaseException]
) -> None:
    """W6: KeyboardInterrupt and SystemExit are what the call raised; its worker lives on."""
    before = executor.statistics().died

    error = executor.submit(deed).exception(PATIENCE_S)

    assert type(error) is kind
    assert executor.statistics().died == before


def test_an_exception_that_cannot_be_made_again_is_told(executor: Executor) -> None:
    """D9: one whose constructor wants more than it pickles hangs or breaks other pools."""
    error = executor.submit(be_stubborn).exception(PATIENCE_S)

    assert isinstance(error, CallFailed)
    assert (error.error_type, error.error_message) == ("deeds_to_call.Stubborn", "a mule")
    assert "be_stubborn" in error.remote_traceback


def test_an_exception_that_becomes_something_else_on_its_way_fails_its_call(executor: Executor) -> None:
    """D9, D4: made into a text there, or only here, or one that lets no cause be set; the next call goes on."""
    there = executor.submit(throw, BecomesText, "a mule").exception(PATIENCE_S)
    here = executor.submit(throw, BecomesTextAtHome, os.getpid()).exception(PATIENCE_S)
    stiff = executor.submit(throw, LetsNothingBeSet, "a mule").exception(PATIENCE_S)

    assert isinstance(there, CallFailed)
    assert there.error_type == "deeds_to_call.BecomesText"
    assert isinstance(here, CallUnreadable)
    assert isinstance(stiff, LetsNothingBeSet)
    assert "in throw" in str(stiff.__cause__)
    assert executor.submit(abs, -1).result(PATIENCE_S) == 1


def test_a_future_that_somebody_else_settles_harms_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """D5: while it waits, and while its call runs; what waits behind it runs."""
    caplog.set_level("CRITICAL", "concurrent.futures")
    with Executor(1) as executor:
        runs = executor.submit(wait_for, str(tmp_path / "runs"))
        waits, last = executor.submit(abs, -1), executor.submit(abs, -2)
        until((tmp_path / "runs").exists)
        runs.set_result(7)
        waits.set_result(8)
        (tmp_path / "runs").unlink()

        assert last.result(PATIENCE_S) == 2
        assert (runs.result(), waits.result()) == (7, 8)


def test_an_argument_that_cannot_be_pickled_fails_its_call(executor: Executor) -> None:
    """D9: the future says so, and the next call goes on."""
    lock = threading.Lock()

    failed, fine = executor.submit(id, lock), executor.submit(abs, -1)

    assert isinstance(failed.exception(PATIENCE_S), TypeError)
    assert fine.result(PATIENCE_S) == 1


def test_a_value_that_cannot_be_pickled_fails_its_call(executor: Executor) -> None:
    """D9: pickling it is the call's doing, SystemExit included."""
    locked, left = executor.submit(threading.Lock), executor.submit(ExitsWhenPickled)

    assert isinstance(locked.exception(PATIENCE_S), TypeError)
    assert isinstance(left.exception(PATIENCE_S), SystemExit)


@pytest.mark.parametrize("thing", [RaisesWhenMade, ExitsWhenMade])
def test_what_cannot_be_unpickled_fails_one_call_there_and_here(
    executor: Executor, thing: Callable[[], object]
) -> None:
    """D10: other pools take it for the end of themselves; ours is a BrokenProcessPool only for who catches that."""
    before = executor.statistics().died

    there, here = executor.submit(id, thing()).exception(PATIENCE_S), executor.submit(thing).exception(PATIENCE_S)

    assert isinstance(there, CallUnreadable)
    assert isinstance(here, CallUnreadable)
    assert isinstance(there, futures.process.BrokenProcessPool)
    assert executor.submit(abs, -1).result(PATIENCE_S) == 1
    assert executor.statistics().died == before


@pytest.mark.parametrize("size", [0, 1, 255 << 10, 257 << 10, 5 << 20])
def test_bodies_of_any_size_come_through_both_ways(executor: Executor, size: int) -> None:
    """Ring: what is larger than a quarter of a ring travels beside it."""
    body = os.urandom(size)

    assert executor.submit(bytes, body).result(PATIENCE_S) == body
    assert executor.submit(lambda blob: hashlib.sha256(blob).digest(), body).result(PATIENCE_S) == (
        hashlib.sha256(body).digest()
    )


def test_many_more_calls_than_rings_hold_all_come_back_once(executor: Executor) -> None:
    """D2, D8: a flood of calls, with bodies that fill the rings many times over."""
    body = b"x" * 10_000

    sent = [executor.submit(divmod, number, 7) for number in range(5_000)]
    heavy = [executor.submit(bytes, body) for _ in range(500)]

    assert [future.result(PATIENCE_S) for future in sent] == [divmod(number, 7) for number in range(5_000)]
    assert all(future.result(PATIENCE_S) == body for future in heavy)


def test_submitting_from_many_threads_loses_nothing(executor: Executor) -> None:
    """W2: each ring has one writer, whichever thread holds the desk."""
    results: list[int] = []

    def submit_many(base: int) -> None:
        sent = [executor.submit(int.__add__, base, number) for number in range(300)]
        results.extend(future.result(PATIENCE_S) for future in sent)

    threads = [threading.Thread(target=submit_many, args=(base,)) for base in (0, 1_000, 2_000, 3_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results) == [base + number for base in (0, 1_000, 2_000, 3_000) for number in range(300)]


def test_a_callback_that_raises_or_submits_harms_nobody(executor: Executor, caplog: pytest.LogCaptureFixture) -> None:
    """D4: callbacks run outside every lock, and what they raise goes no further."""
    second: list[futures.Future[int]] = []

    def leave(_: futures.Future[int]) -> None:
        raise SystemExit(1)

    first = executor.submit(abs, -1)
    first.add_done_callback(leave)
    first.add_done_callback(lambda _: second.append(executor.submit(abs, -2)))
    until(first.done)
    first.add_done_callback(lambda _: second.append(executor.submit(abs, -3)))
    until(lambda: bool(second))

    assert second[-1].result(PATIENCE_S) == 3
    assert executor.submit(abs, -4).result(PATIENCE_S) == 4


async def test_an_event_loop_takes_it(executor: Executor) -> None:
    """Issue: `loop.run_in_executor` and asyncio accept it."""
    loop = asyncio.get_running_loop()

    results = await asyncio.gather(*(loop.run_in_executor(executor, pow, 3, number) for number in range(10)))

    assert results == [3**number for number in range(10)]


def test_workers_know_the_program_by_its_key(executor: Executor) -> None:
    """Drop-in: a proxy of a `multiprocessing.Manager` works in a worker."""
    assert executor.submit(authkey).result(PATIENCE_S) == bytes(process.current_process().authkey)


def test_a_worker_is_used_again_before_another_starts() -> None:
    """As `ProcessPoolExecutor`: workers start when none is idle."""
    with Executor(4) as executor:
        pids = {executor.submit(os.getpid).result(PATIENCE_S) for _ in range(5)}
        workers = executor.statistics().workers

    assert (len(pids), workers) == (1, 1)


def test_a_worker_is_replaced_after_so_many_calls() -> None:
    """D3: recycled after each 1, 2 and 3 calls with much waiting; nothing is lost."""
    for calls in (1, 2, 3):
        with Executor(1, max_tasks_per_child=calls) as executor:
            pids = [future.result(PATIENCE_S) for future in [executor.submit(os.getpid) for _ in range(7)]]

        counts = [pids.count(pid) for pid in dict.fromkeys(pids)]
        assert counts == [calls] * (7 // calls) + ([7 % calls] if 7 % calls else [])


def test_the_initializer_runs_once_in_each_worker_before_its_calls() -> None:
    """As `ProcessPoolExecutor`."""
    with Executor(2, initializer=get_ready, initargs=("steady",)) as executor:
        found = {executor.submit(ready).result(PATIENCE_S) for _ in range(5)}

    assert found == {("steady",)}


def test_an_initializer_that_raises_breaks_the_executor() -> None:
    """As `ProcessPoolExecutor`: every call fails, with what it raised, and no more are taken."""
    with Executor(2, initializer=fail_to_get_ready) as executor:
        errors = [executor.submit(abs, -1).exception(PATIENCE_S)]
        with pytest.raises(ExecutorBroken, match="no model here"):
            executor.submit(abs, -1)

    assert isinstance(errors[0], ExecutorBroken)
    assert isinstance(errors[0], futures.BrokenExecutor)


def test_what_waits_can_be_cancelled_and_the_rest_goes_on(tmp_path: Path) -> None:
    """D5: the worker's next call starts although the one before it was cancelled."""
    with Executor(1) as executor:
        busy = executor.submit(wait_for, str(tmp_path / "busy"))
        until((tmp_path / "busy").exists)
        waiting = [executor.submit(abs, -number) for number in range(4)]
        cancelled = [waiting[0].cancel(), waiting[2].cancel()]
        is_running_cancelled = busy.cancel()
        (tmp_path / "busy").unlink()
        values = [waiting[1].result(PATIENCE_S), waiting[3].result(PATIENCE_S)]

    assert (cancelled, is_running_cancelled, values) == ([True, True], False, [1, 3])


def test_nothing_waits_behind_a_long_call(tmp_path: Path) -> None:
    """D7: a call of a name that nobody knows goes to a worker that is idle, and nothing is put behind it."""
    with Executor(2) as executor:
        for _ in range(100):
            executor.submit(abs, -1).result(PATIENCE_S)
        busy = executor.submit(wait_for, str(tmp_path / "busy"))
        until((tmp_path / "busy").exists)
        values = [future.result(PATIENCE_S) for future in [executor.submit(abs, -number) for number in range(200)]]
        was_done = busy.done()
        (tmp_path / "busy").unlink()

    assert values == list(range(200))
    assert not was_done


@pytest.mark.skipif(RECALL <= 0, reason="there are no real-time signals here, and calls stay where they were given")
def test_what_lies_behind_a_call_that_was_thought_short_is_taken_back(tmp_path: Path) -> None:
    """D13: a call may wait for what others do; those must not lie behind it while a worker is idle."""
    in_flight = 0
    with Executor(2) as executor:
        while in_flight <= 2:  # nothing is put behind a call that seems long, as on a busy machine
            folder = Path(tempfile.mkdtemp(dir=tmp_path))
            first, second = str(folder / "first"), str(folder / "second")
            for path in first, second:
                Path(path).touch()
            for _ in range(100):
                executor.submit(note, str(folder / "other"), "x").result(PATIENCE_S)
                executor.submit(wait_for_words, first, 0).result(PATIENCE_S)
            stuck = [executor.submit(wait_for_words, second, 20), executor.submit(wait_for_words, first, 1)]
            behind = [executor.submit(note, second, str(number)) for number in range(20)]
            in_flight = executor.statistics().in_flight
            note(first, "go on")
            for future in (*stuck, *behind):
                future.result(PATIENCE_S)
            assert sorted(int(word) for word in Path(second).read_text("utf-8").split()) == list(range(20))


def test_what_it_has_done_can_be_read() -> None:
    """Style: `statistics()` is a frozen record."""
    with Executor(1) as executor:
        before = executor.statistics()
        executor.submit(abs, -1).result(PATIENCE_S)
        after = executor.statistics()

    assert (before.workers, before.completed) == (0, 0)
    assert (after.workers, after.ready, after.waiting, after.in_flight, after.completed) == (1, 1, 0, 0, 1)
    with pytest.raises(AttributeError):
        after.workers = 3  # type: ignore[misc]  # that is what is tested


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"max_workers": 0}, ValueError, "max_workers must be greater than 0"),
        ({"max_tasks_per_child": 0}, ValueError, "max_tasks_per_child must be >= 1"),
        ({"max_tasks_per_child": "3"}, TypeError, "must be an integer"),
        ({"initializer": 3}, TypeError, "initializer must be a callable"),
        ({"initializer": print, "initargs": (threading.Lock(),)}, TypeError, "pickle"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments: dict[str, object], kind: type[Exception], words: str) -> None:
    """Style: bad input names the culprit."""
    with pytest.raises(kind, match=words):
        Executor(**arguments)  # type: ignore[arg-type]  # that is what is tested


def test_our_errors_can_be_sent_on() -> None:
    """Drop-in: an error that came out of a nested executor reaches the outermost."""
    error = CallFailed("a.Thing", "it broke", "Traceback ...")

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own

    assert (type(copy), str(copy)) == (CallFailed, str(error))
