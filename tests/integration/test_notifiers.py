"""Notifiers: at least once, strictly in position order, and nobody waits for them (U6, B7, X1, X4)."""

from __future__ import annotations

import asyncio
import builtins
import importlib.util
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from both_loops import PATIENCE_S, on_both_loops, until
from driven import (
    Application,
    BusSettings,
    Command,
    Delivery,
    Event,
    RegistrationError,
    Settings,
    WorkerSettings,
    open_bus,
    open_bus_sync,
)
from driven.adapters.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven import EventStore, MessageBus

INLINE = Settings(workers=WorkerSettings(count=0))
IMPATIENT = Settings(workers=WorkerSettings(count=0), bus=BusSettings(drain_timeout_s=0.5))


class Ship(Command):
    parcel: int


class Shipped(Event):
    parcel: int


class Lost(Event):
    parcel: int


class World:
    """What is outside: it hears of parcels, as often as it wants to."""

    def __init__(self, refuse: Callable[[int, int], bool] = lambda _parcel, _attempt: False) -> None:
        self.heard: list[tuple[int, int]] = []
        """Position and parcel of each call that succeeded."""
        self.keys: list[str] = []
        self.refused = 0
        self.refuse = refuse
        self.gate = threading.Event()
        self.gate.set()

    def hear(self, parcel: int, delivery: Delivery) -> None:
        """Take it, or refuse to."""
        assert self.gate.wait(PATIENCE_S)
        if self.refuse(parcel, delivery.attempt):
            self.refused += 1
            text = f"not {parcel}"
            raise ConnectionError(text)
        self.heard.append((delivery.envelope.position, parcel))
        self.keys.append(delivery.key)


def post_office(world: World, **options: Any) -> Application:  # noqa: ANN401 - of notifies
    """Parcels; each seventh is lost. Of all of them the world is told."""
    app = Application("post")
    app.binds(World, lambda: world)

    @app.handles(Ship)
    def ship(command: Ship) -> Shipped | Lost:
        return Shipped(command.parcel) if command.parcel % 7 else Lost(command.parcel)

    @app.notifies(Shipped, Lost, **{"first_wait_s": 0.001, "longest_wait_s": 0.01, **options})
    def tell(event: Shipped | Lost, delivery: Delivery, world: World) -> None:
        world.hear(event.parcel, delivery)

    return app


def counts(bus: MessageBus, notifier: str) -> tuple[int, int]:
    """What a notifier has delivered, and how far it is behind."""
    return next((one.delivered, one.lag) for one in bus.statistics().notifiers if one.name == notifier)


def told(parcels: list[int], first: int = 2) -> list[tuple[int, int]]:
    """Events stand behind all commands when these were admitted at once."""
    return list(enumerate(parcels, first))


@on_both_loops
async def test_calls_come_in_position_order_however_often_they_fail(store_of: Callable[[], EventStore]) -> None:
    """B7, U6: two kinds of events, one notifier; for every third event the first two calls fail."""
    world = World(lambda parcel, attempt: parcel % 3 == 0 and attempt < 3)
    async with open_bus(post_office(world), INLINE, store=store_of()) as bus:
        await bus.submit_all([Ship(number) for number in range(60)])
        await until(lambda: counts(bus, "post.tell") == (60, 0))  # it counts when a call has returned

        positions = [position for position, _ in world.heard]
        assert positions == sorted(set(positions))
        assert [parcel for _, parcel in world.heard] == list(range(60))
        assert world.refused == 40
        assert len(set(world.keys)) == 60
        (notifier,) = bus.statistics().notifiers
        assert notifier.attempts == 0
        assert notifier.last_error == "ConnectionError: not 57"


