"""O6, the heart: whatever the workers do, the log is that of the run without them.

Random applications run in the simulated pool, for 0, 1, 2 and 4 workers, with deaths, full rings, stale reads and a
slow store; the digest of the log must equal that of the inline run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driven import Settings
from driven.bus.middleware import Middleware
from driven.placement import Placement
from driven.service.registry import build_registry
from driven.settings import CommandSettings, WorkerSettings
from driven.testing.simulation import Faults, Simulation
from ordering import Plan, app, command_of
from ordering_plans import plans

if TYPE_CHECKING:
    from driven.domain.messages import Envelope

ROOTS = st.lists(plans(2), min_size=1, max_size=8)
PLACEMENTS = st.fixed_dictionaries(
    {},
    optional={
        name: st.sampled_from(Placement).map(lambda placement: CommandSettings(placement=placement))
        for name in ("Compute", "Deposit", "Audit", "Try")
    },
)
FAULTS = st.builds(
    Faults,
    kill=st.sampled_from([0.0, 0.0, 0.1, 0.3]),
    recycle=st.sampled_from([0.0, 0.0, 0.2]),
    ring_slots=st.integers(1, 4),
    late_store=st.sampled_from([0.0, 0.5]),
)
MANY_ATTEMPTS = WorkerSettings(max_attempts=1_000_000)
REGISTRY = build_registry(app)


def inline_digest(roots: list[Plan]) -> str:
    """The digest of the run that all others must equal."""
    simulation = Simulation(REGISTRY, workers=0, seed=0)
    simulation.run([command_of(plan) for plan in roots])
    return simulation.digest()


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
@settings(max_examples=700)
@given(roots=ROOTS, placements=PLACEMENTS, faults=FAULTS, seed=st.integers(0, 2**32))
def test_the_log_is_the_same_for_any_number_of_workers(
    workers: int, roots: list[Plan], placements: dict[str, CommandSettings], faults: Faults, seed: int
) -> None:
    """O6, B5, B6, D3: 0, 1, 2 and 4 workers, killed, replaced, delayed at random, leave the log of the inline run."""
    configuration = Settings(commands=placements, workers=MANY_ATTEMPTS)

    simulation = Simulation(REGISTRY, workers=workers, seed=seed, faults=faults, settings=configuration)
    simulation.run([command_of(plan) for plan in roots])

    assert simulation.digest() == inline_digest(roots)


class Retirements(Middleware):
    """The order in which messages became visible."""

    def __init__(self) -> None:
        """None yet."""
        self.positions: list[int] = []
        self.discarded_outcomes = 0
        self.left: list[int] = []

    def retired(self, name: str, envelope: Envelope, outcome: object) -> None:
        """Note the position."""
        self.positions.append(envelope.position)

    def discarded(self, name: str, envelope: Envelope) -> None:
        """Count it."""
        self.discarded_outcomes += 1

    def worker_left(self, worker_id: int) -> None:
        """Note which."""
        self.left.append(worker_id)


@settings(max_examples=200)
@given(roots=ROOTS, faults=FAULTS, seed=st.integers(0, 2**32))
def test_messages_retire_in_position_order_without_a_gap(roots: list[Plan], faults: Faults, seed: int) -> None:
    """O1, O2: positions are gapless and retirement follows them, whoever finishes first."""
    seen = Retirements()

    simulation = Simulation(
        REGISTRY, workers=3, seed=seed, faults=faults, middleware=[seen], settings=Settings(workers=MANY_ATTEMPTS)
    )
    simulation.run([command_of(plan) for plan in roots])

    assert seen.positions == list(range(1, len(seen.positions) + 1))
    records = simulation.store.read(0, 100_000)
    assert [record.message.envelope.position for record in records] == seen.positions


def test_stale_reads_happen_in_these_applications() -> None:
    """O5: the property above would prove little if no early outcome ever had to be thrown away."""
    seen = Retirements()
    roots = [Plan(kind="keyed", key=key, touches=("a", "b"), amount=n) for n in range(5) for key in "abc"]

    for seed in range(10):
        simulation = Simulation(REGISTRY, workers=4, seed=seed, middleware=[seen])
        simulation.run([command_of(plan) for plan in roots])

    assert seen.discarded_outcomes > 0


def test_workers_leave_with_commands_in_their_rings_and_middleware_hears_of_it() -> None:
    """D3: what a worker had not begun goes elsewhere, and nobody says that anything died."""
    seen = Retirements()
    roots = [Plan(kind="stateless", key="a", amount=n) for n in range(60)]

    simulation = Simulation(REGISTRY, workers=2, seed=3, faults=Faults(recycle=0.3), middleware=[seen])
    simulation.run([command_of(plan) for plan in roots])

    assert len(seen.left) > 5
    assert simulation.digest() == inline_digest(roots)


@settings(max_examples=100)
@given(roots=ROOTS, seed=st.integers(0, 2**32))
def test_a_seed_replays_a_run_exactly(roots: list[Plan], seed: int) -> None:
    """O6: a failing seed can be looked at again; even deaths fall on the same commands."""

    def run() -> tuple[str, int]:
        simulation = Simulation(REGISTRY, workers=2, seed=seed, faults=Faults(kill=0.2))
        simulation.run([command_of(plan) for plan in roots])
        return simulation.digest(), simulation.lane.kills

    assert run() == run()
