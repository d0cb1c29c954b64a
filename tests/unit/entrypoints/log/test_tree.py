"""Who caused what: trees from the causes in the log alone, and their drawing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ordering
from driven import MisuseError
from driven.adapters.stores.memory import MemoryStore
from driven.entrypoints.drawing.log import tree_page
from driven.entrypoints.drawing.plain import plain_text
from driven.entrypoints.log import tree as tree_module
from driven.entrypoints.log.tree import Node, causation_tree
from driven.service.registry import build_registry
from driven.testing.simulation import Simulation
from ordering import Plan, command_of

ORDERING = build_registry(ordering.app)


def log_of(*plans: Plan) -> MemoryStore:
    """The log of these commands, one after the other."""
    store = MemoryStore()
    Simulation(ORDERING, workers=0, seed=1, store=store).run([command_of(plan) for plan in plans])
    return store


def nodes_of(top: Node) -> list[Node]:
    """A message and all that it led to."""
    return [top, *(node for branch in top.branches for node in nodes_of(branch))]


PLANS = st.recursive(
    st.builds(Plan, kind=st.sampled_from(["stateless", "keyed", "long"]), key=st.sampled_from(["a", "b"])),
    lambda children: st.builds(
        Plan,
        kind=st.sampled_from(["stateless", "forgiving", "long"]),
        children=st.lists(children, max_size=3).map(tuple),
    ),
    max_leaves=6,
)


@settings(max_examples=60)
@given(plans=st.lists(PLANS, min_size=1, max_size=3))
def test_the_tree_of_a_root_is_all_that_has_it_as_its_root(plans: list[Plan]) -> None:
    """docs/reference/command-line.md: nothing of it is missing, also of detached ones, nor is anything else there."""
    store = log_of(*plans)
    messages = [record.message for record in store.read(0, 100_000)]

    for root in (message.envelope.position for message in messages if not message.envelope.causation):
        tree = causation_tree(store, str(root))

        nodes = nodes_of(tree.top)
        own = {one.envelope.position for one in messages if one.envelope.correlation == root}
        assert sorted(node.position for node in nodes) == sorted(own)
        assert (tree.messages, tree.ancestors, tree.left_out) == (len(own), [], 0)
        causes = {one.envelope.position: one.envelope.causation for one in messages}
        assert all(causes[child.position] == node.position for node in nodes for child in node.branches)


def test_the_way_from_the_root_down_to_a_message_is_told() -> None:
    """docs/reference/command-line.md: audit; who caused this one, and who caused that."""
    store = log_of(Plan(children=(Plan(amount=2),)))
    last = [record.message for record in store.read(0, 100)][-1]

    tree = causation_tree(store, str(last.envelope.position))

    assert [node.name for node in tree.ancestors] == ["ordering.Compute", "ordering.Happened", "ordering.Compute"]
    assert tree.messages == 1


def test_alike_branches_are_counted_and_those_with_trouble_are_drawn() -> None:
    """Style: a root with thousands of effects is drawn on a screen, with what went wrong."""
    children = (*(Plan(amount=n) for n in range(30)), Plan(fails="always"))
    store = log_of(Plan(children=children))

    page = plain_text(tree_page(causation_tree(store, "1")))

    assert page.startswith(
        "root 1  63 messages, admitted 1970-01-01 00:00:01 UTC\n  ordering.Compute 1  succeeded  +0.00 us"
    )
    assert page.count("-> ordering.Compute") == 6
    assert "ordering.Refused: refused with" in page
    assert "-> ... and 25 more ordering.Compute: 25 succeeded; 25 messages below them" in page


def test_a_tree_beyond_measure_is_counted_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/reference/command-line.md: memory is bounded, and what is left out is said."""
    monkeypatch.setattr(tree_module, "MOST_NODES", 10)
    store = log_of(Plan(children=tuple(Plan(amount=n) for n in range(30))))

    tree = causation_tree(store, "1")

    assert (len(nodes_of(tree.top)), tree.messages, tree.left_out) == (10, 62, 52)
    assert "52 messages further down left out" in plain_text(tree_page(tree))


def test_a_message_that_is_not_there_is_refused() -> None:
    """Style: the culprit, and where the log ends."""
    with pytest.raises(MisuseError, match=r"neither a position nor a command id '99'; it ends at position 2"):
        causation_tree(log_of(Plan()), "99")
