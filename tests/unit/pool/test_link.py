"""The link to a worker, over a real channel whose other end is in this process, too."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driven.domain.messages import Envelope
from driven.errors import RingBroken
from driven.pool.link import RECORD_EVERY, Link
from driven.pool.worker import Verdict
from driven.ring.channel import Channel
from driven.wire import (
    AggregateState,
    Completion,
    Failed,
    Failure,
    Hello,
    RecordKind,
    Submission,
    Succeeded,
    Unfit,
    decode_submission,
    decode_submissions,
    encode,
)
from watched_lane import RECIPE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from driven.errors import InfrastructureError
    from driven.ring.channel import Body
    from driven.wire import ReadRequest

RING_BYTES = 1 << 12


class Listener:
    """Keeps what it is told; a `LaneListener`."""

    def __init__(self) -> None:
        self.completions: list[Completion] = []
        self.requests: list[ReadRequest] = []

    def completed(self, _worker_id: int, completions: Sequence[Completion]) -> None:
        """Keep them."""
        self.completions += completions

    def read_requested(self, _worker_id: int, request: ReadRequest) -> None:
        """Keep it."""
        self.requests.append(request)

    def worker_ready(self, worker_id: int, group: str) -> None:
        """A link never says so."""
        raise AssertionError(worker_id, group)

    def worker_gone(self, worker_id: int, blamed: tuple[int, int] | None, cause: Failure) -> None:
        """A link never says so."""
        raise AssertionError(worker_id, blamed, cause)

    def worker_leaving(self, worker_id: int) -> None:
        """A link never says so."""
        raise AssertionError(worker_id)

    def worker_left(self, worker_id: int) -> None:
        """A link never says so."""
        raise AssertionError(worker_id)

    def lane_failed(self, error: InfrastructureError) -> None:
        """A link never says so."""
        raise error

    def turn_wanted(self) -> None:
        """A link never asks for one."""
        raise AssertionError


class Ends:
    """A link, what it tells, and the worker's end of its channel."""

    def __init__(self, channel: Channel, worker: Channel) -> None:
        self.worker = worker
        self.listener = Listener()
        self.timeouts_s: dict[tuple[int, int], float] = {}
        self.greetings: list[Hello] = []
        self.link = Link(1, channel, self.timeouts_s, self.listener, lambda _link, hello: self.greetings.append(hello))
        self.link.is_ready = self.link.is_open = True

    def send(self, position: int, body: bytes = b"", timeout_s: float | None = None) -> bool:
        """Send a command of that many bytes."""
        envelope = Envelope(position, f"@{position}", position, 0, 0, None, 0)
        return self.link.send(Submission(envelope, 1, 1, 0, body), timeout_s)

    def answer(self, position: int) -> None:
        """Answer as a worker does."""
        assert self.worker.send(RecordKind.COMPLETION, encode(Completion(position, 1, 5, Succeeded())))

    def received(self) -> list[tuple[RecordKind, Body]]:
        """Everything that came to the worker."""
        found = []
        while (record := self.worker.receive()) is not None:
            found.append((RecordKind(record[0]), record[1]))
        return found


def positions_in(kind: RecordKind, body: Body) -> list[int]:
    """The positions of the commands in a record."""
    bodies = decode_submissions(body) if kind is RecordKind.SUBMISSIONS else [body]
    return [decode_submission(one).envelope.position for one in bodies]


@contextmanager
def opened(ring_bytes: int = RING_BYTES) -> Iterator[Ends]:
    """Open both ends of a channel."""
    with Channel.create(ring_bytes) as channel, Channel.attach(channel.handoff().duplicated()) as worker:
        yield Ends(channel, worker)


@pytest.fixture
def ends() -> Iterator[Ends]:
    """A link, and the worker's end of its channel."""
    with opened() as made:
        yield made


@given(st.lists(st.integers(0, 2_000), min_size=1, max_size=60), st.integers(0, 40))
def test_there_is_always_room_for_stop(sizes: list[int], finished: int) -> None:
    """D11: whatever was sent, and wherever in the ring it lies, STOP goes into it at once."""
    with opened() as ends:
        for position in range(1, finished + 1):  # to begin anywhere in the ring
            assert ends.send(position, b"x" * (position * 7 % 90))
            ends.received()
            ends.answer(position)
            ends.link.drain()
        for position, size in enumerate(sizes, finished + 1):
            ends.send(position, b"x" * size)

        ends.link.stop()

        assert ends.received()[-1] == (RecordKind.STOP, b"")


