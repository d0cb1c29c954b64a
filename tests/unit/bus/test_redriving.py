"""F3: what was parked enters again in its order, nothing is lost or doubled, and the log is the same without workers.

Random applications park at random, are mended, and are redriven at random, in simulated pools; what came of it is read
from the log alone.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import parking
from crashes import under_way
from driven import BusSettings, Settings, WorkerSettings, log_digest
from driven.adapters.stores.memory import MemoryStore
from driven.bus import redriving
from driven.domain.messages import Command
from driven.service.built_in import BuiltIn, Redrive, Verb, built_in
from driven.service.event_store import MessageKind, Status
from driven.service.registry import build_registry
from driven.testing.simulation import Faults, Simulation
from parking import Apply, Begin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from driven.service.event_store import EventStore, LogRecord, ParkedRecord
    from driven.settings import Ordering

Phase: TypeAlias = tuple[frozenset[int], list[Command | BuiltIn]]
"""What is broken meanwhile, and what is submitted."""

REGISTRY = build_registry(parking.app)
KEYS = ("a", "b", "c")
NUMBERS = 100
KEY = st.sampled_from(KEYS)
FAULTS = st.builds(
    Faults,
    kill=st.sampled_from([0.0, 0.0, 0.2]),
    ring_slots=st.integers(1, 4),
    late_store=st.sampled_from([0.0, 0.5]),
)


@pytest.fixture(autouse=True, scope="module")
def _few_at_once() -> Iterator[None]:
    """What is parked here is read in several steps, as what is parked by thousands elsewhere."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(redriving, "AT_ONCE", 2)
        yield


@st.composite
def phases(draw: st.DrawFn, verbs: tuple[Verb, ...]) -> list[Phase]:
    """Commands and redrives in turns; each number is used once."""
    numbers = iter(range(1, NUMBERS))

    def commands() -> list[Command]:
        found: list[Command] = []
        for _ in range(draw(st.integers(0, 3))):
            if draw(st.booleans()):
                found.append(Begin(tuple((draw(KEY), next(numbers)) for _ in range(draw(st.integers(1, 3))))))
            else:
                found.append(Apply(draw(KEY), next(numbers)))
        return found

    found: list[Phase] = []
    for _ in range(draw(st.integers(1, 3))):
        broken = draw(st.frozensets(st.integers(1, 24)))
        redrives = draw(st.lists(st.builds(Redrive, st.sampled_from(verbs), KEY), max_size=3))
        found.append((broken, draw(st.permutations([*commands(), *redrives, *commands()]))))
    return found


def run(
    script: list[Phase], workers: int, seed: int, faults: Faults | None = None, ordering: Ordering = "strict"
) -> EventStore:
    """All phases, and then retries of everything that is still parked, until nothing is."""
    configuration = Settings(bus=BusSettings(ordering=ordering, retries=0), workers=WorkerSettings(max_attempts=1_000))
    simulation = Simulation(REGISTRY, workers=workers, seed=seed, faults=faults, settings=configuration)
    for broken, commands in script:
        mend(broken)
        simulation.run(commands)
        assert simulation.conductor.failure is None
    mend(frozenset())
    while parked := simulation.store.parked(0, 1):
        simulation.run([Redrive(Verb.RETRY, position=parked[0].message.envelope.position)])
    check_counts(simulation)
    return simulation.store


def check_counts(simulation: Simulation) -> None:
    """What is counted is what the log says: a command that moved counts once, where it came to its end."""
    logged: Counter[tuple[str, Status]] = Counter()
    for record in records_of(simulation.store):
        assert record.outcome is not None
        logged[record.message.name, record.outcome.status] += 1
    for type_id in REGISTRY.handlers:
        name, counted = REGISTRY.name_of(type_id), simulation.conductor.tally[type_id]
        found = (counted.succeeded, counted.failed, counted.parked)
        assert found == tuple(logged[name, one] for one in (Status.SUCCEEDED, Status.FAILED, Status.PARKED))


def mend(broken: frozenset[int]) -> None:
    """This is broken from now on, and nothing else."""
    parking.BROKEN.clear()
    parking.BROKEN.update(broken)
    parking.STUCK.clear()
    parking.STUCK.update(number for number in broken if number % 3 == 0)


def records_of(store: EventStore) -> list[LogRecord]:
    """The whole log, all of which has retired."""
    records = list(store.read(0, 1_000_000))
    assert all(record.outcome is not None for record in records)
    return records


