"""Repositories: the aggregates of one type, as a collection, within one unit of work.

Subclass to give finders and rules of a type a home, and ask for the subclass in a handler::

    class Surveys(Repository[Survey]):
        def ongoing(self, survey_id: str) -> Survey: ...

    app.binds(Surveys, scope=Scope.COMMAND)

A repository lives as long as its unit of work and holds nothing of its own.
"""

from __future__ import annotations

from typing import Generic, TypeVar, get_args, get_origin

from driven.domain.aggregate import Aggregate
from driven.service.unit_of_work import UnitOfWork  # noqa: TC001 - injection reads the annotation

A = TypeVar("A", bound=Aggregate)


class Repository(Generic[A]):
    """A collection of aggregates of type `A`; the type is read from ``class Surveys(Repository[Survey])``."""

    aggregate_type: type[A]

    def __init_subclass__(cls) -> None:
        """Find out which aggregate the subclass is for."""
        super().__init_subclass__()
        for base in getattr(cls, "__orig_bases__", ()):
            origin = get_origin(base)
            if isinstance(origin, type) and issubclass(origin, Repository):
                for argument in get_args(base):
                    if isinstance(argument, type) and issubclass(argument, Aggregate):
                        cls.aggregate_type = argument  # type: ignore[assignment]  # what A stands for in this class

    def __init__(self, uow: UnitOfWork) -> None:
        """Look through the eyes of `uow`."""
        self._uow = uow

    def get(self, aggregate_id: str) -> A:
        """The aggregate of that id.

        Raises:
            AggregateNotFound: there is none.

        """
        return self._uow.get(self.aggregate_type, aggregate_id)

    def find(self, aggregate_id: str) -> A | None:
        """The aggregate of that id, or None; raises what `UnitOfWork.find` raises."""
        return self._uow.find(self.aggregate_type, aggregate_id)

    def add(self, aggregate: A) -> None:
        """Begin to keep a new aggregate; raises what `UnitOfWork.add` raises."""
        self._uow.add(aggregate)
