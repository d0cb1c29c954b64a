"""Whether one schema can be read as another: never said of what then cannot be decoded (X3)."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from itertools import product
from typing import Annotated, Any, Literal

import msgspec
import pytest

from driven import Application, Command, Event
from driven.entrypoints.schema.document import SchemaDocument, document_of
from driven.entrypoints.schema.reading import Reading
from driven.service.registry import build_registry
from driven.wire import body_decoder, body_encoder


class Colour(enum.Enum):
    """An enumeration."""

    RED = "red"
    GREEN = "green"


class MoreColours(enum.Enum):
    """A larger one."""

    RED = "red"
    GREEN = "green"
    BLUE = "blue"


class Point(msgspec.Struct, frozen=True):
    """A value within a message."""

    x: int
    y: int = 0


class FullPoint(msgspec.Struct, frozen=True):
    """One that has lost its default."""

    x: int
    y: int


class NamedPoint(msgspec.Struct, frozen=True):
    """One with a field that has no default."""

    x: int
    name: str


class StrictPoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One that refuses what it does not know."""

    x: int


class Pair(msgspec.Struct, frozen=True, array_like=True):
    """Fields without their names."""

    x: int
    y: str = ""


class Cat(msgspec.Struct, frozen=True, tag=True):
    """One of two."""

    name: str


class Dog(msgspec.Struct, frozen=True, tag=True):
    """The other."""

    name: str


NOON = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)

SAMPLES: list[tuple[Any, list[Any]]] = [
    (int, [0, -5, 2**40]),
    (float, [0.5, -1.0]),
    (bool, [True]),
    (str, ["", "text", "blue"]),
    (bytes, [b"", b"\xff\x00"]),
    (None, [None]),
    (int | None, [None, 7]),
    (int | str, [1, "x"]),
    (Annotated[int, msgspec.Meta(ge=0)], [0, 5]),
    (Annotated[int, msgspec.Meta(ge=3, le=9)], [3, 9]),
    (Annotated[str, msgspec.Meta(min_length=2)], ["ab"]),
    (Annotated[str, msgspec.Meta(pattern="^a")], ["ab", "a"]),
    (dt.datetime, [NOON, NOON.replace(tzinfo=None)]),
    (Annotated[dt.datetime, msgspec.Meta(tz=True)], [NOON]),
    (dt.datetime | None, [NOON, None]),
    (dt.date, [NOON.date()]),
    (dt.time, [NOON.time()]),
    (dt.timedelta, [dt.timedelta(seconds=5)]),
    (decimal.Decimal, [decimal.Decimal("1.50")]),
    (uuid.UUID, [uuid.UUID(int=7)]),
    (Colour, [Colour.RED, Colour.GREEN]),
    (MoreColours, [MoreColours.BLUE, MoreColours.RED]),
    (Literal["red", "green"], ["red", "green"]),
    (Literal[1, 2], [1, 2]),
    (list[int], [[], [1, 2]]),
    (list[str], [["a"]]),
    (list[dt.datetime], [[NOON]]),
    (set[int], [{1, 2}]),
    (tuple[int, ...], [(), (1, 2, 3)]),
    (tuple[int, str], [(1, "a")]),
    (tuple[int, int], [(1, 2)]),
    (dict[str, int], [{}, {"a": 1}]),
    (dict[str, str], [{"a": "b"}]),
    (Point, [Point(1, 2)]),
    (NamedPoint, [NamedPoint(1, "n")]),
    (StrictPoint, [StrictPoint(1)]),
    (Pair, [Pair(1, "a")]),
    (list[Point], [[Point(1)]]),
    (Cat, [Cat("c")]),
    (Cat | Dog, [Cat("c"), Dog("d")]),
    (Cat | Dog | None, [None, Dog("d")]),
]


def event_with(annotation: Any) -> type[Event]:  # noqa: ANN401 - any type annotation
    """An event with one field."""
    return msgspec.defstruct("Told", [("value", annotation)], bases=(Event,), frozen=True)  # type: ignore[return-value]  # of its base


