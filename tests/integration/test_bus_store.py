"""A bus and its store: batches from a store thread, answers when durable, and one end for all that breaks (U2, U4)."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, ClassVar

import pytest
import uvloop

from both_loops import PATIENCE_S, on_both_loops, until
from driven import (
    Aggregate,
    Application,
    BusClosed,
    BusSettings,
    Command,
    Event,
    Middleware,
    Settings,
    UnitOfWork,
    WorkerSettings,
    open_bus,
    open_bus_sync,
)
from driven.adapters.stores.memory import MemoryStore
from driven.bus import conductor
from driven.errors import StoreFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven import Envelope, Receipt
    from driven.service.event_store import Batch
    from driven.wire import AggregateState

INLINE = Settings(workers=WorkerSettings(count=0))


class Counter(Aggregate):
    count: int = 0


class Increase(Command):
    counter: str
    echoes: int = 0


class Increased(Event):
    counter: str
    count: int
    echoes: int


class Seen:
    """A read model: every count that was projected."""

    def __init__(self) -> None:
        self.counts: list[tuple[str, int]] = []


counters = Application("counters")
counters.binds(Seen)


@counters.handles(Increase, key="counter")
def increase(command: Increase, uow: UnitOfWork) -> Increased:
    """One more."""
    counter = uow.find(Counter, command.counter)
    if counter is None:
        counter = Counter(command.counter)
        uow.add(counter)
    counter.count += 1
    return Increased(command.counter, counter.count, command.echoes)


@counters.reacts_to(Increased)
def echo(event: Increased) -> Increase | None:
    """So many more."""
    return Increase(event.counter, event.echoes - 1) if event.echoes else None


@counters.projects(Increased)
def see(event: Increased, seen: Seen) -> None:
    """Note it."""
    seen.counts.append((event.counter, event.count))


class SlowStore(MemoryStore):
    """Takes its time on the store thread, as a disk does; notes what it was given and where it was called."""

    is_blocking: ClassVar[bool] = True  # type: ignore[misc]  # the one thing that it says otherwise

    def __init__(self, delay_s: float = 0.002) -> None:
        super().__init__()
        self.delay_s = delay_s
        self.batches: list[Batch] = []
        self.threads: set[str] = set()
        self.is_appending = False

    def append(self, batch: Batch) -> None:
        """Wait, then keep it."""
        assert not self.is_appending
        self.is_appending = True
        self.threads.add(threading.current_thread().name)
        time.sleep(self.delay_s)  # the delay is the adapter's, not the test's
        super().append(batch)
        self.batches.append(batch)
        self.is_appending = False


class HeldStore(SlowStore):
    """Begins to append, and goes on when it may."""

    def __init__(self) -> None:
        super().__init__(0.0)
        self.may_append = threading.Event()

    def append(self, batch: Batch) -> None:
        """Wait until it may, then keep it."""
        self.is_appending = True
        assert self.may_append.wait(PATIENCE_S)
        self.is_appending = False
        super().append(batch)


class FailingStore(SlowStore):
    """Fails from the given batch on; blocking or not."""

    def __init__(self, fails_at: int, error: Exception) -> None:
        super().__init__(0.0)
        self.fails_at = fails_at
        self.error = error

    def append(self, batch: Batch) -> None:
        """Keep it, or raise."""
        if len(self.batches) + 1 >= self.fails_at:
            raise self.error
        super().append(batch)


class FailingMemoryStore(FailingStore):
    """The same on the bus thread."""

    is_blocking: ClassVar[bool] = False  # type: ignore[misc]


# ---------------------------------------------------------------------- durable


@on_both_loops
async def test_a_slow_store_gets_batches_from_a_thread_of_its_own() -> None:
    """U2, U8: one batch commits while the next one fills; many commands per transaction, in position order."""
    store = SlowStore()
    async with open_bus(counters, INLINE, store=store) as bus:
        await asyncio.gather(*(bus.handle(Increase(str(number % 7))) for number in range(500)))

    assert store.threads == {"driven-store"}
    assert len(store.batches) < 50
    admitted = [message.envelope.position for batch in store.batches for message in batch.admitted]
    retired = [outcome.position for batch in store.batches for outcome in batch.retired]
    assert admitted == retired == list(range(1, 1_001))


@on_both_loops
async def test_submit_answers_only_when_the_command_is_in_the_store() -> None:
    """U4, O2: and handled only when its outcome is, and its events are in the read models by then."""
    store = SlowStore()
    async with open_bus(counters, INLINE, store=store) as bus:

        async def submit(number: int) -> None:
            receipt = await bus.submit(Increase(str(number)))
            assert store.last_position >= receipt.position
            outcome = await receipt.handled()
            (record,) = store.read(outcome.position - 1, 1)
            assert record.outcome is not None
            assert (str(number), 1) in bus.resolve(Seen).counts

        await asyncio.gather(*(submit(number) for number in range(50)))


@on_both_loops
async def test_a_second_submit_under_an_open_id_answers_no_sooner_than_the_first() -> None:
    """U4, U5: what the second caller was told to be accepted is in the store as well."""
    store = HeldStore()
    async with open_bus(counters, INLINE, store=store) as bus:
        first = asyncio.create_task(bus.submit(Increase("a"), command_id="mine"))
        await until(lambda: store.is_appending)
        second = asyncio.create_task(bus.submit(Increase("a"), command_id="mine"))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not second.done()

        store.may_append.set()
        receipt = await second

        assert store.last_position >= receipt.position
        assert await first is receipt


@on_both_loops
async def test_reading_runs_ahead_of_a_slow_store_and_the_log_is_the_same() -> None:
    """O6, U2: a command sees what retired before it although that is not in the store yet."""
    roots = [Increase(str(number % 3), echoes=number % 4) for number in range(60)]
    digests = set()
    for store in (MemoryStore(), SlowStore(), SlowStore(0.0)):
        async with open_bus(counters, INLINE, store=store) as bus:
            # accepted one after the other, so that both logs have the roots in the same places
            for root in roots:
                await (await bus.submit(root)).settled()
            await bus.drain(PATIENCE_S)
            digests.add(bus.log_digest())
            assert max(bus.resolve(Seen).counts) == ("2", 50)

    assert len(digests) == 1


@on_both_loops
async def test_closing_waits_for_the_last_batch_and_not_for_the_deadline() -> None:
    """X4, D5: when the store thread is done nobody is left to notice but the one who waits for it."""
    store = SlowStore(0.01)
    began_s = time.monotonic()
    async with open_bus(counters, INLINE, store=store) as bus:
        waiting = asyncio.create_task(bus.submit(Increase("a")))
        await asyncio.sleep(0)

    assert (await (await waiting).settled()).messages == 2
    assert store.read(0, 10)[-1].outcome is not None
    assert time.monotonic() - began_s < INLINE.bus.drain_timeout_s


# ---------------------------------------------------------------------- broken


@pytest.mark.parametrize("kind", [FailingStore, FailingMemoryStore])
@on_both_loops
async def test_a_failed_commit_stops_the_bus_and_everybody_is_told(kind: type[FailingStore]) -> None:
    """U1, U3, B3: nothing of the batch is visible, in log, state or read model; whoever waits gets the reason."""
    store = kind(fails_at=1_000, error=StoreFailed("disk", "no space left"))
    async with open_bus(counters, INLINE, store=store) as bus:
        first = await bus.submit(Increase("a"))
        await first.settled()
        store.fails_at = len(store.batches) + 1  # on a busy machine the first command had several
        kept = store.last_position
        digest = bus.log_digest()

        results = await asyncio.gather(*(handled(bus.submit(Increase("a"))) for _ in range(5)), return_exceptions=True)
        late = await asyncio.gather(bus.submit(Increase("a")), bus.handle(Increase("b")), return_exceptions=True)

        for result in (*results, *late):
            assert isinstance(result, BusClosed)
            assert "store disk failed: no space left" in str(result)
        assert bus.resolve(Seen).counts == [("a", 1)]
        assert bus.log_digest() == digest
    assert (store.last_position, store.load("counters.Counter", "a").version) == (kept, 1)


@on_both_loops
async def test_who_waits_at_the_entrance_of_a_bus_that_breaks_is_told() -> None:
    """F4, D5: the news comes from the store thread, and there is no other turn that would let him go."""
    store = FailingStore(fails_at=1, error=StoreFailed("disk", "no space left"))
    full = Settings(workers=WorkerSettings(count=0), bus=BusSettings(max_pending=1))
    async with open_bus(counters, full, store=store) as bus:
        waiting = [asyncio.create_task(bus.submit(Increase("a"))) for _ in range(5)]

        for task in waiting:
            with pytest.raises(BusClosed, match="no space left"):
                await task


async def handled(submitting: object) -> object:
    """Accepted, then handled."""
    receipt: Receipt = await submitting  # type: ignore[misc]
    return await receipt.handled()


@on_both_loops
async def test_an_error_of_the_adapter_is_a_failure_of_the_store() -> None:
    """U8: whatever `append` raises, the bus stops in the same way and names the adapter."""
    store = FailingStore(fails_at=1, error=ZeroDivisionError("a bug"))
    async with open_bus(counters, INLINE, store=store) as bus:
        with pytest.raises(BusClosed, match="store FailingStore failed: ZeroDivisionError: a bug"):
            await bus.submit(Increase("a"))


class Unreadable(MemoryStore):
    """Cannot be read from some moment on."""

    is_broken = False

    def load(self, name: str, aggregate_id: str) -> AggregateState:
        """Raise, when broken."""
        if self.is_broken:
            raise StoreFailed("disk", "cannot be read")
        return super().load(name, aggregate_id)


@on_both_loops
async def test_a_store_that_cannot_be_read_stops_the_bus_and_fails_no_command() -> None:
    """U1: what a handler makes of a broken store is not its outcome, and is not recorded as one."""
    store = Unreadable()
    async with open_bus(counters, INLINE, store=store) as bus:
        await bus.handle(Increase("a"))
        store.is_broken = True

        with pytest.raises(BusClosed, match="store disk failed: cannot be read"):
            await bus.handle(Increase("a"))
    records = store.read(0, 10)
    assert all(record.outcome is None or not record.outcome.failures for record in records)


class BrokenClock:
    """Reads well so many times."""

    def __init__(self, readings: int) -> None:
        self.readings = readings

    def __call__(self) -> int:
        """The time, or an error."""
        self.readings -= 1
        if self.readings < 0:
            raise OSError("the clock has stopped")
        return 1


@on_both_loops
async def test_an_error_in_a_turn_stops_the_bus_and_leaves_nobody_waiting() -> None:
    """D5, U3: an error that is no command's own may have left memory half changed, so nothing of it gets out."""
    store = MemoryStore()
    async with open_bus(counters, INLINE, store=store, clock_ns=BrokenClock(1)) as bus:
        receipt = await bus.submit(Increase("a"))

        for waiting in (receipt.handled(), receipt.settled(), bus.submit(Increase("b"))):
            with pytest.raises(BusClosed, match=r"OSError\('the clock has stopped'\)"):
                await waiting
    assert store.last_position == 0


