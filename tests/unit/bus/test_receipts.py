"""Receipts: any number of waiters, in any event loop, and giving up waiting cancels nothing and leaves nothing (X1)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
import time
import traceback
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from both_loops import PATIENCE_S, on_both_loops, until
from driven import BusClosed, Event
from driven.bus import receipts
from driven.bus.receipts import CommandOutcome, Milestone, Receipt, Settlement

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import FrameType

OUTCOME = CommandOutcome(7, ())
SETTLEMENT = Settlement(messages=3, failed=1, parked=0)


def receipt() -> Receipt:
    """Of a command at position 7."""
    return Receipt(7, "@7")


@on_both_loops
async def test_any_number_of_waiters_is_woken() -> None:
    """X1: handled and settled are reached by all who wait, and by those who come later."""
    held = receipt()
    handled = [asyncio.create_task(held.handled()) for _ in range(5)]
    settled = [asyncio.create_task(held.settled()) for _ in range(5)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in (*handled, *settled))

    held.succeed(tuple, ())
    assert await asyncio.gather(*handled) == [OUTCOME] * 5
    assert not any(task.done() for task in settled)
    held.settle(lambda: SETTLEMENT)

    assert await asyncio.gather(*settled) == [SETTLEMENT] * 5
    assert (await held.handled(), await held.settled()) == (OUTCOME, SETTLEMENT)


@on_both_loops
async def test_a_receipt_can_be_awaited_in_another_event_loop() -> None:
    """X1, O8: the wake-up crosses threads, whichever side is first."""
    held, results = receipt(), list[CommandOutcome]()
    threads = [threading.Thread(target=lambda: results.append(asyncio.run(held.handled()))) for _ in range(8)]
    for thread in threads[:4]:
        thread.start()

    held.succeed(tuple, ())
    for thread in threads[4:]:
        thread.start()
    await until(lambda: len(results) == len(threads))

    assert results == [OUTCOME] * 8
    for thread in threads:
        thread.join(PATIENCE_S)


@on_both_loops
async def test_no_wake_up_is_lost_between_looking_and_sleeping() -> None:
    """X1: threads that begin to wait at the very moment at which it happens all return."""
    for _ in range(50):
        milestone, gate = Milestone(), threading.Barrier(3)

        def wait(milestone: Milestone = milestone, gate: threading.Barrier = gate) -> None:
            gate.wait(PATIENCE_S)
            asyncio.run(asyncio.wait_for(milestone.wait(), PATIENCE_S))

        threads = [threading.Thread(target=wait) for _ in range(2)]
        for thread in threads:
            thread.start()
        gate.wait(PATIENCE_S)
        milestone.reach()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert milestone.is_reached


class Met(asyncio.Future[Any]):
    """A future that meets another one where it is first looked up; until then its thread waits."""

    meeting: threading.Barrier | None = None

    def __hash__(self) -> int:
        """As any future, once they have met."""
        meeting, self.meeting = self.meeting, None
        if meeting is not None:
            meeting.wait(PATIENCE_S)
        return super().__hash__()


def wait_until_so_many_look(count: int) -> None:
    """Return when so many threads are on their way to where they sleep."""
    deadline = time.monotonic() + PATIENCE_S
    code = Milestone._until.__code__  # noqa: SLF001 - where they are to be seen
    while sum(any(one.f_code is code for one, _ in traceback.walk_stack(top)) for top in frames()) != count:
        assert time.monotonic() < deadline
        time.sleep(0)


def frames() -> list[FrameType]:
    """Where each thread is."""
    return list(sys._current_frames().values())  # noqa: SLF001 - there is no other way to ask


def test_two_threads_that_are_the_first_to_wait_are_both_woken() -> None:
    """X1, O8: whichever of them makes the place where they wait, the other one waits there as well."""
    milestone, meeting, woken = Milestone(), threading.Barrier(2), list[bool]()

    class Loop(asyncio.SelectorEventLoop):
        def create_future(self) -> asyncio.Future[Any]:
            future = Met(loop=self)
            future.meeting = meeting
            return future

    async def wait() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await milestone.wait()
        woken.append(True)

    def run() -> None:
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(wait())

    threads = [threading.Thread(target=run) for _ in range(2)]
    with receipts._first_waiter:  # noqa: SLF001 - so that both have seen that nobody waits
        for thread in threads:
            thread.start()
        wait_until_so_many_look(2)
    wait_until_so_many_look(0)
    milestone.reach()
    for thread in threads:
        thread.join(2 * PATIENCE_S)

    assert woken == [True, True]


@on_both_loops
async def test_giving_up_waiting_cancels_nothing() -> None:
    """X1: one who is cancelled, or out of patience, changes nothing for the others."""
    held = receipt()
    patient, impatient = asyncio.create_task(held.handled()), asyncio.create_task(held.handled())
    await asyncio.sleep(0)

    impatient.cancel()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(held.handled(), 0.001)
    held.succeed(tuple, ())

    assert await patient == OUTCOME


def test_giving_up_waiting_leaves_nothing_behind() -> None:
    """P13, X1: who asks again and again with a little patience does not pile up in the receipt."""
    held = receipt()

    async def ask() -> weakref.ref[asyncio.AbstractEventLoop]:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(held.handled(), 0.001)
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(ask())
    gc.collect()

    assert loop() is None, "the receipt still holds the future, and the future its event loop"


def test_a_receipt_that_was_waited_for_keeps_nothing_of_those_who_waited() -> None:
    """P13, X1: a receipt may be held for long; the event loops of those who are done with it may go."""
    held = receipt()

    async def wait() -> weakref.ref[asyncio.AbstractEventLoop]:
        waiting = asyncio.create_task(held.handled())
        await asyncio.sleep(0)
        held.succeed(tuple, ())
        await waiting
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(wait())
    gc.collect()

    assert loop() is None, "the receipt still holds the future, and the future its event loop"


def test_a_waiter_whose_loop_is_closed_does_not_stop_the_others() -> None:
    """X1: an event loop that went away without a word is no reason not to tell the rest."""
    held = receipt()
    loop = asyncio.new_event_loop()
    waiting = held.handled()
    forgotten = loop.create_task(waiting)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()

    held.succeed(tuple, ())

    assert asyncio.run(held.handled()) == OUTCOME
    assert not forgotten.done()
    waiting.close()


@on_both_loops
async def test_a_failure_is_raised_to_every_waiter_and_does_not_grow() -> None:
    """F1, P13: asked a thousand times, the error's traceback is as long as asked once."""
    held = receipt()
    held.fail(lambda: ValueError("no"))

    lengths = set()
    for _ in range(100):
        with pytest.raises(ValueError, match=r"^no$") as failure:
            await held.handled()
        lengths.add(len(traceback.extract_tb(failure.value.__traceback__)))

    assert len(lengths) == 1


