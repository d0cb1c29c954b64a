"""Everything that bus and workers say to each other comes back as it went, and garbage is refused and nothing worse."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driven import Command, Event, MalformedMessage, wire
from driven.domain.messages import Envelope
from driven.service.catalog import Catalog
from driven.wire import EncodedMessage, body_encoder, encode, encode_body

if TYPE_CHECKING:
    from collections.abc import Callable

TOO_DEEP = "recursion" if sys.version_info < (3, 14) else "Stack overflow"
"""What CPython calls it."""
STRUCTS = (
    Envelope,
    EncodedMessage,
    wire.AggregateState,
    wire.Read,
    wire.Change,
    wire.Failure,
    wire.Succeeded,
    wire.Failed,
    wire.Submission,
    wire.Completion,
    wire.ReadRequest,
    wire.Hello,
    wire.Unfit,
)

DECODERS: dict[Any, Callable[[bytes], Any]] = {
    wire.Submission: wire.decode_submission,
    wire.Completion: wire.decode_completion,
    wire.ReadRequest: wire.decode_read_request,
    wire.AggregateState: wire.decode_state,
    wire.Hello: wire.decode_hello,
    wire.Unfit: wire.decode_unfit,
    wire.Failure: wire.decode_failure,
}


def values(annotation: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - any annotation of the wire
    """Any value of a type that stands on the wire."""
    simple: dict[Any, st.SearchStrategy[Any]] = {
        int: st.integers(-(2**63), 2**64 - 1),
        str: st.text(),
        bytes: st.binary(),
        type(None): st.none(),
    }
    if annotation in simple:
        return simple[annotation]
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        fields = {field.name: values(field.type) for field in msgspec.structs.fields(annotation)}
        return st.builds(annotation, **fields)
    arguments = annotation.__args__
    if getattr(annotation, "__origin__", None) is tuple:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    return st.one_of([values(one) for one in arguments])


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_struct_comes_back_as_it_went(struct: type[msgspec.Struct]) -> None:
    """W2: encoded in one process, decoded in another, equal in every field."""
    decode = DECODERS.get(struct) or msgspec.msgpack.Decoder(struct).decode

    @given(values(struct))
    def comes_back(value: msgspec.Struct) -> None:
        assert decode(encode(value)) == value

    comes_back()


@pytest.mark.parametrize("struct", DECODERS, ids=lambda struct: struct.__name__)
def test_garbage_is_refused_and_nothing_worse(struct: type[msgspec.Struct]) -> None:
    """D10: whatever the bytes are, a decoder answers with a value of its type or with a ValueError."""
    decode = DECODERS[struct]

    @given(st.binary())
    def refused(body: bytes) -> None:
        with contextlib.suppress(ValueError):
            assert isinstance(decode(body), struct)

    refused()


@pytest.mark.parametrize("struct", DECODERS, ids=lambda struct: struct.__name__)
def test_a_damaged_record_is_refused_and_nothing_worse(struct: type[msgspec.Struct]) -> None:
    """D10: bytes that were right but for one, or that end too soon."""
    decode = DECODERS[struct]

    @given(values(struct), st.data())
    def refused(value: msgspec.Struct, data: st.DataObject) -> None:
        body = bytearray(encode(value))
        place = data.draw(st.integers(0, len(body) - 1))
        body[place] = data.draw(st.integers(0, 255))
        for damaged in (bytes(body), bytes(body[:place])):
            with contextlib.suppress(ValueError):
                assert isinstance(decode(damaged), struct)

    refused()


@pytest.mark.parametrize("struct", DECODERS, ids=lambda struct: struct.__name__)
def test_a_record_nested_without_end_is_refused(struct: type[msgspec.Struct]) -> None:
    """D10: msgspec counts levels, so no stack overflows."""
    with pytest.raises((ValueError, RecursionError)):
        DECODERS[struct](b"\x9a" * 1_000_000)


@given(
    channel=st.text(),
    cpus=st.lists(st.integers(0, 2**31)).map(tuple),
    paths=st.lists(st.text() | st.just("caf\udce9")).map(tuple),
    python_path=st.none() | st.text(),
)
def test_an_assignment_comes_back_from_a_command_line(
    channel: str, cpus: tuple[int, ...], paths: tuple[str, ...], python_path: str | None
) -> None:
    """W1: paths may hold bytes that are no UTF-8."""
    assignment = wire.Assignment(channel, 3, 4, 5, paths, python_path, "package.module:app", ("other",), "log", cpus, 2)

    text = wire.encode_assignment(assignment)

    assert text.isascii()
    assert wire.decode_assignment(text) == assignment


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", json.dumps({"channel": 3})])
def test_an_assignment_that_is_none_is_refused(text: str) -> None:
    """W6: a program that is started with something else says so."""
    with pytest.raises(ValueError):  # noqa: PT011 - json and msgspec each say it in their own way
        wire.decode_assignment(text)


# ------------------------------------------------------------------------------------------------- the catalog


class Order(Command):
    """A command."""

    name: str
    amounts: tuple[int, ...] = ()


class Ordered(Event):
    """An event."""

    name: str


class Stranger(Event):
    """An event that is in no catalog."""


def catalog() -> Catalog:
    """Two messages."""
    return Catalog([("shop.Ordered", Ordered), ("shop.Order", Order)])


@given(st.text(), st.lists(st.integers(-(2**63), 2**64 - 1)).map(tuple))
def test_a_message_comes_back_as_it_went(name: str, amounts: tuple[int, ...]) -> None:
    """R1: by number and body, and nothing else."""
    made = catalog()

    encoded = made.encode(Order(name, amounts))

    assert made.decode(encoded.type_id, encoded.body) == Order(name, amounts)


@given(st.integers(0, 1), st.binary())
def test_a_body_that_is_garbage_is_malformed(type_id: int, body: bytes) -> None:
    """D10: a catalog says which message it is not, and raises nothing else."""
    try:
        assert isinstance(catalog().decode(type_id, body), Order | Ordered)
    except MalformedMessage as error:
        assert error.name in {"shop.Order", "shop.Ordered"}  # noqa: PT017 - both ways are right


class Mixed(Command):
    """Fields of many kinds, and a rule of its own."""

    names: list[Any]
    prices: dict[str, int]
    tags: frozenset[str] = frozenset()
    count: int = 0

    def __post_init__(self) -> None:
        """Refuse one value."""
        if self.names == ["refuse"]:
            raise ValueError("must not be refused")


def mixed(**fields: Any) -> Mixed:  # noqa: ANN401 - what a field does not declare
    """A message whose rule did not look yet."""
    message = Mixed(names=[], prices={})
    for name, value in fields.items():
        msgspec.structs.force_setattr(message, name, value)
    return message


def nested(depth: int) -> list[Any]:
    """A list in a list in a list."""
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("message", "reason", "remedy"),
    [
        (
            mixed(count="3"),
            "Expected `int`, got `str` - at `$.count`",
            "send the fields and types that shop.Mixed declares",
        ),
        (mixed(tags={1, "a"}), "Expected `str`, got `int` - at `$.tags[", "that shop.Mixed declares"),
        (mixed(prices={1: 2}), "Expected `str`, got `int` - at `key` in `$.prices`", "that shop.Mixed declares"),
        (mixed(prices={"a": object()}), "field 'prices': Encoding objects of type object", "that shop.Mixed declares"),
        (
            mixed(names=[{1, "a"}]),
            "field 'names': dicts or sets in it cannot be brought",
            "members of one type in a set",
        ),
        (
            mixed(names=[{1: 2}]),
            "field 'names': dicts or sets in it cannot be brought",
            "plain str for the keys of dicts",
        ),
        (mixed(count=2**64), "field 'count': can't serialize ints", "keep ints from -2**63 to 2**64 - 1"),
        (mixed(tags={"\ud800"}), "field 'tags': 'utf-8' codec", "send text without lone surrogates"),
        (
            mixed(names=nested(100_000)),
            TOO_DEEP,
            "nest it less deeply, and let nothing hold itself",
        ),
        (mixed(names=["refuse"]), "must not be refused", "send values that the __post_init__ of shop.Mixed takes"),
    ],
)
def test_a_message_that_cannot_be_encoded_is_told_what_to_do_about_it(message: Mixed, reason: str, remedy: str) -> None:
    """D9: the remedy is for what went wrong, and no text speaks of options of msgspec."""
    with pytest.raises(MalformedMessage) as raised:
        Catalog([("shop.Mixed", Mixed)]).encode(message)

    assert reason in raised.value.reason
    assert remedy in raised.value.remedy
    assert str(raised.value) == f"not a valid shop.Mixed: {raised.value.reason}; {raised.value.remedy}"
    assert "`order`" not in f"{raised.value} {raised.value.__cause__}"


@pytest.mark.parametrize("type_id", [-1, -2, 2, 2**63])
def test_a_number_that_is_in_no_catalog_is_malformed(type_id: int) -> None:
    """D10: also one that Python would count from the end."""
    with pytest.raises(MalformedMessage, match=f"message type number {type_id}: there is no such type"):
        catalog().decode(type_id, encode_body(Ordered("a")))


def test_a_message_of_another_application_is_not_encoded() -> None:
    """R1: what has no number cannot travel."""
    with pytest.raises(KeyError):
        catalog().encode(Stranger())


def test_numbers_are_places_in_the_order_of_names() -> None:
    """W1: so every process that has the same messages has the same numbers."""
    made = catalog()

    assert [(entry.type_id, entry.name) for entry in made.entries] == [(0, "shop.Order"), (1, "shop.Ordered")]
    assert made.named("shop.Order") is made.entry_of(Order) is made.entries[0]
    assert made.named("shop.Absent") is made.entry_of(Stranger) is None
    assert Catalog([("shop.Order", Order), ("shop.Ordered", Ordered)]).fingerprint == made.fingerprint


def order_with(*fields: Any, **options: Any) -> str:  # noqa: ANN401 - fields and options of a struct
    """The fingerprint of a catalog with one command of these fields."""
    made: Any = msgspec.defstruct("Order", fields, bases=(Command,), frozen=True, **options)
    return Catalog([("shop.Order", made)]).fingerprint


def test_a_fingerprint_changes_with_any_field_name_or_version() -> None:
    """W4: a worker that runs other code than the bus finds out before it does any harm."""
    inner = [msgspec.defstruct("Inner", [("a", kind)]) for kind in (int, str)]
    fingerprints = [
        order_with(("name", str)),
        order_with(("name", int)),
        order_with(("title", str)),
        order_with(("name", str), ("amount", int)),
        order_with(("name", str, "default")),
        order_with(("name", inner[0])),
        order_with(("name", inner[1])),
        order_with(("name", str), namespace={"message_version": 2}),
        Catalog([("shop.Other", Order)]).fingerprint,
        Catalog([]).fingerprint,
    ]

    assert len(set(fingerprints)) == len(fingerprints)
    assert order_with(("name", str)) == fingerprints[0]


PROGRAM = """
import enum, uuid
from typing import Literal
from driven import Command, Event
from driven.service.catalog import Catalog
class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"
    GREEN = "green"
class Order(Command):
    colour: Colour
    size: Literal["small", "medium", "large", 1, 2, 3]
    any: int | str | None | list[uuid.UUID] | dict[str, set[str]]
class Ordered(Event):
    order: Order
print(Catalog([("a", Order), ("b", Ordered)]).fingerprint)
"""


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    """W1: it never comes from the order of a set."""
    printed = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2", "3", "4")
    }

    assert len(printed) == 1


def test_a_type_whose_dicts_msgspec_cannot_sort_is_written_as_it_was_filled() -> None:
    """O6: every other type is written in one order, whatever the order in which it was filled."""
    numbered = msgspec.defstruct("Numbered", [("table", dict[int, int])])
    named = msgspec.defstruct("Named", [("table", dict[str, int])])

    assert body_encoder(numbered)(numbered({2: 0, 1: 0})) == encode(numbered({2: 0, 1: 0}))
    assert body_encoder(named)(named({"b": 0, "a": 0})) == encode(named({"a": 0, "b": 0}))