@on_both_loops
async def test_a_clock_that_fails_at_the_door_refuses_one_command() -> None:
    """O1: nothing had a position yet, so the bus goes on."""
    async with open_bus(counters, INLINE, clock_ns=BrokenClock(2)) as bus:
        await bus.handle(Increase("a"))

        with pytest.raises(OSError, match="the clock has stopped"):
            await bus.submit(Increase("b"))

        assert bus.statistics().admitted == 2


class Interrupting(Middleware):
    """Raises what ends programs, once, at the second retirement."""

    def __init__(self) -> None:
        self.retired_messages = 0

    def retired(self, name: str, envelope: Envelope, outcome: object) -> None:
        """Count, and raise."""
        self.retired_messages += 1
        if self.retired_messages == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("store_of", [MemoryStore, SlowStore])
def test_an_interrupt_in_the_middle_of_a_turn_ends_the_program_and_leaves_nobody_waiting(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    store_of: Callable[[], MemoryStore],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """P5, U3: Ctrl-C at any instruction; the bus is stopped, and nothing of the torn turn gets into the store."""
    monkeypatch.setattr(conductor, "TURN_NS", 10**12)  # on a busy machine two retirements would not be one turn
    told: list[BaseException] = []
    store = store_of()

    async def main() -> None:
        async with open_bus(counters, INLINE, store=store, middleware=[Interrupting()]) as bus:
            try:
                await (await bus.submit(Increase("a", echoes=10))).settled()
            except BaseException as error:
                told.append(error)
                raise

    with pytest.raises(KeyboardInterrupt), asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())

    assert [type(error) for error in told] in ([asyncio.CancelledError], [BusClosed])
    assert all(record.outcome is None for record in store.read(0, 100))
    assert "driven-store" not in [thread.name for thread in threading.enumerate()]


def test_an_interrupt_on_the_bus_thread_of_the_synchronous_face_hangs_nobody() -> None:
    """P5, D4: the loop's thread ends, who waits is told, and leaving the block says so as well."""
    with pytest.raises(BusClosed), open_bus_sync(counters, INLINE, middleware=[Interrupting()]) as bus:
        bus.submit(Increase("a", echoes=10)).settled()

    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("driven")]


# ---------------------------------------------------------------------- followed


@on_both_loops
async def test_read_models_in_memory_are_shown_the_whole_log_before_the_bus_opens() -> None:
    """B8, X2: what an earlier bus did is in them, once and in order, and what this one does comes behind it."""
    store = MemoryStore()
    async with open_bus(counters, INLINE, store=store) as bus:
        await (await bus.submit_all([Increase("a")] * 600))[-1].settled()
        before = bus.resolve(Seen).counts.copy()

    async with open_bus(counters, INLINE, store=store) as bus:
        assert bus.resolve(Seen).counts == before
        await (await bus.submit(Increase("a"))).settled()
        (projection,) = bus.statistics().projections
        assert bus.resolve(Seen).counts == [*before, ("a", 601)]
        assert projection.position == store.last_position