@on_both_loops
async def test_a_slow_notifier_holds_up_neither_the_bus_nor_the_others(store_of: Callable[[], EventStore]) -> None:
    """B7, X1: commands settle, another notifier is told of everything, while one hangs in its first call."""
    slow, fast = World(), World()
    slow.gate.clear()
    app = post_office(slow)

    @app.notifies(Shipped, name="fast", attempts=1)
    def tell_fast(event: Shipped, delivery: Delivery) -> None:
        fast.hear(event.parcel, delivery)

    async with open_bus(app, INLINE, store=store_of()) as bus:
        receipts = await bus.submit_all([Ship(1)] * 1_000)
        await receipts[-1].settled()
        await until(lambda: counts(bus, "fast") == (1_000, 0))
        held, _ = bus.statistics().notifiers
        assert slow.heard == []
        assert (held.delivered, held.lag) == (0, 2_000 - held.position)
        assert [parcel for _, parcel in fast.heard] == [1] * 1_000
        slow.gate.set()
    assert slow.heard == fast.heard  # closing waits until everything is delivered


@on_both_loops
async def test_a_notifier_goes_on_where_the_last_bus_left_it(store_of: Callable[[], EventStore]) -> None:
    """U6: each event once, as nothing died; and what happens while nobody can be told is told later."""
    store, world = store_of(), World()
    for round_ in range(3):
        async with open_bus(post_office(world), INLINE, store=store) as bus:
            await bus.submit_all([Ship(number) for number in range(round_ * 50, round_ * 50 + 50)])

    assert [parcel for _, parcel in world.heard] == list(range(150))
    assert store.cursor("notifier/post.tell").position == store.last_position


@on_both_loops
async def test_what_could_not_be_delivered_is_delivered_by_the_next_bus(store_of: Callable[[], EventStore]) -> None:
    """U6, X4: closing does not wait for a world that refuses; the keys are the same then."""
    store, closed, opened = store_of(), World(lambda _parcel, _attempt: True), World()
    async with open_bus(post_office(closed, longest_wait_s=3_600.0), INLINE, store=store) as bus:
        await bus.submit_all([Ship(1), Ship(2)])
        await until(lambda: bus.statistics().notifiers[0].last_error is not None)
        (notifier,) = bus.statistics().notifiers
        assert (notifier.attempts > 0, notifier.last_error) == (True, "ConnectionError: not 1")
        began_s = time.monotonic()
    assert time.monotonic() - began_s < INLINE.bus.drain_timeout_s

    async with open_bus(post_office(opened), INLINE, store=store):
        pass
    assert opened.heard == told([1, 2], 3)
    assert opened.keys == [f"{store.log_id}/post.tell/{position}" for position in (3, 4)]


@on_both_loops
async def test_a_call_that_does_not_return_is_left_behind_at_the_deadline() -> None:
    """X4, B7: the bus closes in time, and the event is delivered again."""
    store, hanging, well = MemoryStore(), World(), World()
    hanging.gate.clear()
    began_s = time.monotonic()
    async with open_bus(post_office(hanging), IMPATIENT, store=store) as bus:
        await bus.submit(Ship(1))
    assert time.monotonic() - began_s < PATIENCE_S / 2
    hanging.gate.set()

    async with open_bus(post_office(well), INLINE, store=store):
        pass
    assert well.heard == told([1])


@on_both_loops
async def test_one_that_has_used_up_its_attempts_stands_before_that_event(
    store_of: Callable[[], EventStore], caplog: pytest.LogCaptureFixture
) -> None:
    """B7, B9: it tells nothing of what comes behind; opened again it tries once more."""
    store, strict, mended = store_of(), World(lambda parcel, _attempt: parcel == 3), World()
    async with open_bus(post_office(strict, attempts=2), INLINE, store=store) as bus:
        await bus.submit_all([Ship(number) for number in range(1, 6)])
        await until(lambda: bus.statistics().notifiers[0].stopped_by is not None)
        (notifier,) = bus.statistics().notifiers
        assert notifier.stopped_by == "ConnectionError: not 3"
        assert notifier.position == 7
        await bus.handle(Ship(6))
    assert [parcel for _, parcel in strict.heard] == [1, 2]
    assert strict.refused == 2
    assert "gives up on position 8" in caplog.text

    async with open_bus(post_office(mended), INLINE, store=store):
        pass
    assert [parcel for _, parcel in mended.heard] == [3, 4, 5, 6]


