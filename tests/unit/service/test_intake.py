"""The gate before a position: whatever passes it can be run."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from driven import Application, Command, EmptyKey, Event, MalformedMessage, MisuseError, UnitOfWork, UnknownCommand
from driven.service.intake import draft
from driven.service.registry import Registry, build_registry


class Text(Command):
    """Ordered by text."""

    name: str


class Counted(Command):
    """Ordered by a number."""

    number: int


class Identified(Command):
    """Ordered by a UUID."""

    owner: uuid.UUID


class Free(Command):
    """Ordered by nothing."""

    name: str


class Happened(Event):
    """No command."""


class Stray(Command):
    """A command without a handler."""


@pytest.fixture
def registry() -> Registry:
    """Handlers with keys of all kinds."""
    app = Application("test")

    @app.handles(Counted, key="number")
    def counted(command: Counted, uow: UnitOfWork) -> Happened | None: ...

    @app.handles(Identified, key="owner")
    def identified(command: Identified, uow: UnitOfWork) -> None: ...

    @app.handles(Text, key="name")
    def text(command: Text, uow: UnitOfWork) -> None: ...

    @app.handles(Free)
    def free(command: Free) -> None: ...

    return build_registry(app)


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (Text("a"), "a"),
        (Counted(0), "0"),
        (Counted(-7), "-7"),
        (Identified(uuid.UUID(int=5)), "00000000-0000-0000-0000-000000000005"),
        (Free("a"), None),
    ],
)
def test_a_key_is_the_text_of_its_field(registry: Registry, command: Command, key: str | None) -> None:
    """O4: zero is a value like any other; without key= there is no key."""
    drafted = draft(registry, command)

    assert drafted.key == key
    assert registry.catalog.decode(drafted.type_id, drafted.body) == command


def test_an_empty_key_is_refused(registry: Registry) -> None:
    """O4, B4: no key is never a random lane."""
    with pytest.raises(EmptyKey, match=r"test\.Text\.name is the command's key and it is empty; give it a value"):
        draft(registry, Text(""))


def test_a_command_without_a_handler_does_not_come_in(registry: Registry) -> None:
    """R1: the sentence tells what the application does handle."""
    with pytest.raises(UnknownCommand, match=r"no handler for 'Stray' \(it handles: .*test\.Text.*\); register one"):
        draft(registry, Stray())


@pytest.mark.parametrize("wrong", [Happened(), "text", Text, None])
def test_what_is_no_command_does_not_come_in(registry: Registry, wrong: Any) -> None:  # noqa: ANN401 - what is none
    """R1: an event cannot be submitted, and neither can a class."""
    with pytest.raises(MisuseError, match="is no command; submit an object of a subclass"):
        draft(registry, wrong)


@pytest.mark.parametrize(
    ("command", "words", "remedy"),
    [
        (Text(3), "Expected `str`, got `int`", "declares"),  # type: ignore[arg-type]
        (Text("lone \ud800"), "field 'name': 'utf-8' codec", "declare and send it as bytes"),
        (Counted(2**64), "field 'number'", "declare and send them as str"),
        (Free(object()), "field 'name': Encoding objects of type object is unsupported", "declares"),  # type: ignore[arg-type]
    ],
)
def test_a_command_that_cannot_cross_is_refused_with_its_field(
    registry: Registry, command: Command, words: str, remedy: str
) -> None:
    """D9: it is encoded, and decoded again, before it has a position."""
    with pytest.raises(MalformedMessage) as raised:
        draft(registry, command)

    assert words in str(raised.value)
    assert str(raised.value).endswith(remedy)
