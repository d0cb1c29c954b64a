"""A census over one file whose bus and workers are killed at random, again and again; and what is left of it."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import psutil

import census.app
from census.messages import StartSurvey
from driven.adapters.stores.memory import MemoryStore
from driven.adapters.stores.sqlite.store import SqliteStore
from driven.service.event_store import log_digest
from driven.service.intake import draft
from driven.service.registry import build_registry
from driven.testing.simulation import Simulation
from log_checks import check_accepted, check_file

PROGRAM = Path(__file__).with_name("endless_census.py")
SURVEYED = ("asyncio", "email", "http", "json", "unittest", "xml")
"""Folders of the standard library with some hundred files."""

LONGEST_START_S = 1.0
"""Of a bus that is to be killed while it starts or recovers, perhaps."""
LONGEST_LIFE_S = 2.0
"""Of one that has gone on with a survey."""
LONGEST_PAUSE_S = 0.3
"""Between two deaths of workers."""
POLL_S = 0.02
PATIENCE_S = 600.0
"""For the last process, which comes to an end."""


class GaveUp(Exception):
    """A bus got no workers any more."""


class Report(msgspec.Struct):
    """What was done to a census."""

    bus_kills: int = 0
    worker_kills: int = 0
    gave_up: int = 0
    """Buses that stopped by themselves, as several workers in a row were killed before they were ready."""
    surveys: int = 0
    messages: int = 0


def kill_census(folder: Path, *, seed: int, kills: int) -> Report:
    """Kill until it is enough, let it come to its end, and check the log; AssertionError where it is not whole."""
    chance, report = random.Random(seed), Report()
    for one in SURVEYED:
        source = Path(os.__file__).parent / one
        shutil.copytree(source, folder / "tree" / one, ignore=shutil.ignore_patterns("__pycache__"))
    while report.bus_kills + report.worker_kills < kills:
        with started(folder) as process:
            try:
                live(process, chance, report, folder / "output")
            except GaveUp:
                report.gave_up += 1
            else:
                process.kill()
                report.bus_kills += 1
                _, complaint = process.communicate(timeout=PATIENCE_S)
                assert process.returncode == -9, complaint
            check_accepted(folder / "driven.db", accepted_by(folder))
    (folder / "enough").touch()
    with started(folder) as process:
        _, complaint = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, complaint
    check(folder, report)
    return report


def accepted_by(folder: Path) -> list[tuple[str, int]]:
    """Ids and positions of the surveys of which it was said that they were accepted."""
    lines = (line.split() for line in (folder / "output").read_text("ascii").splitlines())
    return [(command_id, int(position)) for _, command_id, position in lines]


def started(folder: Path) -> subprocess.Popen[str]:
    """One more process; what it says is put behind what those before it said."""
    source = Path(sys.modules["driven"].__file__ or "").parents[1]
    path = os.pathsep.join([str(PROGRAM.parent), str(source), *sys.path])
    with (folder / "output").open("a", encoding="ascii") as output:
        return subprocess.Popen(
            [sys.executable, PROGRAM, str(folder)],
            env={**os.environ, "PYTHONPATH": path},
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
        )


def live(process: subprocess.Popen[str], chance: random.Random, report: Report, output: Path) -> None:
    """Some of the life of a bus: of its start, or of its work, while its workers die."""
    if chance.random() < 0.3:
        wait(process, chance.uniform(0.0, LONGEST_START_S))
        return
    said = output.stat().st_size
    while output.stat().st_size == said:
        wait(process, POLL_S)
    left_s = chance.uniform(0.0, LONGEST_LIFE_S)
    while left_s > 0:
        pause_s = min(left_s, chance.uniform(0.0, LONGEST_PAUSE_S))
        left_s -= pause_s
        wait(process, pause_s)
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(process.pid).children()
            workers = [one for one in children if "driven_worker" in one.cmdline()]  # not whoever unlinks segments
            if workers and left_s > 0:
                chance.choice(workers).kill()
                report.worker_kills += 1


def wait(process: subprocess.Popen[str], seconds: float) -> None:
    """Let a process go on; GaveUp when it gets no workers, and that is the only way in which it ends by itself."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
        _, complaint = process.communicate()
        assert "in a row did not get ready" in complaint, complaint
        raise GaveUp


def check(folder: Path, report: Report) -> None:
    """The log is whole, and that of the same surveys on a bus without workers that nobody kills."""
    check_accepted(folder / "driven.db", accepted_by(folder))
    check_file(folder / "driven.db")
    store = SqliteStore(folder / "driven.db")
    store.open()
    with closing(store):
        report.messages = store.last_position
        digest, log_id = log_digest(store), store.log_id
    report.surveys = int((folder / "settled").read_text("ascii"))
    alone = MemoryStore(log_id)
    registry = build_registry(census.app.app)
    simulation = Simulation(registry, workers=0, seed=0, store=alone)
    simulation.begin(())
    for number in range(1, report.surveys + 1):
        command = StartSurvey(f"s{number}", str(folder / "tree"))
        simulation.conductor.reception.command(draft(registry, command), f"s{number}")
        simulation.go_on()
    assert digest == log_digest(alone)
