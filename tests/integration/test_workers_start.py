"""Workers get ready or say why not; a lane that cannot have them says so, and leaves nothing."""

from __future__ import annotations

import asyncio
import itertools
import os
import resource
import signal
import subprocess
import sys
import threading
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

import msgspec
import pytest

from driven import GroupSettings, WorkerSettings, WorkersUnavailable
from driven.errors import SegmentUnavailable
from driven.pool import backoff
from driven.pool.readiness import FAILED_STARTS
from driven.service.wiring import Recipe
from leftovers import still_running
from watched_lane import PATIENCE_S, RECIPE, REFERENCE, watched_lane
from worker_test_app import Do

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION = """
from driven import Application, Command, Placement

app = Application("{name}")

class Ping(Command):
    text: str

@app.handles(Ping, placement=Placement.WORKER)
def ping(command: Ping) -> None:
    pass
"""

_names = itertools.count(1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the import path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def module(folder: Path, text: str) -> str:
    """Write a module of a name that was never used, and return the name."""
    name = f"application_{os.getpid()}_{next(_names)}"
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return name


async def refusal(
    reference: str = REFERENCE, settings: WorkerSettings | None = None, wiring: tuple[str, ...] = RECIPE.wiring
) -> str:
    """Open a lane that cannot be opened, and return why."""
    with pytest.raises(WorkersUnavailable) as raised:
        async with watched_lane({"default": 2}, settings, recipe=Recipe(reference, (), wiring)):
            pass
    return raised.value.reason


async def test_a_module_that_is_not_there_is_named() -> None:
    """W6, R1: with the remedy, and where it was raised in the worker."""
    reason = await refusal("no_such_module:app")

    assert "'no_such_module:app' cannot be imported (ModuleNotFoundError" in reason
    assert "Traceback (most recent call last)" in reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import os, driven.no_such_part\n", "ModuleNotFoundError"),
        ("def broken(:\n", "SyntaxError"),
        ("raise SystemExit('not today')\n", "SystemExit: not today"),
        ("import os\nos._exit(5)\n", "exit code 5"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "SIGKILL"),
        ("import ctypes\nctypes.string_at(0)\n", "SIGSEGV"),
        ("app = 'no application'\n", "is of type str"),
        ("from driven import Application\napp = Application('empty')\n", "handles no command"),
    ],
)
async def test_an_application_that_does_not_get_ready_says_why(text: str, expected: str, folder: Path) -> None:
    """W6: whatever happens while it is imported."""
    assert expected in await refusal(module(folder, text) + ":app")


async def test_a_worker_with_other_code_than_the_bus_is_refused() -> None:
    """R1, W1: it says so, and where each of them found its code."""
    reason = await refusal(wiring=(*RECIPE.wiring, "the handler of another deployment"))

    assert "worker and bus run different code" in reason
    assert "worker_test_app.py" in reason
    assert "the bus has the handler of another deployment" in reason


async def test_a_worker_that_does_not_get_ready_in_time_is_killed(folder: Path) -> None:
    """W8: never a hang; `start_timeout_s` bounds the imports."""
    reference = module(folder, "import time\ntime.sleep(600)\n") + ":app"

    reason, timeout_s = "", 0.25
    while "most recent call first" not in reason:  # on a busy machine time may be up before its interpreter has begun
        timeout_s *= 2
        assert timeout_s < PATIENCE_S
        reason = await refusal(reference, WorkerSettings(start_timeout_s=timeout_s))

        assert f"was not ready within {timeout_s:g} s" in reason


async def test_cpus_that_are_not_there_are_named() -> None:
    """docs/how-to/place-commands-on-workers.md: with the setting to change."""
    settings = WorkerSettings(groups={"default": GroupSettings(count=2, cpus=(4_000,))})

    assert "CPU 4000 cannot be used" in await refusal(settings=settings)


