"""Who gets a call: the desk over real channels, whose workers nobody plays."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest

from driven.executor.call_link import Call, CallLink
from driven.executor.desk import BUDGET_NS, Desk
from driven.ring.channel import Channel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.pool.worker import Worker


class Somebody(NamedTuple):
    """What the desk asks of a worker."""

    worker_id: int
    channel: Channel


class Office:
    """A desk and workers that are ready and idle."""

    def __init__(self, workers: int) -> None:
        self.desk = Desk(workers, None)
        self.desk.hired = workers
        for number in range(workers):
            link = CallLink(cast("Worker", Somebody(number, Channel.create(1 << 16))))
            link.is_ready = link.is_open = True
            self.desk.links[number] = link
            self.desk._idle.append(link)  # noqa: SLF001 - where a worker that says HELLO is put

    def accept(self, name: str) -> Call:
        """Have a call taken."""
        number = next(self.desk.numbers)
        future: Future[Any] = Future()
        call = Call(number, future, name, b"x" * 100)
        self.desk.accept(call)
        return call

    def learn(self, name: str, elapsed_ns: int) -> None:
        """Have it known how long such a call takes."""
        self.desk._estimates.learn(name, elapsed_ns)  # noqa: SLF001 - what a result does

    def lying(self) -> list[int]:
        """How many calls each worker has."""
        return [len(link.in_flight) for link in self.desk.links.values()]


@pytest.fixture
def office() -> Iterator[Office]:
    """Two workers."""
    made = Office(2)
    yield made
    for link in made.desk.links.values():
        link.channel.close()


def test_idle_workers_come_first(office: Office) -> None:
    """D5: no call lies behind another while a worker has nothing to do."""
    office.learn("short", 1_000)

    for _ in range(2):
        office.accept("short")

    assert office.lying() == [1, 1]


def test_nothing_lies_behind_a_call_that_nobody_knows(office: Office) -> None:
    """D7: it may take for ever; a short one goes behind a short one."""
    office.learn("short", 1_000)

    office.accept("unknown")
    for _ in range(5):
        office.accept("short")

    assert sorted(office.lying()) == [1, 5]


def test_a_call_that_is_not_known_to_be_short_waits(office: Office) -> None:
    """D7: where it can still be cancelled."""
    office.learn("long", 2 * BUDGET_NS)

    calls = [office.accept(name) for name in ("long", "unknown", "long", "unknown")]

    assert office.lying() == [1, 1]
    assert [call.future.cancel() for call in calls] == [False, False, True, True]


def test_no_more_lies_in_a_ring_than_should_be_done_in_time(office: Office) -> None:
    """Credit is time: each worker is given as much as the budget holds, evenly."""
    office.learn("short", BUDGET_NS // 10)

    for _ in range(100):
        office.accept("short")

    low, high = sorted(office.lying())
    assert high - low <= 1
    assert 5 <= high <= 11
    assert len(office.desk.waiting) == 100 - low - high
