"""The graph of dependencies: what needs what, how long each lives, and what stands in the way of injecting it.

::

    handler -> Pricing (COMMAND) -> Surveys (COMMAND) -> UnitOfWork (COMMAND)
                   `-> Rates (APP) -> Clock (APP)

Drawn from the bindings before anything is constructed; knows nothing of the container that will do it.
"""

from __future__ import annotations

import enum
import types
import typing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from driven.service.naming import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Lifetime(enum.IntEnum):
    """How long an object lives; nothing may need what lives shorter than itself."""

    APP = 0
    COMMAND = 1


class Key(NamedTuple):
    """What is asked for: a type, and the component of the provider that makes it (empty: the default one)."""

    hint: Any
    component: str = ""


class Node(msgspec.Struct, frozen=True):
    """How something is made: from what, and for how long; `lifetime` None: for as long as what it is made from."""

    needs: tuple[Key, ...] = ()
    lifetime: Lifetime | None = None


class DependencyGraph:
    """Everything that is bound."""

    def __init__(self, nodes: Mapping[Key, Node]) -> None:
        """`nodes` has an entry for everything that can be injected; that of ``Store[T]`` is for any ``Store[...]``."""
        self._nodes: Final = nodes
        self._generic: Final = {_origin(key): node for key, node in nodes.items() if _is_open(key.hint)}

    def faults(self, wanted: Key, lifetime: Lifetime) -> list[str]:
        """Everything in the way of injecting `wanted` into something that lives for `lifetime`, with the way to it."""
        return list(dict.fromkeys(self._walk(wanted, lifetime, ())))

    def other_faults(self, asked: Iterable[Key]) -> list[str]:
        """What is wrong among all that is not needed for `asked`; what needs it is looked at first."""
        covered = {reached for key in asked for reached in self._reached(key)}
        needed = {key for node in self._nodes.values() for key in node.needs}
        faults: list[str] = []
        for key in sorted(self._nodes, key=needed.__contains__):
            if key not in covered:
                lifetime = self._nodes[key].lifetime
                faults.extend(self.faults(key, Lifetime.COMMAND if lifetime is None else lifetime))
                covered |= self._reached(key)
        return faults

    def reaches(self, wanted: Key, target: Key) -> bool:
        """Whether injecting `wanted` needs `target`, directly or through others."""
        return target in self._reached(wanted)

    def _reached(self, start: Key) -> set[Key]:
        """`start` and everything that it needs, directly or through others."""
        reached: set[Key] = set()
        waiting = [start]
        while waiting:
            current = waiting.pop()
            if current not in reached:
                reached.add(current)
                node = self._node(current)
                waiting.extend(node.needs if node else ())
        return reached

    def _node(self, key: Key) -> Node | None:
        return self._nodes.get(key) or self._generic.get(_origin(key))

    def _walk(self, wanted: Key, lifetime: Lifetime, path: tuple[Key, ...]) -> Iterator[str]:
        way = (*path, wanted)
        if wanted in path:
            circle = _drawn(way[path.index(wanted) :])
            yield f"{circle} is a circle, in which nothing can be made first; let one of them do without the next"
            return
        node = self._node(wanted)
        if node is None:
            if not _is_open(wanted.hint):
                yield _missing(way)
            return
        lives = lifetime if node.lifetime is None else node.lifetime
        if lives > lifetime:
            yield _outlived(way)
            return
        for needed in node.needs:
            yield from self._walk(needed, lives, way)


def _origin(key: Key) -> Key:
    return Key(typing.get_origin(key.hint) or key.hint, key.component)


def _is_open(hint: Any) -> bool:  # noqa: ANN401 - any type annotation
    """Whether only the container knows what a type variable stands for."""
    return isinstance(hint, typing.TypeVar) or any(_is_open(one) for one in typing.get_args(hint))


def _missing(way: tuple[Key, ...]) -> str:
    hint = way[-1].hint
    missing = shown(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return f"nothing is bound for {missing}{_needed_as(way)}; ask for one type, as what is injected is always there"
    if len(way) > 1:
        owner = shown(way[-2].hint)
        return (
            f"nothing is bound for {missing}{_needed_as(way)}; add app.binds({missing}, to=...), "
            f"or bind {owner} to a function that makes one"
        )
    return f"nothing is bound for {missing}; add app.binds({missing}, to=...)"


def _outlived(way: tuple[Key, ...]) -> str:
    if len(way) == 1:
        return f"{shown(way[0].hint)} lives for one command only; ask for something that is bound with scope=Scope.APP"
    owner, needed = shown(way[-2].hint), shown(way[-1].hint)
    return (
        f"{owner} lives as long as the process, but needs {needed}, which lives for one command{_needed_as(way)}; "
        f"bind {owner} with scope=Scope.COMMAND"
    )


def _needed_as(way: tuple[Key, ...]) -> str:
    return f" (needed as {_drawn(way)})" if len(way) > 1 else ""


def _drawn(way: tuple[Key, ...]) -> str:
    return " -> ".join(shown(key.hint) for key in way)
