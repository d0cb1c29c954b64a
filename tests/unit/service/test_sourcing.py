"""Event-sourced aggregates in a unit of work: streams in, events and now and then a snapshot out (X2, X3, U1, B2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from driven import (
    Application,
    Command,
    Event,
    EventNotApplied,
    EventSourcedAggregate,
    MalformedMessage,
    MisuseError,
    RegistrationError,
    Repository,
    Scope,
    UnitOfWork,
    UnreadableMessage,
    applies,
)
from driven.service.registry import build_registry
from driven.service.sourcing import rehydrated, snapshot_schema
from driven.wire import AggregateState, Change, EncodedMessage, StoredEvent, encode_body

if TYPE_CHECKING:
    from collections.abc import Callable


class Opened(Event):
    """An account is there."""

    owner: str


class Deposited(Event):
    """There is more in it."""

    message_version = 2
    cents: int


class Noted(Event):
    """Things were written down."""

    lines: list[str]


class Closed(Event):
    """Of another type of aggregate."""


class Account(EventSourcedAggregate[Opened | Deposited | Noted]):
    """An account of some cents and some lines."""

    aggregate_name = "bank.Account"
    snapshot_every = 3
    owner: str = ""
    cents: int = 0
    lines: list[str] = []  # noqa: RUF012 - copied by msgspec

    @applies(Opened)
    def _opened(self, event: Opened) -> None:
        self.owner = event.owner

    @applies(Deposited)
    def _deposited(self, event: Deposited) -> None:
        if event.cents < 0:
            text = "less than nothing"
            raise ValueError(text)
        self.cents += event.cents

    @applies(Noted)
    def _noted(self, event: Noted) -> None:
        self.lines = event.lines


class Handle(Command):
    """What an application must have at least one of."""


app = Application("bank")
app.keeps(Account)


@app.handles(Handle, emits=(Closed,))
def handle(command: Handle) -> None:
    """Nothing."""


@app.upcasts("bank.Deposited", version=1)
def count_in_cents(fields: dict[str, Any]) -> dict[str, Any]:
    """It was whole euros once."""
    return {"cents": fields["euros"] * 100}


REGISTRY = build_registry(app)
CATALOG = REGISTRY.catalog


def stored(event: Event) -> StoredEvent:
    """An event as it stands on a stream."""
    encoded = CATALOG.encode(event)
    entry = CATALOG.entries[encoded.type_id]
    return StoredEvent(entry.name, entry.version, encoded.body)


def stream(*events: Event | StoredEvent, snapshot: Account | None = None, behind: int = 0) -> AggregateState:
    """The state of account "a": `behind` events are in the snapshot, these follow."""
    told = tuple(stored(one) if isinstance(one, Event) else one for one in events)
    body = None if snapshot is None else encode_body(snapshot)
    return AggregateState("bank.Account", "a", behind + len(events), body, told)


def unit_of_work(state: AggregateState | None = None) -> UnitOfWork:
    """One that finds this, and nothing else."""
    return UnitOfWork(
        lambda name, one: state if state is not None and one == state.id else AggregateState(name, one, 0, None),
        REGISTRY.aggregate_name,
        CATALOG,
    )


def emitted(uow: UnitOfWork) -> tuple[EncodedMessage, ...]:
    """The events of a unit of work, as they would leave."""
    return tuple(CATALOG.encode(event) for event in uow.collect_events())


def test_a_stream_is_applied_from_its_beginning_and_records_nothing() -> None:
    """X2, B2: what has happened is not told again."""
    uow = unit_of_work(stream(Opened("Ada"), Deposited(5), Deposited(7)))

    account = uow.get(Account, "a")

    assert account == Account("a", "Ada", 12)
    assert uow.collect_events() == []
    assert uow.changes() == ()
    assert [read.version for read in uow.reads()] == [3]


def test_a_stream_goes_on_behind_its_snapshot() -> None:
    """X2: the body holds everything up to there."""
    state = stream(Deposited(7), snapshot=Account("a", "Ada", 5), behind=2)

    assert unit_of_work(state).get(Account, "a") == Account("a", "Ada", 12)


def test_old_events_of_a_stream_are_upcast() -> None:
    """X3: whatever version they were recorded at."""
    old = StoredEvent("bank.Deposited", 1, encode_body({"euros": 3}))

    assert unit_of_work(stream(Opened("Ada"), old)).get(Account, "a").cents == 300


def test_what_is_recorded_becomes_a_change_of_its_own_events() -> None:
    """U1, O3, O5: places among all events of the unit of work, at the version that was seen."""
    uow = unit_of_work(stream(Opened("Ada")))
    other = Account("b")
    other.record(Opened("Bob"))

    account = uow.get(Account, "a")
    account.record(Deposited(1))
    uow.add(other)
    other.record(Deposited(2))
    account.record(Noted([]))

    assert uow.collect_events() == [Deposited(1), Opened("Bob"), Deposited(2), Noted([])]
    changes = uow.changes(emitted(uow))
    assert [(one.id, one.expected_version, one.events) for one in changes] == [("a", 1, (0, 3)), ("b", 0, (1, 2))]
    assert [one.new_version for one in changes] == [3, 2]


@pytest.mark.parametrize(
    ("behind", "recorded", "is_due"),
    [(0, 1, False), (0, 2, False), (0, 3, True), (1, 1, False), (2, 1, True), (1, 4, True)],
)
def test_a_snapshot_is_taken_when_enough_has_happened_since_the_last(behind: int, recorded: int, is_due: bool) -> None:
    """X3: of what the events tell, at the version that they lead to."""
    tail = [Deposited(1)] * behind
    uow = unit_of_work(stream(*tail, snapshot=Account("a", "Ada"), behind=10))
    account = uow.get(Account, "a")
    for _ in range(recorded):
        account.record(Deposited(1))

    (change,) = uow.changes(emitted(uow))

    expected = encode_body(Account("a", "Ada", behind + recorded)) if is_due else None
    assert change == Change("bank.Account", "a", 10 + behind, expected, tuple(range(recorded)))


class Never(EventSourcedAggregate[Opened]):
    """One that is always read from its beginning."""

    snapshot_every = 0

    @applies(Opened)
    def _opened(self, event: Opened) -> None: ...


def test_no_snapshot_is_taken_where_none_is_wanted() -> None:
    """X3: zero is no number of events."""
    uow = UnitOfWork(lambda name, one: AggregateState(name, one, 0, None), lambda cls: cls.__name__, CATALOG)
    never = Never("n")
    uow.add(never)
    for _ in range(500):
        never.record(Opened("x"))

    assert uow.changes(emitted(uow))[0].body is None


def test_an_aggregate_does_not_change_the_events_that_it_has_taken_over() -> None:
    """B2, O6: a list of an event is the event's; what is recorded stays as it was said."""
    uow = unit_of_work(stream(Opened("Ada")))
    account = uow.get(Account, "a")
    told = Noted(["first"])

    account.record(told)
    account.lines.append("second")

    assert told == Noted(["first"])
    with pytest.raises(MalformedMessage, match="field 'lines' holds what its events do not tell"):
        uow.changes(emitted(uow))


