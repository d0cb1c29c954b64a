"""Worker processes run commands, and whatever a handler does, one command fails and its worker lives on."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from driven import GroupSettings, WorkerSettings
from driven.program import new_event_loop
from driven.wire import AggregateState, Failed, Succeeded, encode_body
from watched_lane import PATIENCE_S, WatchedLane, both_kinds, watched_lane
from worker_test_app import Do, DoWithState, Tally, app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driven.pool.kinds import Kind
    from driven.wire import Failure

TEN_MEGABYTES = 10_000_000


async def failure(lane: WatchedLane, command: Do | DoWithState) -> Failure:
    """Run a command that fails, and return how; then see that its worker lives on."""
    worker = lane.worker
    outcome = (await lane.completion(lane.send(command))).outcome
    assert isinstance(outcome, Failed)
    assert await lane.text(Do("echo", "still here"), worker) == "still here"
    assert lane.gone == {}
    return outcome.failure


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, new_event_loop], ids=["asyncio", "uvloop"])
def test_a_lane_works_in_any_event_loop(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """W1, W2: workers start, run, die, are replaced and stop, whoever made the loop."""

    async def live() -> None:
        async with watched_lane({"default": 2}) as lane:
            texts = [await lane.text(Do("echo", f"to {worker}"), worker) for worker in tuple(lane.ready)]
            dying = lane.send(Do("kill oneself"))
            await lane.until(lambda: bool(lane.gone) and len(lane.ready) == 2)

            assert sorted(texts) == ["to 1", "to 2"]
            assert [blamed for blamed, _, _ in lane.gone.values()] == [(dying, 1)]
            assert await lane.text(Do("echo", "to a new one")) == "to a new one"
            assert not lane.has_news

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(live())


@both_kinds
async def test_commands_are_answered_in_the_order_in_which_a_worker_got_them(kind: Kind) -> None:
    """W3: one worker runs one command at a time, first come, first served."""
    async with watched_lane(kind=kind) as lane:
        positions = [lane.send(Do("echo", str(number))) for number in range(500)]
        await lane.completion(positions[-1])

        assert list(lane.completions) == [(position, 1) for position in positions]
        assert all(completion.elapsed_ns > 0 for completion in lane.completions.values())
        await lane.until_counted(500)


@both_kinds
async def test_a_handler_that_raises_fails_its_command_with_its_traceback(kind: Kind) -> None:
    """W6: the failure names error, text and line."""
    async with watched_lane(kind=kind) as lane:
        failed = await failure(lane, Do("raise", "not in the list"))

        assert (failed.error_type, failed.message) == ("LookupError", "not in the list")
        assert "raise LookupError(command.argument)" in failed.traceback


@both_kinds
@pytest.mark.parametrize(
    ("deed", "error_type"),
    [
        ("exit politely", "SystemExit"),
        ("interrupt", "KeyboardInterrupt"),
        ("return unencodable", "driven.errors.MalformedMessage"),
        ("raise unprintable", "worker_test_app.Unprintable"),
    ],
)
async def test_whatever_a_handler_does_one_command_fails(deed: str, error_type: str, kind: Kind) -> None:
    """W6, D9: exits, interrupts, unencodable outcomes and errors that cannot be told."""
    async with watched_lane(kind=kind) as lane:
        assert (await failure(lane, Do(deed))).error_type == error_type


async def test_a_process_that_a_handler_forked_does_not_answer_as_well() -> None:
    """W3: the copy that comes back from the handler ends; the command has one outcome."""
    async with watched_lane() as lane:
        pid = str(lane.pid())

        assert await lane.text(Do("fork")) == pid
        assert (await lane.text(Do("tell process"))).split()[0] == pid


@both_kinds
async def test_an_undecodable_submission_fails_alone(kind: Kind) -> None:
    """D10, W6: its neighbours run, and the worker lives."""
    async with watched_lane(kind=kind) as lane:
        good = lane.submission(Do("echo"), 101)
        bad = type(good)(good.envelope, 1, "no number", good.type_id, good.body)  # type: ignore[arg-type]
        other = lane.submission(Do("echo"), 103)
        other_bad = type(good)(lane.submission(Do("echo"), 102).envelope, 1, 1, good.type_id, bad)  # type: ignore[arg-type]

        assert all(lane.try_send(lane.worker, submission) for submission in (good, other_bad, other))
        await lane.completion(103)
        failed = lane.completions[102, 1].outcome

        assert isinstance(failed, Failed)
        assert failed.failure.error_type == "msgspec.ValidationError"
        assert [isinstance(lane.completions[position, 1].outcome, Succeeded) for position in (101, 103)] == [True, True]
        assert lane.gone == {}


@both_kinds
async def test_a_command_of_a_type_that_no_catalog_has_fails_alone(kind: Kind) -> None:
    """W6, D10: the type number is only looked up in the worker."""
    async with watched_lane(kind=kind) as lane:
        good = lane.submission(Do("echo"), 101)
        assert lane.try_send(lane.worker, type(good)(good.envelope, 1, 1, 999, good.body))

        assert isinstance((await lane.completion(101)).outcome, Failed)
        assert await lane.text(Do("echo", "on it goes")) == "on it goes"


@both_kinds
async def test_bodies_larger_than_the_ring_travel_both_ways(kind: Kind) -> None:
    """W2: ten megabytes through rings of 64 kB, and small commands before and after."""
    async with watched_lane(settings=WorkerSettings(ring_bytes=1 << 16), kind=kind) as lane:
        data = os.urandom(1_000) * (TEN_MEGABYTES // 1_000)
        position = lane.send(Do("echo", "large", data))
        completion = await lane.completion(position)

        assert isinstance(completion.outcome, Succeeded)
        assert completion.outcome.events[0].body.endswith(data)
        assert await lane.text(Do("echo", "small")) == "small"


@both_kinds
async def test_an_aggregate_that_did_not_travel_is_asked_for(kind: Kind) -> None:
    """U2, O5: the bus answers, the outcome says what was read, and what comes meanwhile waits its turn."""
    async with watched_lane(kind=kind) as lane:
        lane.states["deeds.Tally", "t1"] = AggregateState("deeds.Tally", "t1", 7, encode_body(Tally(id="t1", count=41)))
        reading = lane.send(DoWithState("t1"))
        waiting = [lane.send(Do("echo")) for _ in range(3)]
        outcome = (await lane.completion(reading)).outcome
        await lane.completion(waiting[-1])

        assert isinstance(outcome, Succeeded)
        assert [(request.name, request.id) for request in lane.reads] == [("deeds.Tally", "t1")]
        assert [(read.id, read.version) for read in outcome.reads] == [("t1", 7)]
        assert [(change.id, change.expected_version) for change in outcome.changes] == [("t1", 7)]
        assert list(lane.completions) == [(position, 1) for position in (reading, *waiting)]


@both_kinds
async def test_an_answer_larger_than_the_ring_arrives(kind: Kind) -> None:
    """U2, W2: an aggregate of ten megabytes, asked for by a worker."""
    async with watched_lane(settings=WorkerSettings(ring_bytes=1 << 14), kind=kind) as lane:
        body = encode_body(Tally(id="t1", count=1, notes="n" * TEN_MEGABYTES))
        lane.states["deeds.Tally", "t1"] = AggregateState("deeds.Tally", "t1", 1, body)

        assert await lane.text(DoWithState("t1")) == "2"


@both_kinds
async def test_while_a_command_waits_for_an_answer_the_worker_says_so(kind: Kind) -> None:
    """W3: it still runs the command, and is seen to wait."""
    async with watched_lane(kind=kind) as lane:
        lane.answers_reads = False
        position = lane.send(DoWithState("t1"))
        await lane.until(lambda: bool(lane.reads))
        async with asyncio.timeout(PATIENCE_S):
            while lane.lane.vitals()[0].state != "waiting":
                await asyncio.sleep(0.005)
        seen = lane.lane.vitals()[0]
        lane.lane.reply(lane.worker, AggregateState("deeds.Tally", "another", 1, b""))
        lane.lane.reply(lane.worker, AggregateState("deeds.Tally", "t1", 0, None))
        outcome = (await lane.completion(position)).outcome

        assert (seen.position, seen.completed) == (position, 0)
        assert isinstance(outcome, Failed)
        assert outcome.failure.error_type == "driven.errors.AggregateNotFound"


@both_kinds
async def test_an_answer_that_is_none_fails_the_command_that_asked(kind: Kind) -> None:
    """W6: a reply that does not decode is that command's misfortune."""
    async with watched_lane(kind=kind) as lane:
        lane.states["deeds.Tally", "t1"] = AggregateState("deeds.Tally", "t1", "no number", None)  # type: ignore[arg-type]

        assert (await failure(lane, DoWithState("t1"))).error_type == "driven.errors.MalformedMessage"