async def test_rings_that_there_is_no_memory_for_are_a_clear_error() -> None:
    """W8: this process may make no file so large, shared memory included."""
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, allowed[1]))
    try:
        reason = await refusal(settings=WorkerSettings(ring_bytes=1 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)

    assert "no shared memory of" in reason
    assert "ring_bytes" in reason


async def test_a_start_that_is_given_up_leaves_nothing() -> None:
    """D4: cancelled while workers import."""

    async def open_and_stay() -> None:
        async with watched_lane({"default": 2}):
            await asyncio.Event().wait()

    opening = asyncio.create_task(open_and_stay())
    await asyncio.sleep(0)
    opening.cancel()

    with pytest.raises(asyncio.CancelledError):
        await opening


async def test_when_replacements_cannot_start_the_lane_fails(folder: Path) -> None:
    """W5: after some attempts, with the reason of the last; until then it tries again."""
    name = module(folder, APPLICATION.format(name="ping"))
    source = folder / f"{name}.py"
    recipe = await recipe_for(name)
    async with watched_lane(recipe=recipe) as lane:
        source.write_text("raise RuntimeError('broken by a deployment')\n", encoding="utf-8")
        os.kill(lane.pid(), signal.SIGKILL)
        await lane.until(lambda: bool(lane.failures))

        assert isinstance(lane.failures[0], WorkersUnavailable)
        assert f"{FAILED_STARTS} workers of group 'default' in a row" in lane.failures[0].reason
        assert "broken by a deployment" in lane.failures[0].reason
        assert lane.ready == {}


async def test_a_lane_with_a_healthy_worker_goes_on_without_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W5: replacements are tried again, less and less often, and found when they can be had."""
    monkeypatch.setattr(backoff, "BACKOFF_S", 0.001)
    name = module(folder, APPLICATION.format(name="ping"))
    source = folder / f"{name}.py"
    recipe = await recipe_for(name)
    async with watched_lane({"default": 2}, recipe=recipe) as lane:
        source.write_text("raise RuntimeError('broken for a while')\n", encoding="utf-8")
        os.kill(lane.pid(), signal.SIGKILL)
        failed = lane.lane._staff._failed_starts  # noqa: SLF001 - it tells nobody
        async with asyncio.timeout(PATIENCE_S):
            while failed["default"] <= FAILED_STARTS:
                await asyncio.sleep(0.005)
        source.write_text(APPLICATION.format(name="ping"), encoding="utf-8")
        await lane.until(lambda: len(lane.ready) == 2)

        assert lane.failures == []


async def test_a_lane_whose_pool_can_have_no_thread_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """W8: never a hang, and nothing is left."""

    def start(_: threading.Thread) -> None:
        reason = "can't start new thread"
        raise RuntimeError(reason)

    monkeypatch.setattr(threading.Thread, "start", start)

    assert "can't start new thread" in await refusal()


async def test_a_command_that_could_not_be_sent_to_a_worker_that_is_gone_is_not_its_failure() -> None:
    """W4: the worker's end was told, and the command with it."""
    async with watched_lane() as lane:
        gone = lane.worker
        os.kill(lane.pid(), signal.SIGKILL)
        await lane.until(lambda: gone in lane.gone)
        lane.lane._fail(gone, lane.submission(Do("echo"), 7), SegmentUnavailable(1 << 40, "none"))  # noqa: SLF001

        assert lane.completions == {}


async def test_a_replacement_that_runs_newer_code_is_refused(folder: Path) -> None:
    """R1: the files changed under a running bus; its messages would not fit."""
    name = module(folder, APPLICATION.format(name="ping"))
    recipe = await recipe_for(name)
    async with watched_lane(recipe=recipe) as lane:
        newer = APPLICATION.format(name="ping").replace("text: str", "text: str\n    more: int")
        (folder / f"{name}.py").write_text(newer, encoding="utf-8")
        os.kill(lane.pid(), signal.SIGKILL)
        await lane.until(lambda: bool(lane.failures))

        assert "worker and bus run different code" in str(lane.failures[0])


async def test_a_replacement_that_fails_once_is_tried_again(folder: Path) -> None:
    """W5: a hiccup is no failure of the lane."""
    text = APPLICATION.format(name="ping") + (
        "import pathlib, sys\n"
        "stumbling = pathlib.Path(__file__ + '.stumble')\n"
        "if stumbling.exists():\n"
        "    stumbling.unlink()\n"
        "    raise RuntimeError('once')\n"
    )
    name = module(folder, text)
    recipe = await recipe_for(name)
    async with watched_lane(recipe=recipe) as lane:
        (folder / f"{name}.py.stumble").touch()
        os.kill(lane.pid(), signal.SIGKILL)
        await lane.until(lambda: len(lane.gone) == 1 and len(lane.ready) == 1)

        assert lane.failures == []


async def recipe_for(name: str) -> Recipe:
    """The recipe of an application, made in a process of its own, as this one is not to keep its module."""
    program = (
        "from driven.service.registry import build_registry, resolve_application\n"
        "from driven.service.wiring import recipe_of\n"
        "import msgspec, sys\n"
        f"recipe = recipe_of(build_registry(resolve_application('{name}:app')), '{name}:app')\n"
        "sys.stdout.buffer.write(msgspec.json.encode(recipe))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-B", "-c", program, env=environment, stdout=subprocess.PIPE
    )
    told, _ = await process.communicate()
    return msgspec.json.decode(told, type=Recipe)


@pytest.mark.parametrize(
    "options",
    [["-c"], ["-I", "-c"], ["-O", "-X", "utf8", "-W", "error", "-c"]],
    ids=["plain", "isolated", "optimised"],
)
def test_a_lane_opens_in_any_interpreter(options: list[str], tmp_path: Path) -> None:
    """W1: from `python -c`, without a guard, with options of its own, and with paths that only the program knows."""
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "import asyncio, logging\n"
        "from watched_lane import watched_lane\n"
        "from worker_test_app import Do\n"
        "async def main():\n"
        "    async with watched_lane() as lane:\n"
        "        print(await lane.text(Do('tell flags')))\n"
        "asyncio.run(main())\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if "-I" in options:
        environment["PYTHONOPTIMIZE"] = "1"  # which it ignores, and so must its workers

    told = subprocess.run(
        [sys.executable, *options, program],
        env=environment,
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert told.stderr == ""
    assert told.stdout.split() == (["1", "1", "error"] if "-O" in options else ["0", "0"])


def test_a_program_that_does_not_close_its_lane_ends_all_the_same(tmp_path: Path) -> None:
    """D4, S4: at interpreter exit nobody waits for anybody, and the workers go."""
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "import asyncio\n"
        "from watched_lane import *\n"
        "lane = WorkerLane(WorkerSettings(), {'default': 2}, RECIPE, 'log')\n"
        "asyncio.run(lane.start(WatchedLane(lane)))\n"
        "print(*(one.pid for one in lane.vitals()))\n"
    )

    told = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, check=False, capture_output=True, text=True, timeout=60
    )

    assert (told.returncode, told.stderr) == (0, "")
    assert still_running(map(int, told.stdout.split()), PATIENCE_S) == []