@pytest.mark.parametrize("is_new", [False, True])
@pytest.mark.parametrize("records", [False, True])
def test_an_aggregate_that_holds_what_its_events_do_not_tell_fails_its_command(is_new: bool, records: bool) -> None:
    """U1, X2: it would be lost without a word, or be there only as long as a snapshot is."""
    uow = unit_of_work(None if is_new else stream(Opened("Ada")))
    if is_new:
        account = Account("a")
        account.record(Opened("Ada"))
        uow.add(account)
    else:
        account = uow.get(Account, "a")

    account.cents = 5
    if records:
        account.record(Deposited(1))

    with pytest.raises(
        MalformedMessage, match=r"field 'cents' holds .*; change fields in the methods that apply"
    ) as raised:
        uow.changes(emitted(uow))
    assert "bank.Account 'a'" in str(raised.value)


def test_a_new_aggregate_without_an_event_is_refused() -> None:
    """U1: nothing would tell that it is there."""
    uow = unit_of_work()
    uow.add(Account("a"))

    with pytest.raises(MalformedMessage, match="no event tells that it is there; record one"):
        uow.changes()


def test_what_no_method_applies_cannot_be_recorded() -> None:
    """X3: named with what to do, and nothing was recorded."""
    uow = unit_of_work(stream(Opened("Ada")))

    with pytest.raises(EventNotApplied, match=r"Account 'a' cannot apply Closed: no method .* @applies\(Closed\)"):
        uow.get(Account, "a").record(Closed())  # type: ignore[arg-type]  # the fault

    assert uow.collect_events() == []


