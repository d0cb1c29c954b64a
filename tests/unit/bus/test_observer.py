"""What a bus says about itself agrees with its log, whatever happened; and looking changes nothing."""

from __future__ import annotations

from collections import Counter
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driven import Application, Command, Envelope, Middleware, Placement, Settings, WorkerSettings, open_bus
from driven.bus.followers import Followers
from driven.bus.inline_progress import InlineProgress
from driven.bus.observer import Observer
from driven.bus.projections import Projections
from driven.bus.sequencer import Entry, Root
from driven.bus.tally import Tally
from driven.service.event_store import LoggedOutcome, MessageKind, Status
from driven.service.intake import Draft, draft
from driven.service.registry import build_registry
from driven.testing.simulation import Faults, Simulation
from ordering import Plan, app, command_of
from ordering_draws import drawn_commands

REGISTRY = build_registry(app)
FAULTS = st.builds(Faults, kill=st.sampled_from([0.0, 0.02, 0.1]), late_store=st.sampled_from([0.0, 0.5]))


def observer_of(simulation: Simulation) -> Observer:
    """Who looks at a simulated bus."""
    return Observer(
        simulation.registry,
        simulation.conductor,
        Followers(Projections(simulation.registry)),
        simulation.lane,
        progress=InlineProgress(),
    )


class Discards(Middleware):
    """Counts what was thrown away, by the hook."""

    def __init__(self) -> None:
        self.names: Counter[str] = Counter()

    def discarded(self, name: str, envelope: Envelope) -> None:
        """Count."""
        self.names[name] += 1


def outcomes_in_log(simulation: Simulation) -> Counter[tuple[str, Status]]:
    """Of each command type, how its commands ended, according to the log."""
    found: Counter[tuple[str, Status]] = Counter()
    for record in simulation.store.read(0, 1_000_000):
        if record.message.kind is MessageKind.COMMAND and isinstance(record.outcome, LoggedOutcome):
            found[record.message.name, record.outcome.status] += 1
    return found


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(0, 4), FAULTS)
def test_counts_of_each_command_type_are_those_of_the_log(seed: int, workers: int, faults: Faults) -> None:
    """O6: the log is the truth; what is counted beside it must not differ, whoever died and whatever was stale."""
    discards = Discards()
    simulation = Simulation(REGISTRY, workers=workers, seed=seed, faults=faults, middleware=[discards])
    observer = observer_of(simulation)

    simulation.run(drawn_commands(seed))

    told, logged = observer.look(), outcomes_in_log(simulation)
    for one in told.commands:
        assert (one.succeeded, one.failed) == (logged[one.name, Status.SUCCEEDED], logged[one.name, Status.FAILED])
        assert one.parked == logged[one.name, Status.PARKED]
        assert one.queued == 0
        assert one.discarded == discards.names[one.name]
        assert one.running.count == one.waiting.count <= one.admitted
    assert told.admitted == told.retired
    assert told.head is None
    assert sum(one.deaths for one in told.commands) <= simulation.lane.kills


def test_deaths_are_those_that_commands_were_blamed_for() -> None:
    """W3, W5: each worker that died while it ran a stateless command counts, once."""
    simulation = Simulation(REGISTRY, workers=2, seed=5, faults=Faults(kill=0.3, kill_running_only=True))
    observer = observer_of(simulation)

    simulation.run([command_of(Plan(amount=amount)) for amount in range(30)])

    deaths = {one.name: one.deaths for one in observer.look().commands if one.deaths}
    assert simulation.lane.kills > 0
    assert deaths == {"ordering.Compute": simulation.lane.kills}


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_every_command_that_ran_inline_is_in_both_histograms(seed: int) -> None:
    """Waiting and running time are those of the run whose outcome counted: one each, however often it was tried."""
    simulation = Simulation(REGISTRY, workers=0, seed=seed)
    observer = observer_of(simulation)

    simulation.run(drawn_commands(seed))

    for one in observer.look().commands:
        assert (
            one.waiting.count
            == one.running.count
            == one.succeeded + one.failed + one.parked - unrun(simulation, one.name)
        )


