"""A command that is alone is sent without a turn, and gets into the log no worse than any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driven import BusClosed, Settings, WorkerSettings
from driven.adapters.stores.memory import MemoryStore
from driven.placement import Placement
from driven.service.intake import draft
from driven.service.registry import build_registry
from driven.settings import CommandSettings
from driven.testing.simulation import Faults, Simulation
from ordering import Plan, app, command_of

if TYPE_CHECKING:
    from driven import Command
    from driven.bus.receipts import Receipt
    from driven.service.event_store import Batch

PATIENCE_TURNS = 20_000
REGISTRY = build_registry(app)
ON_WORKERS = Settings(
    commands={name: CommandSettings(placement=Placement.WORKER) for name in ("Compute", "Deposit", "Audit", "Try")},
    workers=WorkerSettings(max_attempts=1_000_000),
)
PLANS = st.builds(
    Plan,
    kind=st.sampled_from(["stateless", "keyed", "unkeyed", "forgiving"]),
    key=st.sampled_from("ab"),
    touches=st.lists(st.sampled_from("ab"), max_size=2).map(tuple),
    amount=st.integers(0, 50),
    fails=st.sampled_from(["never", "never", "never", "odd", "always"]),
    children=st.lists(st.builds(Plan, kind=st.sampled_from(["stateless", "keyed"]), key=st.just("a")), max_size=2).map(
        tuple
    ),
)


class Waiting(MemoryStore):
    """Says that it may have to be waited for."""

    is_blocking = True  # type: ignore[misc]  # the one thing that it says otherwise


class Failing(MemoryStore):
    """Takes nothing that retires."""

    def append(self, batch: Batch) -> None:
        """Raise as soon as anything has retired."""
        if batch.retired:
            raise OSError("no room")
        super().append(batch)


def begun(settings: Settings = ON_WORKERS, **dials: Any) -> Simulation:  # noqa: ANN401 - dials of a simulation
    """A simulation whose workers are there."""
    simulation = Simulation(REGISTRY, settings=settings, **{"workers": 2, "seed": 1, **dials})
    simulation.lane.start(simulation.conductor.traffic, lambda: None)
    return simulation


def admitted(simulation: Simulation, command: Command) -> Receipt:
    """Admit a command."""
    return simulation.conductor.reception.command(draft(REGISTRY, command), None)


def settle(simulation: Simulation) -> None:
    """Let everybody take steps until everything has settled."""
    for _ in range(PATIENCE_TURNS):
        if simulation.conductor.is_settled:
            return
        simulation.conductor.turn(3)
        simulation.lane.step()
        simulation.committer.step()
    pytest.fail("it does not settle")


def digest_of(plans: list[Plan], *, at_once: bool, **dials: Any) -> tuple[str, int]:  # noqa: ANN401 - as above
    """The digest of commands that come one after the other, and how many of them needed no turn to be sent."""
    simulation, sent = begun(**dials), 0
    for plan in plans:
        admitted(simulation, command_of(plan))
        sent += at_once and simulation.conductor.lone_commands().send()
        settle(simulation)
    return simulation.digest(), sent


@settings(max_examples=150)
@given(
    plans=st.lists(PLANS, min_size=1, max_size=6),
    kill=st.sampled_from([0.0, 0.2]),
    late_store=st.sampled_from([0.0, 0.5]),
    is_blocking=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_the_log_is_the_same_when_lone_commands_are_sent_without_a_turn(
    plans: list[Plan], *, kill: float, late_store: float, is_blocking: bool, seed: int
) -> None:
    """O6, O2: whether workers die, whether the store is slow, and whatever follows from a command."""
    store = Waiting() if is_blocking else MemoryStore()

    found, sent = digest_of(
        plans, at_once=True, seed=seed, faults=Faults(kill=kill, late_store=late_store), store=store
    )

    assert found == digest_of(plans, at_once=False, workers=0)[0]
    assert sent == len(plans) or any(plan.fails != "never" for plan in plans)


def test_a_lone_command_gets_into_the_log_with_its_outcome() -> None:
    """U3, U4: one batch instead of two, where the store never waits for anything."""
    simulation = begun()
    admitted(simulation, command_of(Plan()))

    assert simulation.conductor.lone_commands().send()
    simulation.committer.step()
    assert simulation.store.last_position == 0
    while simulation.lane.step():
        continue
    simulation.conductor.turn(1)
    simulation.committer.step()

    assert simulation.store.read(0, 10)[0].outcome is not None


def test_a_turn_puts_what_was_kept_back_into_the_log_outcome_or_not() -> None:
    """U4: a command that takes long is in the log as soon as there is a turn."""
    simulation = begun()
    admitted(simulation, command_of(Plan()))

    assert simulation.conductor.lone_commands().send()
    simulation.conductor.turn(1)
    simulation.committer.step()

    (record,) = simulation.store.read(0, 10)
    assert record.outcome is None


def test_a_store_that_has_to_be_waited_for_gets_a_lone_command_at_once() -> None:
    """U4: whoever submits it waits for that."""
    simulation = begun(store=Waiting())
    admitted(simulation, command_of(Plan()))

    assert simulation.conductor.lone_commands().send()
    simulation.committer.step()

    assert simulation.store.last_position == 1


def test_what_was_kept_back_gets_into_the_log_when_the_bus_gives_up() -> None:
    """X4: it was accepted, and whoever reads the log later finds it."""
    simulation = begun()
    admitted(simulation, command_of(Plan()))

    assert simulation.conductor.lone_commands().send()
    simulation.conductor.close(BusClosed())
    simulation.conductor.close(BusClosed())
    simulation.committer.step()

    (record,) = simulation.store.read(0, 10)
    assert record.message.envelope.position == 1
    assert record.outcome is None


@pytest.mark.parametrize("turn_before", [False, True])
def test_a_turn_that_fails_leaves_what_was_kept_back_and_nothing_of_itself(
    monkeypatch: pytest.MonkeyPatch, *, turn_before: bool
) -> None:
    """U3, D5: what the turn had done by then may be half of what it should be."""
    simulation = begun()
    admitted(simulation, command_of(Plan(children=(Plan(),))))
    assert simulation.conductor.lone_commands().send()
    if turn_before:  # then nothing is kept back any more
        simulation.conductor.turn(1)
        simulation.committer.step()
    while simulation.lane.step():
        continue

    def fail(*_: object) -> None:
        raise RuntimeError("an organ that fails")

    monkeypatch.setattr(type(simulation.conductor.tally), "retired", fail)  # when its event has been admitted
    simulation.conductor.turn(1)
    simulation.committer.step()

    assert simulation.conductor.failure is not None
    (record,) = simulation.store.read(0, 10)
    assert record.outcome is None


def test_a_store_that_fails_is_not_asked_again() -> None:
    """U7: what was kept back was in the batch that it refused."""
    store = Failing()
    simulation = begun(store=store)
    receipt = admitted(simulation, command_of(Plan()))
    assert simulation.conductor.lone_commands().send()
    while simulation.lane.step():
        continue

    simulation.conductor.turn(1)
    with pytest.raises(OSError, match="no room"):
        simulation.committer.step()
    simulation.conductor.close(BusClosed())

    assert receipt.is_settled
    assert store.last_position == 0


@pytest.mark.parametrize("case", ["inline", "two", "detached", "parked", "closed"])
def test_what_is_not_alone_or_needs_more_than_a_worker_has_a_turn(case: str) -> None:
    """O2, O4, O9: an inline run, a start of its own, a key that is parked, somebody before it."""
    simulation = begun(settings=_settings_of(case))
    if case == "two":
        admitted(simulation, command_of(Plan()))
    if case == "parked":
        parent = Plan(children=(Plan(kind="keyed", key="a", fails="always"),))
        admitted(simulation, command_of(parent))
        settle(simulation)
    admitted(simulation, command_of(Plan(kind="keyed" if case == "parked" else "stateless", key="a")))
    if case == "closed":
        simulation.conductor.close(BusClosed())

    assert not simulation.conductor.lone_commands().send()


def _settings_of(case: str) -> Settings:
    match case:
        case "inline":
            return Settings(commands={"Compute": CommandSettings(placement=Placement.INLINE)})
        case "detached":
            return Settings(commands={"Compute": CommandSettings(placement=Placement.WORKER, detached=True)})
        case _:
            return ON_WORKERS
