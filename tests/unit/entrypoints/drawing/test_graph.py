"""The drawing of what leads to what: examples to look at, and what holds for every graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from driven.entrypoints.drawing.graph import message_tree
from driven.entrypoints.drawing.plain import plain_text
from driven.entrypoints.reports.check import CheckReport, CommandReport
from driven.placement import Placement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from driven.entrypoints.drawing.page import Branch


def report(edges: Mapping[str, tuple[str, ...]]) -> CheckReport:
    """A report on these edges, in which names that begin with a capital C are commands; `Cpu` runs on workers."""
    commands = tuple(
        CommandReport(
            name=name,
            version=1,
            handler="",
            placement=Placement.WORKER if name == "a.Cpu" else Placement.INLINE,
            key=None,
            is_stateful=False,
            loads={},
            emits=(),
        )
        for name in edges
        if name.startswith("a.C")
    )
    return CheckReport(application="a", reference="", commands=commands, edges=dict(edges))


def drawn(edges: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The drawing as plain text, without the indentation of the page."""
    return [line[2:] for line in plain_text((message_tree(report(edges)),)).splitlines()]


def test_a_chain_goes_from_the_command_that_nothing_leads_to() -> None:
    """R3: command, event, command, each below what leads to it."""
    assert drawn({"a.Cpu": ("a.Measured",), "a.Found": ("a.Cpu",), "a.Measured": (), "a.Cstart": ("a.Found",)}) == [
        "Cstart",
        "-> Found",
        "   -> Cpu  worker",
        "      -> Measured",
    ]


def test_a_cycle_is_drawn_as_an_arrow_back() -> None:
    """R3: a cycle that can be entered is drawn from where it is entered."""
    assert drawn({"a.Cgo": ("a.Went",), "a.Cstart": ("a.Went",), "a.Went": ("a.Cgo",)}) == [
        "Cstart",
        "-> Went",
        "   -> Cgo",
        "      <- back to Went, a cycle",
    ]


def test_a_cycle_that_nothing_leads_to_is_drawn_all_the_same() -> None:
    """R3: every message is on the drawing, though none is a beginning."""
    assert drawn({"a.Cgo": ("a.Went",), "a.Went": ("a.Cgo",)}) == ["Cgo", "-> Went", "   <- back to Cgo, a cycle"]


def test_what_is_met_again_refers_to_where_it_is_drawn() -> None:
    """A diamond is not drawn twice, or large graphs would have no end."""
    assert drawn(
        {
            "a.Cstart": ("a.Left", "a.Right"),
            "a.Left": ("a.Cend",),
            "a.Right": ("a.Cend",),
            "a.Cend": ("a.Done",),
            "a.Done": (),
        }
    ) == [
        "Cstart",
        "-> Left",
        "   -> Cend",
        "      -> Done",
        "-> Right",
        "   -> Cend  (goes on as above)",
    ]


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """Commands that lead to events that lead to commands, in any way."""
    commands = [f"a.C{number}" for number in range(draw(st.integers(1, 5)))]
    events = [f"a.E{number}" for number in range(draw(st.integers(0, 5)))]
    subsets = {
        kind: st.lists(st.sampled_from(names), unique=True).map(lambda found: tuple(sorted(found)))
        if names
        else st.just(())
        for kind, names in (("to events", events), ("to commands", commands))
    }
    to_events = {name: draw(subsets["to events"]) for name in commands}
    return to_events | {name: draw(subsets["to commands"]) for name in events}


def edges_of(branch: Branch) -> Iterator[tuple[str, str]]:
    """Every edge of a drawing, by the first word of its lines or the one that it goes back to."""
    for child in branch.branches:
        yield branch.line[0].text, child.line[0].text.removeprefix("back to ").removesuffix(", a cycle")
        yield from edges_of(child)


@given(graphs())
def test_every_message_and_every_edge_is_drawn_once(edges: dict[str, tuple[str, ...]]) -> None:
    """R3: the drawing leaves nothing out, repeats nothing, and ends, whatever the graph."""
    roots = message_tree(report(edges)).roots

    found = sorted(edge for root in roots for edge in edges_of(root))
    assert found == sorted((source[2:], target[2:]) for source, targets in edges.items() for target in targets)
    assert {root.line[0].text for root in roots} | {target for _, target in found} == {name[2:] for name in edges}
