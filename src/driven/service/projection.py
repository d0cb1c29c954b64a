"""A projection that lasts: its name, its version, and the functions that write it; a part of the user's wiring.

::

    files = app.projection("files", version=1, tables=["files"])

    @files.creates                               once per edition
    def create(tables: Tables) -> None: ...

    @files.projects(FileMeasured)                once per event, in position order
    def add(event: FileMeasured, tables: Tables) -> None: ...

Like the application it only notes what it is told; everything is checked when a bus opens (R1).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from driven.service.handlers import HandlerOptions, Projector
from driven.service.noted import Noted, noting
from driven.service.signature import Signature
from driven.service.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from driven.domain.messages import Event

T = TypeVar("T")

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
OF_AN_EDITION: Final = re.compile(r".*__e[0-9]+", re.ASCII)

TAKEN: Final = frozenset(
    (
        "aggregate", "cursor", "due", "lease", "message", "meta", "outcome", "parked", "snapshot", "stream",
    )
)  # fmt: skip
"""Names of tables in which stores keep the log."""


class Projection:
    """A named, versioned projection of an application; made by `Application.projection`."""

    def __init__(self, name: str, version: int, tables: Sequence[str]) -> None:
        """See `Application.projection`."""
        self.name = name
        self.version = version
        self.tables = tables
        self.creators: list[Noted] = []
        self.switchers: list[Noted] = []
        self.projectors: list[Noted] = []

    def creates(self, target: T) -> T:
        """Register the function that makes the tables, ``(tables, ...) -> None``; it runs once per edition.

        Where a projection writes elsewhere: what makes ready the place for an edition, ``(label, ...) -> None``.
        """
        return noting(self.creators.append, type(None), HandlerOptions())(target)

    def switches(self, target: T) -> T:
        """Register what lets an edition that was built elsewhere take the place of the live one: ``(label) -> None``.

        It may be called again after a crash. Tables need none: the store does it.
        """
        return noting(self.switchers.append, type(None), HandlerOptions())(target)

    def projects(self, event: type[Event]) -> Callable[[T], T]:
        """Register what is done for each `event`: ``(event, tables, ...) -> None``."""
        return noting(self.projectors.append, event, HandlerOptions())


class EditionLabel(msgspec.Struct, frozen=True):
    """Which edition a function of a projection writes; it asks for it by this type."""

    projection: str
    version: int
    number: int
    """1, 2, 3, …: each time it is built anew."""

    @property
    def text(self) -> str:
        """A name for what belongs to this edition: ``search_e2``."""
        return f"{self.projection}_e{self.number}"


HANDED_OVER: Final = (Tables, EditionLabel)
"""What functions of a projection ask for by type and is not injected."""


class Creator(msgspec.Struct, frozen=True):
    """A function that is called once per edition."""

    name: str
    target: Callable[..., Any]
    signature: Signature


class LastingProjection(msgspec.Struct, frozen=True):
    """A projection as the registry knows it: checked."""

    name: str
    version: int
    tables: tuple[str, ...]
    creator: Creator | None
    switcher: Creator | None
    projectors: tuple[Projector, ...]


def projection_faults(projections: Sequence[Projection]) -> Iterator[str]:
    """What is wrong with names, versions and tables."""
    owners: dict[str, str] = {}
    names: set[object] = set()
    for one in projections:
        shown = f"projection {one.name!r}"
        if not isinstance(one.name, str) or not NAME.fullmatch(one.name):
            yield f"{shown}: its name is not made of letters, digits and underscores; give it such a name"
        if one.name in names:
            yield f"{shown}: there are two of this name; each has its own place in the log, so name them differently"
        names.add(one.name)
        if type(one.version) is not int or one.version < 1:
            yield f"{shown}: version={one.version!r}; give a whole number of at least 1, higher after each change"
        yield from (f"{shown}: {fault}" for fault in _table_faults(one, owners))
        if one.tables and len(one.creators) != 1:
            how_many = "nothing makes" if not one.creators else f"{len(one.creators)} functions make"
            yield f"{shown}: {how_many} its tables; register one function with @{one.name}.creates"
        if not one.tables and len(one.creators) > 1:
            yield f"{shown}: {len(one.creators)} functions make its place ready; register one with @{one.name}.creates"
        if len(one.switchers) > bool(not one.tables):
            yield f"{shown}: one function switches what is kept elsewhere, and none switches tables; drop the others"
        if not one.projectors:
            yield f"{shown}: it follows no event; register a function with @{one.name}.projects(YourEvent)"


def _table_faults(projection: Projection, owners: dict[str, str]) -> Iterator[str]:
    tables: Any = projection.tables
    if isinstance(tables, str):
        yield f"tables={tables!r}; give a list of the names of its tables"
        return
    for table in tables:
        if not isinstance(table, str) or not NAME.fullmatch(table):
            yield f"table {table!r} is not named with letters, digits and underscores; give it such a name"
        elif table.lower() in TAKEN or table.lower().startswith("sqlite_") or OF_AN_EDITION.fullmatch(table):
            yield f"a table cannot be named {table!r}, which the store needs for itself; choose another name"
        else:
            owner = owners.setdefault(table.lower(), projection.name)
            if owner != projection.name:
                yield f"table {table!r} belongs to projection {owner!r}; give each table to one projection"
