"""What older versions wrote is read by today's code, or the bus says at once why not (X3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driven import Application, Command, Event, MalformedMessage, RegistrationError, UnreadableMessage, open_bus_sync
from driven.adapters.stores.memory import MemoryStore
from driven.bus.recorded import receipt_from_log
from driven.domain.messages import Envelope
from driven.errors import CommandIdReused
from driven.service.catalog import Catalog
from driven.service.event_store import Batch, LoggedMessage, LoggedOutcome, LoggedType, MessageKind, Status
from driven.service.intake import draft
from driven.service.registry import Registry, build_registry
from driven.wire import encode_body

Wire = Callable[[Application], Any]


class Measure(Command):
    """A command that once had its path in two parts."""

    message_version = 2
    path: str


class Measured(Event):
    """An event of which this is the third form."""

    message_version = 3
    path: str
    lines: int
    seen: tuple[datetime, ...] = ()


class Closed(Event):
    """An event that never changed."""

    path: str


def sound(app: Application) -> None:
    """All steps that there ought to be."""
    app.upcasts("census.Measure", version=1)(join_path)
    app.upcasts("census.Measured", version=1)(count_lines)
    app.upcasts("census.Measured", version=2)(name_path)


def application(wires: Wire = sound) -> Application:
    """The messages above, and the upcasters that `wires` registers."""
    app = Application("census")

    @app.handles(Measure, emits=(Measured, Closed))
    def measure(command: Measure) -> None: ...

    wires(app)
    return app


def join_path(fields: dict[str, Any]) -> dict[str, Any]:
    """From version 1 of the command."""
    return {"path": f"{fields['folder']}/{fields['file']}"}


def count_lines(fields: dict[str, Any]) -> dict[str, Any]:
    """From version 1 of the event."""
    text = fields.pop("text")
    return fields | {"lines": text.count("\n")}


def name_path(fields: dict[str, Any]) -> dict[str, Any]:
    """From version 2 of the event."""
    return {"path": fields["name"], "lines": fields["lines"], "seen": fields.get("seen", [])}


def registry_of(wires: Wire = sound) -> Registry:
    """The application, checked."""
    return build_registry(application(wires))


CATALOG: Final = registry_of().catalog
NOON: Final = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        (1, {"name": "a.py", "text": "x\ny\n", "seen": [NOON]}),
        (2, {"name": "a.py", "lines": 2, "seen": [NOON]}),
        (3, {"path": "a.py", "lines": 2, "seen": [NOON]}),
    ],
)
def test_an_event_of_any_version_is_read_as_one_of_today(version: int, fields: dict[str, Any]) -> None:
    """X3: step by step, from the version that it was recorded at."""
    body = encode_body(fields)

    assert CATALOG.decode_logged("census.Measured", version, body) == Measured("a.py", 2, (NOON,))


def test_what_was_recorded_by_an_older_version_is_encoded_as_it_would_be_today() -> None:
    """X3, U5: so that it can be compared with what is submitted now, and handed to a worker."""
    old = encode_body({"name": "a.py", "text": "x\ny\n"})
    known = CATALOG

    assert known.current("census.Measured", 1, old) == known.encode(Measured("a.py", 2))
    today = known.encode(Closed("a.py"))
    assert known.current("census.Closed", 1, today.body) == today


@given(name=st.text(), lines=st.integers(0, 2**63), seen=st.lists(st.datetimes(timezones=st.just(UTC))))
def test_an_upcaster_that_changes_nothing_loses_nothing(name: str, lines: int, seen: list[datetime]) -> None:
    """X3: values pass through the steps as msgspec decodes them, and come out as they went in."""
    fields = {"name": name, "lines": lines, "seen": seen}
    event = CATALOG.decode_logged("census.Measured", 2, encode_body(fields))

    assert event == Measured(name, lines, tuple(seen))


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        ("census.Gone", 1, ("the application has no message of that name", "set message_name")),
        ("census.Measured", 4, ("knows it up to version 3", "run the release that wrote it")),
        ("census.Closed", 2, ("knows it up to version 1", "run the release that wrote it")),
        ("census.Measured", 0, ("from version 0 to 1", "@app.upcasts('census.Measured', version=0)")),
    ],
)
def test_what_nothing_leads_from_is_named_with_a_remedy(name: str, version: int, words: tuple[str, ...]) -> None:
    """X3: never a guess at what the bytes may mean."""
    with pytest.raises(UnreadableMessage, match=f"{name} version {version}") as raised:
        CATALOG.decode_logged(name, version, b"\x80")

    assert [word for word in words if word not in str(raised.value)] == []
    with pytest.raises(UnreadableMessage):
        CATALOG.current(name, version, b"\x80")


@pytest.mark.parametrize(
    ("upcaster", "reason"),
    [
        (lambda fields: fields["nothing"], "version 2: KeyError: 'nothing'"),
        (lambda fields: fields.clear(), "version 3: ValidationError: Expected `object`, got `None`"),
        (lambda fields: fields, "version 3: ValidationError: Object missing required field `path`"),
        (lambda fields: {"path": object()}, "version 3: TypeError: Encoding objects of type object is unsupported"),
    ],
)
def test_an_upcaster_that_fails_is_named_by_the_version_that_it_leads_to(
    upcaster: Callable[[Any], Any], reason: str
) -> None:
    """X3, D10: one message cannot be read, and whoever mends it knows where."""
    steps = {("census.Measured", 1): upcaster, ("census.Measured", 2): lambda fields: fields}
    known = Catalog([("census.Measured", Measured)], steps)

    with pytest.raises(MalformedMessage) as raised:
        known.decode_logged("census.Measured", 1, encode_body({"name": "a", "lines": 1}))

    assert f"census.Measured version 1, upcast to {reason}" in str(raised.value)
    assert "mend the upcaster that leads there" in str(raised.value)


def test_bytes_that_were_never_a_message_are_named() -> None:
    """D10: whatever stands in a log, it is one message's fault."""
    with pytest.raises(MalformedMessage, match=r"census\.Measured version 1"):
        CATALOG.decode_logged("census.Measured", 1, b"\xc1")