@both_kinds
async def test_a_full_ring_is_a_return_value_and_empties(kind: Kind) -> None:
    """F4, D13: rings of 4 kB, far more commands than fit, and all are answered in order."""
    async with watched_lane(settings=WorkerSettings(ring_bytes=1 << 12), kind=kind) as lane:
        positions = range(1, 301)
        refusals = 0
        for position in positions:
            while not lane.try_send(lane.worker, lane.submission(Do("echo", "x" * 400), position)):
                refusals += 1
                answered = len(lane.completions)
                await lane.until(lambda answered=answered: len(lane.completions) > answered)  # type: ignore[misc]
        await lane.completion(positions[-1])

        assert refusals
        assert list(lane.completions) == [(position, 1) for position in positions]


async def test_a_worker_loads_nothing_of_the_bus() -> None:
    """W1: domain, service, wire and ring; and no resource tracker of its own (S4)."""
    async with watched_lane() as lane:
        modules = set((await lane.text(Do("tell modules"))).split())

        outside = ("driven.bus", "driven.pool", "driven.adapters", "driven.entrypoints", "driven.bootstrap")
        assert {name for name in modules if name.startswith(outside)} == set()
        assert {"driven.wire", "driven_worker.loop"} <= modules
        assert {"psutil", "uvloop", "multiprocessing.resource_tracker"} & modules == set()


