"""``python -m driven_worker <assignment>``: a worker process, from its first line to its exit code.

The assignment is JSON, written by the pool (`driven.wire.Assignment`). Before anything is imported that takes time,
the process makes sure that it dies with its bus; before anything is imported that could be found elsewhere, its
import path is made that of the bus. Only then comes the rest of the program. It lives until the bus stops it, kills it,
or dies.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, TextIO

from driven_worker.lifeline import die_with_bus

if TYPE_CHECKING:
    from collections.abc import Iterable

NOT_CALLED_BY_A_POOL = 2
"""Exit code for whoever types the command."""


def main(arguments: list[str]) -> int:
    """Be a worker; return the exit code of the process: 0 when told to stop, 1 when unfit."""
    if len(arguments) != 1:
        sys.stderr.write("driven_worker is a part of Driven that a bus starts by itself; open a bus instead\n")
        return NOT_CALLED_BY_A_POOL
    early = json.loads(arguments[0])
    die_with_bus(early["liveness_descriptor"], early["bus_pid"])
    keep_tracebacks(early["fault_descriptor"])
    restore_signals()
    import_as_the_bus_does(early["import_path"], early["python_path"])
    write_lines_at_once((sys.stdout, sys.stderr))
    from driven_worker.process import work  # noqa: PLC0415 - to be found on the path that was set just now

    return work(arguments[0])


def keep_tracebacks(descriptor: int) -> None:
    """Write the stacks of all threads there when the process dies of a signal, SIGTERM of a timeout included (P14).

    The traceback is written inside the signal handler, so it works while C code holds the interpreter; then
    the signal does what it does by default.
    """
    os.set_inheritable(descriptor, False)
    faulthandler.enable(descriptor, all_threads=True)
    faulthandler.register(signal.SIGTERM, descriptor, all_threads=True, chain=True)


def restore_signals() -> None:
    """Take up nothing that the bus's process ignored or blocked; leave SIGINT to the bus (P5)."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


def import_as_the_bus_does(import_path: Iterable[str], python_path: str | None) -> None:
    """Find the same modules as the bus; give what handlers start the PYTHONPATH that the user set, not the pool's."""
    sys.path[:] = import_path
    if python_path is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = python_path


def write_lines_at_once(streams: Iterable[TextIO | None]) -> None:
    """Let what handlers print come out line by line: a worker that is killed flushes nothing."""
    for stream in streams:
        if stream is not None:  # where the bus's process has none
            stream.reconfigure(line_buffering=True)  # type: ignore[attr-defined]  # the standard streams have it


if __name__ == "__main__":
    assignment, sys.argv[1:] = sys.argv[1:], []  # a handler that looks at the command line finds none of ours
    sys.exit(main(assignment))
