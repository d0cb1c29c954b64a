"""Time, ids and chance of a handler: the same wherever and whenever it runs, and different from everybody else's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from driven import Application, Command, Context, Envelope, Event

Start = Callable[..., Any]


class Ask(Command):
    """The command of all tests here."""


class Answered(Event):
    """All that a context gives."""

    text: str


class Follow(Command):
    """What reactions issue."""

    text: str


def everything(context: Context) -> str:
    """All that a context gives, as text."""
    given_ids = [context.new_id(), context.new_id()]
    return f"{context.now} {given_ids} {context.random.random()} {context.random.randint(0, 10**9)}"


def asking() -> Application:
    """An application that tells what its contexts give."""
    app = Application("test")

    @app.handles(Ask)
    def ask(command: Ask, context: Context) -> Answered:
        return Answered(everything(context))

    @app.handles(Follow)
    def follow(command: Follow) -> None: ...

    @app.reacts_to(Answered)
    def first(event: Answered, context: Context) -> Follow:
        return Follow(everything(context))

    @app.reacts_to(Answered)
    def second(event: Answered, context: Context) -> Follow:
        return Follow(everything(context))

    return app


def told(process: Any, **where: int) -> str:  # noqa: ANN401 - of the fixture
    """What the handler was given."""
    (answer,) = process.decoded(process.run(Ask(), **where).events)
    return str(answer.text)


def test_a_handler_is_given_the_same_in_every_process_and_on_every_attempt(start: Start) -> None:
    """O6: seeded by log and position, and by nothing else."""
    process = start(asking())

    answer = told(process, position=3)

    assert told(process, position=3) == answer
    assert told(process, position=3, attempt=2) == answer
    assert told(start(asking()), position=3) == answer


def test_a_handler_is_given_something_else_at_every_position_and_in_every_log(start: Start) -> None:
    """O6: ids are unique across logs."""
    here, there = start(asking(), "here"), start(asking(), "there")

    given_ids = [
        told(process, position=position).split("[")[1] for process in (here, there) for position in range(1, 50)
    ]

    assert len(set(given_ids)) == len(given_ids)


def test_every_id_of_a_handler_is_another_one() -> None:
    """O6: the first, the second and all that follow."""
    context = context_at(0)

    assert len({context.new_id() for _ in range(100)}) == 100


def test_sibling_reactions_to_one_event_are_given_different_ids(start: Start) -> None:
    """O6: they share a position, and must not take each other's ids; each is the same on every attempt."""
    process = start(asking())

    first, second = (process.decoded(drafts)[0].text for drafts in process.react(Answered("x"), position=5))
    again, _ = (process.decoded(drafts)[0].text for drafts in process.react(Answered("x"), position=5, attempt=2))

    assert first != second
    assert first == again


def context_at(recorded_at_ns: int) -> Context:
    """The context of a command that was admitted then."""
    return Context(Envelope(1, "@1", 1, 0, 0, None, recorded_at_ns), 1, "log")


def test_now_is_when_the_command_was_admitted() -> None:
    """O6: the clock is read once, at admission; to the microsecond, in UTC."""
    assert context_at(1_700_000_000_123_456_789).now == datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)


@given(st.integers(0, 253_402_300_799_999_999_999))
def test_now_never_rounds_into_the_future(recorded_at_ns: int) -> None:
    """O6: floats would; integers do not."""
    since = context_at(recorded_at_ns).now - datetime(1970, 1, 1, tzinfo=UTC)

    assert (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds == recorded_at_ns // 1_000


def test_an_id_is_a_uuid_of_version_eight() -> None:
    """RFC 9562: version 8 is for values that are made in a way of one's own."""
    made = context_at(0).new_id()

    assert made.version == 8
    assert made.variant == "specified in RFC 4122"