async def test_numeric_libraries_are_capped_before_they_are_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """W10, P12: all five variables; what the user set stays."""
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    async with watched_lane(settings=WorkerSettings(blas_threads=3)) as lane:
        names = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")
        told = [await lane.text(Do("tell environment", f"{name}_NUM_THREADS")) for name in names]

        assert told == ["3", "3", "7", "3"]
        assert await lane.text(Do("tell environment", "VECLIB_MAXIMUM_THREADS")) == "3"


@pytest.mark.parametrize("python_path", [None, "somewhere"])
async def test_what_handlers_start_sees_the_users_python_path(
    python_path: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W1: the way to the worker's program is no business of its children."""
    if python_path is None:
        monkeypatch.delenv("PYTHONPATH", raising=False)
    else:
        monkeypatch.setenv("PYTHONPATH", python_path)
    async with watched_lane() as lane:
        assert await lane.text(Do("tell environment", "PYTHONPATH")) == (python_path or "(unset)")


async def test_a_worker_leads_its_own_process_group_and_leaves_interrupts_to_the_bus() -> None:
    """P5, P4: ^C in a terminal reaches the bus only."""
    async with watched_lane() as lane:
        pid, group, interrupts = (await lane.text(Do("tell process"))).split()

        assert pid == group == str(lane.pid())
        assert interrupts == "SIG_IGN"


@both_kinds
async def test_groups_have_their_own_workers_and_cpus(kind: Kind) -> None:
    """docs/how-to/place-commands-on-workers.md: a group with `cpus` runs there and nowhere else."""
    cpu = min(os.sched_getaffinity(0))
    settings = WorkerSettings(groups={"pinned": GroupSettings(count=2, cpus=(cpu,))})
    async with watched_lane({"default": 1, "pinned": 2}, settings, kind=kind) as lane:
        told = {worker: await lane.text(Do("tell cpus"), worker) for worker in tuple(lane.ready)}

        assert sorted(lane.ready.values()) == ["default", "pinned", "pinned"]
        assert {told[worker] for worker, group in lane.ready.items() if group == "pinned"} == {str(cpu)}
        assert {one.group for one in lane.lane.vitals()} == {"default", "pinned"}


@both_kinds
async def test_what_a_handler_prints_comes_out(capfd: pytest.CaptureFixture[str], kind: Kind) -> None:
    """W6: output is the user's, line by line, and harms nothing."""
    async with watched_lane(kind=kind) as lane:
        await lane.text(Do("print", "hello from a handler"))

        assert capfd.readouterr().out == "hello from a handler\n"


@both_kinds
async def test_vitals_tell_what_a_worker_does_without_asking_it(tmp_path: Path, kind: Kind) -> None:
    """W3: position and age of what runs, and nothing when nothing runs."""
    async with watched_lane(kind=kind) as lane:
        idle = lane.lane.vitals()[0]
        position = lane.send(Do("wait for file", str(tmp_path / "go")))
        await lane.until_there(tmp_path / "go.begun")
        running = lane.lane.vitals()[0]
        (tmp_path / "go").touch()
        await lane.completion(position)

        assert (idle.state, idle.position, idle.age_s) == ("idle", 0, 0.0)
        assert (running.state, running.position) == ("running", position)
        assert running.age_s > 0
        assert running.pid == int((tmp_path / "go.begun").read_text("ascii"))


def test_the_application_under_test_is_importable_by_name() -> None:
    """R1: the lane's tests rest on it."""
    assert app.name == "deeds"
