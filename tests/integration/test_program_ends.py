"""A program is told to end by signal: in stages, by one deadline, and at once when told twice (P5, P6, X4)."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from leftovers import still_running

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]

PATIENCE_S = 60.0

WITH_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "endless_program", sys.argv[1]])
"""
"""Makes standard input the controlling terminal, so that ^C reaches the foreground group, as at a keyboard."""


class Program:
    """The endless program, running."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        ready, *pids = process.stdout.readline().split()
        assert ready == "READY", process.communicate()
        self.worker_pids = [int(pid) for pid in pids]

    def until_line(self, part: str) -> None:
        """Wait until it has printed a line with this in it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if part in line:
                return
        raise AssertionError(self.process.communicate())

    def end(self) -> tuple[list[str], str]:
        """What came of its commands, and what it logged; it wrote no errors, and left no process behind."""
        output, errors = self.process.communicate(timeout=PATIENCE_S)
        assert errors == ""
        assert still_running(self.worker_pids, PATIENCE_S) == []
        *log, outcomes = output.splitlines()
        return json.loads(outcomes), "\n".join(log)


@contextlib.contextmanager
def program(*interpreter: str, stdin: Any = subprocess.DEVNULL, **plan: Any) -> Iterator[Program]:  # noqa: ANN401
    """Start it in a session of its own, and see to it that it ends."""
    places = [ROOT / "src", ROOT / "workers", ROOT / "tests" / "applications"]
    process = subprocess.Popen(
        [sys.executable, *(interpreter or ("-m", "endless_program")), json.dumps(plan)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield Program(process)
        finally:
            process.kill()


@contextlib.contextmanager
def program_at_a_terminal(**plan: Any) -> Iterator[tuple[Program, int]]:  # noqa: ANN401
    """The same with a terminal of its own, and the keyboard's end of that."""
    keyboard, terminal = pty.openpty()
    try:
        with program("-c", WITH_TERMINAL, stdin=terminal, **plan) as running:
            yield running, keyboard
    finally:
        os.close(keyboard)
        os.close(terminal)


def computed(number: int) -> list[str]:
    """What comes of so many commands when all goes well."""
    return [f"computed {done}" for done in range(number)]


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param({}, id="idle"),
        pytest.param({"workers": 0}, id="without workers"),
        pytest.param({"commands": 50, "seconds": 0.001}, id="short commands"),
        pytest.param({"commands": 4, "seconds": 0.5}, id="commands that take a while"),
        pytest.param({"commands": 300, "padding": 900, "ring_bytes": 4_096}, id="full rings"),
    ],
)
def test_sigterm_drains_what_was_accepted(plan: dict[str, Any]) -> None:
    """P6, X4: every accepted command is carried out, then the program exits as by the signal, quietly."""
    with program(**plan) as running:
        running.process.send_signal(signal.SIGTERM)
        outcomes, _ = running.end()

    assert outcomes == computed(plan.get("commands", 0))
    assert running.process.returncode == 128 + signal.SIGTERM


def test_sigterm_drains_around_a_dead_worker() -> None:
    """P6, D8: a worker that died just before is replaced while the bus drains; its command goes elsewhere."""
    with program(commands=6, seconds=0.3) as running:
        os.kill(running.worker_pids[0], signal.SIGKILL)
        running.process.send_signal(signal.SIGTERM)
        outcomes, _ = running.end()

    assert outcomes == computed(6)
    assert running.process.returncode == 128 + signal.SIGTERM


def test_what_outlasts_the_deadline_is_given_up_with_a_typed_failure() -> None:
    """P6: one deadline for all; each command has exactly one outcome, and workers that compute on are ended."""
    with program(commands=3, seconds=50.0, drain_timeout_s=0.3) as running:
        running.process.send_signal(signal.SIGTERM)
        outcomes, log = running.end()

    assert outcomes == ["given up"] * 3
    assert running.process.returncode == 128 + signal.SIGTERM
    assert "Closing gives up after 0.3 s with 3 messages unretired." in log


def test_a_program_that_goes_on_submitting_ends_all_the_same() -> None:
    """X4: its next submit finds the bus closed, which cuts the draining of the others short by nothing."""
    with program(commands=4, seconds=0.3, keeps_submitting=True) as running:
        running.process.send_signal(signal.SIGTERM)
        outcomes, _ = running.end()

    assert outcomes[:4] == computed(4)
    assert "given up" not in outcomes
    assert running.process.returncode == 128 + signal.SIGTERM


def test_one_interrupt_from_the_keyboard_drains() -> None:
    """P5: ^C in a terminal reaches the program and none of its workers; no traceback, the exit code of SIGINT."""
    with program_at_a_terminal(commands=6, seconds=0.2) as (running, keyboard):
        os.write(keyboard, b"\x03")
        outcomes, _ = running.end()

    assert outcomes == computed(6)
    assert running.process.returncode == 128 + signal.SIGINT


def test_two_interrupts_stop_at_once() -> None:
    """P5, X4: the second ^C waits for nothing: neither for the deadline nor for what workers compute."""
    with program_at_a_terminal(commands=3, seconds=50.0, drain_timeout_s=1_000.0) as (running, keyboard):
        os.write(keyboard, b"\x03")
        running.until_line("no more commands are taken")
        os.write(keyboard, b"\x03")
        outcomes, _ = running.end()

    assert outcomes == ["given up"] * 3
    assert running.process.returncode == 128 + signal.SIGINT


def test_two_signals_stop_a_bus_that_a_handler_keeps_busy() -> None:
    """P5: a handler on the bus thread lets nobody hear the first signal; the second interrupts it."""
    with program(workers=0, is_occupied=True) as running:
        running.until_line("OCCUPIED")
        running.process.send_signal(signal.SIGTERM)
        running.until_line("TOLD")
        running.process.send_signal(signal.SIGTERM)
        outcomes, _ = running.end()

    assert outcomes == []
    assert running.process.returncode == 128 + signal.SIGTERM