def document(event: type[Event]) -> SchemaDocument:
    """What an application records that emits it."""

    class Tell(Command):
        """Which emits it."""

    def tell(command: Tell) -> None: ...

    app = Application("shop")
    app.handles(Tell, emits=(event,))(tell)
    return document_of(build_registry(app))


TYPES = [event_with(annotation) for annotation, _ in SAMPLES]
DOCUMENTS = [document(one) for one in TYPES]


def problems(written: SchemaDocument, reader: SchemaDocument) -> list[str]:
    """Why not all that the one records can be read by the other."""
    name = "shop.Told"
    reading = Reading(written.components, reader.components)
    return list(reading.problems(written.messages[name].schema, reader.messages[name].schema))


def decodes(event: type[Event], body: bytes) -> bool:
    """Whether it is one."""
    try:
        body_decoder(event)(body)
    except msgspec.DecodeError:
        return False
    return True


def test_whatever_is_said_to_be_readable_can_be_decoded() -> None:
    """X3: every pair of some forty types, with values of the one that are read as the other."""
    wrong, readable = [], 0
    for (written, values), (reader, _) in product(enumerate(one[1] for one in SAMPLES), enumerate(SAMPLES)):
        if problems(DOCUMENTS[written], DOCUMENTS[reader]):
            continue
        readable += 1
        bodies = [body_encoder(TYPES[written])(TYPES[written](value)) for value in values]
        if not all(decodes(TYPES[reader], body) for body in bodies):
            wrong.append((SAMPLES[written][0], SAMPLES[reader][0]))

    assert wrong == []
    assert readable > len(SAMPLES)


def test_each_type_reads_what_it_records() -> None:
    """X3: nothing is said of a type that did not change."""
    for one in DOCUMENTS:
        assert problems(one, one) == []


@pytest.mark.parametrize(
    ("written", "reader", "problem"),
    [
        (int, str, "field 'value' is a whole number, and is read as text"),
        (str, bytes, "field 'value' is text, and is read as bytes"),
        (dt.datetime, str, "field 'value' is text (any-date-time), and is read as text"),
        (uuid.UUID, str, None),
        (str, uuid.UUID, "field 'value' is text, and is read as text (uuid)"),
        (int, float, None),
        (float, int, "field 'value' is a number, and is read as a whole number"),
        (int, int | None, None),
        (int | None, int, "field 'value' is nothing, and is read as a whole number"),
        (MoreColours, Colour, "field 'value' may be 'blue', which is not among what it may be there"),
        (Colour, MoreColours, None),
        (Point, NamedPoint, "field 'value.name' is not there, and has no default"),
        (NamedPoint, Point, None),
        (Point, FullPoint, "field 'value.y' may be missing, as it had a default, and has none now"),
        (NamedPoint, StrictPoint, "field 'value.name' is there, and unknown fields are refused"),
        (list[int], list[str], "field 'value[]' is a whole number, and is read as text"),
        (Cat | Dog, Cat, "field 'value.type' may be 'Dog', which is not among what it may be there"),
        (int, Annotated[int, msgspec.Meta(ge=0)], "field 'value' has minimum 0, which what is there need not keep"),
        (dict[str, int], dict[str, str], "field 'value[...]' is a whole number, and is read as text"),
    ],
)
def test_what_cannot_be_read_is_named(written: Any, reader: Any, problem: str | None) -> None:  # noqa: ANN401 - types
    """X3: the field, what is there, and what it would be read as."""
    found = problems(document(event_with(written)), document(event_with(reader)))

    assert found == ([] if problem is None else [problem])


class Folder(msgspec.Struct, frozen=True):
    """A type that holds itself."""

    name: str
    folders: tuple["Folder", ...] = ()


class SizedFolder(msgspec.Struct, frozen=True):
    """Another, whose size has to be there."""

    name: str
    size: int
    folders: tuple["SizedFolder", ...] = ()


def test_types_that_hold_themselves_are_compared() -> None:
    """X3: each once."""
    one, other = document(event_with(Folder)), document(event_with(SizedFolder))

    assert problems(one, one) == []
    assert problems(other, one) == []
    assert problems(one, other) == ["field 'value.size' is not there, and has no default"]
