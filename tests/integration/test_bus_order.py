"""The order of one bus without workers: positions, breadth-first consequences, and nobody who jumps the queue."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from both_loops import PATIENCE_S, on_both_loops
from driven import (
    Application,
    Command,
    CommandFailed,
    EmptyKey,
    Event,
    MalformedMessage,
    MessageBus,
    Middleware,
    ReentrantDispatch,
    Settings,
    UnitOfWork,
    UnknownCommand,
    WorkerSettings,
    open_bus,
)
from driven.adapters.stores.memory import MemoryStore

if TYPE_CHECKING:
    from driven import CommandOutcome, Envelope, Receipt
    from driven.service.event_store import LoggedOutcome

INLINE = Settings(workers=WorkerSettings(count=0))


class Grow(Command):
    """Grow a branch with so many twigs, which grow so many more levels."""

    branch: str
    twigs: int = 0
    levels: int = 0


class Grown(Event):
    branch: str
    twigs: int
    levels: int


class Budded(Event):
    branch: str


class Count(Command):
    branch: str


class Counted(Event):
    branch: str


tree = Application("tree")


@tree.handles(Grow)
def grow(command: Grow) -> list[Budded | Grown]:
    """Two events, so that emission order shows."""
    return [Budded(command.branch), Grown(command.branch, command.twigs, command.levels)]


@tree.handles(Count)
def count(command: Count) -> Counted:
    """A leaf."""
    return Counted(command.branch)


@tree.reacts_to(Grown)
def grow_twigs(event: Grown) -> list[Grow]:
    """The next level."""
    if event.levels == 0:
        return []
    return [Grow(f"{event.branch}{twig}", event.twigs, event.levels - 1) for twig in range(event.twigs)]


@tree.reacts_to(Grown)
def count_branch(event: Grown) -> Count:
    """A second reaction to the same event."""
    return Count(event.branch)


class Order(Middleware):
    """What got a position and what retired, in order."""

    def __init__(self) -> None:
        self.admitted_positions: list[int] = []
        self.retired_positions: list[int] = []
        self.names: list[str] = []

    def admitted(self, name: str, envelope: Envelope) -> None:
        """Note it."""
        self.admitted_positions.append(envelope.position)
        self.names.append(name.rpartition(".")[2])

    def retired(self, name: str, envelope: Envelope, outcome: LoggedOutcome) -> None:
        """Note it."""
        self.retired_positions.append(envelope.position)


@on_both_loops
async def test_messages_take_positions_breadth_first_in_emission_order() -> None:
    """O3: what a message causes joins at the tail when it retires: level after level, nothing jumps the queue."""
    order = Order()

    async with open_bus(tree, INLINE, middleware=[order]) as bus:
        await (await bus.submit(Grow("", twigs=2, levels=2))).settled()

    assert order.names == [
        *["Grow", "Budded", "Grown"],
        *["Grow", "Grow", "Count"],
        *["Budded", "Grown", "Budded", "Grown", "Counted"],
        *["Grow", "Grow", "Count"] * 2,
        *["Budded", "Grown", "Budded", "Grown", "Counted"] * 2,
        *["Count"] * 4,
        *["Counted"] * 4,
    ]
    assert order.admitted_positions == order.retired_positions == list(range(1, len(order.names) + 1))


@on_both_loops
async def test_a_hundred_concurrent_handles_get_each_its_own_events() -> None:
    """B1, O8: there is one queue, and nobody's events go to another, whoever waits at the same time."""
    async with open_bus(tree, INLINE) as bus:
        outcomes = await asyncio.gather(*(bus.handle(Grow(str(number))) for number in range(100)))

        assert [outcome.events for outcome in outcomes] == [
            (Budded(str(number)), Grown(str(number), 0, 0)) for number in range(100)
        ]
        assert bus.statistics().queued >= 0
    assert sorted(outcome.position for outcome in outcomes) == [outcome.position for outcome in outcomes]


async def handle_all(bus: MessageBus, names: list[str]) -> list[CommandOutcome]:
    """One after the other, from whatever loop this runs in."""
    return [await bus.handle(Count(name)) for name in names]


