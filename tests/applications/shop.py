"""A small shop, with everything that the ways in have to tell apart: done, refused, failed, parked, slow, hidden."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from driven import Application, Command, Event, Placement
from driven.entrypoints.http import Api, Request

app = Application("shop")


class OutOfStock(Exception):
    """Refused on purpose: whoever orders is told."""


class PlaceOrder(Command):
    """Order so many of something."""

    order_id: str
    amount: int = 1


class OrderPlaced(Event):
    """It was ordered."""

    order_id: str
    amount: int


class PackOrder(Command):
    """Caused by an order; not reached from outside."""

    order_id: str


class Hold(Command):
    """Takes until somebody lets go: in another process, by making a file."""

    until: str = ""


class Orders:
    """A read model: what was ordered."""

    def __init__(self) -> None:
        """Nothing was."""
        self.amounts: dict[str, int] = {}


app.binds(Orders)
go_on = threading.Event()
"""What `Hold` waits for."""


@app.handles(PlaceOrder, exposed=True)
def place_order(command: PlaceOrder) -> OrderPlaced:
    """More than ten are not there, and below nothing is a mistake of this program."""
    if command.amount > 10:
        raise OutOfStock("only 10 are left")
    if command.amount < 0:
        raise RuntimeError("the password is 1234")
    return OrderPlaced(command.order_id, command.amount)


@app.handles(PackOrder)
def pack_order(command: PackOrder) -> None:
    """Nothing follows."""


@app.handles(Hold, exposed=True)
def hold(command: Hold) -> None:
    """Wait, but not for ever."""
    deadline_s = time.monotonic() + 20
    while not (go_on.wait(0.02) or (command.until and Path(command.until).exists())):
        if time.monotonic() > deadline_s:
            raise RuntimeError("nobody let go")


@app.reacts_to(OrderPlaced)
def pack(event: OrderPlaced) -> PackOrder:
    """What was ordered is packed."""
    return PackOrder(event.order_id)


@app.projects(OrderPlaced)
def note(event: OrderPlaced, orders: Orders) -> None:
    """Note it."""
    orders.amounts[event.order_id] = event.amount


api = Api(app, refusals=[OutOfStock], version="1.2")


@api.query("/orders/{order_id}")
def order(order_id: str, orders: Orders, *, times: int = 1) -> int | None:
    """How many were ordered."""
    found = orders.amounts.get(order_id)
    return None if found is None else found * times


@api.route("PUT", "/orders/{order_id}")
def put_order(order_id: str, request: Request, *, amount: int) -> PlaceOrder:
    """Order by path."""
    return PlaceOrder(order_id, amount)


slow_app = Application("slow")
"""Where time runs out."""


class Sleep(Command):
    """Take so long, in a worker."""

    for_s: float


@slow_app.handles(Sleep, placement=Placement.WORKER)
def sleep(command: Sleep) -> None:
    """Take so long."""
    time.sleep(command.for_s)
