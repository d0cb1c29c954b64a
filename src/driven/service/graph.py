"""The graph of messages: command -> event -> command, known before anything runs (R3).

An edge from a command to an event says that its handler declares to emit it; an edge from an event to a command
that a reaction may issue it. A cycle is legal, as a workflow may go round until something is done, but it is always
reported: the budget (F5) is what ends one that never ends by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from driven.service.registry import Registry


class MessageGraph(msgspec.Struct, frozen=True):
    """Edges by stable name, in the order of names; and the cycles among them."""

    commands: tuple[str, ...]
    events: tuple[str, ...]
    edges: dict[str, tuple[str, ...]]
    cycles: tuple[tuple[str, ...], ...]
    """The names along the way, the first again at the end; every message that leads back to itself stands in one."""


def message_graph(registry: Registry) -> MessageGraph:
    """What leads to what in an application."""
    edges: dict[str, tuple[str, ...]] = {}
    for entry in registry.catalog.entries:
        handler = registry.handlers.get(entry.type_id)
        reactions = registry.reactions.get(entry.type_id, ())
        targets = handler.emits if handler else {command for one in reactions for command in one.signature.returns}
        found = (registry.catalog.entry_of(target) for target in targets)
        edges[entry.name] = tuple(sorted(target.name for target in found if target is not None))
    commands = tuple(registry.name_of(type_id) for type_id in sorted(registry.handlers))
    events = tuple(name for name in edges if name not in commands)
    return MessageGraph(commands, events, edges, tuple(_cycles(edges)))


def _cycles(edges: dict[str, tuple[str, ...]]) -> list[tuple[str, ...]]:
    """A shortest way round from the first name of each cycle that has not been shown yet."""
    found: list[tuple[str, ...]] = []
    shown: set[str] = set()
    for start in edges:
        if start not in shown and (way := _way_back(start, edges)) is not None:
            found.append(way)
            shown.update(way)
    return found


def _way_back(start: str, edges: dict[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    """Breadth-first from `start` to itself."""
    ways: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    for way in ways:
        for target in edges[way[-1]]:
            if target == start:
                return (*way, start)
            if target not in seen:
                seen.add(target)
                ways.append((*way, target))
    return None
