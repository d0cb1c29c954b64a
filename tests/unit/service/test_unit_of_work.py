"""One attempt of one command: what it reads, changes and tells, or nothing of it (U1)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driven import (
    Aggregate,
    AggregateExists,
    AggregateNotFound,
    Application,
    Command,
    Event,
    MalformedMessage,
    MisuseError,
    UnitOfWork,
)
from driven.domain.aggregate import recorded_events
from driven.service.catalog import Catalog
from driven.service.registry import build_registry
from driven.wire import AggregateState, Change, Failed, Read, Succeeded, body_encoder, encode_body

Start = Callable[..., Any]


class Grown(Event):
    """A thing has grown."""

    name: str


class Grow(Command):
    """Let things grow."""

    names: tuple[str, ...] = ()


class Thing(Aggregate):
    """An aggregate with a rule and a set."""

    size: int = 0
    tags: set[str] = set()  # noqa: RUF012 - copied by msgspec

    def grow(self) -> None:
        """Be one larger."""
        self.size += 1
        self.record(Grown(self.id))


class Other(Aggregate):
    """An aggregate of another type."""

    text: str = ""


class Store:
    """Aggregates by name and id, which counts how often it is asked."""

    def __init__(self, *things: Aggregate, version: int = 1) -> None:
        self.asked: list[tuple[str, str]] = []
        self.states = {
            (type(thing).__name__, thing.id): AggregateState(
                type(thing).__name__, thing.id, version, encode_body(thing)
            )
            for thing in things
        }

    def load(self, name: str, aggregate_id: str) -> AggregateState:
        """As the port says: version 0 for what is not there."""
        self.asked.append((name, aggregate_id))
        return self.states.get((name, aggregate_id)) or AggregateState(name, aggregate_id, 0, None)

    def unit_of_work(self) -> UnitOfWork:
        """A new one."""
        return UnitOfWork(self.load, lambda aggregate_type: aggregate_type.__name__, Catalog([]))


def test_an_id_stands_for_one_object() -> None:
    """U1: a change is seen by whoever asks again, and the store is asked once."""
    store = Store(Thing("a"))
    uow = store.unit_of_work()

    first = uow.get(Thing, "a")
    first.size = 7

    assert uow.get(Thing, "a") is uow.find(Thing, "a") is first
    assert store.asked == [("Thing", "a")]


def test_aggregates_of_different_types_may_have_the_same_id() -> None:
    """U1: an aggregate is known by name and id."""
    uow = Store(Thing("a"), Other("a", "text")).unit_of_work()

    assert (uow.get(Thing, "a").size, uow.get(Other, "a").text) == (0, "text")


def test_getting_what_is_not_there_is_an_error_and_finding_it_is_none() -> None:
    """U1: both look, and both count as a read of version 0."""
    uow = Store().unit_of_work()

    assert uow.find(Thing, "a") is None
    with pytest.raises(AggregateNotFound, match=r"there is no Thing 'b'; add\(\) it first"):
        uow.get(Thing, "b")

    assert uow.reads() == (Read("Thing", "a", 0), Read("Thing", "b", 0))
    assert uow.changes() == ()


def test_an_added_aggregate_is_a_change_from_version_zero() -> None:
    """O5: whoever adds has seen that nothing is there, which must still be so when it retires."""
    uow = Store().unit_of_work()

    uow.add(Thing("a", 3))

    assert uow.reads() == (Read("Thing", "a", 0),)
    assert uow.changes() == (Change("Thing", "a", 0, encode_body(Thing("a", 3))),)
    assert uow.get(Thing, "a").size == 3


def test_what_was_looked_for_in_vain_may_be_added() -> None:
    """U1: find, and add what is missing."""
    uow = Store().unit_of_work()

    assert uow.find(Thing, "a") is None
    uow.add(Thing("a"))

    assert uow.find(Thing, "a") == Thing("a")
    assert len(uow.changes()) == len(uow.reads()) == 1


@pytest.mark.parametrize("seen", [True, False])
def test_nothing_is_added_over_what_the_unit_of_work_has_seen(*, seen: bool) -> None:
    """U1: neither over a stored aggregate nor over one that was added just now."""
    uow = Store(Thing("a")).unit_of_work()
    if seen:
        uow.get(Thing, "a")
    else:
        uow.add(Thing("a"))

    with pytest.raises(AggregateExists, match="Thing 'a' exists already; get"):
        uow.add(Thing("a"))


def test_a_changed_aggregate_is_a_change_from_the_version_that_was_loaded() -> None:
    """O5: versions are for safety."""
    uow = Store(Thing("a", 1), version=5).unit_of_work()

    uow.get(Thing, "a").size = 2

    assert uow.reads() == (Read("Thing", "a", 5),)
    assert uow.changes() == (Change("Thing", "a", 5, encode_body(Thing("a", 2))),)


def test_an_untouched_aggregate_is_a_read_and_no_change() -> None:
    """U1: looking is not touching, and neither is changing something and back."""
    uow = Store(Thing("a", 1, {"x", "y"}), Thing("b")).unit_of_work()

    uow.get(Thing, "a").tags = {"y", "x"}
    uow.get(Thing, "b").grow()
    uow.get(Thing, "b").size -= 1

    assert uow.changes() == ()
    assert len(uow.reads()) == 2


def test_an_aggregate_stored_by_an_older_version_of_its_class_is_no_change_until_it_changes() -> None:
    """U1: a field that has a default by now does not make a write of a read."""
    store = Store(Thing("a", 1))
    store.states["Thing", "a"] = AggregateState("Thing", "a", 1, b"\x81\xa2id\xa1a")
    uow = store.unit_of_work()

    assert uow.get(Thing, "a").size == 0
    assert uow.changes() == ()

    uow.get(Thing, "a").size = 1
    assert uow.changes() == (Change("Thing", "a", 1, encode_body(Thing("a", 1))),)


def test_events_are_collected_in_the_order_in_which_they_were_recorded() -> None:
    """O3: across aggregates, loaded or added, with those recorded before the adding where it happened."""
    uow = Store(Thing("a"), Thing("b")).unit_of_work()
    new = Thing("new")
    new.grow()

    uow.get(Thing, "b").grow()
    uow.get(Thing, "a").grow()
    uow.add(new)
    uow.get(Thing, "b").grow()
    new.grow()

    assert uow.collect_events() == [Grown("b"), Grown("a"), Grown("new"), Grown("b"), Grown("new")]


def test_changes_and_reads_stand_in_the_order_of_first_use() -> None:
    """O6: the order of a log never comes from a set."""
    uow = Store(*(Thing(name) for name in "edcba")).unit_of_work()

    for name in "bdaec":
        uow.get(Thing, name).size = 1

    assert [read.id for read in uow.reads()] == [change.id for change in uow.changes()] == list("bdaec")


@pytest.mark.parametrize("wrong", [3, None, b"a", "lone \ud800"])
def test_an_id_is_text(wrong: Any) -> None:  # noqa: ANN401 - ids that are none
    """W6: an id stands among the reads whatever happens, so it must be possible to send it."""
    uow = Store().unit_of_work()

    for use in (uow.get, uow.find):
        with pytest.raises(MalformedMessage, match="not a valid id of Thing"):
            use(Thing, wrong)
    with pytest.raises(MalformedMessage, match="not a valid id of Thing"):
        uow.add(Thing(wrong))
    assert uow.reads() == ()


def test_an_id_is_for_life() -> None:
    """U1: an aggregate that changes its id would be stored under the old one."""
    uow = Store(Thing("a")).unit_of_work()
    uow.get(Thing, "a").id = "b"

    with pytest.raises(MalformedMessage, match="its id became 'b', but an id is for life"):
        uow.changes()


@pytest.mark.parametrize("size", ["text", object(), None, 10**30])
def test_an_aggregate_that_cannot_be_stored_or_read_back_is_refused(size: Any) -> None:  # noqa: ANN401 - what is wrong
    """U1, D9: before anything is committed, and with its name."""
    uow = Store(Thing("a")).unit_of_work()
    uow.get(Thing, "a").size = size

    with pytest.raises(MalformedMessage, match="not a valid Thing 'a'"):
        uow.changes()


def test_a_stored_body_that_does_not_fit_is_refused_with_the_name() -> None:
    """U1: an aggregate class that changed too much fails its own commands."""
    store = Store(Other("a", "text"))
    store.states["Thing", "a"] = AggregateState("Thing", "a", 1, b"\xc1")

    with pytest.raises(MalformedMessage, match="not a valid Thing 'a'"):
        store.unit_of_work().find(Thing, "a")


# ------------------------------------------------------------------------------------------ within a process


class Grower:
    """The handlers of these tests, with an aggregate that outlives its commands."""

    kept: ClassVar[Thing] = Thing("kept")


def growing() -> Application:
    """An application that lets things grow."""
    app = Application("test")

    @app.handles(Grow, emits=(Grown,))
    def grow(command: Grow, uow: UnitOfWork) -> None:
        for name in command.names:
            if name == "fail":
                raise ValueError
            if name == "kept":
                uow.add(Grower.kept)
            thing = uow.find(Thing, name)
            if thing is None:
                thing = Thing(name)
                uow.add(thing)
            thing.grow()

    return app


def test_the_same_command_twice_tells_each_event_once(start: Start) -> None:
    """B2: outcomes are values; nothing is kept on handlers."""
    process = start(growing())

    outcomes = [process.run(Grow(("a", "b", "a"))) for _ in range(2)]

    for outcome in outcomes:
        assert process.decoded(outcome.events) == [Grown("a"), Grown("b"), Grown("a")]


def test_an_aggregate_that_outlives_its_command_does_not_tell_its_old_events_again(start: Start) -> None:
    """B2, B3: neither those of a command that succeeded nor those of one that failed."""
    process = start(growing())

    assert isinstance(process.run(Grow(("kept",))), Succeeded)
    assert isinstance(process.run(Grow(("kept", "fail"))), Failed)
    outcome = process.run(Grow(("kept",)))

    assert process.decoded(outcome.events) == [Grown("kept")]
    assert recorded_events(Grower.kept) == []


def test_a_handler_that_raises_leaves_only_what_it_read(start: Start) -> None:
    """U1, B3: no change, no event; the reads tell whether it was misled by something stale."""
    process = start(growing())
    process.store(Thing("a", 1), version=4)

    outcome = process.run(Grow(("a", "b", "fail")))

    assert isinstance(outcome, Failed)
    assert outcome.reads == (Read("test.Thing", "a", 4), Read("test.Thing", "b", 0))


def test_what_travels_with_a_command_is_not_asked_for(start: Start) -> None:
    """U2: aggregates named in `loads=` come along; any other read is asked of the bus."""
    process = start(growing())
    process.store(Thing("b", 1))
    along = AggregateState("test.Thing", "a", 7, encode_body(Thing("a", 1)))

    outcome = process.run(Grow(("a", "b")), along=(along,))

    assert process.asked == [("test.Thing", "b")]
    assert outcome.reads == (Read("test.Thing", "a", 7), Read("test.Thing", "b", 1))


def test_two_aggregate_types_of_one_name_are_found_out_when_the_second_is_used() -> None:
    """R1: each would read what the other stored."""
    registry = build_registry(growing())

    class Thing(Aggregate):
        """Shares the stable name of the one above."""

    registry.aggregate_name(globals()["Thing"])

    with pytest.raises(MisuseError, match=r"share the stable name 'test\.Thing'; set aggregate_name in one of them"):
        registry.aggregate_name(Thing)


@pytest.mark.parametrize("wrong", [Grown, "Thing", None])
def test_what_is_no_aggregate_type_has_no_name(wrong: Any) -> None:  # noqa: ANN401 - what is none
    """R1: asked for with the wrong type, a unit of work says so."""
    with pytest.raises(MisuseError, match="no aggregate type; ask for a subclass"):
        build_registry(growing()).aggregate_name(wrong)


# ---------------------------------------------------------------------------------------------- same bytes


class Mixed(Aggregate):
    """Everything that has no order of its own."""

    names: set[str]
    pairs: frozenset[tuple[int, str]]
    table: dict[str, dict[str, set[int]]]


@given(
    names=st.lists(st.text()),
    pairs=st.lists(st.tuples(st.integers(-(2**63), 2**63), st.text())),
    table=st.lists(st.tuples(st.text(), st.lists(st.tuples(st.text(), st.sets(st.integers(0, 9)))))),
    order=st.randoms(use_true_random=False),
)
def test_equal_values_give_equal_bytes_in_whatever_order_they_were_filled(
    names: list[str],
    pairs: list[tuple[int, str]],
    table: list[tuple[str, list[tuple[str, set[int]]]]],
    order: Any,  # noqa: ANN401
) -> None:
    """O6: sets and dicts are written in one order."""
    filled = {name: dict(inner) for name, inner in table}
    one = Mixed("a", set(names), frozenset(pairs), filled)
    order.shuffle(names)
    order.shuffle(pairs)
    again = list(filled.items())
    order.shuffle(again)
    other = Mixed("a", set(names), frozenset(pairs), {name: dict(reversed(inner.items())) for name, inner in again})

    assert one == other
    assert body_encoder(Mixed)(one) == body_encoder(Mixed)(other)


class Numbered(Aggregate):
    """A dict whose keys are no text."""

    counts: dict[int, int]


def test_a_dict_whose_keys_are_no_text_is_stored_as_it_was_filled() -> None:
    """O6: which a deterministic handler does in one order, in every process."""
    store = Store()
    uow = store.unit_of_work()
    uow.add(Numbered("a", {3: 1, 1: 2}))

    (change,) = uow.changes()
    store.states["Numbered", "a"] = AggregateState("Numbered", "a", 1, change.body)

    assert list(store.unit_of_work().get(Numbered, "a").counts.items()) == [(3, 1), (1, 2)]


PROGRAM = """
from driven import Aggregate
from driven.wire import encode_body
class Bag(Aggregate):
    names: set[str]
print(encode_body(Bag("a", {str(number) for number in range(50)})).hex())
"""


def test_every_process_writes_a_set_in_the_same_order() -> None:
    """O6: the seed of Python's hashes differs from process to process."""
    written = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2", "3")
    }

    assert len(written) == 1
