"""The contender ``bare-rings``: tasks into rings, answers out of rings, and not one promise beyond that."""

from __future__ import annotations

import os
import select
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from driven.entrypoints.bench.bare.crew import MOST_HELD, crew
from driven.entrypoints.bench.bare.worker import LONGEST_SLEEP_MS, TASKS, BareTask, decode_answer, encode
from driven.entrypoints.bench.contenders.port import Trips

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from driven.entrypoints.bench.bare.crew import Hand
    from driven.entrypoints.bench.contenders.port import Argument, Task


class PairSession:
    """Writes to whoever has room, and reads what there is; in any order."""

    def __init__(self, hands: Sequence[Hand]) -> None:
        """The workers are there, or will be."""
        self._hands: Final = hands
        self._poll: Final = select.poll()
        for hand in hands:
            self._poll.register(hand.answers_bell, select.POLLIN)
        self._answer: bytes | None = None

    def flood(self, task: Task, arguments: Sequence[Argument]) -> None:
        """Send all, as far as there is room, and take answers until all have come."""
        kind, left = TASKS.index(task), len(arguments)
        bodies = (encode(BareTask(number, kind, argument)) for number, argument in enumerate(arguments))
        body = next(bodies, b"")
        while left:
            before = left
            for hand in self._hands:
                while body and hand.held < MOST_HELD and hand.tasks.write(body):
                    hand.held += 1
                    body = next(bodies, b"")
                hand.ring()
                left -= self._taken(hand)
            if left == before:
                self._sleep()

    def trips(self, task: Task, argument: Argument, count: int) -> Trips:
        """Send one, and sleep until its answer is there."""
        hand, kind = self._hands[0], TASKS.index(task)
        durations: list[int] = []
        clock = time.perf_counter_ns
        for number in range(count):
            began = clock()
            hand.tasks.write(encode(BareTask(number, kind, argument)))
            hand.held += 1
            hand.ring()
            while not self._taken(hand):
                self._sleep()
            durations.append(clock() - began)
        return Trips(durations, self._answer)

    def _taken(self, hand: Hand) -> int:
        """Take what a worker has answered; how many there were."""
        count, read = 0, hand.answers.read
        while (record := read()) is not None:
            self._answer = decode_answer(record[0]).value
            count += 1
        hand.held -= count
        return count

    def _sleep(self) -> None:
        """Sleep until anybody has answered; a wake-up that was lost costs 50 ms."""
        for hand in self._hands:
            hand.answers.sleep()
        if all(hand.answers.is_empty for hand in self._hands):
            for descriptor, _ in self._poll.poll(LONGEST_SLEEP_MS):
                os.eventfd_read(descriptor)
        for hand in self._hands:
            hand.answers.wake()


@contextmanager
def open_pair(workers: int) -> Iterator[PairSession]:
    """With so many workers."""
    with crew(workers, checks=False) as hands:
        yield PairSession(hands)