def test_what_is_in_flight_fills_half_the_ring_and_makes_room_when_it_is_answered(ends: Ends) -> None:
    """F4: full is a return value; a worker without anything to do is never refused."""
    sent = 0
    while ends.send(sent + 1, b"x" * 300):
        sent += 1
    taken = ends.received()
    is_refused_still = not ends.send(sent + 1, b"x" * 300)
    ends.answer(1)
    ends.link.drain()

    assert 1 < sent < 8
    assert [decode_submission(body).envelope.position for _, body in taken] == list(range(1, sent + 1))
    assert is_refused_still
    assert ends.send(sent + 1, b"x" * 300)


def test_a_command_larger_than_the_ring_is_sent_to_an_idle_worker(ends: Ends) -> None:
    """W2: it travels beside the ring, and waits behind nothing."""
    assert ends.send(1, b"x" * 50_000)
    assert len(decode_submission(ends.received()[0][1]).body) == 50_000


def test_small_commands_of_one_burst_share_a_record_in_their_order() -> None:
    """W2: a record costs more than what is in it; nothing is in the ring before there are enough, or `ring` says so."""
    with opened(1 << 16) as ends:
        for position in range(1, RECORD_EVERY):
            assert ends.send(position)
        before = ends.received()
        assert ends.send(RECORD_EVERY)
        at_once = ends.received()
        assert ends.send(RECORD_EVERY + 1)
        assert ends.send(RECORD_EVERY + 2)
        ends.link.ring()
        ends.link.ring()
        after = ends.received()

    assert before == []
    assert [positions_in(*record) for record in at_once] == [list(range(1, RECORD_EVERY + 1))]
    assert [positions_in(*record) for record in after] == [[RECORD_EVERY + 1, RECORD_EVERY + 2]]


@given(st.lists(st.sampled_from([0, 100, 700, 5_000, 20_000]), min_size=1, max_size=60), st.data())
def test_commands_of_any_size_arrive_in_the_order_in_which_they_were_sent(
    sizes: list[int], data: st.DataObject
) -> None:
    """W2, D10: a worker answers in that order, so whoever cannot be decoded is the oldest that is in flight."""
    with opened(1 << 16) as ends:
        sent, arrived = [], []
        for position, size in enumerate(sizes, 1):
            if ends.send(position, b"x" * size):
                sent.append(position)
            if data.draw(st.booleans()):
                ends.link.ring()
            if data.draw(st.booleans()):
                for record in ends.received():
                    arrived += positions_in(*record)
        ends.link.ring()
        for record in ends.received():
            arrived += positions_in(*record)

    assert arrived == sent
    assert sent[0] == 1


def test_timeouts_are_known_while_a_command_is_in_flight(ends: Ends) -> None:
    """W5: the watcher sees those, and no others."""
    ends.send(1, timeout_s=3.0)
    ends.send(2)
    while_under_way = dict(ends.timeouts_s)
    ends.answer(1)
    ends.link.drain()

    assert while_under_way == {(1, 1): 3.0}
    assert ends.timeouts_s == {}


def test_what_cannot_be_decoded_is_the_oldest_that_was_not_answered(ends: Ends) -> None:
    """D10: a worker answers in order."""
    ends.send(1)
    ends.send(2, timeout_s=3.0)
    ends.send(3)
    ends.answer(1)
    ends.worker.send(RecordKind.UNREADABLE, encode(Failure("msgspec.DecodeError", "garbage")))
    ends.answer(3)

    assert ends.link.drain()
    assert [completion.position for completion in ends.listener.completions] == [1, 2, 3]
    assert ends.listener.completions[1].outcome == Failed(Failure("msgspec.DecodeError", "garbage"))
    assert ends.timeouts_s == {}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (RecordKind.COMPLETION, b"\xc1"),
        (RecordKind.COMPLETION, encode(Completion(9, 1, 5, Succeeded()))),
        (RecordKind.COMPLETION, encode(Completion(1, 2, 5, Succeeded()))),
        (RecordKind.READ_REQUEST, b"\xc1"),
        (RecordKind.HELLO, b""),
        (RecordKind.UNFIT, b"\x00"),
        (RecordKind.SUBMISSION, b""),
    ],
)
def test_what_no_worker_may_say_is_refused_and_its_author_known(kind: RecordKind, body: bytes, ends: Ends) -> None:
    """D10, W4: undecodable, not sent to it, of another generation, or of a kind; what it said before is told."""
    ends.send(7)
    ends.answer(7)
    ends.send(1)
    ends.worker.send(kind, body)

    with pytest.raises(RingBroken) as raised:
        ends.link.drain()
    assert ends.link.suspect(raised.value) == (1, 1)
    assert [completion.position for completion in ends.listener.completions] == [7]