def test_an_event_whose_method_raises_is_not_recorded() -> None:
    """U1, B3: the handler may go on, and what it refused did not happen."""
    uow = unit_of_work(stream(Opened("Ada")))
    account = uow.get(Account, "a")

    with pytest.raises(ValueError, match="less than nothing"):
        account.record(Deposited(-1))
    account.record(Deposited(1))

    assert uow.collect_events() == [Deposited(1)]
    assert uow.changes(emitted(uow))[0].events == (0,)


class Chatty(EventSourcedAggregate[Opened | Deposited]):
    """One whose method records another event."""

    @applies(Opened)
    def _opened(self, event: Opened) -> None:
        self.record(Deposited(1))

    @applies(Deposited)
    def _deposited(self, event: Deposited) -> None: ...


def test_a_method_that_applies_an_event_records_nothing() -> None:
    """B2: loading would tell that again, each time."""
    with pytest.raises(EventNotApplied, match="records another; record both where it is decided"):
        Chatty("c").record(Opened("x"))

    with pytest.raises(EventNotApplied, match="Chatty 'c' cannot apply Deposited"):
        rehydrated(Chatty, AggregateState("bank.Chatty", "c", 1, None, (stored(Opened("x")),)), CATALOG)


@pytest.mark.parametrize(
    ("event", "error", "words"),
    [
        (
            Closed(),
            EventNotApplied,
            ("bank.Account 'a'", "bank.Closed, version 2", "@applies(Closed)"),
        ),
        (StoredEvent("bank.Gone", 1, b"\x80"), UnreadableMessage, ("bank.Gone version 1", "set message_name")),
        (StoredEvent("bank.Opened", 9, b"\x80"), UnreadableMessage, ("bank.Opened version 9", "up to version 1")),
        (StoredEvent("bank.Opened", 1, b"\x80"), MalformedMessage, ("bank.Opened", "missing required field `owner`")),
        (
            Deposited(-1),
            EventNotApplied,
            ("bank.Deposited, version 2", "ValueError: less than nothing", "without conditions"),
        ),
    ],
)
def test_a_stream_that_cannot_be_applied_says_where_and_why(
    event: Event | StoredEvent, error: type[Exception], words: tuple[str, ...]
) -> None:
    """X2, X3: never a state that leaves something out."""
    with pytest.raises(error) as raised:
        unit_of_work(stream(Opened("Ada"), event)).get(Account, "a")

    assert [word for word in words if word not in str(raised.value)] == []


def test_the_same_object_in_two_units_of_work_tells_nothing_twice() -> None:
    """B2: what it recorded belongs to the first."""
    account = Account("a")
    account.record(Opened("Ada"))
    first, second = unit_of_work(), unit_of_work(stream(Opened("Bob")))
    first.add(account)
    first.release()

    again = second.get(Account, "a")
    again.record(Deposited(1))

    assert second.changes(emitted(second))[0].events == (0,)


def test_a_snapshot_of_another_meaning_is_of_another_schema() -> None:
    """X3: of other fields, or of another snapshot_version."""

    def grown(**namespace: Any) -> type[EventSourcedAggregate[Any]]:  # noqa: ANN401 - class attributes
        fields = [("cents", int, 0)] if "fields" not in namespace else namespace.pop("fields")
        return msgspec.defstruct("Grown", fields, bases=(EventSourcedAggregate,), namespace=namespace)  # type: ignore[return-value]  # of its bases

    schemas = [
        snapshot_schema(grown()),
        snapshot_schema(grown(snapshot_version=2)),
        snapshot_schema(grown(fields=[("cents", float, 0.0)])),
        snapshot_schema(grown(fields=[("cents", int, 0), ("more", str, "")])),
    ]

    assert len(set(schemas)) == len(schemas)
    assert snapshot_schema(grown(snapshot_every=7)) == schemas[0]


def test_an_aggregate_that_was_not_known_at_opening_is_refused_with_a_remedy() -> None:
    """R1: what its stream holds was not checked."""
    with pytest.raises(MisuseError, match=r"bank\.Never is event-sourced and was not known .* app\.keeps\(Never\)"):
        unit_of_work().find(Never, "n")
    with pytest.raises(MisuseError):
        unit_of_work().find(Never, "n")


class Nevers(Repository[Never]):
    """Which makes it known."""


def test_repositories_and_loads_make_aggregates_known() -> None:
    """R1: there is no need to say it twice."""

    class Load(Command):
        name: str

    by_repository, by_loads = Application("bank"), Application("bank")
    by_repository.binds(Nevers, scope=Scope.COMMAND)
    by_repository.handles(Handle)(handle)

    @by_loads.handles(Load, loads={Never: "name"})
    def load(command: Load, uow: UnitOfWork) -> None: ...

    for one in (by_repository, by_loads):
        assert set(build_registry(one).snapshot_schemas) == {"bank.Never"}


