"""A bus on a log that an earlier one left in the middle of things goes on, and answers for what was accepted (U9)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec
import pytest

import parking
from both_loops import on_both_loops, until
from driven import (
    Application,
    BusClosed,
    BusFull,
    BusSettings,
    Command,
    CommandFailed,
    CommandIdReused,
    CommandParked,
    Event,
    OnExhausted,
    RegistrationError,
    Settings,
    WorkerSettings,
    open_bus,
)
from driven.adapters.stores.memory import MemoryStore
from driven.domain.messages import Envelope
from driven.service.event_store import (
    READ_CHUNK,
    Batch,
    LoggedMessage,
    LoggedOutcome,
    MessageKind,
    Status,
    log_digest,
)
from parking import Ponder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driven.service.event_store import LogRecord

INLINE = Settings(workers=WorkerSettings(count=0), bus=BusSettings(retries=0))


class Begin(Command):
    name: str
    steps: int = 3


class Began(Event):
    name: str
    steps: int


class Step(Command):
    name: str
    number: int


class Stepped(Event):
    name: str
    number: int


class Trip(Command):
    name: str


class Deliver(Command):
    name: str
    number: int


class Weather:
    """What decides whether a step trips the bus."""

    is_bad = False


weather = Weather()
walk = Application("walk")


@walk.handles(Begin)
def begin(command: Begin) -> Began:
    """Negative numbers are refused."""
    if command.steps < 0:
        raise ValueError("not backwards")
    return Began(command.name, command.steps)


@walk.reacts_to(Began)
def set_out(event: Began) -> list[Step]:
    """Every step."""
    return [Step(event.name, number) for number in range(event.steps)]


@walk.handles(Step)
def take(command: Step) -> Stepped:
    """Every step is told."""
    return Stepped(command.name, command.number)


@walk.reacts_to(Stepped)
def stumble(event: Stepped) -> Trip | Deliver:
    """The first step may end in a fall; the others are for a key."""
    return Trip(event.name) if event.number == 0 else Deliver(event.name, event.number)


@walk.handles(Trip, on_exhausted=OnExhausted.HALT)
def trip(command: Trip) -> None:
    """In bad weather the bus stops here."""
    if weather.is_bad:
        raise RuntimeError("it rains")


@walk.handles(Deliver, key="name")
def deliver(command: Deliver) -> None:
    """The second of anybody goes wrong."""
    if command.number == 1:
        raise ValueError("dropped")


async def left_by_a_bus(*commands: Command) -> MemoryStore:
    """The log of a bus that stopped in the middle, as it rained; commands have the ids 0, 1, ..."""
    store = MemoryStore()
    weather.is_bad = True
    try:
        async with open_bus(walk, INLINE, store=store) as bus:
            receipts = [await bus.submit(command, command_id=str(n)) for n, command in enumerate(commands)]
            with pytest.raises(BusClosed):
                await receipts[0].settled()
    finally:
        weather.is_bad = False
    assert store.unretired(0, 1)
    return store


@on_both_loops
async def test_what_was_left_goes_on_by_itself() -> None:
    """U9: before anybody submits anything, and with the same log in the end as the bus that did not stop."""
    store = await left_by_a_bus(Begin("a"))

    async with open_bus(walk, INLINE, store=store) as bus:
        before = bus.statistics()
        await until(lambda: not bus.statistics().queued)
        after = bus.statistics()

    assert before.queued == before.admitted > 0
    assert (after.admitted, after.queued) == (after.retired, 0)
    assert sum(one.queued for one in after.commands) == 0
    assert not store.unretired(0, 1)


@on_both_loops
async def test_a_known_id_joins_what_is_still_under_way() -> None:
    """U5, U9: the events of a command that had retired already, and a settlement that counts both buses' messages."""
    store = await left_by_a_bus(Begin("a"), Begin("b"))

    async with open_bus(walk, INLINE, store=store) as bus:
        receipts = [await bus.submit(Begin(name), command_id=str(n)) for n, name in enumerate("ab")]
        assert [receipt.position for receipt in receipts] == [1, 2]
        assert [receipt.is_settled for receipt in receipts] == [False, False]
        outcomes = [await receipt.handled() for receipt in receipts]
        settled = [await receipt.settled() for receipt in receipts]
        again = [await (await bus.submit(Begin(name), command_id=str(n))).settled() for n, name in enumerate("ab")]

    assert [outcome.events for outcome in outcomes] == [(Began("a", 3),), (Began("b", 3),)]
    assert [(one.messages, one.failed, one.parked) for one in settled] == [(11, 1, 2), (11, 0, 2)]
    assert again == settled


@on_both_loops
async def test_another_command_under_a_known_id_is_refused_before_and_after_it_settles() -> None:
    """U5, U9: the restart changes nothing about what an id names."""
    store = await left_by_a_bus(Begin("a"))

    async with open_bus(walk, INLINE, store=store) as bus:
        for other in (Begin("b"), Deliver("a", 1)):
            with pytest.raises(CommandIdReused, match=r"used at position 1 for a different walk.Begin"):
                await bus.submit(other, command_id="0")
        await (await bus.submit(Begin("a"), command_id="0")).settled()
        with pytest.raises(CommandIdReused, match=r"used at position 1 for a different walk.Begin"):
            await bus.submit(Begin("b"), command_id="0")