def ledger(store: EventStore, key: str) -> list[int]:
    """What was done to a key, in order."""
    body = store.load("parking.Ledger", key).body
    return [] if body is None else list(msgspec.msgpack.decode(body)["numbers"])


def wanted(store: EventStore, name: str, key: str | None = None) -> list[int]:
    """The numbers of the commands of this name, as they were first accepted; without what failed, or was given up."""
    records = {record.message.envelope.position: record for record in records_of(store)}
    gone = {origin(records, position) for one in records.values() for position in given_up_by(one)}
    gone |= {origin(records, position) for position, one in records.items() if has_failed(one)}
    return [
        msgspec.msgpack.decode(record.message.body)["number"]
        for position, record in records.items()
        if record.message.name == name
        and not record.message.redrives
        and not is_late(records, record)
        and key in {None, record.message.envelope.key}
        and position not in gone
    ]


def given_up_by(record: LogRecord) -> tuple[int, ...]:
    """What a redrive gave up."""
    assert record.outcome is not None
    return record.outcome.aside.given_up if record.outcome.aside is not None else ()


def has_failed(record: LogRecord) -> bool:
    """Whether its submitter was told that it failed (F1)."""
    return record.outcome is not None and record.outcome.status is Status.FAILED


def is_late(records: dict[int, LogRecord], record: LogRecord) -> bool:
    """Whether it is the outcome of a command that has started."""
    cause = records.get(record.message.envelope.causation)
    return cause is not None and cause.outcome is not None and cause.outcome.status is Status.STARTED


def origin(records: dict[int, LogRecord], position: int) -> int:
    """Where a message stood first."""
    record = records[position]
    if record.message.redrives:
        return origin(records, record.message.redrives)
    if is_late(records, record):
        return origin(records, record.message.envelope.causation)
    return position


SEEDS = st.integers(0, 2**32)
IN_ORDER = (Verb.RETRY, Verb.SKIP, Verb.DISCARD)


@pytest.mark.parametrize("workers", [0, 3])
@settings(max_examples=150)
@given(script=phases(IN_ORDER), faults=FAULTS, seed=SEEDS)
def test_redriven_messages_keep_the_order_of_their_key(
    workers: int, script: list[Phase], faults: Faults, seed: int
) -> None:
    """F3, B9: what was accepted happened, once, in the order of its key; what was given up did not."""
    store = run(script, workers, seed, faults)

    for key in KEYS:
        assert ledger(store, key) == wanted(store, "parking.Apply", key)


@settings(max_examples=150)
@given(script=phases(tuple(Verb)), faults=FAULTS, seed=SEEDS, ordering=st.sampled_from(["strict", "keyed"]))
def test_nothing_that_is_redriven_is_lost_or_doubled(
    script: list[Phase], faults: Faults, seed: int, ordering: Ordering
) -> None:
    """F3, U6: in both orders, with a key and without, detached or not, whatever the verbs and however often."""
    store = run(script, 2, seed, faults, ordering)

    for key in KEYS:
        assert Counter(ledger(store, key)) == Counter(wanted(store, "parking.Apply", key))
        assert Counter(ledger(store, f"pondered {key}")) == Counter(wanted(store, "parking.Ponder", key))
    assert Counter(ledger(store, "notes")) == Counter(wanted(store, "parking.Note"))


@settings(max_examples=100)
@given(script=phases(IN_ORDER), faults=FAULTS, seed=SEEDS)
def test_keys_keep_their_order_where_that_is_all_that_is_promised(
    script: list[Phase], faults: Faults, seed: int
) -> None:
    """F3, O9: with `ordering = "keyed"` as well."""
    store = run(script, 3, seed, faults, "keyed")

    for key in KEYS:
        assert ledger(store, key) == wanted(store, "parking.Apply", key)


@settings(max_examples=100)
@given(script=phases(tuple(Verb)), faults=FAULTS, seed=SEEDS, workers=st.integers(1, 4))
def test_the_log_with_redrives_is_the_same_for_any_number_of_workers(
    script: list[Phase], faults: Faults, seed: int, workers: int
) -> None:
    """O6, F3: redrives are commands like others; without detached commands the digest is that of the inline run."""
    without = [
        (broken, [one for one in commands if not isinstance(one, Begin) or is_odd(one)]) for broken, commands in script
    ]

    digests = {digest(run(without, count, seed, faults)) for count in (0, workers)}

    assert len(digests) == 1


