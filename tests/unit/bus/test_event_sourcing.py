"""Event-sourced aggregates in a whole bus: the log of any run with workers is that of a run without (O6, O5, U1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

import sourced
from driven.service.event_store import MessageKind
from driven.service.registry import build_registry
from driven.service.sourcing import rehydrated
from driven.settings import Settings, WorkerSettings
from driven.testing.simulation import Faults, Simulation
from sourced import Account, Look, Mix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driven.domain.messages import Command
    from driven.service.event_store import EventStore

REGISTRY = build_registry(sourced.app)
KEYS = st.sampled_from("abc")
MIXES = st.builds(
    Mix,
    key=KEYS,
    amount=st.integers(0, 1_000),
    touches=st.lists(KEYS, max_size=2).map(tuple),
    fails=st.sampled_from([False, False, False, True]),
    children=st.integers(0, 1),
)
COMMANDS = st.lists(st.one_of(MIXES, st.builds(Look, key=KEYS)), min_size=1, max_size=25)
FAULTS = st.builds(
    Faults,
    kill=st.sampled_from([0.0, 0.1]),
    recycle=st.sampled_from([0.0, 0.1]),
    ring_slots=st.integers(1, 4),
    late_store=st.sampled_from([0.0, 0.5, 0.9]),
)
MANY_ATTEMPTS = Settings(workers=WorkerSettings(max_attempts=1_000))


def run(commands: Sequence[Command], workers: int, seed: int = 0, faults: Faults | None = None) -> Simulation:
    """A whole run; `Simulation.store` holds what came of it."""
    simulation = Simulation(REGISTRY, workers=workers, seed=seed, faults=faults, settings=MANY_ATTEMPTS)
    simulation.run(commands)
    return simulation


def streams_of(store: EventStore) -> dict[str, list[tuple[str, bytes]]]:
    """The events of each account, picked from the log by what they say themselves."""
    found: dict[str, list[tuple[str, bytes]]] = {}
    for record in store.read(0, 1_000_000):
        message = record.message
        if message.kind is MessageKind.EVENT and message.name in {"sourced.Opened", "sourced.Mixed", "sourced.Tagged"}:
            account = msgspec.msgpack.decode(message.body)["account"]
            found.setdefault(account, []).append((message.name, message.body))
    return found


@settings(max_examples=150)
@given(commands=COMMANDS, faults=FAULTS, seed=st.integers(0, 2**32))
def test_any_run_with_workers_leaves_the_log_of_a_run_without(
    commands: list[Command], faults: Faults, seed: int
) -> None:
    """O6, O5: also its snapshots, which are in the log as part of the changes; deaths and late stores included."""
    simulation = run(commands, workers=3, seed=seed, faults=faults)

    assert simulation.digest() == run(commands, workers=0).digest()


@settings(max_examples=50)
@given(commands=COMMANDS, seed=st.integers(0, 2**32))
def test_a_stream_is_what_the_log_tells_and_a_snapshot_only_saves_time(commands: list[Command], seed: int) -> None:
    """X2, X3, B2: the version is the number of events; none is missing, none told twice."""
    store = run(commands, workers=2, seed=seed).store

    told = streams_of(store)
    with_snapshots = {}
    for account in "abc":
        state = store.load("sourced.Account", account)
        assert state.version == len(told.get(account, []))
        assert len(state.events) < Account.snapshot_every
        if state.version:
            with_snapshots[account] = rehydrated(Account, state, REGISTRY.catalog)
    store.keep_snapshots({})
    for account, expected in with_snapshots.items():
        state = store.load("sourced.Account", account)
        assert [(one.name, one.body) for one in state.events] == told[account]
        assert rehydrated(Account, state, REGISTRY.catalog) == expected


def test_stale_outcomes_of_event_sourced_aggregates_are_thrown_away() -> None:
    """O5: the property above would prove little if no early outcome ever had to be."""
    mix = REGISTRY.catalog.entry_of(Mix)
    assert mix is not None
    commands = [Mix(key, number, touches=("a", "b")) for number in range(5) for key in "abc"]

    runs = [run(commands, workers=4, seed=seed) for seed in range(5)]

    assert sum(one.conductor.tally[mix.type_id].discarded for one in runs) > 0
