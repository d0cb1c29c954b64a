"""R2: a reaction may have commands due later, as its annotation says; and what is no moment is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from driven import Application, Command, Context, Event, Later, RegistrationError
from driven.domain.later import LATEST_NS
from driven.domain.messages import Envelope
from driven.service.execution import Execution
from driven.service.graph import message_graph
from driven.service.registry import build_registry
from driven.wire import Failure

if TYPE_CHECKING:
    from driven.service.intake import Draft


class Do(Command):
    name: str


class Undo(Command):
    name: str


class Done(Event):
    name: str


def application(reaction: Any) -> Application:  # noqa: ANN401 - also what is no reaction
    """An application with this reaction."""
    app = Application("later")

    @app.handles(Do)
    def do(command: Do) -> Done:
        return Done(command.name)

    @app.handles(Undo)
    def undo(command: Undo) -> None: ...

    app.reacts_to(Done)(reaction)
    return app


def reacted(reaction: Any) -> list[Draft] | Failure:  # noqa: ANN401 - as above
    """What it gives for an event that was recorded 5 s after the epoch."""
    registry = build_registry(application(reaction))
    (found,) = next(iter(registry.reactions.values()))
    return Execution(registry, "log").react(found, Done("x"), Envelope(2, "@2", 1, 1, 1, None, 5 * 10**9), 1)


def one(event: Done) -> Later[Undo]:
    """One command, due later."""
    return Later(Undo(event.name), after_s=1.5)


def both(event: Done, context: Context) -> list[Do | Later[Undo | Do]]:
    """Some at once, some later."""
    return [Do("now"), Later(Undo("then"), at=context.now + timedelta(hours=1)), Later(Do("then"), after_s=0)]


def perhaps(event: Done) -> Later[Undo] | None:
    """Nothing this time."""
    return None


@pytest.mark.parametrize(
    ("reaction", "due_at_s"), [(one, [6.5]), (both, [0, 3_605, 5]), (perhaps, [])], ids=["one", "both", "none"]
)
def test_a_reaction_says_when_its_commands_are_due(reaction: Any, due_at_s: list[float]) -> None:  # noqa: ANN401 - as above
    """R2: seconds count from when the event was recorded, so that every run says the same (O6)."""
    drafts = reacted(reaction)

    assert isinstance(drafts, list)
    assert [draft.due_at_ns / 10**9 for draft in drafts] == due_at_s


def test_what_is_due_later_is_in_the_graph() -> None:
    """R3: a cycle through a timer is a cycle."""
    graph = message_graph(build_registry(application(both)))

    assert graph.edges["later.Done"] == ("later.Do", "later.Undo")
    assert graph.cycles == (("later.Do", "later.Done", "later.Do"),)


def bare(event: Done) -> Later[Undo]:
    """Returns at once what it declares for later."""
    return Undo(event.name)  # type: ignore[return-value]


def other(event: Done) -> Later[Undo]:
    """Returns another command later."""
    return Later(Do(event.name), after_s=1)  # type: ignore[arg-type]


def undeclared(event: Done) -> Undo:
    """Returns later what it declares for now."""
    return Later(Undo(event.name), after_s=1)  # type: ignore[return-value]


@pytest.mark.parametrize("reaction", [bare, other, undeclared])
def test_a_reaction_that_returns_something_else_fails(reaction: Any) -> None:  # noqa: ANN401 - as above
    """R2: with its name, and what it may return."""
    failure = reacted(reaction)

    assert isinstance(failure, Failure)
    assert reaction.__name__ in failure.message
    assert failure.message.endswith("Undo]" if reaction is not undeclared else "Undo")


def any_later(event: Done) -> Later:  # type: ignore[type-arg]
    """Does not say what."""
    return Later(Undo(event.name), after_s=1)


def an_event(event: Done) -> Later[Done]:  # type: ignore[type-var]
    """An event cannot be due later."""
    return Later(event, after_s=1)  # type: ignore[type-var]


def no_message(event: Done) -> Later[int]:  # type: ignore[type-var]
    """A number even less."""
    return Later(1, after_s=1)  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("reaction", "told"),
    [
        (any_later, "write Later[TheCommand]"),
        (an_event, "which is no command"),
        (no_message, "its return annotation names int"),
    ],
)
def test_a_wrong_annotation_is_found_when_the_bus_opens(reaction: Any, told: str) -> None:  # noqa: ANN401 - as above
    """R1, R2: the fault names the reaction."""
    with pytest.raises(RegistrationError) as raised:
        build_registry(application(reaction))

    assert any(told in fault and reaction.__name__ in fault for fault in raised.value.faults)


def test_a_handler_has_nothing_due_later() -> None:
    """R2: it emits events; what follows from them is for reactions."""
    app = Application("later")

    @app.handles(Do)
    def do(command: Do) -> Later[Undo]:
        return Later(Undo(command.name), after_s=1)

    with pytest.raises(RegistrationError, match="which is no event"):
        build_registry(app)


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        ({}, "give one of the two"),
        ({"at": datetime.now(UTC), "after_s": 1.0}, "give one of the two"),
        ({"after_s": -0.1}, "no time to wait"),
        ({"after_s": float("nan")}, "no time to wait"),
        ({"after_s": float("inf")}, "no time to wait"),
        ({"at": datetime(2030, 1, 1)}, "has no time zone"),  # noqa: DTZ001 - what is refused
    ],
)
def test_what_is_no_moment_is_refused(moment: dict[str, Any], told: str) -> None:
    """R2: where it is made, so that the reaction fails there."""
    with pytest.raises(ValueError, match=told):
        Later(Undo("x"), **moment)


@pytest.mark.parametrize(
    ("at", "due_at_ns"),
    [
        (datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), 10**9),
        (datetime(1970, 1, 1, 1, 0, 1, 7, tzinfo=timezone(timedelta(hours=1))), 10**9 + 7_000),
        (datetime(1900, 1, 1, tzinfo=UTC), 1),
        (datetime(9000, 1, 1, tzinfo=UTC), LATEST_NS),
    ],
)
def test_a_moment_is_the_same_everywhere(at: datetime, due_at_ns: int) -> None:
    """O3: whatever its time zone; what is long past is due at once, and what is too far away on the last day."""
    assert Later(Undo("x"), at=at).due_at_ns(0) == due_at_ns
    assert Later(Undo("x"), after_s=1e300).due_at_ns(0) == LATEST_NS
