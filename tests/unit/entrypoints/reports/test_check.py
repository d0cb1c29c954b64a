"""What `driven check` finds: every part of an application, every fault of one, the graph, and what looks odd."""

from __future__ import annotations

import msgspec

from driven import Aggregate, Application, Command, Event, Placement, Tables, UnitOfWork
from driven.entrypoints.drawing.check import check_page
from driven.entrypoints.drawing.plain import plain_text
from driven.entrypoints.reports.check import CheckReport, check_report


class Order(Aggregate):
    """What is ordered."""


class PlaceOrder(Command, frozen=True):
    """Enter an order."""

    order_id: str


class OrderPlaced(Event, frozen=True):
    """An order was entered."""

    order_id: str


class ReserveStock(Command, frozen=True):
    """Look whether it is there."""

    message_name = "stock.Reserve"
    message_version = 3
    order_id: str


class StockMissing(Event, frozen=True):
    """It is not there."""

    order_id: str


class OrderLost(Event, frozen=True):
    """Nobody knows."""

    order_id: str


def shop() -> Application:
    """An application with everything in it: state, a key, loads, a worker command, a cycle, a projector."""
    app = Application("shop")

    @app.handles(PlaceOrder, key="order_id", loads={Order: "order_id"}, emits=(OrderPlaced,))
    def place_order(command: PlaceOrder, uow: UnitOfWork) -> None: ...

    @app.reacts_to(OrderPlaced)
    def reserve(event: OrderPlaced) -> list[ReserveStock]:
        return [ReserveStock(event.order_id)]

    @app.handles(ReserveStock, placement=Placement.WORKER)
    def reserve_stock(command: ReserveStock) -> StockMissing | None: ...

    @app.reacts_to(StockMissing)
    def try_again(event: StockMissing) -> ReserveStock:
        return ReserveStock(event.order_id)

    @app.projects(OrderPlaced)
    def count(event: OrderPlaced) -> None: ...

    for version in (1, 2):
        app.upcasts("stock.Reserve", version=version)(lambda fields: fields)
    return app


def checked(app: Application) -> CheckReport:
    """The report on an application."""
    return check_report(app, "shop:app")


def test_a_command_is_reported_with_all_that_its_registration_says() -> None:
    """docs/reference/command-line.md: handler, placement, key, state, what it loads and what it may emit."""
    place_order, reserve_stock = checked(shop()).commands

    assert msgspec.structs.asdict(place_order) | {"handler": ""} == {
        "name": "shop.PlaceOrder",
        "version": 1,
        "handler": "",
        "placement": Placement.INLINE,
        "key": "order_id",
        "is_stateful": True,
        "loads": {"shop.Order": "order_id"},
        "emits": ("shop.OrderPlaced",),
    }
    assert place_order.handler.endswith("place_order")
    assert (reserve_stock.name, reserve_stock.version) == ("stock.Reserve", 3)
    assert (reserve_stock.placement, reserve_stock.is_stateful) == (Placement.WORKER, False)


def test_an_event_is_reported_with_its_sources_and_followers() -> None:
    """R3: who declares it, who reacts, who projects."""
    placed = next(event for event in checked(shop()).events if event.name == "shop.OrderPlaced")

    assert placed.emitted_by == ("shop.PlaceOrder",)
    assert [name.rpartition(".")[2] for name in placed.reactions] == ["reserve"]
    assert [name.rpartition(".")[2] for name in placed.projectors] == ["count"]


def test_reactions_and_projectors_are_reported_with_what_they_follow() -> None:
    """R2: a reaction leads from one event to commands, a projector to nothing."""
    report = checked(shop())

    assert [(one.event, one.issues) for one in report.reactions] == [
        ("shop.OrderPlaced", ("stock.Reserve",)),
        ("shop.StockMissing", ("stock.Reserve",)),
    ]
    assert [one.event for one in report.projectors] == ["shop.OrderPlaced"]


def test_projections_that_last_and_notifiers_are_reported_with_what_they_follow() -> None:
    """X2: a projector of a projection says which; a notifier is told of several events."""
    app = shop()
    orders = app.projection("orders", tables=["placed"])

    @orders.creates
    def create(tables: Tables) -> None: ...

    @orders.projects(OrderPlaced)
    def add(event: OrderPlaced, tables: Tables) -> None: ...

    @app.notifies(OrderPlaced, StockMissing, name="mails", attempts=1)
    def mail(event: OrderPlaced | StockMissing) -> None: ...

    report = checked(app)

    assert [(one.projection, one.event) for one in report.projectors] == [
        (None, "shop.OrderPlaced"),
        ("orders", "shop.OrderPlaced"),
    ]
    assert [(one.name, one.events) for one in report.notifiers] == [
        ("mails", ("shop.OrderPlaced", "shop.StockMissing"))
    ]
    assert next(event for event in report.events if event.name == "shop.StockMissing").notifiers == ("mails",)
    printed = plain_text(check_page(report))
    assert "notifiers" in printed
    assert "mails" in printed


def test_what_warms_up_is_reported_in_the_order_in_which_it_runs() -> None:
    """W1: by the names of the functions."""
    app = shop()

    @app.warms_up
    def load_prices() -> None: ...

    @app.copy().warms_up
    def of_another_application() -> None: ...

    assert [name.rpartition(".")[2] for name in checked(app).warm_ups] == ["load_prices"]


def test_a_cycle_is_reported_and_is_no_fault() -> None:
    """R3: cycles are legal, and always told."""
    report = checked(shop())

    assert report.cycles == (("shop.StockMissing", "stock.Reserve", "shop.StockMissing"),)
    assert report.edges["stock.Reserve"] == ("shop.StockMissing",)
    assert report.is_ok


def test_all_faults_are_reported_at_once_and_nothing_else() -> None:
    """R1: one run of the check shows everything there is to mend."""
    app = shop()

    @app.handles(PlaceOrder)
    def place_order_too(command: PlaceOrder) -> None: ...

    @app.handles(ReserveStock, key="colour")
    def reserve_stock_too(command: ReserveStock, uow: UnitOfWork) -> None: ...

    report = checked(app)

    assert not report.is_ok
    assert any("place_order_too" in fault for fault in report.faults)
    assert any("colour" in fault for fault in report.faults)
    assert (report.application, report.commands, report.edges) == ("shop", (), {})


def test_an_event_that_nobody_emits_and_somebody_awaits_is_noted() -> None:
    """R3: a projector that never runs is legal, and most likely an oversight."""
    app = shop()

    @app.projects(OrderLost)
    def mourn(event: OrderLost) -> None: ...

    report = checked(app)

    assert report.is_ok
    assert [note.split()[0] for note in report.notes] == ["shop.OrderLost"]
    assert checked(shop()).notes == ()


def test_the_record_survives_json() -> None:
    """The JSON output decodes into the very same record."""
    report = checked(shop())

    assert msgspec.json.decode(msgspec.json.encode(report), type=CheckReport) == report
