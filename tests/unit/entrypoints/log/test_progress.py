"""How far a walk through a long log is: told chunk by chunk, to the end."""

from __future__ import annotations

import ordering
from driven import log_digest
from driven.adapters.stores.memory import MemoryStore
from driven.entrypoints.log.digest import digest_report
from driven.entrypoints.log.tree import causation_tree
from driven.service.event_store import READ_CHUNK
from driven.service.registry import build_registry
from driven.testing.simulation import Simulation
from ordering import Plan, command_of


def test_the_digest_and_the_tree_of_a_long_log_tell_how_far_they_are() -> None:
    """X2: a bar can be drawn of it, which grows and ends full; what is found is the same."""
    store = MemoryStore()
    roots = [command_of(Plan(children=(Plan(),) * (READ_CHUNK // 2)))] * 3
    Simulation(build_registry(ordering.app), workers=0, seed=1, store=store).run(roots)
    digest_told: list[tuple[int, int]] = []
    tree_told: list[tuple[int, int]] = []

    report = digest_report(store, lambda *told: digest_told.append(told))
    tree = causation_tree(store, "1", lambda *told: tree_told.append(told))

    assert report.digest == log_digest(store)
    assert tree.messages == causation_tree(store, "1").messages
    for told in (digest_told, tree_told):
        assert len(told) > 1
        assert told == sorted(told)
        assert {last for _, last in told} == {store.last_position}
    assert digest_told[-1] == (store.last_position, store.last_position)
