"""Projections that last: in step with the log, exactly once, built anew beside what is read (U6, X2, B8, B14)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from both_loops import on_both_loops, until
from driven import (
    Application,
    BusClosed,
    Command,
    Event,
    MisuseError,
    ProjectionStopped,
    RegistrationError,
    Settings,
    StoreFailed,
    Tables,
    WorkerSettings,
    open_bus,
    open_bus_sync,
)
from driven.adapters.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven import EventStore, MessageBus

INLINE = Settings(workers=WorkerSettings(count=0))


class Sell(Command):
    article: str
    pieces: int
    echoes: int = 0


class Sold(Event):
    article: str
    pieces: int
    echoes: int


class Returned(Event):
    article: str


def shop(version: int = 1, poison: int = -1, factor: int = 1) -> Application:
    """Sales, and how many pieces of each article they were; a sale of `poison` pieces cannot be shown."""
    app = Application("shop")
    sales = app.projection("sales", version=version, tables=["sales", "article"])

    @app.handles(Sell)
    def sell(command: Sell) -> Sold:
        return Sold(command.article, command.pieces, command.echoes)

    @app.reacts_to(Sold)
    def echo(event: Sold) -> Sell | None:
        return Sell(event.article, event.pieces, event.echoes - 1) if event.echoes else None

    @sales.creates
    def create(tables: Tables) -> None:
        tables.execute("CREATE TABLE {sales} (number INTEGER PRIMARY KEY, pieces INTEGER)")
        tables.execute("CREATE TABLE {article} (name TEXT PRIMARY KEY, pieces INTEGER)")
        tables.execute("CREATE INDEX {article}_by_pieces ON {article} (pieces)")

    @sales.projects(Sold)
    def add(event: Sold, tables: Tables) -> None:
        if event.pieces == poison:
            text = "no such sale"
            raise ValueError(text)
        tables.execute("INSERT INTO {sales} (pieces) VALUES (?)", (event.pieces * factor,))
        tables.execute(
            "INSERT INTO {article} VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET pieces = pieces + excluded.pieces",
            (event.article, event.pieces * factor),
        )

    return app


def rows(bus: MessageBus) -> list[tuple[int, int]]:
    """Every sale, in the order in which it was shown."""
    return bus.query("SELECT number, pieces FROM sales ORDER BY number")


def sales(*pieces: int) -> list[tuple[int, int]]:
    """What the table is to hold."""
    return list(enumerate(pieces, 1))


@on_both_loops
async def test_whoever_waits_for_a_projection_reads_what_he_wrote(store_of: Callable[[], EventStore]) -> None:
    """U6, X1: `settled(projections=...)` comes when the rows of the whole tree of causes are there."""
    async with open_bus(shop(), INLINE, store=store_of()) as bus:
        for number in range(1, 30):
            receipt = await bus.submit(Sell("a", number, echoes=1))
            await receipt.settled(projections=["sales"])
            assert bus.query("SELECT count(*) FROM sales") == [(2 * number,)]
        assert bus.query("SELECT * FROM article") == [("a", 2 * sum(range(1, 30)))]


@on_both_loops
async def test_a_projection_goes_on_where_the_last_bus_left_it(store_of: Callable[[], EventStore]) -> None:
    """U6, B8: each event once, over several buses; closing lets it get to the end."""
    store = store_of()
    expected: list[int] = []
    for _ in range(3):
        async with open_bus(shop(), INLINE, store=store) as bus:
            await bus.submit_all([Sell("a", number) for number in range(400)])
            expected += range(400)
        assert store.query("SELECT number, pieces FROM sales ORDER BY number") == sales(*expected)
        assert store.cursor("projection/sales").position == store.last_position


@on_both_loops
async def test_one_that_raises_stands_before_that_event_and_all_else_goes_on(
    store_of: Callable[[], EventStore], caplog: pytest.LogCaptureFixture
) -> None:
    """B9, U6: what came before it in the same step is kept; mended and opened again, it goes on from there."""
    store = store_of()
    async with open_bus(shop(poison=13), INLINE, store=store) as bus:
        receipts = await bus.submit_all([Sell("a", number) for number in range(20)])
        with pytest.raises(ProjectionStopped, match="stopped by ValueError: no such sale"):
            await receipts[-1].settled(projections=["sales"])
        await (await bus.submit(Sell("a", 100))).settled()

        (told,) = bus.statistics().projections
        assert told.name == "sales"
        assert told.stopped_by == "ValueError: no such sale"
        assert told.position + told.lag == store.last_position
        assert rows(bus) == sales(*range(13))
    assert "Projection sales raised at position" in caplog.text

    async with open_bus(shop(), INLINE, store=store) as bus:
        await (await bus.submit(Sell("a", 101))).settled(projections=["sales"])
        assert rows(bus) == sales(*range(20), 100, 101)


@on_both_loops
async def test_a_projection_is_built_anew_while_the_live_one_is_read_and_kept_up(
    store_of: Callable[[], EventStore],
) -> None:
    """X2, B14, B8: no moment without it, and nothing is missed of what is written meanwhile."""
    async with open_bus(shop(), INLINE, store=store_of()) as bus:
        await (await bus.submit_all([Sell("a", 1)] * 3_000))[-1].settled(projections=["sales"])
        is_over = False

        async def sell_on() -> int:
            sold = 3_000
            while not is_over:
                await (await bus.submit(Sell("a", 1))).settled(projections=["sales"])
                sold += 1
                assert bus.query("SELECT count(*) FROM sales") == [(sold,)]
            return sold

        selling = asyncio.create_task(sell_on())
        rebuild = await bus.rebuild("sales")
        assert (await bus.rebuild("sales")).progress.end >= 6_000  # it is joined
        assert await rebuild.done()
        is_over = True
        sold = await selling

        assert bus.query("SELECT count(*) FROM sales") == [(sold,)]
        assert bus.query("SELECT pieces FROM article") == [(sold,)]
        names = bus.query("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '%\\_\\_e%' ESCAPE '\\'")
        assert sorted(names) == [("article__e2",), ("sales__e2",)]
        assert bus.statistics().projections[0].rebuild is None


@on_both_loops
async def test_another_version_is_built_beside_the_old_one_which_is_read_until_then(
    store_of: Callable[[], EventStore],
) -> None:
    """X2: a deployment with new code needs no downtime and nobody who thinks of it."""
    store = store_of()
    async with open_bus(shop(), INLINE, store=store) as bus:
        await bus.submit_all([Sell("a", 1)] * 2_000)

    async with open_bus(shop(version=2, factor=10), INLINE, store=store) as bus:
        assert bus.query("SELECT count(*) FROM sales") == [(2_000,)]
        await (await bus.submit(Sell("a", 2))).settled(projections=["sales"])

        (told,) = bus.statistics().projections
        assert (told.version, told.stopped_by) == (2, None)
        assert bus.query("SELECT pieces FROM article") == [(20_020,)]


@on_both_loops
async def test_a_rebuild_that_was_cut_short_is_taken_up_by_the_next_bus(store_of: Callable[[], EventStore]) -> None:
    """B14: it does not begin again; its place is in the store."""
    store = store_of()
    async with open_bus(shop(), INLINE, store=store) as bus:
        await bus.submit_all([Sell("a", 1)] * 5_000)
    async with open_bus(shop(), INLINE, store=store) as bus:
        rebuild = await bus.rebuild("sales")
        await until(lambda: rebuild.progress.position > 0)
    with pytest.raises(BusClosed):
        await rebuild.done()
    reached = store.cursor("projection/sales/next").position
    assert 0 < reached < store.last_position

    async with open_bus(shop(), INLINE, store=store) as bus:
        rebuild = await bus.rebuild("sales")
        assert rebuild.progress.position >= reached
        assert await rebuild.done()
        assert bus.query("SELECT count(*), sum(pieces) FROM sales") == [(5_000, 5_000)]


@on_both_loops
async def test_a_rebuild_can_be_cancelled_and_leaves_nothing(store_of: Callable[[], EventStore]) -> None:
    """B14: the live one is what it was; asking again begins from the first event."""
    store = store_of()
    async with open_bus(shop(), INLINE, store=store) as bus:
        await (await bus.submit_all([Sell("a", 1)] * 5_000))[-1].settled(projections=["sales"])
        rebuild = await bus.rebuild("sales")
        await until(lambda: rebuild.progress.position > 0)

        rebuild.cancel()

        assert not await rebuild.done()
        assert store.cursor("projection/sales/next").state == ""
        tables = bus.query("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'sales%'")
        assert tables == [("sales__e1",)]
        assert await (await bus.rebuild("sales")).done()


@on_both_loops
async def test_a_rebuild_that_raises_leaves_the_live_one_alone() -> None:
    """X2, B9: the error is told to whoever asked; the old edition is read and kept up as before."""
    store = MemoryStore()
    async with open_bus(shop(), INLINE, store=store) as bus:
        await bus.submit_all([Sell("a", number) for number in range(20)])

    async with open_bus(shop(version=2, poison=13), INLINE, store=store) as bus:
        rebuild = await bus.rebuild("sales")
        with pytest.raises(ProjectionStopped, match="no such sale"):
            await rebuild.done()
        (told,) = bus.statistics().projections
        assert told.rebuild is not None
        assert told.rebuild.stopped_by == "ValueError: no such sale"
        assert rows(bus) == sales(*range(20))


@on_both_loops
async def test_a_projection_whose_tables_cannot_be_made_stops_alone() -> None:
    """B9: and says why; nothing of it is kept."""
    app = shop()
    other = app.projection("other", tables=["missing"])
    store = MemoryStore()

    @other.creates
    def create(tables: Tables) -> None:
        tables.execute("CREATE TABLE forgotten_the_braces (x)")

    @other.projects(Returned)
    def take_back(event: Returned, tables: Tables) -> None: ...

    async with open_bus(app, INLINE, store=store) as bus:
        await (await bus.submit(Sell("a", 1))).settled(projections=["sales"])
        await until(lambda: bus.statistics().projections[1].stopped_by is not None)
        _, told = bus.statistics().projections
        assert "no such table: missing__e1" in str(told.stopped_by)
        with pytest.raises(StoreFailed):
            bus.query("SELECT * FROM forgotten_the_braces")


@on_both_loops
async def test_a_statement_that_ends_the_transaction_stops_the_projection() -> None:
    """U6: its rows and its place are kept together, or not at all."""
    app = shop()
    eager = app.projection("eager", tables=["eager"])

    @eager.creates
    def create(tables: Tables) -> None:
        tables.execute("CREATE TABLE {eager} (x)")

    @eager.projects(Sold)
    def commit(event: Sold, tables: Tables) -> None:
        tables.execute("COMMIT")

    async with open_bus(app, INLINE) as bus:
        await (await bus.submit(Sell("a", 1))).settled(projections=["sales"])
        with pytest.raises(ProjectionStopped, match="leave BEGIN, COMMIT and ROLLBACK to the store"):
            await (await bus.submit(Sell("a", 1))).settled(projections=["eager"])


@on_both_loops
async def test_names_that_no_projection_has_are_refused() -> None:
    """R1: at once, with those that there are."""
    async with open_bus(shop(), INLINE) as bus:
        receipt = await bus.submit(Sell("a", 1))
        with pytest.raises(MisuseError, match="'sails' is no projection that lasts \\(there are: sales\\)"):
            await receipt.settled(projections=["sails"])
        with pytest.raises(MisuseError, match="'sails' is no projection"):
            await bus.rebuild("sails")


def test_the_synchronous_face_waits_and_rebuilds_as_well() -> None:
    """X1, X2: the same words, and every call blocks."""
    with open_bus_sync(shop(), INLINE) as bus:
        bus.submit(Sell("a", 7)).settled(10.0, projections=["sales"])
        assert bus.query("SELECT pieces FROM sales") == [(7,)]
        assert bus.rebuild("sales").done(10.0)
        assert bus.query("SELECT pieces FROM sales WHERE pieces > ?", (6,)) == [(7,)]


def test_everything_that_is_wrong_with_projections_is_listed_when_the_bus_opens() -> None:
    """R1: names, versions, tables, functions; all at once."""
    app = shop()
    app.projection("sales", tables=["Sales"])
    odd = app.projection("odd name", version=0, tables=["message", "x-y", "t__e1"])
    plain = app.projection("plain")

    @plain.projects(Sold)
    def add(event: Sold, tables: Tables) -> None: ...

    @odd.creates
    @odd.creates
    def create(tables: Tables) -> None: ...

    with pytest.raises(RegistrationError) as raised, open_bus_sync(app, INLINE):
        pass

    text = "\n".join(raised.value.faults)
    for fault in (
        "there are two of this name",
        "nothing makes its tables",
        "it follows no event",
        "its name is not made of letters, digits and underscores",
        "version=0; give a whole number of at least 1",
        "a table cannot be named 'message'",
        "table 'x-y' is not named with letters",
        "a table cannot be named 't__e1'",
        "2 functions make its tables",
        "asks for Tables, which only a projection that names its tables has",
    ):
        assert fault in text
