"""The process around a worker: import path, signals, tracebacks, output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from driven_worker.__main__ import NOT_CALLED_BY_A_POOL, import_as_the_bus_does, main, write_lines_at_once

if TYPE_CHECKING:
    from pathlib import Path


def run(program: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a program in an interpreter of its own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-c", program],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )


def test_whoever_types_the_command_is_told_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """Style: an error ends in the remedy."""
    assert main([]) == NOT_CALLED_BY_A_POOL
    assert "open a bus instead" in capsys.readouterr().err


@pytest.mark.parametrize("python_path", [None, "/of/the/user"])
def test_a_worker_finds_what_the_bus_finds(python_path: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """W1: the bus's import path in place, the user's PYTHONPATH for what handlers start."""
    monkeypatch.setattr(sys, "path", ["/of/the/worker"])
    monkeypatch.setenv("PYTHONPATH", "/of/the/pool")

    import_as_the_bus_does(["", "/of/the/bus"], python_path)

    assert sys.path == ["", "/of/the/bus"]
    assert os.environ.get("PYTHONPATH") == python_path


def test_signals_are_not_taken_up_from_the_bus() -> None:
    """P5: ignored and blocked ones are restored, and SIGINT is left to the bus."""
    told = run(
        "import signal as s\n"
        "s.signal(s.SIGHUP, s.SIG_IGN); s.signal(s.SIGCHLD, s.SIG_IGN); s.pthread_sigmask(s.SIG_BLOCK, {s.SIGTERM})\n"
        "from driven_worker.__main__ import restore_signals; restore_signals()\n"
        "print(s.getsignal(s.SIGHUP).name, s.getsignal(s.SIGCHLD).name, s.getsignal(s.SIGINT).name)\n"
        "print(len(s.pthread_sigmask(s.SIG_BLOCK, ())))\n"
    )

    assert told.stdout.split() == ["SIG_DFL", "SIG_DFL", "SIG_IGN", "0"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGSEGV])
def test_where_it_was_when_it_died_is_kept(number: signal.Signals, tmp_path: Path) -> None:
    """P14: of a crash and of the SIGTERM of a timeout; then the signal does what it does."""
    kept = tmp_path / "kept"
    program = (
        f"import os; descriptor = os.open({str(kept)!r}, os.O_RDWR | os.O_CREAT)\n"
        "from driven_worker.__main__ import keep_tracebacks; keep_tracebacks(descriptor)\n"
        "def at_this_place(): os.kill(os.getpid(), %d)\n"
        "at_this_place()\n" % number
    )

    ended = run(program)

    assert ended.returncode == -number
    assert "in at_this_place" in kept.read_text("utf-8")


def test_a_worker_without_standard_output_does_without() -> None:
    """W6: a bus that was started as a service may have none."""
    write_lines_at_once([None])