def unrun(simulation: Simulation, name: str) -> int:
    """How many commands of this type were parked before they ran: because something before them was."""
    return sum(
        record.message.name == name
        and outcome.status is Status.PARKED
        and "is parked since" in outcome.failures[0].message
        for record in simulation.store.read(0, 1_000_000)
        if (outcome := record.outcome) is not None
    )


def test_commands_of_a_burst_are_admitted_together_and_those_after_an_inline_handler_are_not() -> None:
    """Waiting time costs a clock reading per burst; a burst never contains the run of a handler."""
    readings = count(1)
    tally = Tally([0], lambda: next(readings))
    entries = [
        Entry(Envelope(position, "", 1, 0, 0, None, 0), position, 0, b"", Root(Draft(0, b"", None)))
        for position in range(5)
    ]
    tally.admitted(entries[0])
    tally.admitted(entries[1])
    tally.turn_begins(0)
    tally.admitted(entries[2])
    entries[3].is_on_lane = True
    tally.retired(entries[3], Status.SUCCEEDED)
    tally.admitted(entries[3])
    tally.retired(entries[0], Status.SUCCEEDED)
    tally.admitted(entries[4])

    assert [entry.admitted_ns for entry in entries] == [1, 1, 2, 2, 3]


def test_a_command_at_the_head_that_is_with_a_worker_says_which() -> None:
    """What blocks the head, for people."""
    simulation = Simulation(REGISTRY, workers={"default": 1}, seed=1)
    observer = observer_of(simulation)
    command = drawn_commands(1)[0]
    simulation.conductor.reception.command(draft(REGISTRY, command), None)

    simulation.conductor.turn(10)
    before = observer.look()
    simulation.lane.start(simulation.conductor.traffic, lambda: None)
    simulation.conductor.turn(10)
    after = observer.look()

    assert before.head is not None
    assert before.head.blocked_by == "waits for a worker of group default"
    assert (before.head.position, before.head.name) == (1, f"ordering.{type(command).__name__}")
    assert after.head is not None
    assert after.head.blocked_by == "was sent to worker 1, which has not begun it or is about to answer"
    assert after.head.age_s > before.head.age_s > 0.0


def test_what_waits_in_the_reorder_buffer_is_told_and_so_is_the_most_that_ever_did() -> None:
    """O2: depth of the reorder buffer; the highest is reached before anything of a burst retires."""
    simulation = Simulation(REGISTRY, workers=3, seed=3)
    observer = observer_of(simulation)

    simulation.run([command for seed in range(5) for command in drawn_commands(seed)])

    told = observer.look()
    assert told.early == 0
    assert told.early_most >= 2


@settings(max_examples=10)
@given(st.integers(0, 2**32))
def test_looking_changes_nothing(seed: int) -> None:
    """O6: the same digest, watched or not."""
    watched, alone = (Simulation(REGISTRY, workers=2, seed=seed) for _ in range(2))
    observer = observer_of(watched)

    watched.lane.start(watched.conductor.traffic, lambda: None)
    for command in drawn_commands(seed):
        watched.conductor.reception.command(draft(REGISTRY, command), None)
    while not watched.conductor.is_settled:
        watched.conductor.turn(4)
        observer.look()
        watched.lane.step()
        watched.committer.step()
    alone.run(drawn_commands(seed))

    assert watched.digest() == alone.digest()


class Ponder(Command):
    """Looks at the bus from within."""


def pondering() -> Application:
    """An application whose only command runs inline."""
    ponder = Application("pondering")

    @ponder.handles(Ponder, placement=Placement.INLINE)
    def think(command: Ponder) -> None:
        """Nothing."""

    return ponder


async def test_a_bus_says_who_it_is_and_lists_command_types_that_never_came() -> None:
    """Frozen records: the same shape from the first moment on."""
    async with open_bus(pondering(), Settings(workers=WorkerSettings(count=0))) as bus:
        before = bus.statistics()
        await bus.handle(Ponder())
        after = bus.statistics()

    assert before.application == "pondering"
    assert [(one.name, one.admitted) for one in before.commands] == [("pondering.Ponder", 0)]
    assert [(one.name, one.succeeded, one.running.count) for one in after.commands] == [("pondering.Ponder", 1, 1)]
    assert after.uptime_s > before.uptime_s
    with pytest.raises(AttributeError):
        after.admitted = 0  # type: ignore[misc]