def is_odd(begin: Begin) -> bool:
    """Whether nothing detached follows."""
    return all(number % 2 for _, number in begin.items)


CRASHES = st.lists(st.integers(0, 40), min_size=1, max_size=4)


@pytest.mark.parametrize("ordering", ["strict", "keyed"])
@settings(max_examples=150)
@given(script=phases(IN_ORDER), faults=FAULTS, seed=SEEDS, crashes=CRASHES)
def test_redrives_survive_crashes_at_any_step(
    ordering: Ordering, script: list[Phase], faults: Faults, seed: int, crashes: list[int]
) -> None:
    """U9, F3: while parking, while redriving, between the two; what the log holds in the end is whole and in order."""
    configuration = Settings(bus=BusSettings(ordering=ordering, retries=0), workers=WorkerSettings(max_attempts=1_000))
    store, chance = MemoryStore(), random.Random(seed)
    for number, (broken, commands) in enumerate([*script, (frozenset[int](), [])]):
        mend(broken)
        for run_of_phase, steps in enumerate((*crashes, None)):
            simulation = Simulation(
                REGISTRY, workers=2, seed=seed + number, faults=faults, settings=configuration, store=store
            )
            simulation.begin(() if run_of_phase else commands)
            simulation.go_on(steps)
            assert simulation.conductor.failure is None
            if steps is not None and (batch := under_way(simulation)) is not None and chance.random() < 0.5:
                store.append(batch)
            store.close()
    last = Simulation(REGISTRY, workers=0, seed=seed, settings=configuration, store=store)
    while parked := store.parked(0, 1):
        last.run([Redrive(Verb.RETRY, position=parked[0].message.envelope.position)])

    for key in KEYS:
        assert ledger(store, key) == wanted(store, "parking.Apply", key)
        assert Counter(ledger(store, f"pondered {key}")) == Counter(wanted(store, "parking.Ponder", key))
    assert Counter(ledger(store, "notes")) == Counter(wanted(store, "parking.Note"))


def digest(store: EventStore) -> str:
    """The digest of the log."""
    return log_digest(store)


@settings(max_examples=100)
@given(script=phases(tuple(Verb)), seed=SEEDS)
def test_a_redrive_tells_in_the_log_what_it_did(script: list[Phase], seed: int) -> None:
    """F3: what entered again stands in a row, in its order, caused by the redrive; what moved stands behind it."""
    store = run(script, 2, seed)

    records = {record.message.envelope.position: record for record in records_of(store)}
    for position, record in records.items():
        outcome = record.outcome
        if built_in(record.message) is None or outcome is None or outcome.status is Status.FAILED:
            continue
        assert outcome.aside is not None
        again = (*outcome.aside.entered, *outcome.aside.moved)
        first, count = outcome.caused
        found = [records[one].message for one in range(first, first + count)]
        assert [one.redrives for one in found] == list(again)
        assert list(outcome.aside.entered) == sorted(outcome.aside.entered)
        assert list(outcome.aside.moved) == sorted(outcome.aside.moved)
        for before, after in zip(again, found, strict=True):
            assert (after.name, after.body) == (records[before].message.name, records[before].message.body)
            assert after.envelope.key == records[before].message.envelope.key
        for one in found[: len(outcome.aside.entered)]:
            assert (one.envelope.causation, one.envelope.correlation) == (position, position)


@settings(max_examples=100)
@given(script=phases((Verb.RETRY,)), seed=SEEDS)
def test_other_keys_do_not_feel_a_redrive(script: list[Phase], seed: int) -> None:
    """B9: no message of another key is parked, moved or entered again because of it."""
    store = run(script, 2, seed)

    for record in records_of(store):
        order = built_in(record.message)
        if isinstance(order, Redrive) and order.key is not None and record.outcome and record.outcome.aside:
            aside = record.outcome.aside
            keys = {store.read(one - 1, 1)[0].message.envelope.key for one in (*aside.entered, *aside.moved)}
            assert keys <= {order.key}


