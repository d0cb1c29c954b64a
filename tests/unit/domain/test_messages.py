"""Messages are values: frozen, compared by content, known by a stable name."""

from __future__ import annotations

import msgspec
import pytest

from driven import Command, Envelope, Event


class Rename(Command):
    """An order."""

    name: str
    tags: tuple[str, ...] = ()


class Renamed(Event):
    """A fact."""

    name: str


def test_a_message_cannot_be_changed() -> None:
    """docs/reference/glossary.md: commands and events are frozen, without each class having to say so."""
    rename = Rename("a")

    with pytest.raises(AttributeError, match="immutable"):
        rename.name = "b"  # type: ignore[misc]  # type checkers know it as well


def test_messages_are_equal_when_their_contents_are() -> None:
    """docs/reference/glossary.md: a message is a value, which can be a key and a member of a set."""
    assert Rename("a", ("x",)) == Rename("a", ("x",))
    assert len({Rename("a"), Rename("a"), Rename("b")}) == 2
    assert len({Rename("a"), Renamed("a")}) == 2


def test_a_message_knows_nothing_of_its_place_in_a_log() -> None:
    """docs/reference/glossary.md: what travels with every message is its envelope, made at admission."""
    assert Rename.__struct_fields__ == ("name", "tags")
    assert Envelope.__struct_fields__[:2] == ("position", "id")


def test_a_name_and_a_version_are_facts_about_the_class_and_are_not_encoded() -> None:
    """R1: they stand beside the body, never in it."""
    assert msgspec.json.encode(Rename("a")) == b'{"name":"a","tags":[]}'