FAULTY: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {}


def fault(*words: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Put a faulty aggregate into the table, with the words that its fault must have."""

    def enter(make: Callable[[], Any]) -> Callable[[], Any]:
        FAULTY[make.__name__] = (make, words)
        return make

    return enter


@fault("Faulty names no events", "write EventSourcedAggregate[Opened | Deposited]")
def _no_events() -> Any:  # noqa: ANN401 - a class
    class Faulty(EventSourcedAggregate):  # type: ignore[type-arg]  # the fault
        pass

    return Faulty


@fault("Faulty names int, which is no event", "name subclasses of Event")
def _no_event() -> Any:  # noqa: ANN401 - as above
    class Faulty(EventSourcedAggregate[int]):  # type: ignore[type-var]  # the fault
        pass

    return Faulty


@fault("Faulty may record Closed, which no method of it applies", "@applies(Closed)")
def _no_method() -> Any:  # noqa: ANN401 - as above
    class Faulty(EventSourcedAggregate[Opened | Closed]):
        @applies(Opened)
        def opened(self, event: Opened) -> None: ...

    return Faulty


@fault("Faulty.closed applies Closed, which it may not record", "name that in EventSourcedAggregate[...]")
def _another_event() -> Any:  # noqa: ANN401 - as above
    class Faulty(EventSourcedAggregate[Opened]):
        @applies(Opened)
        def opened(self, event: Opened) -> None: ...

        @applies(Closed)
        def closed(self, event: Closed) -> None: ...

    return Faulty


@fault("Faulty has several methods that apply Opened, opened and again", "keep one")
def _two_methods() -> Any:  # noqa: ANN401 - as above
    class Faulty(EventSourcedAggregate[Opened]):
        @applies(Opened)
        def opened(self, event: Opened) -> None: ...

        @applies(Opened)
        def again(self, event: Opened) -> None: ...

    return Faulty


@fault("Faulty.opened applies an event, and would do so later or not at all", "write def")
def _coroutine() -> Any:  # noqa: ANN401 - as above
    class Faulty(EventSourcedAggregate[Opened]):
        @applies(Opened)  # type: ignore[arg-type]  # the fault
        async def opened(self, event: Opened) -> None: ...

    return Faulty


@fault("Faulty.opened does not take an event and nothing else", "write def")
def _more_arguments() -> Any:  # noqa: ANN401 - as above
    class Faulty(EventSourcedAggregate[Opened]):
        @applies(Opened)  # type: ignore[arg-type]  # the fault
        def opened(self, event: Opened, more: int) -> None: ...

    return Faulty


@fault("Faulty.owner has no default, but a new one begins as Faulty(id)", "give it one")
def _required_field() -> Any:  # noqa: ANN401 - as above
    class Faulty(EventSourcedAggregate[Opened]):
        owner: str

        @applies(Opened)
        def opened(self, event: Opened) -> None: ...

    return Faulty


@fault("Faulty has snapshot_every = -1", "0 for no snapshots")
def _snapshot_every() -> Any:  # noqa: ANN401 - as above
    class Faulty(EventSourcedAggregate[Opened]):
        snapshot_every = -1

        @applies(Opened)
        def opened(self, event: Opened) -> None: ...

    return Faulty


@fault("Faulty has snapshot_version = '2'", "1 or more")
def _snapshot_version() -> Any:  # noqa: ANN401 - as above
    class Faulty(EventSourcedAggregate[Opened]):
        snapshot_version = "2"  # type: ignore[assignment]  # the fault

        @applies(Opened)
        def opened(self, event: Opened) -> None: ...

    return Faulty


@fault("app.keeps(Opened) names no Aggregate", "name a subclass of Aggregate")
def _no_aggregate() -> Any:  # noqa: ANN401 - as above
    return Opened


@pytest.mark.parametrize("name", FAULTY)
def test_an_aggregate_that_is_not_the_sum_of_its_events_is_refused(name: str) -> None:
    """R1: when the bus opens, with the culprit and the remedy."""
    make, words = FAULTY[name]
    faulty = Application("bank")
    faulty.keeps(make())
    faulty.handles(Handle)(handle)

    with pytest.raises(RegistrationError) as raised:
        build_registry(faulty)

    (text,) = raised.value.faults
    assert [word for word in words if word not in text] == [], text