@on_both_loops
async def test_threads_with_loops_of_their_own_may_submit_at_the_same_time() -> None:
    """O8, O1: from eight threads and event loops and this one; positions are gapless, and each caller's own ascend."""
    order, outcomes = Order(), dict[int, list["CommandOutcome"]]()
    names = [str(number) for number in range(25)]

    async with open_bus(tree, INLINE, middleware=[order]) as bus:

        def submit_from_here(number: int) -> None:
            outcomes[number] = asyncio.run(handle_all(bus, names))

        threads = [threading.Thread(target=submit_from_here, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        outcomes[8] = await handle_all(bus, names)
        for thread in threads:
            await asyncio.to_thread(thread.join, PATIENCE_S)

    assert order.retired_positions == list(range(1, 9 * 25 * 2 + 1))
    for own in outcomes.values():
        positions = [outcome.position for outcome in own]
        assert positions == sorted(set(positions))
        assert [outcome.events for outcome in own] == [(Counted(name),) for name in names]


class Use(Command):
    how: str


class Used(Event):
    how: str


def reaching_for(held: list[MessageBus]) -> Application:
    """An application whose handler and reaction try to use the bus that is put into `held`."""
    app = Application("reaching")

    @app.handles(Use)
    def use(command: Use) -> Used:
        if command.how == "submit in handler":
            _ = held[0].submit(Use("again"))
        if command.how == "handle in handler":
            _ = held[0].handle(Use("again"))
        return Used(command.how)

    @app.reacts_to(Used)
    def react(event: Used) -> Use | None:
        if event.how == "submit in reaction":
            _ = held[0].submit(Use("again"))
        return None

    return app


@pytest.mark.parametrize("how", ["submit in handler", "handle in handler"])
@on_both_loops
async def test_a_handler_cannot_reach_the_bus(how: str) -> None:
    """O7, B12: the attempt fails the command at once, with what to do instead; nothing was accepted."""
    held: list[MessageBus] = []
    async with open_bus(reaching_for(held), INLINE) as bus:
        held.append(bus)

        with pytest.raises(CommandFailed, match="let a reaction to it issue the command") as failure:
            await bus.handle(Use(how))

        assert failure.value.error_type == f"{ReentrantDispatch.__module__}.ReentrantDispatch"
        assert bus.statistics().admitted == 1


@on_both_loops
async def test_a_reaction_cannot_reach_the_bus() -> None:
    """O7, F2: the reaction fails, its event is parked, and nothing was accepted."""
    held: list[MessageBus] = []
    store = MemoryStore()
    async with open_bus(reaching_for(held), INLINE, store=store) as bus:
        held.append(bus)

        settlement = await (await bus.submit(Use("submit in reaction"))).settled()

        assert (settlement.messages, settlement.parked) == (2, 1)
    outcome = store.read(1, 1)[0].outcome
    assert outcome is not None
    assert outcome.failures[0].error_type.endswith("ReentrantDispatch")


@on_both_loops
async def test_the_same_command_twice_emits_each_event_once() -> None:
    """B2: outcomes are values; nothing of the first run is left for the second."""
    async with open_bus(tree, INLINE) as bus:
        command = Grow("oak")
        first, second = await bus.handle(command), await bus.handle(command)

        assert first.events == second.events == (Budded("oak"), Grown("oak", 0, 0))
        assert second.position > first.position


class Paint(Command):
    colour: str
    coats: int = 1


class Painted(Event):
    colour: str


class Order66(Command):
    """Nobody handles it."""


def paint_shop() -> Application:
    """Paints by colour, and one reaction that forgets the colour."""
    app = Application("paints")

    @app.handles(Paint, key="colour")
    def paint(command: Paint, uow: UnitOfWork) -> Painted:
        return Painted(command.colour)

    @app.reacts_to(Painted)
    def paint_over(event: Painted) -> Paint | None:
        return Paint("") if event.colour == "forgetful" else None

    return app


@on_both_loops
async def test_what_cannot_be_run_gets_no_position() -> None:
    """O1, R1: a command without a handler, without its key, or with a value of a wrong type is refused at the door."""
    async with open_bus(paint_shop(), INLINE) as bus:
        with pytest.raises(UnknownCommand, match=r"it handles: paints\.Paint"):
            await bus.submit(Order66())
        with pytest.raises(EmptyKey, match=r"paints.Paint.colour is the command's key and it is empty"):
            await bus.submit(Paint(""))
        with pytest.raises(MalformedMessage, match=r"not a valid paints\.Paint"):
            await bus.submit(Paint("red", coats="two"))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="choose another"):
            await bus.submit(Paint("red"), command_id="@1")

        assert bus.statistics().admitted == 0


@on_both_loops
async def test_a_reaction_that_issues_what_cannot_be_run_is_the_one_that_failed() -> None:
    """O4, F2: an empty key is never a random lane, not for internal commands either."""
    store = MemoryStore()
    async with open_bus(paint_shop(), INLINE, store=store) as bus:
        receipt = await bus.submit(Paint("forgetful"))

        assert (await receipt.handled()).events == (Painted("forgetful"),)
        assert (await receipt.settled()).parked == 1
    outcome = store.read(1, 1)[0].outcome
    assert outcome is not None
    assert "EmptyKey" in outcome.failures[0].error_type


@on_both_loops
async def test_the_digest_depends_on_what_was_done_and_not_on_when_or_where() -> None:
    """O6: one by one, all at once, or from another loop: the same roots in the same order give the same log."""
    roots = [Grow(str(number), twigs=number % 3, levels=1) for number in range(10)]

    async def digest(*, is_hurried: bool) -> str:
        receipts: list[Receipt] = []
        async with open_bus(tree, INLINE) as bus:
            for root in roots:
                receipts.append(await bus.submit(root))
                if not is_hurried:
                    await receipts[-1].handled()
            for receipt in receipts:
                await receipt.settled()
            return bus.log_digest()

    assert await digest(is_hurried=True) == await digest(is_hurried=True)
    assert await digest(is_hurried=True) != await digest(is_hurried=False), "these are two orders of the same roots"
