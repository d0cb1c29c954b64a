"""The kinds of worker: what each of them guarantees, which one a bus gets, and what worker threads refuse to promise.

::

    [workers] kind = "processes" ----------------------------------------------> processes
                     "threads" --- is anything asked that they cannot do?  yes -> the bus does not open
                                                                           no --> threads
                     "auto" ------ is the GIL on, now that all is imported,
                                   or anything asked that threads cannot?  yes -> processes
                                                                           no --> threads

Values and pure functions. The one look at the interpreter is taken when a bus opens, after the application was
imported: one extension module that does not declare itself safe without the GIL turns it on for the whole process.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from driven.errors import SettingsError
from driven.placement import Placement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from driven.bus.routing import Route
    from driven.settings import WorkerKind, WorkerSettings

Kind: TypeAlias = Literal["processes", "threads"]
"""What a worker is."""


class Guarantee(NamedTuple):
    """One row of the table of guarantees: what it is about, and what holds for either kind."""

    about: str
    processes: str
    threads: str


GUARANTEES: Final = (
    Guarantee(
        "Python code on several CPUs",
        "yes",
        "on free-threaded CPython; elsewhere only while handlers release the GIL",
    ),
    Guarantee(
        "order and log (O1 to O6)",
        "the same log as inline",
        "the same log as inline, if handlers share nothing that changes",
    ),
    Guarantee("timeouts (W5)", "kept: SIGTERM, a second later SIGKILL, to the process group", "refused at opening"),
    Guarantee(
        "a handler that never returns",
        "is killed when time is up",
        "is abandoned when the bus stops, and goes on until the process ends",
    ),
    Guarantee("a crash in C code", "ends one worker; its command is blamed", "ends the whole process, bus included"),
    Guarantee("raising, SystemExit, an outcome that cannot be encoded (W6)", "one command fails", "one command fails"),
    Guarantee("a loop that breaks (W3)", "blamed and replaced", "blamed and replaced"),
    Guarantee("memory limit of one worker (W5)", "kept", "refused at opening: memory is that of the process"),
    Guarantee(
        "recycling (P13)",
        "by count and by growth of memory; what handlers leak goes",
        "by count, which renews objects of scope APP; by growth it is refused at opening, and what handlers leak stays",
    ),
    Guarantee(
        "caps on numeric libraries (W10)",
        "set before anything is imported",
        "not set: the libraries are there already; set OMP_NUM_THREADS and the like for the program",
    ),
    Guarantee(
        "vanishing with the bus (W7)",
        "within 2 s, children included, also after SIGKILL",
        "at once; processes that handlers started are the program's to end",
    ),
    Guarantee("modules and bound values", "each worker has its own", "shared by all workers and the bus"),
    Guarantee("objects of scope APP", "one per worker", "one per worker"),
    Guarantee("context variables", "empty", "empty"),
    Guarantee("CPUs of a group", "the process is pinned", "the thread is pinned"),
    Guarantee("messages", "copied through the ring", "copied through the ring"),
    Guarantee("starting one", "an interpreter and all imports", "a thread; nothing is imported again"),
    Guarantee(
        "use it for",
        "anything; the default where there is a GIL",
        "handlers that are short or release the GIL, and large modules that are to be in memory once",
    ),
)
"""What holds for each kind of worker, as the reference shows it and the doctor prints it."""


def is_gil_enabled() -> bool:
    """Whether one thread at a time runs Python code in this process, as things are now."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def decided_kind(asked: WorkerKind, threads_cannot: Sequence[str]) -> Kind:
    """The kind that ``[workers] kind`` means in this process, as things are now, and for what is asked of workers.

    "auto" never takes a promise back: what only processes can do, it gives to processes.

    Raises:
        SettingsError: threads were asked for by name, and cannot do what is asked.

    """
    if asked == "threads" and threads_cannot:
        raise SettingsError("of this bus", threads_cannot)
    if asked == "auto":
        return "processes" if is_gil_enabled() or threads_cannot else "threads"
    return asked


def beyond_threads(routes: Mapping[str, Route], workers: WorkerSettings) -> list[str]:
    """What is asked for that worker threads cannot do, each with what to do instead; none if there is nothing.

    Args:
        routes: stable name of each command to its route.
        workers: the section ``[workers]``.

    """
    remedy = 'or set [workers] kind = "processes"'
    timed = [
        f"{name} has timeout_s = {route.timeout_s:g} (by {route.decided_by}), and worker threads cannot be killed; "
        f"drop timeout_s, {remedy}"
        for name, route in routes.items()
        if route.timeout_s is not None and route.placement is not Placement.INLINE
    ]
    bounds = {
        f"[workers] {name}": getattr(workers, name) for name in ("memory_limit_bytes", "recycle_after_growth_bytes")
    }
    bounds |= {
        f"[workers.groups.{name}] memory_limit_bytes": one.memory_limit_bytes for name, one in workers.groups.items()
    }
    measured = [
        f"{name} = {value} is for one worker's memory, and worker threads have none of their own; set it to 0, {remedy}"
        for name, value in bounds.items()
        if value
    ]
    return timed + measured
