"""How an executor ends: by `shutdown`, by being forgotten, with its interpreter, with its process, in a copy of it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from deeds_to_call import wait_for
from driven import Executor, ExecutorClosed

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

PATIENCE_S = 60.0
ROOT = Path(__file__).resolve().parents[2]


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def run(
    program: str, *options: str, cwd: Path | None = None, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program of its own, with our two source roots to import from."""
    sources = [str(ROOT / place) for place in ("src", "workers", "tests/applications")]
    return subprocess.run(
        [sys.executable, "-W", "error", *options, *(["-c", program] if program else [])],
        input=stdin,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sources)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_what_was_submitted_is_done_before_shutdown_returns() -> None:
    """X4: and nothing is left of the workers; calls are refused from then on."""
    executor = Executor(2)
    submitted = [executor.submit(time.sleep, 0.05) for _ in range(10)]
    pids = {executor.submit(os.getpid).result(PATIENCE_S) for _ in range(3)}

    executor.shutdown()

    assert all(future.done() for future in submitted)
    assert executor.statistics().workers == 0
    assert not any(psutil.pid_exists(pid) for pid in pids)
    with pytest.raises(ExecutorClosed, match="cannot schedule new futures after shutdown"):
        executor.submit(abs, -1)


def test_shutdown_of_one_that_never_ran_is_shutdown() -> None:
    """D4: no thread was started for it."""
    executor = Executor(2)
    executor.shutdown()
    executor.shutdown(cancel_futures=True)

    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, -1)


def test_shutdown_can_be_asked_for_by_many_at_once_and_from_a_callback() -> None:
    """D4: from eight threads and from the manager's own."""
    executor = Executor(2)
    ended: list[str] = []

    def stop(_: Future[None]) -> None:
        executor.shutdown()
        ended.append("callback")

    executor.submit(time.sleep, 0.1).add_done_callback(stop)

    def stop_too() -> None:
        executor.shutdown()
        ended.append("thread")

    threads = [threading.Thread(target=stop_too) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)

    assert sorted(ended) == ["callback", *["thread"] * 8]


def test_what_waits_is_cancelled_on_request_and_what_runs_is_finished(tmp_path: Path) -> None:
    """X4: `cancel_futures`; whoever waits for a cancelled future is told."""
    executor = Executor(1)
    running = executor.submit(wait_for, str(tmp_path / "run"))
    until((tmp_path / "run").exists)
    waiting = [executor.submit(abs, -1) for _ in range(5)]

    executor.shutdown(wait=False, cancel_futures=True)
    cancelled = [future.cancelled() for future in waiting]
    (tmp_path / "run").unlink()
    executor.shutdown()

    assert all(cancelled)
    assert running.result() > 0


def test_one_that_nobody_holds_any_more_finishes_and_goes() -> None:
    """S3: nothing is left behind, and what was submitted is done."""
    executor = Executor(1)
    submitted = [executor.submit(abs, -number) for number in range(10)]
    manager = next(thread for thread in threading.enumerate() if thread.name == "driven-executor")
    del executor
    gc.collect()

    manager.join(PATIENCE_S)

    assert not manager.is_alive()
    assert [future.result() for future in submitted] == list(range(10))


def test_at_interpreter_exit_everything_is_done_first() -> None:
    """X4: without `shutdown`, without a guard, and with `shutdown(wait=False)`."""
    for ending in ("", "executor.shutdown(wait=False)"):
        told = run(
            "import driven, time\n"
            "executor = driven.Executor(2)\n"
            "for word in 'apple', 'pear':\n"
            "    executor.submit(time.sleep, 0.2).add_done_callback(lambda _, word=word: print(word))\n" + ending
        )

        assert (sorted(told.stdout.split()), told.stderr, told.returncode) == (["apple", "pear"], "", 0)


def test_at_interpreter_exit_no_more_calls_are_taken() -> None:
    """D4: a RuntimeError, whether it ever ran or not; nothing hangs."""
    told = run(
        "import atexit, driven\n"
        "def late():\n"
        "    for executor in ran, never:\n"
        "        try:\n"
        "            executor.submit(abs, -1)\n"
        "        except RuntimeError as error:\n"
        "            print(error)\n"
        "atexit.register(late)\n"
        "ran, never = driven.Executor(1), driven.Executor(1)\n"
        "ran.submit(abs, -1).result()\n"
    )

    assert told.stdout.count("cannot schedule new futures after interpreter shutdown") == 2
    assert told.stderr == ""


