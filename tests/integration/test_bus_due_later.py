"""Messages due later through a whole bus: a real timer, a clock that jumps, a restart, and what a submitter is told."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from both_loops import on_both_loops, until
from driven import (
    Application,
    Command,
    CommandFailed,
    CommandIdReused,
    Context,
    Event,
    Later,
    Settings,
    Settlement,
    StoreSettings,
    WorkerSettings,
    open_bus,
    open_bus_sync,
)
from driven.adapters.stores.memory import MemoryStore

if TYPE_CHECKING:
    from pathlib import Path

INLINE = Settings(workers=WorkerSettings(count=0))
SECOND = 1_000_000_000
LONG = timedelta(days=400)


class Ring(Command):
    bell: str


class WindUp(Command):
    bell: str
    after_s: float


class WoundUp(Event):
    bell: str
    after_s: float


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        """It is some second of 2027."""
        self.now_ns = 1_800_000_000 * SECOND

    def __call__(self) -> int:
        """The time."""
        return self.now_ns

    def after(self, seconds: float) -> datetime:
        """A moment from now."""
        return datetime.fromtimestamp(self.now_ns / SECOND, UTC) + timedelta(seconds=seconds)


def bells() -> tuple[Application, dict[str, datetime]]:
    """An application of bells, and when each rang."""
    app, rung = Application("bells"), dict[str, datetime]()

    @app.handles(Ring)
    def ring(command: Ring, context: Context) -> None:
        assert command.bell not in rung
        rung[command.bell] = context.now

    @app.handles(WindUp)
    def wind_up(command: WindUp) -> WoundUp:
        return WoundUp(command.bell, command.after_s)

    @app.reacts_to(WoundUp)
    def ring_later(event: WoundUp) -> Later[Ring]:
        return Later(Ring(event.bell), after_s=event.after_s)

    return app, rung


@on_both_loops
async def test_a_command_enters_when_it_is_due_by_itself() -> None:
    """O3: nobody has to do anything; it is not early; whoever caused it settled before."""
    app, rung = bells()
    async with open_bus(app, INLINE, store=MemoryStore()) as bus:
        due_at = datetime.now(UTC) + timedelta(milliseconds=60)
        receipt = await bus.submit(Ring("submitted"), deliver_at=due_at)
        other = await bus.submit(WindUp("wound up", 0.03))

        assert await receipt.settled() == Settlement(1, 0, 0)
        assert await other.settled() == Settlement(2, 0, 0)
        await until(lambda: len(rung) == 2)

    assert rung["submitted"] >= due_at


@on_both_loops
async def test_a_clock_that_jumps_lets_in_what_it_has_jumped_over_and_no_more() -> None:
    """O3: also backwards."""
    (app, rung), clock = bells(), Clock()
    async with open_bus(app, INLINE, store=MemoryStore(), clock_ns=clock) as bus:
        for bell, seconds in (("late", 7_200), ("soon", 3_600)):
            await bus.submit(Ring(bell), deliver_at=clock.after(seconds))

        clock.now_ns += 5_000 * SECOND
        await until(lambda: bool(rung))
        assert list(rung) == ["soon"]
        clock.now_ns -= 4_000 * SECOND
        await (await bus.submit(WindUp("third", 1_000.0))).settled()
        clock.now_ns += 1_001 * SECOND
        await until(lambda: len(rung) == 2)

        assert list(rung) == ["soon", "third"]
        assert [one.name for one in await bus.due.list()] == ["bells.Ring"]


@pytest.mark.parametrize("url", ["memory://", "sqlite:///bells.db"])
def test_what_is_due_survives_a_restart(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """U9, X4: closing does not wait for it; the next bus lets in what is overdue, in order, and later the rest."""
    monkeypatch.chdir(tmp_path)
    (app, rung), clock, store = bells(), Clock(), MemoryStore() if url == "memory://" else None
    configuration = Settings(workers=INLINE.workers, store=StoreSettings(url=url))
    with open_bus_sync(app, configuration, store=store, clock_ns=clock) as bus:
        for number, seconds in enumerate((30.0, 10.0, 20.0, 500.0)):
            bus.submit(WindUp(str(number), seconds)).settled()
        bus.submit(Ring("from outside"), deliver_at=clock.after(15))

    clock.now_ns += 100 * SECOND
    with open_bus_sync(app, configuration, store=store, clock_ns=clock) as bus:
        while len(bus.due.list()) > 1:
            time.sleep(0.001)
        (left,) = bus.due.list()

        assert list(rung) == ["1", "from outside", "2", "0"]
        assert (left.name, left.due_at, left.key) == ("bells.Ring", clock.after(400), None)


@on_both_loops
async def test_an_id_names_one_submission_whether_it_is_due_later_or_not() -> None:
    """U5: the same again gives the receipt of the first; anything else is refused, also after it has entered."""
    (app, rung), clock, store = bells(), Clock(), MemoryStore()
    async with open_bus(app, INLINE, store=store, clock_ns=clock) as bus:
        due_at = clock.after(3_600)
        first = await bus.submit(Ring("a"), command_id="x", deliver_at=due_at)
        again = await bus.submit(Ring("a"), command_id="x", deliver_at=due_at)
        await bus.submit(Ring("b"), command_id="y")

        assert again.position == first.position
        for command, command_id, moment in (
            (Ring("b"), "x", due_at),
            (Ring("a"), "x", clock.after(3_601)),
            (Ring("a"), "x", None),
            (Ring("b"), "y", due_at),
        ):
            with pytest.raises(CommandIdReused):
                await bus.submit(command, command_id=command_id, deliver_at=moment)
    clock.now_ns += 4_000 * SECOND
    async with open_bus(app, INLINE, store=store, clock_ns=clock) as bus:
        await until(lambda: "a" in rung)
        assert (await bus.submit(Ring("a"), command_id="x", deliver_at=due_at)).position == first.position


@on_both_loops
async def test_a_moment_without_a_time_zone_is_refused() -> None:
    """R2: nobody guesses which one was meant."""
    app, _ = bells()
    async with open_bus(app, INLINE, store=MemoryStore()) as bus:
        with pytest.raises(ValueError, match="has no time zone; give one"):
            await bus.submit(Ring("a"), deliver_at=datetime.now())  # noqa: DTZ005 - what is refused


def test_an_operator_lists_and_cancels_what_is_due() -> None:
    """The next first, in pages; a cancel is told whether there was something to cancel."""
    (app, rung), clock = bells(), Clock()
    with open_bus_sync(app, INLINE, store=MemoryStore(), clock_ns=clock) as bus:
        receipts = [bus.submit(Ring(str(n)), deliver_at=clock.after(100 - n)) for n in range(3)]

        (first,) = bus.due.list(limit=1)
        assert (first.cause, first.number, first.root) == (receipts[2].position, 1, receipts[2].position)
        assert [one.cause for one in bus.due.list(after=first)] == [receipts[1].position, receipts[0].position]
        bus.due.cancel(first.cause, by="anna", why="no longer wanted").handled()
        with pytest.raises(CommandFailed, match="nothing is due later"):
            bus.due.cancel(first.cause).handled()
        assert len(bus.due.list()) == 2
    assert rung == {}


def bells_without_rings() -> Application:
    """The bells when nobody rings any more."""
    other = Application("bells")

    @other.handles(WindUp)
    def wind_up(command: WindUp) -> None:
        """As the last one in this process, it lets what is due come in before."""

    return other


def test_a_type_that_is_gone_stays_due() -> None:
    """X3: it is not lost, the bus goes on, and the code that knows it lets it in."""
    (app, rung), clock, store = bells(), Clock(), MemoryStore()
    with open_bus_sync(app, INLINE, store=store, clock_ns=clock) as bus:
        bus.submit(Ring("a"), deliver_at=clock.after(10))
    clock.now_ns += 20 * SECOND

    with open_bus_sync(bells_without_rings(), INLINE, store=store, clock_ns=clock) as bus:
        bus.submit(WindUp("b", 1.0)).settled()
        assert [one.name for one in bus.due.list()] == ["bells.Ring"]

    with open_bus_sync(app, INLINE, store=store, clock_ns=clock) as bus:
        while not rung:
            time.sleep(0.001)
        assert bus.due.list() == ()


def test_a_type_that_is_gone_can_be_cancelled() -> None:
    """X3: as whoever is told of it is told."""
    (app, _), clock, store = bells(), Clock(), MemoryStore()
    with open_bus_sync(app, INLINE, store=store, clock_ns=clock) as bus:
        bus.submit(Ring("a"), deliver_at=clock.after(10))
    clock.now_ns += 20 * SECOND

    with open_bus_sync(bells_without_rings(), INLINE, store=store, clock_ns=clock) as bus:
        bus.submit(WindUp("b", 1.0)).settled()
        (stays,) = bus.due.list()

        bus.due.cancel(stays.cause, stays.number).handled()

        assert bus.due.list() == ()