@on_both_loops
async def test_a_command_that_had_not_retired_itself_is_handled_by_the_next_bus() -> None:
    """U9, X1, F1: it succeeds or fails for whoever asks under its id."""
    store, commands = MemoryStore(), [Begin("a"), Begin("b", -1)]
    store.open()
    store.append(Batch([accepted(command, position) for position, command in enumerate(commands, 1)], []))
    store.close()

    async with open_bus(walk, INLINE, store=store) as bus:
        first, second = [await bus.submit(command, command_id=command.name) for command in commands]
        assert (first.position, second.position) == (1, 2)
        assert (await first.handled()).events == (Began("a", 3),)
        with pytest.raises(CommandFailed, match="not backwards"):
            await second.handled()
        assert ((await first.settled()).messages, (await second.settled()).messages) == (11, 1)


def accepted(command: Begin, position: int) -> LoggedMessage:
    """A command as it stands in the log before it retires, under its name as its id."""
    envelope = Envelope(position, command.name, position, 0, 0, None, 1)
    return LoggedMessage(envelope, MessageKind.COMMAND, "walk.Begin", 1, msgspec.msgpack.encode(command))


@on_both_loops
async def test_a_key_that_was_parked_stays_parked() -> None:
    """F2, U9: what comes later for it is parked as well, and other keys are not."""
    store = MemoryStore()
    async with open_bus(walk, INLINE, store=store) as bus:
        await (await bus.submit(Begin("a", 2))).settled()

    async with open_bus(walk, INLINE, store=store) as bus:
        with pytest.raises(CommandParked, match=r"its key 'a' is parked since position \d+"):
            await bus.handle(Deliver("a", 7))
        await bus.handle(Deliver("b", 7))


@on_both_loops
async def test_the_log_is_read_in_chunks_and_progress_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """U9: no read asks for more than a chunk, whatever is left; people are told what is going on."""

    class Watched(MemoryStore):
        """Knows what it was asked for."""

        limits: list[int]

        def read(self, after: int, limit: int) -> Sequence[LogRecord]:
            self.limits.append(limit)
            return super().read(after, limit)

        def unretired(self, after: int, limit: int) -> Sequence[LoggedMessage]:
            self.limits.append(limit)
            return super().unretired(after, limit)

    store = await left_by_a_bus(Begin("a", 5_000))
    watched = Watched()
    watched.__dict__.update({**store.__dict__, "limits": []})
    with caplog.at_level(logging.INFO, "driven.bus"):
        async with open_bus(walk, INLINE, store=watched):
            pass

    assert max(watched.limits) == READ_CHUNK
    text = caplog.text
    assert "have not retired; the log is read from position 1 to" in text
    assert "Recovery is done" in text


@on_both_loops
async def test_what_was_taken_up_counts_at_the_entrance() -> None:
    """F4, U9: a full bus is full after a restart as well."""
    store = await left_by_a_bus(Begin("a", 50))
    settings = Settings(workers=INLINE.workers, bus=BusSettings(max_pending=20))

    async with open_bus(walk, settings, store=store) as bus:
        with pytest.raises(BusFull):
            await bus.submit(Begin("b"), wait_s=0)
        await bus.submit(Begin("b"))


class NewDeliver(Command):
    message_name = "walk.Deliver"

    name: str
    number: str


class OldStep(Command):
    message_name = "walk.Step"

    name: str
    number: int


later = Application("walk")


@later.handles(NewDeliver)
def deliver_text(command: NewDeliver) -> None:
    """What was a number is a text here."""


bare = Application("walk")


@bare.handles(OldStep)
def step_only(command: OldStep) -> None:
    """All the rest is gone."""


for application in (bare, later):
    application.forgets("walk.Began")
    application.forgets("walk.Stepped")

GONE = "the application has no message of this name; bring the class back under this name (message_name)"
UNFIT = "Expected `str`, got `int` - at `$.number`; let the class take what was recorded (give"


@pytest.mark.parametrize(("application", "reason"), [(bare, GONE), (later, UNFIT)], ids=["gone", "unfit"])
@on_both_loops
async def test_what_cannot_be_taken_up_is_said_at_opening_and_nothing_is_lost(
    application: Application, reason: str
) -> None:
    """U9, R1: position, message and remedy are named; the right code opens the log afterwards."""
    store = await left_by_a_bus(Begin("a", 40))
    before = log_digest(store), store.last_position, list(store.unretired(0, 1_000))
    first = next(one for one in before[2] if one.name == "walk.Deliver").envelope.position

    with pytest.raises(RegistrationError) as told:
        async with open_bus(application, INLINE, store=store):
            pass

    text = str(told.value)
    assert f"position {first} of the log has not retired and cannot be taken up: not a valid walk.Deliver" in text
    assert reason in text
    assert "19 more messages are like these" in text
    assert (log_digest(store), store.last_position, list(store.unretired(0, 1_000))) == before
    async with open_bus(walk, INLINE, store=store):
        pass
    assert not store.unretired(0, 1)


@on_both_loops
async def test_a_long_command_that_moved_and_was_left_running_answers_under_its_id() -> None:
    """U5, U9, F3, O9: the first record of it says only where to look, and there nothing of it is done yet."""
    body, store = msgspec.msgpack.encode(Ponder("7", 5)), MemoryStore()
    store.open()
    commands = [
        LoggedMessage(Envelope(position, name, 1, 0, 0, "7", 1), MessageKind.COMMAND, "parking.Ponder", 1, body, before)
        for position, name, before in ((1, "long", 0), (2, "@2", 1))
    ]
    store.append(Batch(commands, [LoggedOutcome(1, Status.MOVED, 1), LoggedOutcome(2, Status.STARTED, 1)]))
    store.close()

    async with open_bus(parking.app, INLINE, store=store) as bus:
        receipt = await bus.submit(Ponder("7", 5), command_id="long")
        await receipt.started()
        assert (await receipt.handled()).position == 1

        await receipt.settled()
        assert store.last_position == 3
