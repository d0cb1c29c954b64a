"""The graph of messages: what leads to what, known before anything runs (R3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from driven import Application, Command, Event
from driven.service.graph import MessageGraph, message_graph
from driven.service.registry import build_registry

if TYPE_CHECKING:
    from collections.abc import Mapping


def graph_of(emits: Mapping[str, str], issues: Mapping[str, str]) -> MessageGraph:
    """The graph of commands and the events they emit, and of events and the commands that are issued on them.

    Each letter is a type: capital letters are commands, small ones events.
    """
    names = "".join([*emits, *emits.values(), *issues, *issues.values()])
    types = {
        name: msgspec.defstruct(name, [], bases=(Command if name.isupper() else Event,), frozen=True) for name in names
    }
    app = Application("g")
    for command, events in emits.items():

        def handle(command: Command) -> None: ...

        app.handles(types[command], emits=[types[event] for event in events])(handle)  # type: ignore[arg-type,misc]
    for event, commands in issues.items():

        def react(event: Event) -> None: ...

        react.__annotations__["return"] = tuple[tuple(types[command] for command in commands)]  # type: ignore[misc]
        app.reacts_to(types[event])(react)  # type: ignore[arg-type]
    return message_graph(build_registry(app))


def test_edges_lead_from_commands_to_events_and_from_events_to_commands() -> None:
    """R3: by stable name, in the order of names."""
    graph = graph_of({"A": "yx", "B": ""}, {"x": "B", "y": "BA"})

    assert graph.commands == ("g.A", "g.B")
    assert graph.events == ("g.x", "g.y")
    assert graph.edges == {"g.A": ("g.x", "g.y"), "g.B": (), "g.x": ("g.B",), "g.y": ("g.A", "g.B")}


@pytest.mark.parametrize(
    ("emits", "issues", "cycles"),
    [
        ({"A": "x", "B": "y"}, {"x": "B"}, []),
        ({"A": "x"}, {"x": "A"}, ["AxA"]),
        ({"A": "x", "B": "y"}, {"x": "B", "y": "A"}, ["AxByA"]),
        ({"A": "x", "B": "y"}, {"x": "A", "y": "B"}, ["AxA", "ByB"]),
        ({"A": "xy", "B": ""}, {"x": "AB", "y": "A"}, ["AxA", "yAy"]),
        ({"A": "x", "B": "y", "C": "z"}, {"x": "B", "y": "C", "z": "B"}, ["ByCzB"]),
    ],
)
def test_whatever_leads_back_to_itself_stands_in_a_reported_cycle(
    emits: dict[str, str], issues: dict[str, str], cycles: list[str]
) -> None:
    """R3, B13: a cycle is legal and always reported; what merely leads into one is no part of it."""
    found = graph_of(emits, issues).cycles

    assert ["".join(name.removeprefix("g.") for name in cycle) for cycle in found] == cycles
