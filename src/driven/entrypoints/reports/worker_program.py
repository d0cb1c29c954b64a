"""Whether workers can be started here, and how their ends are noticed."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Final

from driven.entrypoints.reports.finding import Finding
from driven.errors import WorkersUnavailable
from driven.pool.launch import PROGRAM, command_line, program_root, worker_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from driven.entrypoints.reports.finding import Machine

NOT_CALLED_BY_A_POOL: Final = 2
"""Exit code of the worker program when it is given no assignment."""

START_TIMEOUT_S: Final = 30.0
"""A program that has nothing to do and takes longer than this does not start."""


def worker_program(machine: Machine) -> Iterator[Finding]:
    """Start the program without an assignment, which ends it at once; and ask for a pidfd."""
    yield _program(machine.environ)
    yield _pidfd()


def _program(environ: Mapping[str, str]) -> Finding:
    try:
        folder, command = program_root(), command_line("")[:-1]
        _start(command, worker_environment(environ, 1))
    except (WorkersUnavailable, OSError, subprocess.SubprocessError) as error:
        return Finding(
            topic="workers",
            name="worker_program",
            verdict="problem",
            summary=getattr(error, "reason", None) or f"{PROGRAM} cannot be started: {error}",
            remedy="pip install --force-reinstall driven-bus; until then set [workers] count = 0",
            facts={"start_method": "program by name", "program": PROGRAM, "folder": None, "command": None},
        )
    return Finding(
        topic="workers",
        name="worker_program",
        verdict="ok",
        summary=f"a program started by name, python -m {PROGRAM}, from {folder}",
        facts={
            "start_method": "program by name",
            "program": PROGRAM,
            "folder": str(folder),
            "command": " ".join(command),
        },
    )


def _start(command: Sequence[str], environment: dict[str, str]) -> None:
    """Start it and wait for its end.

    Raises:
        WorkersUnavailable: it ended otherwise than it should, with the last line that it wrote.
        OSError, subprocess.SubprocessError: it did not start, or did not end.

    """
    ended = subprocess.run(  # noqa: S603 - this interpreter, with our own program
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=START_TIMEOUT_S,
        check=False,
    )
    if ended.returncode != NOT_CALLED_BY_A_POOL:
        last_line = "".join(ended.stderr.strip().splitlines()[-1:]) or "nothing"
        raise WorkersUnavailable(f"{PROGRAM} ended with exit code {ended.returncode} and said: {last_line}")


def _pidfd() -> Finding:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError) as error:  # macOS, an old kernel, a sandbox that forbids it
        return Finding(
            topic="workers",
            name="pidfd",
            verdict="note",
            summary=f"not to be had ({getattr(error, 'strerror', None) or 'not on this system'}); "
            f"the pool looks after its workers by turns, and notices an end some milliseconds later",
            remedy="allow pidfd_open(2), Linux 5.3 or later, where a sandbox forbids it",
            facts={"is_available": False},
        )
    return Finding(
        topic="workers",
        name="pidfd",
        verdict="ok",
        summary="tells the pool at once when a worker has died",
        facts={"is_available": True},
    )
