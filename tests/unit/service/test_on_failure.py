"""`on_failure`: which events can be made of a failed command, what is in them, and what if one cannot (F1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pytest

from driven import Application, Command, Event, OnExhausted, RegistrationError
from driven.service.graph import message_graph
from driven.service.on_failure import event_of_failure
from driven.service.registry import build_registry
from driven.wire import Failure

if TYPE_CHECKING:
    from driven.service.registry import Registry


class Price(Command):
    book: str
    copies: int
    reason: int = 0


class PricingFailed(Event):
    """Asks for one field of the command, and for the failure."""

    book: str
    error_type: str
    reason: str


class Bare(Event):
    """Asks for nothing."""


class Generous(Event):
    """Has a field of its own, with a default."""

    copies: int
    by: str = "the shop"


class Picky(Event):
    """Takes few copies only, whatever its type says."""

    copies: int

    def __post_init__(self) -> None:
        """Refuse many."""
        if self.copies > 1:
            raise ValueError("too many")


class OtherType(Event):
    book: bytes


class OtherDefault(Event):
    copies: str = ""


class Missing(Event):
    title: str
    year: int


class OddReason(Event):
    reason: int


class Narrow(Event):
    copies: Annotated[int, msgspec.Meta(ge=0)]


FAILURE = Failure("ValueError", "no such book", "Traceback (most recent call last): ...")


def registry(on_failure: Any, **options: Any) -> Registry:  # noqa: ANN401 - also what no event is
    """An application whose one handler fails into that event."""
    app = Application("shop")

    @app.handles(Price, on_failure=on_failure, **options)
    def price(command: Price) -> None: ...

    return build_registry(app)


def made(on_failure: type[Event], command: Price) -> tuple[Event | None, Failure]:
    """The event that the failure becomes, and the failure that is recorded."""
    found = registry(on_failure)
    encoded = found.catalog.encode(command)
    event, failure = event_of_failure(found.handlers[encoded.type_id], encoded.body, FAILURE, found.catalog)
    return None if event is None else found.catalog.decode(event.type_id, event.body), failure


@pytest.mark.parametrize(
    ("on_failure", "expected"),
    [
        (PricingFailed, PricingFailed("Emma", "ValueError", "no such book")),
        (Bare, Bare()),
        (Generous, Generous(1)),
        (Picky, Picky(1)),
    ],
)
def test_an_event_is_filled_by_the_names_of_its_fields(on_failure: type[Event], expected: Event) -> None:
    """F1, O6: from the command and from the failure; no traceback, which depends on where the command ran."""
    event, failure = made(on_failure, Price("Emma", 1, reason=7))

    assert event == expected
    assert failure == FAILURE


def test_an_event_that_refuses_its_values_leaves_the_failure_with_both_reasons() -> None:
    """F1: then the command fails in the ordinary way, and nothing of either reason is lost."""
    event, failure = made(Picky, Price("Emma", 2))

    assert event is None
    assert (failure.error_type, failure.traceback) == (FAILURE.error_type, FAILURE.traceback)
    assert failure.message == "no such book (and on_failure=Picky cannot be made of it: too many)"


@pytest.mark.parametrize(
    ("on_failure", "words"),
    [
        (OtherType, ["OtherType cannot be made of Price", "'book' is bytes there and str in the command"]),
        (OtherDefault, ["'copies' is str there and int in the command"]),
        (Missing, ["'title' (str) is no field of the command", "'year' (int) is no field", "or give them defaults"]),
        (OddReason, ["'reason' is int and not str"]),
        (Narrow, ["'copies' is int there and int in the command, with other constraints"]),
        (Event, ["on_failure=Event is no event", "name a subclass of Event"]),
        (Price, ["on_failure=Price is no event"]),
        ("PricingFailed", ["on_failure=PricingFailed is no event", "drop on_failure="]),
    ],
)
def test_what_cannot_be_made_of_a_command_is_refused_with_all_that_does_not_fit(
    on_failure: object, words: list[str]
) -> None:
    """R1, F1: at opening, in one sentence, with what to do."""
    with pytest.raises(RegistrationError) as raised:
        registry(on_failure)

    (fault,) = raised.value.faults
    assert all(word in fault for word in words), fault


def test_one_failure_has_one_answer() -> None:
    """R1, F2: an event, or what `on_exhausted` says, and not both."""
    with pytest.raises(RegistrationError, match="two answers to one question; keep one of them"):
        registry(Bare, on_exhausted=OnExhausted.SKIP)


def test_the_event_of_a_failure_is_declared_by_naming_it() -> None:
    """R3: it stands in the graph, so reactions and cycles through it are known."""
    graph = message_graph(registry(PricingFailed))

    assert graph.edges["shop.Price"] == ("shop.PricingFailed",)