def test_workers_start_without_a_fork_of_the_main_process(tmp_path: Path) -> None:
    """D12: no code of ours, and no lock of another thread, is copied into a child; the interpreter would tell."""
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "import asyncio, os, threading\n"
        "from watched_lane import watched_lane\n"
        "from worker_test_app import Do\n"
        "os.register_at_fork(before=lambda: print('forked'))\n"
        "held = threading.Lock()\n"
        "threading.Thread(target=lambda: held.acquire() and threading.Event().wait(), daemon=True).start()\n"
        "async def main():\n"
        "    async with watched_lane({'default': 2}) as lane:\n"
        "        print(await lane.text(Do('echo', 'ran')))\n"
        "asyncio.run(main())\n"
    )

    told = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", program],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (told.stderr, told.stdout) == ("", "ran\n")


async def test_modules_in_the_current_folder_do_not_hide_those_of_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W1: a `json.py` that lies there is not what the program imports."""
    for name in ("json", "signal", "driven_worker"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the wrong one')\n", encoding="utf-8")
    resource_tracker.ensure_running()  # the interpreter's own helper would import them: not what this is about
    monkeypatch.chdir(tmp_path)

    async with watched_lane() as lane:
        assert await lane.text(Do("echo", "the right ones")) == "the right ones"


def test_the_program_says_what_it_is_to_whoever_types_its_name() -> None:
    """Style: an error ends in what to do."""
    told = subprocess.run(
        [sys.executable, "-m", "driven_worker"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert told.returncode == 2
    assert "open a bus instead" in told.stderr
