"""The interpreter and the libraries that Driven stands on: versions, the GIL, and what is known to be wrong there."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import sys
import sysconfig
from typing import TYPE_CHECKING, Final

from driven.entrypoints.reports.finding import Finding
from driven.pool.kinds import is_gil_enabled

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUIRED: Final = ("msgspec", "dishka", "psutil")
"""Without these Driven does not work."""

WAL_RESET_BUG: Final = ((3, 7, 0), (3, 51, 2))
"""First and last SQLite in which two connections that write or checkpoint at once can damage a WAL database.
Source: sqlite.org/wal.html, "The WAL-Reset Bug"."""

_ONE_CONNECTION: Final = "Driven writes and checkpoints through one connection, which keeps clear of it"
_MEMORY_ONLY: Final = "a log in memory needs none, but a store sqlite:// cannot be opened"


def interpreter() -> Iterator[Finding]:
    """Look at Python itself; the libraries are imported first, as one of them may turn the GIL on."""
    libraries_found = list(libraries())
    yield _python()
    yield _gil()
    yield from libraries_found


def libraries() -> Iterator[Finding]:
    """Look at each library that the core uses."""
    for name in REQUIRED:
        yield _required(name)
    yield _uvloop()
    yield _sqlite()


def _python() -> Finding:
    implementation, version = platform.python_implementation(), platform.python_version()
    is_cpython = implementation == "CPython"
    return Finding(
        topic="python",
        name="python",
        verdict="ok" if is_cpython else "note",
        summary=f"{implementation} {version} on {platform.system()} {platform.release()}, {platform.machine()}",
        remedy="" if is_cpython else "use CPython; Driven is tested with nothing else",
        facts={
            "implementation": implementation,
            "version": version,
            "executable": sys.executable,
            "system": platform.system(),
            "machine": platform.machine(),
        },
    )


def _gil() -> Finding:
    is_free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    return gil_finding(is_free_threaded_build=is_free_threaded, is_gil_enabled=is_gil_enabled())


def gil_finding(*, is_free_threaded_build: bool, is_gil_enabled: bool) -> Finding:
    """What the build of Python and the state of its GIL mean together."""
    if not is_free_threaded_build:
        summary, remedy = (
            "on, as in every build that is not free-threaded; workers are processes, unless the settings say otherwise",
            "",
        )
    elif is_gil_enabled:
        summary = "on, in a free-threaded build: an extension module that needs it turned it on, or PYTHON_GIL did"
        remedy = "run with -W default to see which module it was; unset PYTHON_GIL, or use the usual build"
    else:
        summary, remedy = "off, free-threaded build; workers are threads, unless the settings say otherwise", ""
    return Finding(
        topic="python",
        name="gil",
        verdict="note" if remedy else "ok",
        summary=summary,
        remedy=remedy,
        facts={"is_free_threaded_build": is_free_threaded_build, "is_enabled": is_gil_enabled},
    )


def _required(name: str) -> Finding:
    version, fault = _imported(name)
    return Finding(
        topic="libraries",
        name=name,
        verdict="problem" if fault else "ok",
        summary=fault or version,
        remedy="pip install --force-reinstall driven-bus" if fault else "",
        facts={"version": version or None},
    )


def _uvloop() -> Finding:
    version, fault = _imported("uvloop")
    return Finding(
        topic="libraries",
        name="uvloop",
        verdict="note" if fault else "ok",
        summary=f"{fault}; asyncio's own event loop does the work, more slowly" if fault else version,
        remedy="pip install uvloop, where there is one for this platform" if fault else "",
        facts={"version": version or None},
    )


def _sqlite() -> Finding:
    # By name, like the libraries: some builds of Python come without it.
    try:
        version = str(importlib.import_module("sqlite3").sqlite_version)
    except ImportError as error:
        return Finding(
            topic="libraries",
            name="sqlite",
            verdict="note",
            summary=f"cannot be imported ({error}); {_MEMORY_ONLY}",
            facts={"version": None, "has_wal_reset_bug": None},
        )
    return sqlite_finding(version)


def sqlite_finding(version: str) -> Finding:
    """This version of SQLite, and whether it could damage a database."""
    first, last = WAL_RESET_BUG
    has_bug = first <= tuple(int(part) for part in version.split(".")) <= last
    return Finding(
        topic="libraries",
        name="sqlite",
        verdict="note" if has_bug else "ok",
        summary=f"{version}, which has the WAL-reset bug; {_ONE_CONNECTION}" if has_bug else version,
        facts={"version": version, "has_wal_reset_bug": has_bug},
    )


def _imported(name: str) -> tuple[str, str]:
    """Import a library; return its version and nothing, or nothing and what is wrong with it."""
    try:
        importlib.import_module(name)
        return importlib.metadata.version(name), ""
    except ImportError as error:
        return "", f"cannot be imported ({error})"
