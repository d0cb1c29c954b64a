"""The entrance: first come first served, never too many inside, and no place lost by those who give up (F4)."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from both_loops import on_both_loops, until
from driven.bus.entrance import Entrance
from driven.errors import BusFull


class Room:
    """What is behind the entrance; counts, and notes the order in which visitors came in."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.inside = 0
        self.order: list[int] = []
        self.entrance = Entrance(capacity, lambda: self.inside)

    async def visit(self, number: int, wait_s: float | None = None) -> None:
        """Come in and stay; every other one looks first whether he need wait at all."""
        if number % 2 or not self.entrance.places:
            await self.entrance.enter(wait_s)
        self.inside += 1
        assert self.inside <= self.capacity
        self.order.append(number)
        self.entrance.open_up()

    def leave(self) -> None:
        """One is gone, as at a retirement."""
        self.inside -= 1
        self.entrance.open_up()


STEPS = st.lists(
    st.sampled_from(
        [
            ["come"],
            ["come", "settle"],
            ["leave"],
            ["leave", "settle"],
            ["cancel 0"],
            ["leave", "cancel 0"],
            ["cancel 1"],
        ]
    ),
    max_size=30,
).map(lambda groups: [step for group in groups for step in group])


@given(capacity=st.integers(1, 3), steps=STEPS)
def test_visitors_enter_in_order_and_never_too_many_whoever_gives_up_when(capacity: int, steps: list[str]) -> None:
    """F4: first come first served; the bound holds at every moment; nobody waits beside an empty place."""

    async def scenario() -> None:
        room, waiting, came = Room(capacity), list[asyncio.Task[None]](), 0
        for step in steps:
            if step == "come":
                came += 1
                waiting.append(asyncio.create_task(room.visit(came)))
            elif step == "leave" and room.inside:
                room.leave()
            elif step == "settle":
                await settle()
            elif step.startswith("cancel") and (outside := [task for task in waiting if not task.done()]):
                outside[int(step[-1]) % len(outside)].cancel()
        await settle()
        while any(not task.done() for task in waiting):
            assert room.inside == capacity, "somebody waits beside an empty place"
            room.leave()
            await settle()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert room.order == sorted(room.order)

    async def settle() -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    asyncio.run(scenario())


@on_both_loops
async def test_a_full_entrance_turns_away_who_does_not_wait() -> None:
    """F4: with no patience there is BusFull at once, with the numbers."""
    room = Room(capacity=1)
    await room.visit(1, wait_s=0)

    with pytest.raises(BusFull) as full:
        await room.visit(2, wait_s=0)

    assert (full.value.pending, full.value.capacity) == (1, 1)


@on_both_loops
async def test_who_waits_in_vain_is_turned_away_and_leaves_no_trace() -> None:
    """F4: patience that ends is BusFull as well, and the place in the line goes to the next."""
    room = Room(capacity=1)
    await room.visit(1)
    patient = asyncio.create_task(room.visit(3))

    with pytest.raises(BusFull):
        await room.visit(2, wait_s=0.01)
    room.leave()
    await patient

    assert room.order == [1, 3]


@on_both_loops
async def test_a_place_that_was_promised_and_given_up_goes_to_the_next() -> None:
    """D5: the wake-up is not lost with the one who was cancelled while it was on its way to him."""
    room = Room(capacity=1)
    await room.visit(1)
    first, second = asyncio.create_task(room.visit(2)), asyncio.create_task(room.visit(3))
    await until(lambda: len(asyncio.all_tasks()) > 2)
    await asyncio.sleep(0)

    room.leave()
    first.cancel()
    await second

    assert room.order == [1, 3]
    with pytest.raises(asyncio.CancelledError):
        await first


@on_both_loops
async def test_nobody_overtakes_those_who_wait() -> None:
    """F4: with a line at the door there is no way past it, though a place has just become free."""
    room = Room(capacity=1)
    await room.visit(1)
    waiting = asyncio.create_task(room.visit(2))
    await asyncio.sleep(0)

    room.leave()
    with pytest.raises(BusFull):
        await room.visit(3, wait_s=0)
    await waiting

    assert room.order == [1, 2]


@pytest.mark.parametrize("newcomer", [4, 5], ids=["looks first", "does not"])
@on_both_loops
async def test_nobody_overtakes_those_who_are_on_their_way_in(newcomer: int) -> None:
    """F4: who was promised a place comes before whoever came later, though there is room for both."""
    room = Room(capacity=2)
    await room.visit(1)
    await room.visit(2)
    waiting = asyncio.create_task(room.visit(3))
    await asyncio.sleep(0)
    late = asyncio.create_task(room.visit(newcomer))

    room.leave()
    room.leave()
    await asyncio.gather(waiting, late)

    assert room.order == [1, 2, 3, newcomer]


@on_both_loops
async def test_closing_wakes_everybody_and_keeps_no_places() -> None:
    """X4: who waits at the door of a closing bus is let go, to be told that it is closed."""
    room = Room(capacity=1)
    room.inside = 1
    waiting = [asyncio.create_task(room.entrance.enter(None)) for _ in range(3)]
    await asyncio.sleep(0)

    room.entrance.close()
    await asyncio.gather(*waiting)
    room.inside = 0

    await room.entrance.enter(0)
