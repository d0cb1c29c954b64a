"""The contender ``bare-bus``: the least that can be called a bus in strict order, over bare rings with a CRC-32.

A command gets a position and a future; answers wait for those before them; futures are settled in the order of
positions, in an event loop. Nothing is logged, checked, keyed, retried, timed, counted or bounded.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from zlib import crc32

from driven.entrypoints.bench.bare.crew import MOST_HELD, crew
from driven.entrypoints.bench.bare.worker import TASKS, BareTask, decode_answer, encode
from driven.entrypoints.bench.contenders.port import Trips
from driven.program import new_event_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from driven.entrypoints.bench.bare.crew import Hand
    from driven.entrypoints.bench.contenders.port import Argument, Task

TICK_S: Final = 0.05
"""What a lost wake-up costs."""


class BareBus:
    """Lives in one event loop, from `start` to `stop`."""

    def __init__(self, hands: Sequence[Hand]) -> None:
        """Nothing was submitted yet."""
        self._hands: Final = hands
        self._position = 0
        self._waiting: Final[deque[bytes]] = deque()
        self._futures: Final[deque[asyncio.Future[bytes | None]]] = deque()
        self._retired = 0
        self._early: Final[dict[int, bytes | None]] = {}
        self._is_sending_due = False
        self._tick: asyncio.TimerHandle
        self._loop: asyncio.AbstractEventLoop

    def start(self) -> None:
        """Listen, in the running event loop."""
        self._loop = asyncio.get_running_loop()
        for hand in self._hands:
            self._loop.add_reader(hand.answers_bell, self._on_bell, hand)
            hand.answers.sleep()
        self._tick = self._loop.call_later(TICK_S, self._on_tick)

    def stop(self) -> None:
        """Listen no more."""
        self._tick.cancel()
        for hand in self._hands:
            self._loop.remove_reader(hand.answers_bell)

    def submit(self, kind: int, argument: Argument) -> asyncio.Future[bytes | None]:
        """Give a command its position; the future has its answer when all before it have theirs."""
        self._position += 1
        self._waiting.append(encode(BareTask(self._position, kind, argument)))
        future: asyncio.Future[bytes | None] = self._loop.create_future()
        self._futures.append(future)
        if len(self._futures) == 1:
            self._send()
        elif not self._is_sending_due:
            self._is_sending_due = True
            self._loop.call_soon(self._send)
        return future

    def _send(self) -> None:
        self._is_sending_due = False
        waiting = self._waiting
        for hand in self._hands:
            while waiting and hand.held < MOST_HELD and hand.tasks.write(waiting[0], crc32(waiting[0])):
                waiting.popleft()
                hand.held += 1
            hand.ring()

    def _on_bell(self, hand: Hand) -> None:
        os.eventfd_read(hand.answers_bell)
        self._drain(hand)

    def _on_tick(self) -> None:
        self._tick = self._loop.call_later(TICK_S, self._on_tick)
        for hand in self._hands:
            self._drain(hand)

    def _drain(self, hand: Hand) -> None:
        """Take all answers, retire what can retire, and send on."""
        hand.answers.wake()
        read, early = hand.answers.read, self._early
        while True:
            while (record := read()) is not None:
                body, check = record
                if crc32(body) != check:
                    raise ValueError("an answer that arrived in pieces")
                answer = decode_answer(body)
                early[answer.number] = answer.value
                hand.held -= 1
            hand.answers.sleep()
            if hand.answers.is_empty:
                break
            hand.answers.wake()
        futures = self._futures
        while (head := self._retired + 1) in early:
            self._retired = head
            futures.popleft().set_result(early.pop(head))
        if self._waiting:
            self._send()


class BareBusSession:
    """A bare bus in the loop of this thread; the loop runs only while something is asked of it."""

    def __init__(self, bus: BareBus, runner: asyncio.Runner) -> None:
        """`bus` was started in the loop of `runner`."""
        self._bus: Final = bus
        self._runner: Final = runner

    def flood(self, task: Task, arguments: Sequence[Argument]) -> None:
        """Submit all, then wait for each."""
        self._runner.run(self._flood(TASKS.index(task), arguments))

    def trips(self, task: Task, argument: Argument, count: int) -> Trips:
        """Submit one and wait for it, within one run of the loop."""
        return self._runner.run(self._trips(TASKS.index(task), argument, count))

    async def _flood(self, kind: int, arguments: Sequence[Argument]) -> None:
        submit = self._bus.submit
        for future in [submit(kind, argument) for argument in arguments]:
            await future

    async def _trips(self, kind: int, argument: Argument, count: int) -> Trips:
        durations: list[int] = []
        answer = None
        clock = time.perf_counter_ns
        for _ in range(count):
            began = clock()
            answer = await self._bus.submit(kind, argument)
            durations.append(clock() - began)
        return Trips(durations, answer)


async def _calling(function: Callable[[], None]) -> None:
    """Call something inside the loop."""
    function()


@contextmanager
def open_bare_bus(workers: int) -> Iterator[BareBusSession]:
    """With so many workers."""
    with crew(workers, checks=True) as hands, asyncio.Runner(loop_factory=new_event_loop) as runner:
        bus = BareBus(hands)
        runner.run(_calling(bus.start))
        try:
            yield BareBusSession(bus, runner)
        finally:
            runner.run(_calling(bus.stop))
