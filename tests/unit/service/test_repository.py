"""Repositories: a type's own home for finders and rules, over the unit of work of the command."""

from __future__ import annotations

from typing import TypeVar

import pytest

from driven import Aggregate, AggregateExists, AggregateNotFound, Repository, UnitOfWork
from driven.service.catalog import Catalog
from driven.wire import AggregateState, encode_body


class Thing(Aggregate):
    """An aggregate."""

    size: int = 0


A = TypeVar("A", bound=Aggregate)


class Audited(Repository[A]):
    """A base that says nothing about the type yet."""


class Mixin:
    """Not a repository."""


class Things(Repository[Thing]):
    """Named directly."""


class MoreThings(Things):
    """Inherited."""


class AuditedThings(Mixin, Audited[Thing]):
    """Named by way of another base."""


@pytest.mark.parametrize("repository", [Things, MoreThings, AuditedThings])
def test_a_repository_knows_its_aggregate_from_its_bases(repository: type[Repository[Thing]]) -> None:
    """U1: the type is written once, in the class statement."""
    assert repository.aggregate_type is Thing


def test_a_repository_looks_through_the_eyes_of_its_unit_of_work() -> None:
    """U1: same objects, same errors, nothing of its own."""
    stored = {"a": AggregateState("Thing", "a", 3, encode_body(Thing("a", 7)))}
    uow = UnitOfWork(
        lambda name, aggregate_id: stored.get(aggregate_id, AggregateState(name, aggregate_id, 0, None)),
        lambda aggregate_type: aggregate_type.__name__,
        Catalog([]),
    )
    things = Things(uow)

    assert things.get("a") is uow.get(Thing, "a")
    assert things.find("b") is None
    with pytest.raises(AggregateNotFound, match="there is no Thing 'b'"):
        things.get("b")
    things.add(Thing("b", 1))
    with pytest.raises(AggregateExists, match="Thing 'b' exists already"):
        things.add(Thing("b", 2))
    assert [change.id for change in uow.changes()] == ["b"]