@on_both_loops
async def test_a_new_notifier_is_not_told_of_the_past_unless_it_asks(store_of: Callable[[], EventStore]) -> None:
    """B10: adding one to a service that runs sends no mail for what is long over."""
    store, nobody, late, early = store_of(), World(), World(), World()
    async with open_bus(post_office(nobody), INLINE, store=store) as bus:
        await bus.submit_all([Ship(1), Ship(2)])

    async with open_bus(post_office(late, name="late"), INLINE, store=store) as bus:
        await bus.handle(Ship(3))
    async with open_bus(post_office(early, name="early", since=0), INLINE, store=store):
        pass

    assert [parcel for _, parcel in late.heard] == [3]
    assert [parcel for _, parcel in early.heard] == [1, 2, 3]


def test_without_stamina_a_notifier_that_calls_again_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """R1: when the bus opens, with the name of what to install; one that calls once needs nothing."""
    found = importlib.util.find_spec
    importing = builtins.__import__

    def find_spec(name: str, *arguments: Any) -> Any:  # noqa: ANN401 - of importlib
        return None if name == "stamina" else found(name, *arguments)

    def import_(name: str, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - of builtins
        assert name != "stamina"
        return importing(name, *arguments, **named)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    monkeypatch.setattr(builtins, "__import__", import_)
    with pytest.raises(RegistrationError, match=r"post.tell .* needs stamina: pip install 'driven-bus\[notifiers\]'"):
        open_bus_sync(post_office(World()), INLINE).__enter__()

    world = World()
    with open_bus_sync(post_office(world, attempts=1), INLINE) as bus:
        bus.submit(Ship(1)).settled()
    assert world.heard == told([1])


def test_everything_that_is_wrong_with_notifiers_is_listed_when_the_bus_opens() -> None:
    """R1: all at once."""
    app = post_office(World())
    post_office(World())

    @app.notifies(Shipped, name="post.tell", attempts=0, first_wait_s=5.0, longest_wait_s=1.0, since=-1)
    def again(event: Shipped) -> None: ...

    @app.notifies(name="two words")
    def of_nothing(event: Shipped) -> None: ...

    @app.notifies(Ship)  # type: ignore[arg-type]  # what is refused
    def of_a_command(event: Shipped) -> None: ...

    @app.notifies(Shipped)
    def returns(event: Shipped) -> Shipped:
        return event

    @app.notifies(Shipped)
    def unbound(event: Shipped, number: int) -> None: ...

    @app.notifies  # type: ignore[arg-type]  # as above
    def bare(event: Shipped) -> None: ...

    with pytest.raises(RegistrationError) as raised:
        open_bus_sync(app, INLINE).__enter__()

    text = "\n".join(raised.value.faults)
    for fault in (
        "notifier 'post.tell': there are two of this name",
        "attempts=0; give a whole number of at least 1",
        "give first_wait_s above 0",
        "since=-1; give a position",
        "notifier 'two words': give it a name of one word",
        "notifier 'two words': it is told of no event",
        "@app.notifies(Ship) needs a subclass of Event",
        "returns messages",
        "unbound: parameter 'number': nothing is bound for int",
        "@app.notifies was used without a message type",
    ):
        assert fault in text


async def test_threads_of_notifiers_are_gone_with_the_bus() -> None:
    """X4: nothing is left of a bus that closed in time."""
    async with open_bus(post_office(World()), INLINE) as bus:
        await bus.handle(Ship(1))
        assert [one.name for one in threading.enumerate() if one.name.startswith("driven-notifier")] == [
            "driven-notifier post.tell"
        ]

    async with asyncio.timeout(PATIENCE_S):
        await until(lambda: not [one for one in threading.enumerate() if one.name.startswith("driven-notifier")])
