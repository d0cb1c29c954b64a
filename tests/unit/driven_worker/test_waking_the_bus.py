"""When a worker wakes the bus: for each outcome while it has little to do, once for many while it has enough."""

from __future__ import annotations

import select
import threading
from typing import TYPE_CHECKING

import pytest

from driven import Application, Command, Placement
from driven.domain.messages import Envelope
from driven.ring.channel import Channel
from driven.service.execution import Execution
from driven.service.registry import build_registry
from driven.wire import RecordKind, Submission, encode
from driven_worker.commands import CommandWork
from driven_worker.loop import ENOUGH_NS, LONGEST_SILENCE_NS, Loop

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_MS = 10_000
SHORT_COMMAND_NS = 50_000
WAITING = 2 * ENOUGH_NS // SHORT_COMMAND_NS

app = Application("waking")
gate = threading.Event()


class Quick(Command):
    number: int


class Slow(Command):
    pass


@app.handles(Quick, placement=Placement.WORKER)
def be_quick(command: Quick) -> None:
    """Take no time."""


@app.handles(Slow, placement=Placement.WORKER)
def be_slow(command: Slow) -> None:
    """Take as long as the test likes."""
    gate.wait()


REGISTRY = build_registry(app)


class Bus:
    """The bus's end of a channel, asleep, and a loop at the other end."""

    def __init__(self) -> None:
        self.channel = Channel.create(1 << 20)
        self.worker_end = Channel.attach(self.channel.handoff().duplicated())
        self.loop = Loop(self.worker_end, CommandWork(Execution(REGISTRY, "log"), REGISTRY.injector.close))
        self._bell = select.poll()
        self._bell.register(self.channel.doorbell_fileno(), select.POLLIN)
        self.channel.end_drain()

    def submit(self, *commands: Command) -> None:
        """Send commands, without waking anybody."""
        for position, command in enumerate(commands, 1):
            encoded = REGISTRY.catalog.encode(command)
            envelope = Envelope(position, f"@{position}", position, 0, 0, None, 0)
            body = encode(Submission(envelope, 1, 1, encoded.type_id, encoded.body))
            assert self.channel.put(RecordKind.SUBMISSION, body)

    def have_waiting(self, number: int) -> None:
        """Let so many commands wait in the loop."""
        self.submit(*(Quick(one) for one in range(number)))
        assert self.loop.take_answer() is None

    def told(self, number: int) -> list[tuple[int, object]]:
        """So many records or more, received whenever the worker rings, which on a busy machine it does more often."""
        received: list[tuple[int, object]] = []
        while len(received) < number and self.is_rung(PATIENCE_MS):
            is_awake = True
            while is_awake:
                self.channel.begin_drain()
                while (record := self.channel.receive()) is not None:
                    received.append(record)
                is_awake = self.channel.end_drain()
        return received

    def is_rung(self, patience_ms: int = 0) -> bool:
        """Whether the worker has rung."""
        return bool(self._bell.poll(patience_ms))


@pytest.fixture
def bus() -> Iterator[Bus]:
    """A bus that sleeps."""
    made = Bus()
    yield made
    made.channel.close()
    made.worker_end.close()


def test_a_worker_with_little_to_do_wakes_the_bus_for_each_outcome(bus: Bus) -> None:
    """The bus may have nothing else to do, and this worker soon has nothing either."""
    bus.have_waiting(3)

    bus.loop.tell_soon(RecordKind.COMPLETION, b"done", SHORT_COMMAND_NS, 1)

    assert bus.is_rung()


def test_a_worker_with_enough_to_do_wakes_the_bus_once_for_many(bus: Bus) -> None:
    """It is left asleep for so long, and no longer."""
    bus.have_waiting(WAITING)

    bus.loop.tell_soon(RecordKind.COMPLETION, b"first", SHORT_COMMAND_NS, 1)
    bus.loop.tell_soon(RecordKind.COMPLETION, b"second", SHORT_COMMAND_NS, LONGEST_SILENCE_NS)
    assert not bus.is_rung()
    bus.loop.tell_soon(RecordKind.COMPLETION, b"third", SHORT_COMMAND_NS, LONGEST_SILENCE_NS + 1)

    assert bus.is_rung()
    assert [bus.channel.receive() for _ in range(3)] == [
        (RecordKind.COMPLETION, body) for body in (b"first", b"second", b"third")
    ]


def test_nothing_that_was_told_waits_for_a_command_that_may_take_long(bus: Bus) -> None:
    """O2: the outcomes of short commands before it may be what the head is waiting for."""
    gate.clear()
    few, many = [Quick(number) for number in range(10)], [Quick(number) for number in range(3_000)]
    bus.submit(*few, Slow(), *many)
    worker = threading.Thread(target=bus.loop.run)

    worker.start()
    try:
        assert len(bus.told(len(few))) == len(few)
        assert bus.channel.receive() is None
    finally:
        bus.loop.leave()
        gate.set()
        worker.join()
