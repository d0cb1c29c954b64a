"""The worker's loop over a real channel whose other end is in this process, too."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest

from driven.domain.messages import Envelope
from driven.errors import InfrastructureError, RingBroken
from driven.ring.channel import Channel
from driven.ring.status import WorkerState
from driven.service.execution import Execution
from driven.service.registry import build_registry
from driven.wire import (
    AggregateState,
    Completion,
    Failed,
    Failure,
    RecordKind,
    Submission,
    Succeeded,
    decode_completion,
    decode_failure,
    decode_read_request,
    encode,
    encode_body,
    encode_submissions,
)
from driven_worker.commands import CommandWork
from driven_worker.loop import Loop
from worker_test_app import Do, DoWithState, Tally, app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from driven import Command
    from driven.ring.channel import Body

REGISTRY = build_registry(app)
EXECUTION = Execution(REGISTRY, "log")
PATIENCE_S = 30.0


class Bus:
    """The bus's end of a channel, and the loop at the other end, in a thread when it is to run meanwhile."""

    def __init__(self, ring_bytes: int) -> None:
        self.channel = Channel.create(ring_bytes)
        self.worker_end = Channel.attach(self.channel.handoff().duplicated())
        self.loop = Loop(self.worker_end, CommandWork(EXECUTION, REGISTRY.injector.close))

    def submit(self, command: Command, position: int) -> None:
        """Send a command."""
        self.send(RecordKind.SUBMISSION, submission(command, position))

    def send(self, kind: RecordKind, body: bytes = b"") -> None:
        """Send a record."""
        assert self.channel.send(kind, body) is True

    def receive(self) -> tuple[RecordKind, Body]:
        """Wait for the next record."""
        while (record := self.channel.receive()) is None:
            self.channel.wait()
        return RecordKind(record[0]), record[1]

    def completion(self) -> Completion:
        """Wait for the next record, which is a completion."""
        kind, body = self.receive()
        assert kind is RecordKind.COMPLETION
        return decode_completion(body)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the loop in a thread, and then tell it to stop, and listen until it does."""
        thread = threading.Thread(target=self.loop.run)
        thread.start()
        try:
            yield
        finally:
            is_told = False
            while thread.is_alive():
                is_told = is_told or self.channel.send(RecordKind.STOP, b"")
                self.channel.receive()
                thread.join(0.01)


def submission(command: Command, position: int) -> bytes:
    """A command as it is sent."""
    encoded = REGISTRY.catalog.encode(command)
    envelope = Envelope(position, f"@{position}", position, 0, 0, None, 0)
    return encode(Submission(envelope, 1, 1, encoded.type_id, encoded.body))


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture
def bus(request: pytest.FixtureRequest) -> Iterator[Bus]:
    """A bus whose rings hold 64 kB, or as much as the test asks for."""
    made = Bus(getattr(request, "param", 1 << 16))
    yield made
    made.channel.close()
    made.worker_end.close()


def test_stop_is_seen_before_the_next_command_whatever_waits(bus: Bus) -> None:
    """D11, X4: commands that had not begun are left to the bus."""
    bus.submit(Do("echo"), 1)
    bus.submit(Do("echo"), 2)
    bus.send(RecordKind.STOP)

    bus.loop.run()

    assert bus.channel.receive() is None
    assert bus.channel.status.state is WorkerState.STOPPING


def test_a_command_stands_in_the_status_words_while_it_runs_and_not_after(bus: Bus) -> None:
    """W3: with its generation, from before its handler until its outcome is published."""
    with bus.running():
        bus.submit(DoWithState("t1"), 7)
        kind, _ = bus.receive()
        seen = bus.channel.status.running()
        bus.send(RecordKind.READ_REPLY, encode(AggregateState("deeds.Tally", "t1", 0, None)))
        bus.completion()

    assert kind is RecordKind.READ_REQUEST
    assert seen is not None
    assert (seen.position, seen.generation) == (7, 1)
    assert bus.channel.status.running() is None
    assert bus.channel.status.completed == 1


def test_commands_that_come_while_one_waits_for_an_answer_run_after_it_in_order(bus: Bus) -> None:
    """W3, U2: they are put aside, and so is STOP."""
    with bus.running():
        bus.submit(DoWithState("t1"), 1)
        request = decode_read_request(bus.receive()[1])
        bus.submit(Do("echo", "second"), 2)
        bus.submit(Do("echo", "third"), 3)
        bus.send(RecordKind.READ_REPLY, encode(AggregateState("deeds.Tally", "other", 1, b"")))
        for _ in range(2):  # one look may have been under way
            before = bus.channel.status.heartbeat_ns
            until(lambda before=before: bus.channel.status.heartbeat_ns != before)  # type: ignore[misc]
        state = AggregateState("deeds.Tally", "t1", 4, encode_body(Tally(id="t1", count=9)))
        bus.send(RecordKind.READ_REPLY, encode(state))
        answered = [bus.completion() for _ in range(3)]

    assert (request.position, request.name, request.id) == (1, "deeds.Tally", "t1")
    assert [completion.position for completion in answered] == [1, 2, 3]
    assert all(isinstance(completion.outcome, Succeeded) for completion in answered)


def test_a_read_that_is_refused_fails_the_command_that_asked(bus: Bus) -> None:
    """W6, W8: there was no memory to send it; the worker does not wait for ever."""
    with bus.running():
        bus.submit(DoWithState("t1"), 1)
        bus.receive()
        bus.send(RecordKind.READ_REFUSED, encode(Failure("driven.errors.SegmentUnavailable", "no memory today")))
        outcome = bus.completion().outcome

    assert isinstance(outcome, Failed)
    assert outcome.failure.error_type == "driven.errors.InfrastructureError"
    assert "no memory today" in outcome.failure.message


def test_a_submission_that_cannot_be_decoded_is_told_and_the_next_one_runs(bus: Bus) -> None:
    """D10: the answers are in the order of the submissions."""
    with bus.running():
        bus.submit(Do("echo"), 1)
        bus.send(RecordKind.SUBMISSION, b"\xc1 is no MessagePack")
        bus.submit(Do("echo"), 3)
        kinds = [(kind, body) for kind, body in (bus.receive() for _ in range(3))]

    assert [kind.name for kind, _ in kinds] == ["COMPLETION", "UNREADABLE", "COMPLETION"]
    assert decode_failure(kinds[1][1]).error_type == "msgspec.DecodeError"


def test_one_of_many_submissions_in_a_record_that_cannot_be_decoded_is_that_one_alone(bus: Bus) -> None:
    """D10, W3: the others run, and the answers are in the order of the submissions."""
    with bus.running():
        bus.send(
            RecordKind.SUBMISSIONS,
            encode_submissions([submission(Do("echo"), 1), encode("no submission"), submission(Do("echo"), 3)]),
        )
        kinds = [(kind, body) for kind, body in (bus.receive() for _ in range(3))]

    assert [kind.name for kind, _ in kinds] == ["COMPLETION", "UNREADABLE", "COMPLETION"]
    assert [decode_completion(kinds[number][1]).position for number in (0, 2)] == [1, 3]


def test_each_of_many_submissions_in_a_record_stands_in_the_status_words_while_it_runs(bus: Bus) -> None:
    """W3: whoever shares a record with the one that runs is not to blame, and has not begun."""
    with bus.running():
        bodies = [submission(DoWithState("t1"), position) for position in (7, 8, 9)]
        bus.send(RecordKind.SUBMISSIONS, encode_submissions(bodies))
        seen = []
        for _ in bodies:
            assert bus.receive()[0] is RecordKind.READ_REQUEST
            seen.append(bus.channel.status.running())
            bus.send(RecordKind.READ_REPLY, encode(AggregateState("deeds.Tally", "t1", 0, None)))
            bus.completion()

    assert [one.position for one in seen if one is not None] == [7, 8, 9]


def test_a_record_that_should_hold_submissions_and_does_not_ends_the_worker(bus: Bus) -> None:
    """W2: nobody can say how many there were; what was sent goes elsewhere."""
    bus.send(RecordKind.SUBMISSIONS, b"\xc1 is no MessagePack")

    with pytest.raises(msgspec.DecodeError):
        bus.loop.run()


@pytest.mark.parametrize("bus", [1 << 12], indirect=True)
def test_outcomes_that_find_no_room_wait_for_it(bus: Bus) -> None:
    """D13: the ring to the bus is full for a while; nothing is lost, and the order stays."""
    with bus.running():
        for position in (1, 2, 3):
            bus.submit(Do("echo", "x" * 900), position)
        until(lambda: bus.channel.status.completed == 3)
        for position in (4, 5, 6):
            bus.submit(Do("echo", "x" * 900), position)
        before = bus.channel.status.heartbeat_ns
        until(lambda: bus.channel.status.position is not None and bus.channel.status.heartbeat_ns != before)
        positions = [bus.completion().position for _ in range(6)]

    assert positions == [1, 2, 3, 4, 5, 6]


def test_a_record_that_means_nothing_ends_the_worker(bus: Bus) -> None:
    """W2: what cannot be understood cannot be answered; the bus replaces the worker."""
    bus.send(RecordKind.HELLO)

    with pytest.raises(RingBroken, match="kind 16"):
        bus.loop.run()


def test_an_idle_worker_says_now_and_then_that_it_is_there(bus: Bus) -> None:
    """W3: its heartbeat moves on although nothing comes."""
    with bus.running():
        until(lambda: bus.channel.status.heartbeat_ns > 0)
        first = bus.channel.status.heartbeat_ns
        until(lambda: bus.channel.status.heartbeat_ns > first)


def test_a_loop_that_is_told_to_leave_begins_nothing_more(bus: Bus) -> None:
    """W9: by another thread, as a thread cannot be killed; what waits is not run."""
    for position in (1, 2):
        bus.submit(Do("echo"), position)

    bus.loop.leave()
    bus.loop.run()

    assert bus.channel.receive() is None


@pytest.mark.parametrize("bus", [1 << 12], indirect=True)
def test_a_loop_that_is_told_to_leave_does_not_wait_for_room(bus: Bus) -> None:
    """W9: nobody reads any more, and the ring is full."""
    while bus.worker_end.send(RecordKind.COMPLETION, b"x" * 500):
        continue

    bus.loop.leave()

    with pytest.raises(InfrastructureError, match="given this worker up"):
        bus.loop.tell(RecordKind.COMPLETION, b"x" * 500)


def test_a_loop_that_is_told_to_leave_does_not_wait_for_an_answer(bus: Bus) -> None:
    """W9: a handler that asks is told, whatever it makes of it."""
    bus.loop.leave()

    with pytest.raises(InfrastructureError, match="given this worker up"):
        bus.loop.take_answer()