def test_a_receipt_that_has_raised_can_be_let_go() -> None:
    """F1, P13: the garbage collector does not see receipts, so no error may lead back to the one that it came from."""

    async def ask_in_vain() -> None:
        held = receipt()
        held.fail(lambda: ValueError("no"))
        held.abandon(BusClosed)
        for ask in (held.handled, held.settled, held.started):
            with contextlib.suppress(ValueError, BusClosed):
                await ask()

    gc.collect()
    before = sys.getrefcount(Receipt)  # every object holds its type

    asyncio.run(ask_in_vain())
    gc.collect()

    assert sys.getrefcount(Receipt) == before


@on_both_loops
async def test_waiters_of_both_stages_are_woken_each_at_its_own() -> None:
    """X1: from several threads, while the stages are being reached."""
    for _ in range(20):
        held, gate = receipt(), threading.Barrier(5)
        told: list[CommandOutcome | Settlement] = []

        def wait(ask: Callable[[], Coroutine[Any, Any, Any]], gate: threading.Barrier = gate) -> None:
            gate.wait(PATIENCE_S)
            told.append(asyncio.run(asyncio.wait_for(ask(), PATIENCE_S)))  # noqa: B023 - joined within the round

        asks = [held.handled, held.settled] * 2
        threads = [threading.Thread(target=wait, args=(ask,)) for ask in asks]
        for thread in threads:
            thread.start()
        gate.wait(PATIENCE_S)
        held.succeed(tuple, ())
        held.settle(SETTLEMENT)
        for thread in threads:
            thread.join(PATIENCE_S)

        assert sorted(told, key=lambda one: one == SETTLEMENT) == [OUTCOME, OUTCOME, SETTLEMENT, SETTLEMENT]


@on_both_loops
async def test_an_abandoned_receipt_tells_why() -> None:
    """X4: the bus is gone; who waits for what had not happened is told, what had happened stays."""
    neither, handled = receipt(), receipt()
    handled.succeed(tuple, ())
    waiting = asyncio.create_task(neither.handled())
    await asyncio.sleep(0)

    for one in (neither, handled):
        one.abandon(lambda: BusClosed("the disk is full"))

    with pytest.raises(BusClosed, match="the disk is full"):
        await waiting
    assert await handled.handled() == OUTCOME
    for one in (neither, handled):
        with pytest.raises(BusClosed, match="the disk is full"):
            await one.settled()


@on_both_loops
async def test_what_comes_after_abandoning_changes_nothing() -> None:
    """X4: a batch that gets into the store while the bus closes does not take back what was said."""
    held = receipt()
    held.abandon(BusClosed)

    held.succeed(tuple, ())
    held.settle(lambda: SETTLEMENT)

    with pytest.raises(BusClosed):
        await held.handled()
    with pytest.raises(BusClosed):
        await held.settled()


def test_a_receipt_shows_how_far_it_came() -> None:
    """X1: accepted, handled, settled, in words for a person."""
    held = receipt()

    shown = [repr(held)]
    held.succeed(tuple, ())
    shown.append(repr(held))
    held.settle(lambda: SETTLEMENT)
    shown.append(repr(held))

    assert [text.rpartition(", ")[2] for text in shown] == ["accepted>", "handled>", "settled>"]
    assert all("'@7' at position 7" in text for text in shown)
    assert (held.is_handled, held.is_settled) == (True, True)


@on_both_loops
async def test_events_are_decoded_when_somebody_asks() -> None:
    """X1: nobody pays for events that nobody looks at."""

    class Done(Event):
        number: int

    asked: list[int] = []

    def decode(emitted: bytes) -> tuple[Event, ...]:
        asked.append(1)
        return (Done(1), Done(2))

    held = receipt()
    held.succeed(decode, b"two")
    assert asked == []

    outcome = await held.handled()

    assert outcome == CommandOutcome(7, (Done(1), Done(2)))
