"""The port to whatever runs tasks elsewhere: how a contender is opened, and the two things that are done with it.

::

    Contender (a value: name, version, how to open)
        `- open(workers) -> Session, as a context manager; nothing of it is there after the block
               |- flood(task, arguments)         submit them all, one by one, then wait for each in turn
               `- trips(task, argument, count)   submit one and wait for it, again and again

Every session submits in a plain loop and waits in a plain loop: the benchmark itself costs all of them the same. A
contender is used the way in which its own documentation says.
"""

from __future__ import annotations

import enum
import importlib.metadata
import importlib.util
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from driven.entrypoints.bench import work

if TYPE_CHECKING:
    from collections.abc import Sequence


class Task(enum.Enum):
    """What is to be run elsewhere."""

    NOTHING = "nothing"
    COMPUTE = "compute"
    ECHO = "echo"


Argument: TypeAlias = int | bytes
"""A number of iterations, any number, or a body."""


FUNCTIONS: dict[Task, Callable[[Any], bytes | None]] = {
    Task.NOTHING: work.do_nothing,
    Task.COMPUTE: work.compute,
    Task.ECHO: work.echo,
}
"""The tasks as plain functions, for contenders that run those."""


class Trips(NamedTuple):
    """Round trips that were made."""

    durations_ns: list[int]
    answer: bytes | None
    """Of the last one."""


class Session(Protocol):
    """An open contender; used from the thread that opened it."""

    def flood(self, task: Task, arguments: Sequence[Argument]) -> None:
        """Run the task once per argument; return when all are done. Raises what a task raised."""

    def trips(self, task: Task, argument: Argument, count: int) -> Trips:
        """Run the task `count` times, each when the one before is done."""


Opener: TypeAlias = Callable[[int], AbstractContextManager[Session]]
"""Given how many workers."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A way to run tasks elsewhere."""

    key: str
    """What `--contenders` names."""
    name: str
    version: Callable[[], str]
    """Empty: it is not installed."""
    open: Opener
    remark: str = ""
    """How it is used, for the report."""
    is_ours: bool = False
    is_parallel: bool = True
    """False: it computes in the submitting process, so the peak is that of one core."""
    is_batched: bool = False
    """It puts many tasks into one message: a footnote, as a single task then waits for its whole batch."""
    is_bound: bool = False
    """It is nothing to use, but what bounds all that is made of the same: it takes part where that is the question."""
    start_s: float = 0.5
    """A first guess of what opening and closing cost, in seconds; after one visit it is known."""


def installed(distribution: str, module: str = "") -> Callable[[], str]:
    """A `version` that asks the installed distribution, if its module can be found."""

    def version() -> str:
        if importlib.util.find_spec(module or distribution) is None:
            return ""
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            return "unknown"

    return version


def timed(ask: Callable[[], bytes | None], count: int) -> Trips:
    """Make `count` round trips with a function that makes one."""
    durations: list[int] = []
    answer = None
    clock = time.perf_counter_ns
    for _ in range(count):
        began = clock()
        answer = ask()
        durations.append(clock() - began)
    return Trips(durations, answer)
