"""The shape of a type: what is in it, all the way down, and what of that matters to bytes."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import pytest

from driven.domain.shape import (
    fingerprint_text,
    has_other_than_text_keys,
    has_unsortable_set,
    leaves_something_open,
    may_hold_sets,
    opaque_types,
)


class Opaque:
    """A class that msgspec knows nothing of."""


class Colour(enum.Enum):
    """Members without an order."""

    RED = "red"
    BLUE = "blue"


class Node(msgspec.Struct):
    """A recursive type."""

    name: str
    children: list[Node] = []


class Wrapped(msgspec.Struct):
    """Holds something opaque."""

    inner: dict[str, Opaque]


class Loose(msgspec.Struct):
    """Leaves open what it holds."""

    inner: tuple[int, Any]


class Ranked(msgspec.Struct, frozen=True, order=True):
    """Has an order."""

    rank: int


def test_opaque_types_are_found_however_deep_they_are() -> None:
    """R1: what msgspec would let pass and then fail on."""
    assert opaque_types(list[tuple[int, Wrapped | None]]) == [Opaque]
    assert opaque_types(dict[Opaque, Opaque]) == [Opaque]
    assert opaque_types(Node) == []
    assert [found.__name__ for found in opaque_types(Callable[[], None])] == ["Callable"]


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (set[str], False),
        (set[tuple[str, int]], False),
        (frozenset[tuple[int, ...]], False),
        (set[Ranked], False),
        (set[Literal["a", "b"]], False),
        (set[Annotated[int, msgspec.Meta(gt=0, description="positive")]], False),
        (list[Colour], False),
        (set[Colour], True),
        (set[int | str], True),
        (set[str | None], True),
        (set[Any], True),
        (set[frozenset[int]], True),
        (dict[str, list[set[Colour]]], True),
    ],
)
def test_a_set_is_sortable_when_all_of_its_members_compare(annotation: Any, expected: bool) -> None:  # noqa: ANN401
    """O6: sets are written in order, so there must be one."""
    assert has_unsortable_set(annotation) is expected


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (dict[str, int], False),
        (dict[Literal["a"], int], False),
        (dict[Any, int], False),
        (dict[Annotated[str, msgspec.Meta(description="a name")], int], False),
        (dict[int, int], True),
        (dict[Colour, int], True),
        (list[dict[str, dict[int, str]]], True),
        (dict[str | int, int], True),
    ],
)
def test_other_than_text_keys_are_found(annotation: Any, expected: bool) -> None:  # noqa: ANN401
    """O6: msgspec sorts dicts whose keys are text, and refuses to sort others."""
    assert has_other_than_text_keys(annotation) is expected


@pytest.mark.parametrize("annotation", [Any, dict[str, list[Any]], Annotated[Any, "a note"], list, tuple, dict, Loose])
def test_what_a_type_leaves_open_is_found_said_or_unsaid_however_deep_it_is(annotation: Any) -> None:  # noqa: ANN401
    """R1: what is `Any` comes back as something else."""
    assert leaves_something_open(annotation)
    assert leaves_something_open(tuple[int, annotation])
    assert not leaves_something_open(Node)


def test_what_may_hold_sets_includes_what_may_be_anything() -> None:
    """O6: `Any` may be a set."""
    assert may_hold_sets(list[set[int]])
    assert may_hold_sets(dict[str, Any])
    assert not may_hold_sets(list[dict[str, tuple[int, ...]]])


def shape_of(*fields: Any, **options: Any) -> str:  # noqa: ANN401 - fields and options of a struct
    """The fingerprint text of a struct that is made on the spot."""
    return fingerprint_text(msgspec.defstruct("Made", fields, **options))


@pytest.mark.parametrize(
    "other",
    [
        shape_of(("a", str), ("b", int)),
        shape_of(("a", int)),
        shape_of(("b", str)),
        shape_of(("a", str, "")),
        shape_of(("a", str | None)),
        shape_of(("a", list[str])),
        shape_of(("a", Literal["x"])),
        shape_of(("a", Annotated[str, msgspec.Meta(max_length=3)])),
        shape_of(("a", str), array_like=True),
        shape_of(("a", str), tag="t"),
        shape_of(("a", str), rename="upper"),
        shape_of(("a", str), forbid_unknown_fields=True),
    ],
)
def test_a_shape_differs_as_soon_as_bytes_might_mean_something_else(other: str) -> None:
    """W4: bus and worker find out that they run different code."""
    assert other != shape_of(("a", str))


def test_a_shape_differs_when_something_within_it_does() -> None:
    """W4: nested structs and enumerations count, not only their names."""
    inner = [msgspec.defstruct("Inner", [("a", kind)]) for kind in (int, str)]
    colours = [enum.Enum("Colour", values) for values in ({"RED": 1}, {"RED": 1, "BLUE": 2})]

    assert shape_of(("a", inner[0])) != shape_of(("a", inner[1]))
    assert shape_of(("a", colours[0])) != shape_of(("a", colours[1]))


def test_a_shape_does_not_depend_on_docstrings_defaults_or_descriptions() -> None:
    """W4: what leaves bytes alone leaves the shape alone."""
    described = Annotated[str, msgspec.Meta(description="a name", examples=["x"])]

    assert shape_of(("a", str, "x")) == shape_of(("a", str, "y"))
    assert shape_of(("a", described)) == shape_of(("a", str))
    assert fingerprint_text(Node) == fingerprint_text(Node)
