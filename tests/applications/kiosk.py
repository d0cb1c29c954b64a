"""A kiosk that does whatever its schema allows, for programs that try everything that a schema allows."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from driven import Application, Command, Event
from driven.entrypoints.http import Api

app = Application("kiosk")


class Line(msgspec.Struct, frozen=True):
    """One thing that is bought."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    amount: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 1
    price: float | None = None


class Buy(Command, forbid_unknown_fields=True):
    """Buy some things."""

    lines: Annotated[list[Line], msgspec.Meta(max_length=20)]
    payment: Literal["cash", "card"] = "cash"
    notes: dict[str, str] = msgspec.field(default_factory=dict)
    number: int = 0


class Bought(Event):
    """They were bought."""

    total: int


class Nothing(Event):
    """There was nothing to buy."""


class Sales:
    """A read model: how much was sold."""

    def __init__(self) -> None:
        """Nothing was."""
        self.total = 0


app.binds(Sales)


@app.handles(Buy, exposed=True)
def buy(command: Buy) -> Bought | Nothing:
    """Always."""
    return Bought(sum(line.amount for line in command.lines)) if command.lines else Nothing()


@app.projects(Bought)
def count(event: Bought, sales: Sales) -> None:
    """Add it up."""
    sales.total += event.total


api = Api(app, title="Kiosk", version="1")


@api.query("/sales")
def sales(table: Sales, *, factor: Annotated[int, msgspec.Meta(ge=0, le=9)] = 1) -> dict[str, int]:
    """How much was sold."""
    return {"total": table.total * factor}


@api.route("POST", "/again/{name}")
def again(name: Annotated[str, msgspec.Meta(max_length=40)], body: Line) -> Buy:
    """The same once more."""
    return Buy([body], notes={"name": name})