def test_a_forked_copy_says_that_it_has_no_workers() -> None:
    """D12: it neither hangs nor takes the workers of the original; those go on."""
    told = run(
        "import os, warnings, driven\n"
        "warnings.simplefilter('ignore')\n"
        "executor = driven.Executor(1)\n"
        "executor.submit(abs, -1).result()\n"
        "if (pid := os.fork()) == 0:\n"
        "    try:\n"
        "        executor.submit(abs, -2)\n"
        "    except RuntimeError as error:\n"
        "        print(error, flush=True)\n"
        "    executor.shutdown()\n"
        "    raise SystemExit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
        "print(executor.submit(abs, -3).result())\n"
    )

    assert "forked" in told.stdout.splitlines()[0]
    assert told.stdout.splitlines()[1:] == ["3"]
    assert told.stderr == ""


def test_workers_vanish_with_a_process_that_is_killed() -> None:
    """W7: by SIGKILL, in the middle of calls."""
    program = (
        "import driven, os, time\n"
        "executor = driven.Executor(2)\n"
        "calls = [executor.submit(os.getpid), executor.submit(time.sleep, 600)]\n"
        "print(calls[0].result(), flush=True)\n"
        "time.sleep(600)\n"
    )
    sources = [str(ROOT / place) for place in ("src", "workers")]
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sources)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    workers = [child.pid for child in psutil.Process(parent.pid).children()]

    parent.kill()
    parent.wait()
    parent.stdout.close()

    assert worker in workers
    until(lambda: not any(psutil.pid_exists(pid) for pid in workers))


def test_a_fork_elsewhere_does_not_keep_an_executor_alive() -> None:
    """D12: the warning that Python gives of forks of threaded processes is the user's to heed, not ours to cause."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Executor(1) as executor:
            assert executor.submit(abs, -1).result(PATIENCE_S) == 1


PROGRAM = (
    "import driven\n"
    "def double(number): return 2 * number\n"
    "class Point:\n"
    "    def __init__(self, x): self.x = x\n"
    "def pointed(x): return Point(x)\n"
    "print('started')\n"
    "with driven.Executor(1) as executor:\n"
    "    print(list(executor.map(double, range(3))), executor.submit(lambda: 7).result())\n"
    "    point = executor.submit(pointed, 5).result()\n"
    "    print(type(point) is Point, point.x)\n"
)


def test_a_name_of_the_program_never_finds_one_of_the_worker() -> None:
    """W1: a reference that nobody could see is not found, though the worker's own program has a `main`."""
    told = run(
        "import driven, pickle\n"
        "def main(): return 1\n"
        "with driven.Executor(1) as executor:\n"
        "    print(executor.submit(pickle.loads, pickle.dumps(main)).exception())\n"
    )

    assert "'main'" in told.stdout
    assert "__main__" in told.stdout


WITHOUT_CLOUDPICKLE = "import sys; sys.modules['cloudpickle'] = None\n"


def test_what_a_script_defines_can_be_called_and_the_script_runs_once(tmp_path: Path) -> None:
    """W1: no guard; as a file, by `-c`, and typed into an interpreter."""
    pytest.importorskip("cloudpickle")
    script = tmp_path / "script.py"
    script.write_text(PROGRAM, "utf-8")
    typed = (
        PROGRAM.replace("Point(x)\n", "Point(x)\n\n").replace("x = x\n", "x = x\n\n").replace("number\n", "number\n\n")
    )

    runs = [
        run("", str(script)),
        run(PROGRAM),
        run("", "-i", "-q", stdin=typed.replace("    print(type", "\nprint(type")),
    ]

    for told in runs:
        assert told.stdout.split("\n")[:3] == ["started", "[0, 2, 4] 7", "True 5"], told


def test_without_cloudpickle_the_function_and_the_remedy_are_named() -> None:
    """Style: the error names the culprit and what to do; nothing of the worker's own is called by mistake."""
    told = run(
        WITHOUT_CLOUDPICKLE + "import driven\n"
        "def main(): return 1\n"
        "with driven.Executor(1) as executor:\n"
        "    for function in main, (lambda: 1):\n"
        "        error = executor.submit(function).exception()\n"
        "        print(type(error).__name__, error, *getattr(error, '__notes__', ()))\n"
        "    print(executor.submit(str, '__main__').result())\n"
    )

    first, second, third = told.stdout.splitlines()
    assert first.startswith("CallUnpicklable __main__.main is defined in __main__")
    assert first.endswith("pip install cloudpickle")
    assert second.endswith("pip install cloudpickle")
    assert third == "__main__"
