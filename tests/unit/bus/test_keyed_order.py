"""O9, `ordering = "keyed"`: exactly what it promises, for random applications, with deaths and stale reads.

Per key the log is that of the serial run; every message retires once; and whoever replays the log alone, in the order
that it records, gets the same events, changes and failures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driven import BusSettings, CommandSettings, Placement, Settings, WorkerSettings
from driven.bus.hazards import UNKEYED, Footprint
from driven.bus.middleware import Middleware
from driven.service.event_store import MessageKind, Status, retired_records
from driven.service.intake import draft
from driven.service.registry import build_registry
from driven.testing.simulation import Faults, Simulation
from driven.wire import decode_submission
from ordering import Plan, command_of
from ordering import app as ordering_app
from per_key import KEYS, Idle, Move, Step, Sweep
from per_key import app as per_key_app
from replaying import check_replay

if TYPE_CHECKING:
    from driven import Command
    from driven.domain.messages import Envelope
    from driven.service.event_store import LogRecord

ORDERING = build_registry(ordering_app)
PER_KEY = build_registry(per_key_app)
KEYED = Settings(bus=BusSettings(ordering="keyed"), workers=WorkerSettings(max_attempts=1_000_000))
STRICT = Settings(workers=KEYED.workers)
FAULTS = st.builds(
    Faults,
    kill=st.sampled_from([0.0, 0.0, 0.1, 0.3]),
    ring_slots=st.integers(1, 4),
    late_store=st.sampled_from([0.0, 0.5]),
)
SEEDS = st.integers(0, 2**32)
FATES = st.sampled_from(["never", "never", "never", "odd", "always"])


def steps(depth: int) -> st.SearchStrategy[Step]:
    """Trees of steps of one key."""
    then = st.lists(steps(depth - 1), max_size=2).map(tuple) if depth else st.just(())
    return st.builds(Step, amount=st.integers(0, 50), fails=FATES, then=then)


COMMANDS = st.lists(
    st.one_of(
        st.builds(Move, key=st.sampled_from(KEYS), step=steps(2)),
        st.builds(Move, key=st.sampled_from(KEYS), step=steps(1)),
        st.builds(Sweep, amount=st.integers(0, 50)),
        st.builds(Idle, number=st.integers(0, 50)),
    ),
    min_size=1,
    max_size=12,
)


def plans(depth: int) -> st.SearchStrategy[Plan]:
    """Trees of plans that touch whatever they like."""
    children = st.lists(plans(depth - 1), max_size=3).map(tuple) if depth else st.just(())
    return st.builds(
        Plan,
        kind=st.sampled_from(["stateless", "keyed", "unkeyed", "forgiving"]),
        key=st.sampled_from(KEYS),
        touches=st.lists(st.sampled_from(KEYS), max_size=2).map(tuple),
        amount=st.integers(0, 50),
        fails=st.sampled_from(["never", "never", "never", "odd", "first", "always"]),
        children=children,
    )


ROOTS = st.lists(plans(2), min_size=1, max_size=8)
PLACEMENTS = st.fixed_dictionaries(
    {},
    optional={
        name: st.sampled_from(Placement).map(lambda placement: CommandSettings(placement=placement))
        for name in ("Compute", "Deposit", "Audit", "Try")
    },
)


def of_key(simulation: Simulation, key: str) -> list[tuple[object, ...]]:
    """What the commands that touch a key did, in the order in which they retired; without positions."""
    records = {record.message.envelope.position: record for record in simulation.store.read(0, 100_000)}
    return [
        (
            record.message.name,
            record.message.body,
            record.outcome.status,
            record.outcome.attempts,
            [change for change in record.outcome.changes if change.id == key],
            [failure.error_type for failure in record.outcome.failures],
            [records[position].message.body for position in caused_by(record)],
        )
        for record in retired_records(simulation.store)
        if record.outcome is not None and touches(record, key)
    ]


def touches(record: LogRecord, key: str) -> bool:
    """Whether it is a command of that key, or one of all keys."""
    return record.message.envelope.key == key or record.message.name == "keys.Sweep"


def caused_by(record: LogRecord) -> range:
    """The positions of what it caused."""
    assert record.outcome is not None
    first, count = record.outcome.caused
    return range(first, first + count)


@pytest.mark.parametrize("workers", [0, 1, 3])
@settings(max_examples=60)
@given(commands=COMMANDS, faults=FAULTS, seed=SEEDS)
def test_each_key_has_the_log_of_the_serial_run(
    workers: int, commands: list[Command], faults: Faults, seed: int
) -> None:
    """O9: where what a key leads to stays with that key, and nothing depends on positions, key by key all is equal."""
    serial = Simulation(PER_KEY, workers=0, seed=0, settings=STRICT)
    serial.run(commands)

    simulation = Simulation(PER_KEY, workers=workers, seed=seed, faults=faults, settings=KEYED)
    simulation.run(commands)

    for key in KEYS:
        assert of_key(simulation, key) == of_key(serial, key)
        assert simulation.store.load("keys.Account", key) == serial.store.load("keys.Account", key)


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
@settings(max_examples=60)
@given(roots=ROOTS, placements=PLACEMENTS, faults=FAULTS, seed=SEEDS)
def test_the_log_replayed_alone_in_its_own_order_gives_the_same(
    workers: int, roots: list[Plan], placements: dict[str, CommandSettings], faults: Faults, seed: int
) -> None:
    """O9, O5: there is a serial run that does the same, and it is the one that the log records."""
    configuration = Settings(bus=KEYED.bus, workers=KEYED.workers, commands=placements)

    simulation = Simulation(ORDERING, workers=workers, seed=seed, faults=faults, settings=configuration)
    receipts = simulation.run([command_of(plan) for plan in roots])

    assert simulation.conductor.failure is None
    assert all(receipt.is_settled for receipt in receipts)
    check_replay(simulation.store, ORDERING)


def footprint_of(record: LogRecord) -> Footprint:
    """What a command of `ordering` touches, by its signature."""
    short = record.message.name.rpartition(".")[2]
    if record.message.kind is MessageKind.EVENT or short == "Compute":
        return None
    return UNKEYED if short == "Audit" else record.message.envelope.key


def conflict(one: Footprint, other: Footprint) -> bool:
    """Whether order is promised between two."""
    return one is not None and other is not None and (one is UNKEYED or other is UNKEYED or one == other)


@settings(max_examples=60)
@given(roots=ROOTS, faults=FAULTS, seed=SEEDS)
def test_every_message_retires_once_and_conflicting_ones_in_position_order(
    roots: list[Plan], faults: Faults, seed: int
) -> None:
    """O9, O1, O4: positions without a gap, one outcome each; the same key, and all against a missing key, in order."""
    simulation = Simulation(ORDERING, workers=3, seed=seed, faults=faults, settings=KEYED)
    simulation.run([command_of(plan) for plan in roots])

    order = list(retired_records(simulation.store))
    positions = [record.message.envelope.position for record in order]
    assert sorted(positions) == list(range(1, simulation.store.last_position + 1))
    events = [one.message.envelope.position for one in order if one.message.kind is MessageKind.EVENT]
    assert events == sorted(events)
    for place, record in enumerate(order):
        overtaken = [one for one in order[place + 1 :] if one.message.envelope.position < positions[place]]
        assert not any(conflict(footprint_of(record), footprint_of(one)) for one in overtaken)


class Discards(Middleware):
    """How many early outcomes were thrown away."""

    def __init__(self) -> None:
        """None yet."""
        self.count = 0

    def discarded(self, name: str, envelope: Envelope) -> None:
        """One more."""
        del name, envelope
        self.count += 1


def test_commands_overtake_each_other_die_and_read_stale_state_in_these_applications() -> None:
    """O9: the properties above would prove little if keyed order were strict order, or nothing ever went wrong."""
    seen, kills, overtakings = Discards(), 0, 0
    roots = [Plan(kind=kind, key=key, touches=("a", "b")) for kind in ("keyed", "stateless") * 3 for key in KEYS]

    for seed in range(10):
        simulation = Simulation(
            ORDERING, workers=4, seed=seed, faults=Faults(kill=0.1), settings=KEYED, middleware=[seen]
        )
        simulation.run([command_of(plan) for plan in roots])
        positions = [record.message.envelope.position for record in retired_records(simulation.store)]
        overtakings += positions != sorted(positions)
        kills += simulation.lane.kills

    assert seen.count > 0
    assert kills > 0
    assert overtakings == 10


def test_a_slow_command_holds_back_its_key_and_nothing_else() -> None:
    """O9: what strict order cannot do: a command that takes for ever is overtaken by all that it does not touch."""
    simulation = Simulation(PER_KEY, workers=2, seed=3, settings=KEYED)
    conductor, lane = simulation.conductor, simulation.lane
    lane.start(conductor.traffic, lambda: None)
    commands: list[Command] = [Move("a", Step(1)), *(Move(key, Step(2)) for key in "bcda"), Idle(0)]
    receipts = [conductor.reception.command(draft(PER_KEY, command), None) for command in commands]
    conductor.turn(8)
    workers = lane._workers.values()  # noqa: SLF001 - nobody else says who was sent the first command
    (busy,) = (one for one in workers if one.ring and decode_submission(one.ring[0]).envelope.position == 1)
    busy.is_asking = True

    for _ in range(200):
        conductor.turn(8)
        lane.step()
        simulation.committer.step()
    handled = [receipt.is_handled for receipt in receipts]
    busy.is_asking = False
    while not conductor.is_settled:
        conductor.turn(8)
        lane.step()
        simulation.committer.step()

    assert handled == [False, True, True, True, False, True]
    assert all(receipt.is_settled for receipt in receipts)


def test_who_holds_up_all_others_is_said_to_be_at_the_head() -> None:
    """O5, O9: a command that must run with nothing changing meanwhile, even where an older one is done already."""
    simulation = Simulation(PER_KEY, workers=2, seed=3, settings=KEYED)
    conductor = simulation.conductor
    for key in "ab":
        conductor.reception.command(draft(PER_KEY, Move(key, Step(1))), None)
    older, younger = conductor.sequencer.queue

    before = conductor.head
    conductor._order.make_head(younger)  # noqa: SLF001 - as stale reads do, sometimes

    assert (before, conductor.head) == (older, younger)


@settings(max_examples=60)
@given(commands=COMMANDS, seed=SEEDS)
def test_a_parked_key_stays_parked_and_the_others_go_on(commands: list[Command], seed: int) -> None:
    """F2: everything of the key behind what was parked is parked, in order; nothing of it reaches a worker any more."""
    simulation = Simulation(PER_KEY, workers=2, seed=seed, settings=KEYED)
    simulation.run(commands)

    for key in KEYS:
        statuses = [
            record.outcome.status
            for record in retired_records(simulation.store)
            if record.message.envelope.key == key and record.outcome is not None
        ]
        first = statuses.index(Status.PARKED) if Status.PARKED in statuses else len(statuses)
        assert set(statuses[first:]) <= {Status.PARKED}
