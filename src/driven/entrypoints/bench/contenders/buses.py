"""Driven's own contenders: the ordered bus with workers, in keyed order, and without workers."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal

import driven
from driven.bootstrap import open_bus
from driven.entrypoints.bench.application import Compute, DoNothing, Echo, Echoed, app
from driven.entrypoints.bench.contenders.port import Contender, Task, Trips
from driven.program import new_event_loop
from driven.settings import BusSettings, Settings, WorkerSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from driven import CommandOutcome, MessageBus
    from driven.domain.messages import Command
    from driven.entrypoints.bench.contenders.port import Argument, Opener

COMMANDS: Final[dict[Task, Callable[[Any], Command]]] = {
    Task.NOTHING: DoNothing,
    Task.COMPUTE: Compute,
    Task.ECHO: Echo,
}


class BusSession:
    """A bus in the loop of this thread; the loop runs only while something is asked of it."""

    def __init__(self, bus: MessageBus, runner: asyncio.Runner) -> None:
        """`bus` was opened in the loop of `runner`."""
        self._bus: Final = bus
        self._runner: Final = runner

    def flood(self, task: Task, arguments: Sequence[Argument]) -> None:
        """Submit all, then wait for each."""
        self._runner.run(self._flood(COMMANDS[task], arguments))

    def trips(self, task: Task, argument: Argument, count: int) -> Trips:
        """Handle one, again and again, within one run of the loop."""
        return self._runner.run(self._trips(COMMANDS[task], argument, count))

    async def _flood(self, make: Callable[[Any], Command], arguments: Sequence[Argument]) -> None:
        receipts = await self._bus.submit_all(make(argument) for argument in arguments)
        for receipt in receipts:
            await receipt.handled()

    async def _trips(self, make: Callable[[Any], Command], argument: Argument, count: int) -> Trips:
        durations: list[int] = []
        answer = None
        clock = time.perf_counter_ns
        for _ in range(count):
            began = clock()
            answer = _answer(await self._bus.handle(make(argument)))
            durations.append(clock() - began)
        return Trips(durations, answer)


def _answer(outcome: CommandOutcome) -> bytes | None:
    for event in outcome.events:
        if isinstance(event, Echoed):
            return event.body
    return None


def _opener(ordering: Literal["strict", "keyed"], *, workers_at_most: int | None = None) -> Opener:
    @contextmanager
    def open_session(workers: int) -> Iterator[BusSession]:
        count = workers if workers_at_most is None else min(workers, workers_at_most)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            settings = Settings(bus=BusSettings(ordering=ordering), workers=WorkerSettings(count=count))
            opened = open_bus(app, settings)
            bus = runner.run(opened.__aenter__())
            try:
                yield BusSession(bus, runner)
            finally:
                runner.run(opened.__aexit__(None, None, None))

    return open_session


ORDERED: Final = Contender(
    key="bus",
    name="Driven bus, strict order",
    version=lambda: driven.__version__,
    open=_opener("strict"),
    remark="submit_all(), then await handled() on each receipt; the log is in memory",
    is_ours=True,
)
KEYED: Final = Contender(
    key="bus-keyed",
    name="Driven bus, keyed order",
    version=lambda: driven.__version__,
    open=_opener("keyed"),
    remark='as the strict bus, with [bus] ordering = "keyed"',
    is_ours=True,
)
INLINE: Final = Contender(
    key="inline",
    name="Driven bus, inline",
    version=lambda: driven.__version__,
    open=_opener("strict", workers_at_most=0),
    remark="as the strict bus, with [workers] count = 0; its peak is one core",
    is_ours=True,
    is_parallel=False,
)