def test_nobody_answers_what_was_not_asked(ends: Ends) -> None:
    """D10: an idle worker that says it could not read something."""
    ends.worker.send(RecordKind.UNREADABLE, encode(Failure("X", "y")))

    with pytest.raises(RingBroken, match="was sent nothing") as raised:
        ends.link.drain()
    assert ends.link.suspect(raised.value) is None


def test_memory_that_was_overwritten_is_blamed_on_what_runs(ends: Ends) -> None:
    """W3: not on what is finished and only unread; where nothing runs, on the oldest."""
    ends.send(1)
    ends.send(2)
    before = ends.link.suspect(RingBroken("overwritten"))
    ends.worker.status.begin(2, 1, 0)

    assert before == (1, 1)
    assert ends.link.suspect(RingBroken("overwritten")) == (2, 1)


@pytest.mark.parametrize(
    ("running", "answered", "verdict", "expected"),
    [
        (None, False, None, (1, 1)),
        (None, True, None, None),
        ((1, 1), False, None, (1, 1)),
        ((1, 1), True, None, None),
        ((1, 9), False, None, (1, 1)),
        ((2, 1), False, Verdict("it timed out", (1, 1)), (1, 1)),
        ((2, 1), True, Verdict("it timed out", (1, 1)), None),
        ((1, 1), False, Verdict("stopped"), None),
    ],
)
def test_the_blame_for_a_death(
    running: tuple[int, int] | None,
    *,
    answered: bool,
    verdict: Verdict | None,
    expected: tuple[int, int] | None,
    ends: Ends,
) -> None:
    """W3, W4, D7, P15: on what ran and was not finished, or killed it before it began; on what the pool killed for."""
    ends.send(1)
    ends.send(2)
    if running:
        ends.worker.status.begin(*running, 0)
    if answered:
        ends.answer(1)
    ends.link.drain()

    assert ends.link.blamed(verdict) == expected


def test_replies_that_find_no_room_are_kept_in_order(ends: Ends) -> None:
    """U2: the bus never blocks on a full ring."""
    states = [AggregateState("deeds.Tally", str(number), number, b"x" * 700) for number in range(12)]
    for state in states:
        ends.link.reply(state)
    first = ends.received()
    ends.link.drain()
    second = ends.received()
    while len(first) + len(second) < len(states):
        ends.link.drain()
        second += ends.received()

    assert 0 < len(first) < len(states)
    assert [body for _, body in first + second] == [encode(state) for state in states]


def test_what_a_worker_says_about_itself_is_kept(ends: Ends) -> None:
    """W6: HELLO is passed on, UNFIT and GOODBYE close the link."""
    ends.worker.send(RecordKind.HELLO, encode(Hello(RECIPE.wiring, "app.py")))
    ends.worker.send(RecordKind.UNFIT, encode(Unfit("no such module", "Traceback")))

    assert ends.link.drain()
    assert ends.greetings == [Hello(RECIPE.wiring, "app.py")]
    assert ends.link.unfit == Unfit("no such module", "Traceback")
    assert not ends.link.is_open


def test_what_ends_a_worker_that_says_so_is_the_oldest_that_waits(ends: Ends) -> None:
    """P15: however much it completed before."""
    for position in (1, 2, 3):
        ends.send(position)
    ends.answer(1)
    ends.worker.send(RecordKind.UNFIT, encode(Unfit("MemoryError: ")))
    ends.link.drain()

    assert ends.link.blamed(None) == (2, 1)


@pytest.mark.parametrize("is_told", [False, True])
def test_a_farewell_that_nobody_asked_for_is_a_failure(*, is_told: bool, ends: Ends) -> None:
    """W6: after STOP it is none."""
    if is_told:
        ends.link.stop()
    ends.worker.send(RecordKind.GOODBYE, b"")
    ends.link.drain()

    assert (ends.link.unfit is None) is is_told
    assert ends.link.has_left is is_told
    assert not ends.link.is_open


def test_a_link_expects_something_as_long_as_there_is_something_to_come(ends: Ends) -> None:
    """docs/explanation/ring.md: the tick, against lost wake-ups, runs for so long and no longer."""
    idle = ends.link.is_expecting
    ends.send(1)
    under_way = ends.link.is_expecting
    ends.answer(1)
    ends.link.drain()

    assert (idle, under_way, ends.link.is_expecting) == (False, True, False)
