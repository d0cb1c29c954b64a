"""Upcasting: reading what older versions of a message wrote (X3). Notes of upcasters, and what can be wrong with them.

::

    FileMeasured  version 1 --upcasts(name, version=1)--> version 2 --upcasts(name, version=2)--> version 3, today

Each upcaster is one step, from a version to the next, so a chain can neither branch nor go in circles: it can only have
a step missing, a step twice, or a step that nobody needs. All of that is found when a bus opens. Pure functions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from driven.service.catalog import unreadable_because
from driven.service.event_store import LoggedType, MessageKind
from driven.service.naming import qualified_name

if TYPE_CHECKING:
    from driven.service.catalog import Catalog


class Upcaster(msgspec.Struct, frozen=True):
    """One use of ``@app.upcasts``: from version `version` of the message `name` to the next."""

    target: Callable[[Any], Any]
    name: str
    version: int


def log_faults(held: Iterable[LoggedType], catalog: Catalog, forgotten: Collection[str]) -> Iterator[str]:
    """Why a log cannot be read by an application that has no other faults; `held` is what it has messages of.

    Commands that the application has no longer are none: whether one of them has yet to run, recovery sees.
    """
    held = sorted(held, key=lambda one: (one.name, one.version))
    foreign = [one.name for one in held if catalog.named(one.name) is None and one.name not in forgotten]
    if len(foreign) == len(held) and any(one.kind is not MessageKind.COMMAND for one in held):
        yield (
            f"the log is that of another application: it holds {foreign[0]}, and no message of this one; name another "
            f"log, or set message_name where classes were renamed"
        )
        return
    for one in held:
        if one.name in forgotten or (one.kind is MessageKind.COMMAND and catalog.named(one.name) is None):
            continue
        fault = catalog.unreadable_because(one.name, one.version)
        if fault is not None:
            yield f"the log holds {one.name} version {one.version}, and {fault}"


def steps_of(upcasters: Iterable[Upcaster]) -> dict[tuple[str, int], Callable[[Any], Any]]:
    """What a catalog is made with."""
    return {(one.name, one.version): one.target for one in upcasters}


def upcaster_faults(upcasters: Iterable[Upcaster], versions: Mapping[str, int]) -> Iterator[str]:
    """Every fault of an application's upcasters; `versions` are those that its messages have today."""
    fit = []
    for one in upcasters:
        faults = [f"{qualified_name(one.target)}: {fault}" for fault in _faults_of(one, versions)]
        yield from faults
        fit += [] if faults else [one]
    yield from _steps_told_twice(fit)
    steps = steps_of(fit)
    for name, version in versions.items():
        fault = unreadable_because(name, 1, version, steps)
        if fault is not None:
            yield f"{name} is at version {version}, so logs may hold it since version 1, but {fault}"


def _faults_of(one: Upcaster, versions: Mapping[str, int]) -> Iterator[str]:
    version: Any = one.version
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        yield f"upcasts version {version!r}; say version=, the one that it takes, 1 or more"
    elif one.name not in versions:
        known = ", ".join(sorted(versions)) or "none"
        yield f"upcasts {one.name!r}, which is no message of this application (it has: {known}); name one of them"
    elif version >= versions[one.name]:
        yield (
            f"upcasts {one.name!r} from version {version} to {version + 1}, but its class is at version "
            f"{versions[one.name]}; raise message_version there, or drop the upcaster"
        )
    if not _takes_one_argument(one.target):
        yield "is no upcaster; write a plain function that takes recorded fields and returns those of the next version"


def _takes_one_argument(target: Any) -> bool:  # noqa: ANN401 - whatever was decorated
    if not inspect.isfunction(target) or inspect.iscoroutinefunction(target) or inspect.isgeneratorfunction(target):
        return False
    try:
        inspect.signature(target).bind(None)
    except TypeError:
        return False
    return True


def _steps_told_twice(upcasters: Iterable[Upcaster]) -> Iterator[str]:
    first: dict[tuple[str, int], Upcaster] = {}
    for one in upcasters:
        other = first.setdefault((one.name, one.version), one)
        if other is not one:
            names = f"{qualified_name(other.target)} and {qualified_name(one.target)}"
            yield f"{names} both upcast {one.name!r} from version {one.version}; keep one of them"
