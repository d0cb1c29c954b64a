"""Projections that write elsewhere: at least once, in order, on a thread of their own, in editions (U6, X1, X2, B9)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from both_loops import PATIENCE_S, on_both_loops, until
from driven import (
    Application,
    Command,
    EditionLabel,
    Event,
    ProjectionStopped,
    Settings,
    StoreSettings,
    Tables,
    WorkerSettings,
    open_bus,
    open_bus_sync,
    rebuild,
)
from driven.adapters.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driven import EventStore

INLINE = Settings(workers=WorkerSettings(count=0))


class Write(Command):
    page: int


class Written(Event):
    page: int


class SearchEngine:
    """Elsewhere: an index for each edition, one of which is found."""

    def __init__(self) -> None:
        self.indexes: dict[str, list[int]] = {}
        self.found_in = ""
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()

    @property
    def found(self) -> list[int]:
        """What a search finds."""
        return self.indexes[self.found_in]


def library(engine: SearchEngine, version: int = 1, poison: int = -1) -> Application:
    """Pages; an index of them elsewhere, and how many there are in a table."""
    app = Application("library")
    app.binds(SearchEngine, lambda: engine)
    search = app.projection("search", version=version)
    pages = app.projection("pages", tables=["page"])

    @app.handles(Write)
    def write(command: Write) -> Written:
        return Written(command.page)

    @search.creates
    def make_index(label: EditionLabel, engine: SearchEngine) -> None:
        engine.indexes[label.text] = []
        engine.found_in = engine.found_in or label.text

    @search.projects(Written)
    def index(event: Written, label: EditionLabel, engine: SearchEngine) -> None:
        assert engine.gate.wait(PATIENCE_S)
        if event.page == poison:
            text = "no such page"
            raise ValueError(text)
        engine.threads.add(threading.current_thread().name)
        engine.indexes[label.text].append(event.page)

    @search.switches
    def find_in(label: EditionLabel, engine: SearchEngine) -> None:
        engine.found_in = label.text

    @pages.creates
    def create(tables: Tables, label: EditionLabel) -> None:
        assert label.text == "pages_e1"
        tables.execute("CREATE TABLE {page} (number INTEGER)")

    @pages.projects(Written)
    def add(event: Written, tables: Tables) -> None:
        tables.execute("INSERT INTO {page} VALUES (?)", (event.page,))

    return app


@on_both_loops
async def test_what_is_slow_elsewhere_holds_up_neither_the_bus_nor_a_table(store_of: Callable[[], EventStore]) -> None:
    """X1: commands settle, a table is written, and statistics tell who lags; closing waits for it."""
    engine = SearchEngine()
    engine.gate.clear()
    async with open_bus(library(engine), INLINE, store=store_of()) as bus:
        receipts = await bus.submit_all([Write(page) for page in range(100)])
        await receipts[-1].settled(projections=["pages"])
        assert bus.query("SELECT count(*) FROM page") == [(100,)]
        lags = {one.name: one.lag for one in bus.statistics().projections}
        assert lags["pages"] == 0
        assert lags["search"] > 0
        engine.gate.set()
        await receipts[-1].settled(projections=["search", "pages"])
        assert engine.found == list(range(100))
    assert engine.threads == {"driven-projection search"}


@on_both_loops
async def test_it_goes_on_where_it_was_and_stands_before_what_it_cannot_show(
    store_of: Callable[[], EventStore],
) -> None:
    """U6, B9: nothing that was shown is shown again when nothing died, also not what came before the culprit."""
    store, engine = store_of(), SearchEngine()
    async with open_bus(library(engine, poison=13), INLINE, store=store) as bus:
        receipts = await bus.submit_all([Write(page) for page in range(20)])
        with pytest.raises(ProjectionStopped, match="stopped by ValueError: no such page"):
            await receipts[-1].settled(projections=["search"])
        assert engine.found == list(range(13))

    async with open_bus(library(engine), INLINE, store=store) as bus:
        await (await bus.submit(Write(20))).settled(projections=["search"])
    assert engine.found == list(range(21))


@on_both_loops
async def test_it_is_built_anew_in_an_edition_of_its_own_which_then_takes_the_place(
    store_of: Callable[[], EventStore],
) -> None:
    """X2, B14: what is found is whole at every moment, and nothing that is written meanwhile is missed."""
    store, engine = store_of(), SearchEngine()
    async with open_bus(library(engine), INLINE, store=store) as bus:
        await (await bus.submit_all([Write(page) for page in range(500)]))[-1].settled(projections=["search"])
        engine.gate.clear()
        again = await bus.rebuild("search")
        receipts = await bus.submit_all([Write(page) for page in range(500, 600)])
        assert engine.found == list(range(500))
        engine.gate.set()
        assert await again.done()
        await receipts[-1].settled(projections=["search"])
        assert engine.found_in == "search_e2"
        assert engine.found == list(range(600))

    async with open_bus(library(engine, version=2), INLINE, store=store) as bus:
        await until(lambda: engine.found_in == "search_e3")
        assert engine.found == list(range(600))


def test_it_is_built_anew_while_no_bus_runs(tmp_path: Path) -> None:
    """X2: by the same functions, on the thread that asks for it."""
    engine = SearchEngine()
    settings = Settings(workers=WorkerSettings(count=0), store=StoreSettings(url=f"sqlite:///{tmp_path / 'log.db'}"))
    with open_bus_sync(library(engine), settings) as bus:
        bus.submit_all([Write(page) for page in range(50)])

    (built,) = rebuild(library(engine), "search", settings=settings)

    assert (built.position, engine.found_in) == (100, "search_e2")
    assert engine.found == list(range(50))


async def test_a_bus_closes_although_a_function_elsewhere_does_not_return() -> None:
    """X4: at its deadline; the thread is left behind, and what it did is shown again."""
    store, engine = MemoryStore(), SearchEngine()
    engine.gate.clear()
    impatient = Settings(workers=WorkerSettings(count=0), bus=INLINE.bus.__class__(drain_timeout_s=0.2))
    async with open_bus(library(engine), impatient, store=store) as bus:
        await bus.handle(Write(1))
    assert store.cursor("projection/search").position == 0
    engine.gate.set()
    await until(lambda: not [one for one in threading.enumerate() if one.name == "driven-projection search"])

    async with open_bus(library(engine), INLINE, store=store):
        pass
    assert engine.indexes["search_e1"] in ([1], [1, 1])