def test_events_that_enter_again_are_shown_to_nobody_else() -> None:
    """F3, B2: the reactions that failed run, those that did not do not, and no projector sees the event twice."""
    mend(frozenset({3}))
    simulation = Simulation(
        REGISTRY, workers=0, seed=1, settings=Settings(bus=BusSettings(retries=0)), store=MemoryStore()
    )
    simulation.run([Begin((("a", 3), ("b", 5)))])
    parking.BROKEN.clear()
    event = next(one for one in simulation.store.parked(0, 9) if one.message.kind is MessageKind.EVENT)
    assert event.outcome.aside is not None
    assert event.outcome.aside.reactions == ("parking.note_each",)

    mend(frozenset())
    simulation.run([Redrive(Verb.RETRY, position=event.message.envelope.position)])

    assert ledger(simulation.store, "notes") == [3, 5]
    assert wanted(simulation.store, "parking.Apply") == [3, 5]
    assert [one.name for one in simulation.store.events(["parking.Begun"], 0, 99)] == ["parking.Begun"]


class Leafed(MemoryStore):
    """Notes how many parked messages are read of it."""

    read_of_parked = 0

    def parked(self, after: int, limit: int, key: str | None = None) -> Sequence[ParkedRecord]:
        """Read, and note it."""
        found = super().parked(after, limit, key)
        self.read_of_parked += len(found)
        return found


@pytest.mark.parametrize("verb", [Verb.RETRY, Verb.SKIP, Verb.DISCARD])
@pytest.mark.parametrize("ordering", ["strict", "keyed"])
def test_much_that_is_parked_is_read_step_by_step_and_nothing_retires_meanwhile(ordering: Ordering, verb: Verb) -> None:
    """F3, B9: others have the bus thread in between, what is submitted meanwhile stands behind, none is left out."""
    numbers = range(1, 12)
    mend(frozenset(numbers))
    configuration, store = Settings(bus=BusSettings(retries=0, ordering=ordering)), Leafed()
    simulation = Simulation(REGISTRY, workers=0, seed=1, settings=configuration, store=store)
    simulation.run([Begin(tuple(("a", number) for number in numbers))])
    mend(frozenset())
    before, store.read_of_parked = store.last_position, 0
    simulation.begin([Redrive(verb, key="a"), Apply("a", 20), Apply("b", 21)])

    most, retired_before = 0, 0
    while (redrive := store.read(before, 1)[:1]) == [] or redrive[0].outcome is None:
        read = store.read_of_parked
        retired_before = retired_before if read else len(store.retired(0, 999))
        simulation.conductor.turn(1)
        simulation.committer.step()
        most = max(most, store.read_of_parked - read)
    simulation.go_on()

    assert most == redriving.AT_ONCE
    assert store.retired(retired_before, 1)[0].message == redrive[0].message
    left = {Verb.RETRY: [*numbers], Verb.SKIP: [*numbers][1:], Verb.DISCARD: []}[verb]
    assert ledger(store, "a") == [*left, 20]
    assert not store.parked(0, 9, "a")


def test_what_a_redrive_put_back_is_taken_up_by_the_next_bus_as_it_was() -> None:
    """U9, F3: a bus dies right behind a redrive: what moved does not happen twice, and no reaction runs again."""
    mend(frozenset({3, 4}))
    configuration, store = Settings(bus=BusSettings(retries=0)), MemoryStore()
    first = Simulation(REGISTRY, workers=0, seed=1, settings=configuration, store=store)
    first.run([Begin((("a", 3), ("b", 5))), Begin((("a", 4),))])
    mend(frozenset())
    event = next(one.message for one in store.parked(0, 9) if one.message.kind is MessageKind.EVENT)
    first.begin(
        [
            Redrive(Verb.RETRY, key="a"),
            Apply("a", 7),
            Redrive(Verb.RETRY, position=event.envelope.position),
            Apply("a", 9),
        ]
    )
    for _ in range(20):
        first.conductor.turn(1)
        first.committer.step()
        left = [one for one in store.read(0, 99) if one.outcome is None]
        if left and not any(built_in(one.message) for one in left):
            break
    assert {one.message.kind for one in left if one.message.redrives} == {MessageKind.COMMAND, MessageKind.REPEATED}
    assert {one.message.envelope.position for one in left} & {one.message.redrives for one in left}
    store.close()

    Simulation(REGISTRY, workers=0, seed=1, settings=configuration, store=store).go_on()

    assert ledger(store, "a") == [3, 4, 7, 9]
    assert ledger(store, "b") == [5]
    assert Counter(ledger(store, "notes")) == Counter([3, 5])
