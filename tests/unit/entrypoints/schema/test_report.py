"""What `driven schema` says of a change, and whether it lets it pass (X3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from driven import Aggregate, Application, Command, Event, EventSourcedAggregate, applies
from driven.entrypoints.drawing.plain import plain_text
from driven.entrypoints.drawing.schema import schema_page
from driven.entrypoints.schema.document import (
    UnusableBaseline,
    UnwritableBaseline,
    document_of,
    read_document,
    write_document,
)
from driven.entrypoints.schema.report import schema_report
from driven.service.registry import build_registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driven.entrypoints.schema.comparison import TypeChange

Fields = list[tuple[str, Any] | tuple[str, Any, Any]]


class Order(Command):
    """Always the same."""

    article: str


class Counted(Event):
    """Of a stream."""

    number: int


def release(  # noqa: PLR0913 - each is one thing that may differ
    *,
    ordered: Fields | None = None,
    version: int = 1,
    cart: Fields | None = None,
    tally: Fields | None = None,
    more: tuple[type[Event], ...] = (),
    base: Any = Event,  # noqa: ANN401 - a class
) -> Application:
    """One release of a shop; whatever is given differs from the first."""
    app = Application("shop")
    fields = [("article", str), ("price", int)] if ordered is None else ordered
    told: Any = msgspec.defstruct("Ordered", fields, bases=(base,), namespace={"message_version": version}, frozen=True)

    def order(command: Order) -> None: ...

    if base is Event:
        app.handles(Order, emits=(told, *more))(order)
    else:
        app.handles(Order, emits=more)(order)

        def order_again(command: Any) -> None:  # noqa: ANN401 - made above
            del command

        order_again.__annotations__["command"] = told
        app.handles(told)(order_again)
    for step in range(1, version):
        app.upcasts("shop.Ordered", version=step)(keep)
    app.keeps(msgspec.defstruct("Cart", cart or [("lines", list[str], [])], bases=(Aggregate,)))  # type: ignore[arg-type]  # of its base
    app.keeps(tally_of(tally or [("number", int, 0)], *more))
    return app


def tally_of(fields: Fields, *more: type[Event]) -> type[Aggregate]:
    """A stream of `Counted`, and of more."""
    namespace = {"__orig_bases__": (EventSourcedAggregate[_union((Counted, *more))],), "counted": counted}  # type: ignore[misc]  # made here
    for number, one in enumerate(more):
        namespace[f"also_{number}"] = applies(one)(lambda self, event: None)
    return msgspec.defstruct("Tally", fields, bases=(EventSourcedAggregate,), namespace=namespace)  # type: ignore[return-value]  # of its base


def _union(types: tuple[Any, ...]) -> Any:  # noqa: ANN401 - a union of types
    first, *others = types
    for one in others:
        first |= one
    return first


@applies(Counted)
def counted(self: Any, event: Counted) -> None:  # noqa: ANN401 - a tally
    """Nothing."""


def keep(fields: Any) -> Any:  # noqa: ANN401 - whatever was recorded
    """An upcaster."""
    return fields


def changes(before: Application, now: Application, tmp_path: Path) -> dict[str, TypeChange]:
    """What became of each type that is not the same."""
    file = tmp_path / "baseline.json"
    schema_report(before, "shop:app", None, file)
    report = schema_report(now, "shop:app", file, None)
    assert report.is_ok is not any(one.is_breaking for one in report.changes)
    return {one.name: one for one in report.changes if one.change != "same"}


def test_nothing_has_changed_where_nothing_has(tmp_path: Path) -> None:
    """X3: the same code gives the same text, and no change."""
    assert changes(release(), release(), tmp_path) == {}
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    for file in (first, second):
        write_document(file, document_of(build_registry(release())))
    assert first.read_bytes() == second.read_bytes()
    assert read_document(first) == document_of(build_registry(release()))


CHANGES: dict[str, tuple[Callable[[], Application], str, str, bool, bool, bool, tuple[str, ...]]] = {
    "a field with a default": (
        lambda: release(ordered=[("article", str), ("price", int), ("gift", bool, False)]),
        "shop.Ordered", "changed", True, True, False, (),
    ),
    "a field without a default": (
        lambda: release(ordered=[("article", str), ("price", int), ("gift", bool)]),
        "shop.Ordered", "changed", False, True, True,
        ("field 'gift' is not there, and has no default", "= 2 and write @app.upcasts('shop.Ordered', version=1)"),
    ),
    "a field of another type": (
        lambda: release(ordered=[("article", str), ("price", str)]),
        "shop.Ordered", "changed", False, False, True,
        ("field 'price' is a whole number, and is read as text",),
    ),
    "a field that is gone": (
        lambda: release(ordered=[("article", str)]),
        "shop.Ordered", "changed", True, False, False,
        ("to an older release field 'price' is not there",),
    ),
    "another version with its upcaster": (
        lambda: release(ordered=[("article", str), ("cents", int)], version=2),
        "shop.Ordered", "changed", True, False, False,
        ("version 1 is read through upcasters to version 2", "an older release knows it up to version 1"),
    ),
    "an event that is a command now": (
        lambda: release(base=Command),
        "shop.Ordered", "changed", False, False, True,
        ("it was recorded as an event, and is a command now", "another message_name"),
    ),
    "a document that cannot be read": (
        lambda: release(cart=[("lines", list[int], [])]),
        "shop.Cart", "changed", False, False, True,
        ("field 'lines[]' is text, and is read as a whole number", "another aggregate_name"),
    ),
    "a document with another default": (
        lambda: release(cart=[("lines", list[str], []), ("open", bool, True)]),
        "shop.Cart", "changed", True, True, False, (),
    ),
    "snapshots of another shape": (
        lambda: release(tally=[("number", str, "")]),
        "shop.Tally", "changed", True, True, False,
        ("its snapshots are discarded, and made again from its events",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_told_with_what_it_means(name: str, tmp_path: Path) -> None:
    """X3: backward, forward, and whether logs may hold what nobody can read."""
    now, type_name, change, is_backward, is_forward, is_breaking, words = CHANGES[name]

    found = changes(release(), now(), tmp_path)

    one = found.pop(type_name)
    assert found == {}
    assert (one.change, one.is_backward, one.is_forward, one.is_breaking) == (
        change,
        is_backward,
        is_forward,
        is_breaking,
    )
    text = f"{'; '.join(one.reasons)}; {one.remedy}"
    assert [word for word in words if word not in text] == [], text


def test_a_version_that_was_lowered_breaks(tmp_path: Path) -> None:
    """X3: logs may hold the higher one."""
    (one,) = changes(release(version=3), release(version=2), tmp_path).values()

    assert (one.is_backward, one.is_breaking, one.remedy) == (False, True, "set message_version = 3 or higher")


class Shipped(Event):
    """One that is gone in the next release."""


def test_an_event_that_is_gone_breaks_unless_it_is_forgotten(tmp_path: Path) -> None:
    """X3: a class that was renamed would look the same; and a stream that holds it has to go on applying it."""
    found = changes(release(more=(Shipped,)), release(), tmp_path)
    assert {name: one.is_breaking for name, one in found.items()} == {"shop.Shipped": True, "shop.Tally": True}
    assert found["shop.Shipped"].remedy.startswith("set message_name = 'shop.Shipped'")
    assert "its streams may hold shop.Shipped" in found["shop.Tally"].reasons[0]

    forgetful = release()
    forgetful.forgets("shop.Shipped")
    assert not changes(release(more=(Shipped,)), forgetful, tmp_path)["shop.Shipped"].is_breaking


def test_what_is_new_is_told_and_breaks_nothing(tmp_path: Path) -> None:
    """X3: a stream that holds more is not read by an older release."""
    found = changes(release(), release(more=(Shipped,)), tmp_path)

    assert (found["shop.Shipped"].change, found["shop.Shipped"].what) == ("new", "event")
    assert (found["shop.Tally"].is_backward, found["shop.Tally"].is_forward) == (True, False)


def test_nothing_is_written_over_a_baseline_that_a_change_breaks(tmp_path: Path) -> None:
    """X3: the next run would find nothing wrong."""
    file = tmp_path / "baseline.json"
    schema_report(release(), "shop:app", None, file)
    before = file.read_bytes()

    report = schema_report(release(ordered=[("other", str)]), "shop:app", file, file)

    assert not report.is_ok
    assert report.written is None
    assert file.read_bytes() == before
    page = plain_text(schema_page(report))
    assert "what breaks" in page
    assert "Ordered: field 'other' is not there, and has no default; set message_version = 2" in page

    report = schema_report(release(ordered=[("article", str), ("price", int), ("gift", bool, False)]), "x", file, file)
    assert report.written == str(file)
    assert file.read_bytes() != before
    assert "every log of the baseline can be read" in plain_text(schema_page(report))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "No such file"),
        ("", "truncated"),
        ("[]", "Expected `object`, got `array`"),
        ('{"format": 9, "application": "a", "messages": {}, "aggregates": {}, "components": {}}', "its format is 9"),
    ],
)
def test_a_baseline_that_is_none_is_refused(tmp_path: Path, text: str | None, reason: str) -> None:
    """docs/reference/command-line.md: exit code 2, with the file and the reason."""
    file = tmp_path / "baseline.json"
    if text is not None:
        file.write_text(text)

    with pytest.raises(UnusableBaseline, match=reason) as raised:
        schema_report(release(), "shop:app", file, None)

    assert str(file) in str(raised.value)
    with pytest.raises(UnwritableBaseline, match="name a file in a folder that is there"):
        schema_report(release(), "shop:app", None, tmp_path / "no" / "folder.json")


def test_what_is_recorded_is_listed() -> None:
    """docs/reference/command-line.md: names, kinds and versions."""
    page = plain_text(schema_page(schema_report(release(), "shop:app", None, None)))

    for words in ("Order    command   1", "Ordered  event     1", "Cart     document  -", "Tally    stream    -"):
        assert words in page, page
