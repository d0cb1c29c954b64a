"""Handlers that write bytes of chance over the memory of their worker: its rings, its cursors, its status words."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from driven import Settings, WorkerSettings, open_bus
from driven.program import new_event_loop
from driven.wire import Succeeded
from ordering import app
from ordering_draws import drawn_commands, ticking_clock
from watched_lane import watched_lane
from worker_test_app import Do

if TYPE_CHECKING:
    from pathlib import Path

RING_BYTES = 1 << 14
SEEDS = range(2)
STRESS_SEEDS = range(100, 160)
LONGEST_RUN_S = 90


async def digest_of(seed: int, workers: int) -> str:
    """Run some two hundred commands and return the digest of the log; every one of them has an outcome by then."""
    commands = [command for part in range(3) for command in drawn_commands(1_000 * seed + part)]
    settings = Settings(workers=WorkerSettings(count=workers, ring_bytes=RING_BYTES, max_attempts=1_000))
    async with asyncio.timeout(LONGEST_RUN_S), open_bus(app, settings, clock_ns=ticking_clock()) as bus:
        receipts = [await bus.submit(command) for command in commands]
        for receipt in receipts:
            await receipt.settled()
        seen = bus.statistics()
        assert seen.retired == seen.admitted
        return bus.log_digest()


def garbled_run(seed: int, marks: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Compare the log of workers whose handlers scribble with that of the inline run; return what was hit."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        expected = runner.run(digest_of(seed, 0))
        marks.mkdir()
        monkeypatch.setenv("ORDERING_SCRIBBLE_MARKS", str(marks))
        monkeypatch.setenv("ORDERING_SCRIBBLE_SEED", str(seed))
        monkeypatch.setenv("ORDERING_SCRIBBLE_RING_BYTES", str(RING_BYTES))
        assert runner.run(digest_of(seed, 2)) == expected
        monkeypatch.delenv("ORDERING_SCRIBBLE_MARKS")
    return Counter(mark.read_text(encoding="ascii") for mark in marks.iterdir())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_garbled_ring_costs_its_worker_and_never_the_bus(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D10, O6, W4: the bus neither hangs nor dies, and the log is that of the inline run."""
    hit = garbled_run(seed, tmp_path / "marks", monkeypatch)
    assert len(hit) > 3, hit


@pytest.mark.parametrize("what", ["commands", "outcomes"])
async def test_a_cursor_that_is_set_back_hides_nothing_for_long(what: str) -> None:
    """W2, D8: the ring then looks like one with nothing in it, so both ends say again and again where they are."""
    async with watched_lane(settings=WorkerSettings(ring_bytes=1 << 16)) as lane:
        guilty = lane.send(Do("hide", what))
        while lane.lane.vitals()[0].position != guilty and not lane.completions:
            await asyncio.sleep(0.005)
        behind = lane.send(Do("echo", "there"))
        for position in (guilty, behind):
            assert isinstance((await lane.completion(position)).outcome, Succeeded)


@pytest.mark.stress
@pytest.mark.timeout(0)
def test_garbled_rings_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """D10, O6: every region of the memory, many times."""
    hit: Counter[str] = Counter()
    for seed in STRESS_SEEDS:
        hit += garbled_run(seed, tmp_path / str(seed), monkeypatch)
    assert len(hit) == 10, hit