async def ends_later(fields: object) -> None:
    """Nothing that could be called in passing."""


def takes_two(fields: object, more: object) -> None:
    """More than there is."""


def also(name: Any, version: Any, target: Any) -> Wire:  # noqa: ANN401 - whatever a user may write
    """One upcaster too many."""

    def wire(app: Application) -> None:
        sound(app)
        app.upcasts(name, version=version)(target)

    return wire


FAULTY: dict[str, tuple[Wire, tuple[str, ...]]] = {
    "a gap": (
        lambda app: (
            app.upcasts("census.Measure", version=1)(join_path),
            app.upcasts("census.Measured", version=2)(name_path),
        ),
        ("census.Measured is at version 3", "from version 1 to 2", "@app.upcasts('census.Measured', version=1)"),
    ),
    "a version that was raised and nothing else": (
        lambda app: (
            app.upcasts("census.Measured", version=1)(count_lines),
            app.upcasts("census.Measured", version=2)(name_path),
        ),
        ("census.Measure is at version 2", "from version 1 to 2", "@app.upcasts('census.Measure', version=1)"),
    ),
    "two for one step": (
        also("census.Measured", 2, count_lines),
        ("name_path and", "count_lines both upcast 'census.Measured' from version 2", "keep one"),
    ),
    "a step into the future": (
        also("census.Measured", 3, count_lines),
        ("count_lines", "from version 3 to 4", "its class is at version 3", "raise message_version there"),
    ),
    "an unknown name": (
        also("census.Mesured", 1, count_lines),
        ("count_lines", "'census.Mesured', which is no message", "census.Measured", "name one of them"),
    ),
    "a class": (
        also(Closed, 1, count_lines),
        ("count_lines", "which is no message", "name one of them"),
    ),
    "no version": (
        also("census.Measured", 0, count_lines),
        ("count_lines", "upcasts version 0", "1 or more"),
    ),
    "a version that is no number": (
        also("census.Measured", "1", count_lines),
        ("count_lines", "upcasts version '1'", "1 or more"),
    ),
    "a coroutine": (
        also("census.Measured", 9, ends_later),
        ("ends_later: is no upcaster", "write a plain function"),
    ),
    "too many arguments": (
        also("census.Measured", 9, takes_two),
        ("takes_two: is no upcaster", "write a plain function"),
    ),
    "something that is no function": (
        also("census.Measured", 9, "text"),
        ("'text': is no upcaster", "write a plain function"),
    ),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_a_faulty_chain_is_refused_with_a_remedy(fault: str) -> None:
    """R1, X3: found when the bus opens, before anything is read."""
    wires, words = FAULTY[fault]

    with pytest.raises(RegistrationError) as raised:
        registry_of(wires)

    text = str(raised.value)
    assert [word for word in words if word not in text] == [], text


def test_all_faults_of_all_chains_are_listed_at_once() -> None:
    """R1: whoever mends them needs to open the bus once."""
    with pytest.raises(RegistrationError) as raised:
        registry_of(lambda app: app.upcasts("census.Measured", version=7)(name_path))

    assert len(raised.value.faults) == 3


def test_a_copy_of_an_application_reads_old_logs_as_well() -> None:
    """R1: the same wiring."""
    assert build_registry(application().copy()).catalog.current("census.Measure", 1, OLD_COMMAND).body


OLD_COMMAND = encode_body({"folder": "src", "file": "a.py"})


def test_a_command_id_is_known_although_its_command_was_recorded_by_an_older_version() -> None:
    """U5, X3: the same command gets what came of it, in the words of today; another one is refused."""
    registry = registry_of()
    store = MemoryStore()
    store.open()
    envelopes = [Envelope(1, "id", 1, 0, 0, None, 0), Envelope(2, "@2", 1, 1, 1, None, 0)]
    old_event = encode_body({"name": "src/a.py", "text": "x\n"})
    messages = [
        LoggedMessage(envelopes[0], MessageKind.COMMAND, "census.Measure", 1, OLD_COMMAND),
        LoggedMessage(envelopes[1], MessageKind.EVENT, "census.Measured", 1, old_event),
    ]
    store.append(Batch(messages, [LoggedOutcome(1, Status.SUCCEEDED, 1, (), (2, 1))]))

    receipt = receipt_from_log("id", draft(registry, Measure("src/a.py")), store, registry.catalog)

    assert receipt is not None
    assert asyncio.run(receipt.handled()).events == (Measured("src/a.py", 1),)
    with pytest.raises(CommandIdReused):
        receipt_from_log("id", draft(registry, Measure("src/b.py")), store, registry.catalog)


def held_by_log(*types: LoggedType) -> MemoryStore:
    """A store that says that it holds messages of these types."""
    store = MemoryStore()
    store.open()
    messages = [
        LoggedMessage(Envelope(position, f"@{position}", position, 0, 0, None, 0), one.kind, one.name, one.version, b"")
        for position, one in enumerate(types, 1)
    ]
    store.append(Batch(messages, [LoggedOutcome(position, Status.FAILED, 1) for position in range(1, len(types) + 1)]))
    store.close()
    return store


def event_type(name: str, version: int = 1) -> LoggedType:
    """Of an event."""
    return LoggedType(MessageKind.EVENT, name, version)


def test_the_log_of_another_application_is_said_to_be_one() -> None:
    """X3: two applications in one folder share the default of `[store] url`; nobody is told to forget the other's."""
    store = held_by_log(
        event_type("shop.Ordered"), event_type("shop.Paid"), LoggedType(MessageKind.COMMAND, "shop.Pay", 1)
    )

    with pytest.raises(RegistrationError) as raised, open_bus_sync(application(), store=store):
        pass

    (fault,) = raised.value.faults
    assert fault.startswith("the log is that of another application: it holds shop.Ordered, and no message of this one")
    assert "name another log" in fault


def test_a_log_that_cannot_be_read_is_refused_with_everything_that_is_wrong() -> None:
    """X3, R1: for every name and version that it holds, before anything runs, and the log can be opened again."""
    store = held_by_log(
        event_type("census.Measured", 4),
        event_type("census.Gone"),
        event_type("census.Forgotten"),
        event_type("census.Measured", 3),
        LoggedType(MessageKind.COMMAND, "census.Withdrawn", 1),
        LoggedType(MessageKind.COMMAND, "census.Measure", 3),
    )
    app = application()
    app.forgets("census.Forgotten")

    with pytest.raises(RegistrationError) as raised, open_bus_sync(app, store=store):
        pass

    assert [text.split(", and ")[0] for text in raised.value.faults] == [
        "the log holds census.Gone version 1",
        "the log holds census.Measure version 3",
        "the log holds census.Measured version 4",
    ]
    app.forgets("census.Gone", "census.Measure", "census.Measured")
    with open_bus_sync(app.copy(), store=store):
        pass
