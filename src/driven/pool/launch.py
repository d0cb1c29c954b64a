"""How a worker is started: the command line, the environment, and where the program is found.

Pure functions of this interpreter's own state, read each time a worker starts; the pool's thread calls them.

A worker is the same interpreter with the same options: ``-O``, ``-W`` and ``-X`` change what code does, and a command
must do the same wherever it runs (O6). It is given its import path in its assignment, so the environment only has
to help it to its first import.
"""

from __future__ import annotations

import importlib.util
import os
import site
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from driven.errors import WorkersUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM: Final = "driven_worker"

THREAD_COUNTS: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""What numeric libraries read when they are imported (W10)."""


def command_line(assignment: str) -> list[str]:
    """Start the program by its name, with `assignment` as its only argument.

    Raises:
        WorkersUnavailable: there is no interpreter to start, as in a program that embeds Python.

    """
    if not sys.executable:
        raise WorkersUnavailable("sys.executable is empty; set it to the path of a Python interpreter")
    return [sys.executable, *interpreter_options(), "-m", PROGRAM, assignment]


def interpreter_options() -> list[str]:
    """The options of this interpreter that change what code does, and ``-P``: the current folder hides no module."""
    flags = sys.flags
    counts = {
        "b": flags.bytes_warning,
        "B": flags.dont_write_bytecode,
        "O": flags.optimize,
        "s": flags.no_user_site,
        "S": flags.no_site,
    }
    options = ["-P", *(f"-{letter * count}" for letter, count in counts.items() if count)]
    for option in sys.warnoptions:
        options += ["-W", option]
    for name, value in sys._xoptions.items():  # noqa: SLF001 - documented under this name
        options += ["-X", name if value is True else f"{name}={value}"]
    return options


def worker_environment(environ: Mapping[str, str], blas_threads: int) -> dict[str, str]:
    """The environment of a worker: ours, numeric libraries capped unless the user did so, and the way to the program.

    Raises:
        WorkersUnavailable: the program is nowhere on the import path.

    """
    environment = dict.fromkeys(THREAD_COUNTS, str(blas_threads)) | dict(environ)
    if sys.flags.ignore_environment:  # -E or -I: what Python is told by its environment does not count here
        environment = {name: value for name, value in environment.items() if not name.startswith("PYTHON")}
    path = [place for place in environment.get("PYTHONPATH", "").split(os.pathsep) if place]
    root = str(program_root())
    if root not in (*path, *_searched_anyway()):
        environment["PYTHONPATH"] = os.pathsep.join([root, *path])
    return environment


def program_root() -> Path:
    """The folder in which the program's package is.

    Raises:
        WorkersUnavailable: it is nowhere on the import path.

    """
    found = importlib.util.find_spec(PROGRAM)
    if found is None or not found.submodule_search_locations:
        raise WorkersUnavailable(
            f"the package {PROGRAM} is not on the import path; install driven-bus, "
            f"or in a checkout put both src and workers on PYTHONPATH"
        )
    return Path(found.submodule_search_locations[0]).absolute().parent


def _searched_anyway() -> list[str]:
    """Where an interpreter looks without being told. In PYTHONPATH, these would come before the standard library."""
    return [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
