"""Whatever a handler or a reaction does, there is an outcome, it is the same everywhere, and the next one runs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

import msgspec
import pytest

from driven import Aggregate, Application, Command, Event, MalformedMessage, ReentrantDispatch, UnitOfWork
from driven.domain.messages import Envelope
from driven.service.execution import refuse_reentry
from driven.service.failures import LONGEST_MESSAGE, LONGEST_TRACEBACK, failure_of
from driven.wire import Failed, Failure, Submission, Succeeded, decode_completion, encode

Start = Callable[..., Any]


class Do(Command):
    """The command of all tests here."""

    name: str = ""


class Did(Event):
    """An event that handlers declare."""

    name: str


class Other(Event):
    """An event that handlers do not declare, unless they say so."""

    name: str


class Checked(Command):
    """A message with a rule of its own."""

    size: int

    def __post_init__(self) -> None:
        if self.size > 9:
            raise KeyError("too large")


class Thing(Aggregate):
    """An aggregate."""

    size: int = 0


class HostileText(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:  # noqa: PLE0307 - it never comes back
        sys.exit(3)

    __repr__ = __str__

    def __reduce__(self) -> NoReturn:
        raise SystemExit(4)


class HostileName(type):
    """The metaclass of exceptions whose class cannot be named."""

    def __getattribute__(cls, name: str) -> Any:  # noqa: ANN401 - as of any object
        if name == "__qualname__":
            raise RuntimeError("no name")
        return super().__getattribute__(name)


class Nameless(Exception, metaclass=HostileName):
    """Its class cannot be named."""


class Twisted(Exception):
    """Its cause cannot be had."""

    @property
    def __cause__(self) -> BaseException | None:  # type: ignore[override]
        raise RuntimeError("no cause")


class OddText(str):
    """A text that cannot be encoded."""

    __slots__ = ()

    def encode(self, *_arguments: object) -> bytes:
        raise RuntimeError("no bytes")


class Odd(Exception):
    """Its text is of a kind of its own."""

    def __str__(self) -> str:
        return OddText("odd")


def raising(make: Callable[[], BaseException]) -> Callable[[Do], Did]:
    """A handler that raises what `make` makes."""

    def handle(command: Do) -> Did:
        raise make()

    return handle


def returning(value: Any) -> Callable[[Do], Did | list[Did]]:  # noqa: ANN401 - what it must not return, too
    """A handler that returns `value`."""

    def handle(command: Do) -> Did | list[Did]:
        return value() if callable(value) else value  # type: ignore[no-any-return]

    return handle


def application(handler: Callable[..., Any], **options: Any) -> Application:  # noqa: ANN401
    """An application with one handler."""
    app = Application("test")
    app.handles(Do, **options)(handler)
    return app


def failure(outcome: Any) -> Failure:  # noqa: ANN401 - an outcome
    """The failure of an outcome, after it has crossed from one process to another."""
    assert isinstance(outcome, Failed)
    crossed = msgspec.msgpack.decode(encode(outcome), type=Failed)
    assert crossed == outcome
    return crossed.failure


@pytest.mark.parametrize(
    ("make", "error_type", "message"),
    [
        (lambda: ValueError("no"), "ValueError", "no"),
        (lambda: SystemExit(3), "SystemExit", "3"),
        (GeneratorExit, "GeneratorExit", ""),
        (asyncio.CancelledError, "asyncio.exceptions.CancelledError", ""),
        (MemoryError, "MemoryError", ""),
        (lambda: StopIteration(1), "StopIteration", "1"),
        (
            lambda: BaseExceptionGroup("both", [SystemExit(), KeyError("k")]),
            "BaseExceptionGroup",
            "both (2 sub-exceptions)",
        ),
        (lambda: ValueError("lone \ud800 surrogate"), "ValueError", "lone \\ud800 surrogate"),
        (HostileText, f"{__name__}.HostileText", "<its text cannot be had> (SystemExit)"),
        (lambda: Nameless("x"), "an error whose name cannot be had (RuntimeError)", "x"),
        (Odd, f"{__name__}.Odd", "odd"),
        (lambda: Twisted("x"), f"{__name__}.Twisted", "x"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_a_handler_raises_fails_its_command(
    start: Start, make: Callable[[], BaseException], error_type: str, message: str
) -> None:
    """W6, D9: one command fails, with values that can be sent anywhere; the next one runs."""
    process = start(application(raising(make)))

    found = failure(process.run(Do()))

    assert (found.error_type, found.message) == (error_type, message)
    assert failure(process.run(Do())) == found


def test_a_failure_tells_where_it_was_raised_and_nothing_of_the_framework(start: Start) -> None:
    """F1: the traceback begins with the handler."""
    found = failure(start(application(raising(ValueError))).run(Do()))

    assert "in handle" in found.traceback
    assert "raise make()" in found.traceback
    assert "driven/service/execution.py" not in found.traceback


def test_a_traceback_that_cannot_be_had_is_said_to_be_so() -> None:
    """D9: an exception whose parts raise is an exception all the same."""
    assert failure_of(Twisted("x")).traceback == "<its traceback cannot be had>\n"


def test_a_keyboard_interrupt_is_no_failure_of_the_command(start: Start) -> None:
    """P5: who presses Ctrl-C means the process, and not the command that happens to run."""
    process = start(application(raising(KeyboardInterrupt)))

    with pytest.raises(KeyboardInterrupt):
        process.run(Do())


class Endless:
    """Asks itself for its text."""

    def __str__(self) -> str:
        return str(self)

    __repr__ = __str__


def test_endless_recursion_fails_with_the_same_words_wherever_it_strikes(start: Start) -> None:
    """O6: the limit strikes at another depth, and in another function, in another process; the log does not tell."""

    def handle(command: Do) -> Did:
        return handle(command)

    def convert(command: Do) -> Did:
        return Did(str(Endless()))

    def deeper(levels: int, process: Any) -> Any:  # noqa: ANN401 - of the fixture; an outcome
        return deeper(levels - 1, process) if levels else process.run(Do())

    processes = [start(application(handler)) for handler in (handle, convert)]
    found = [failure(deeper(levels, process)) for levels in range(4) for process in processes]

    assert {(one.error_type, one.message) for one in found} == {("RecursionError", "maximum recursion depth exceeded")}


def test_a_failure_keeps_both_ends_of_an_endless_text() -> None:
    """W6: a failure is written to the log and sent through a ring; it does not grow without bound."""
    found = failure_of(ValueError("<" + "x" * 1_000_000 + ">"))

    assert len(found.message) < LONGEST_MESSAGE + 100
    assert len(found.traceback) < LONGEST_TRACEBACK + 100
    assert found.message.startswith("<x")
    assert found.message.endswith("x>")
    assert "990,002 characters" in found.message


def generated(command: Do) -> Iterator[Did]:
    """A handler that is a generator."""
    yield Did("first")
    if command.name:
        raise ValueError(command.name)
    yield Did("second")


class Lazily:
    """An iterable that makes its members when asked."""

    def __iter__(self) -> Iterator[Did]:
        yield from (Did("1"), Did("2"))


@pytest.mark.parametrize(
    ("handler", "events"),
    [
        (returning(None), []),
        (returning(Did("1")), ["1"]),
        (returning([Did("1"), Did("2")]), ["1", "2"]),
        (returning((Did("1"), Did("2"))), ["1", "2"]),
        (returning([]), []),
        (returning(Lazily), ["1", "2"]),
        (returning(lambda: iter([Did("1")])), ["1"]),
        (generated, ["first", "second"]),
    ],
)
def test_events_are_returned_alone_in_a_collection_or_one_by_one(
    start: Start, handler: Callable[..., Any], events: list[str]
) -> None:
    """O3: in the order in which they were made."""
    process = start(application(handler))

    outcome = process.run(Do())

    assert isinstance(outcome, Succeeded)
    assert process.decoded(outcome.events) == [Did(name) for name in events]


def test_recorded_events_come_before_returned_ones(start: Start) -> None:
    """O3: what an aggregate told while the handler ran happened before the handler returned."""

    def handle(command: Do, uow: UnitOfWork) -> Did:
        thing = Thing("1")
        uow.add(thing)
        thing.record(Did("recorded"))
        return Did("returned")

    process = start(application(handle))

    assert process.decoded(process.run(Do()).events) == [Did("recorded"), Did("returned")]


def test_a_generator_that_raises_leaves_nothing(start: Start) -> None:
    """U1, B3: what it had yielded before does not exist."""
    found = failure(start(application(generated)).run(Do("broken")))

    assert (found.error_type, found.message) == ("ValueError", "broken")


async def later() -> None:
    """A coroutine that nobody awaits."""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (3, "a int; it may return Did, or a list of these"),
        ("text", "a str; it may return Did, or a list of these"),
        (b"bytes", "a bytes; it may return Did, or a list of these"),
        ({Did("1")}, "a set; it may return Did, or a list of these"),
        ({"a": Did("1")}, "a dict; it may return Did, or a list of these"),
        ({"a": 1}.keys(), "a dict_keys; it may return Did, or a list of these"),
        ([Did("1"), 3], "a int; it may return Did"),
        ([[Did("1")]], "a list; it may return Did"),
        ([None], "a NoneType; it may return Did"),
        (Do(), "a Do; it may return Did"),
        (Other("1"), "a Other; it may return Did"),
        (Did, "a StructMeta; it may return Did, or a list of these"),
        (later, "a coroutine; it may return Did, or a list of these"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_return_value_is_refused_with_the_handler_s_name(start: Start, value: Any, shown: str) -> None:  # noqa: ANN401
    """W6, R2: the value is not used, and the sentence says what would be."""
    made = value if value is later else lambda: value

    found = failure(start(application(returning(made))).run(Do()))

    assert found.error_type == "driven.errors.WrongReturn"
    assert found.message == f"{__name__}.returning.<locals>.handle returned {shown}"


def test_a_handler_that_may_return_nothing_is_held_to_it(start: Start) -> None:
    """R2: `-> None` means no events."""

    def handle(command: Do) -> None:
        return Did("1")  # type: ignore[return-value]

    assert failure(start(application(handle)).run(Do())).message.endswith("returned a Did; it may return None")


def did(name: Any) -> Did:  # noqa: ANN401 - what type checkers would not let pass
    """An event whose field holds what it does not declare."""
    return Did(name)


@pytest.mark.parametrize(
    ("recorded", "error_type", "words"),
    [
        (Other("1"), "driven.errors.UndeclaredEvent", "emitted Other, which it does not declare"),
        (Do(), "driven.errors.WrongReturn", "returned a Do; it may return events, with record()"),
        ("text", "driven.errors.WrongReturn", "returned a str; it may return events, with record()"),
        (did(3), "driven.errors.MalformedMessage", "not a valid test.Did: Expected `str`, got `int`"),
        (Did("lone \ud800"), "driven.errors.MalformedMessage", "not a valid test.Did: field 'name': 'utf-8' codec"),
        (did(object()), "driven.errors.MalformedMessage", "field 'name': Encoding objects of type object"),
        (did(10**30), "driven.errors.MalformedMessage", "field 'name'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_event_that_must_not_be_recorded_fails_its_command(
    start: Start,
    recorded: object,
    error_type: str,
    words: str,
) -> None:
    """R3, D9: events are encoded where the handler ran; what cannot be is nobody else's trouble."""

    def handle(command: Do, uow: UnitOfWork) -> None:
        thing = Thing("1")
        uow.add(thing)
        thing.record(recorded)  # type: ignore[arg-type]

    found = failure(start(application(handle, emits=(Did,))).run(Do()))

    assert found.error_type == error_type
    assert words in found.message


def test_a_message_that_checks_itself_with_any_exception_is_malformed(start: Start) -> None:
    """W6, R1: a rule of the message's own may raise what it likes; the command is refused, and nothing else happens."""
    app = Application("test")

    @app.handles(Checked)
    def handle(command: Checked) -> None: ...

    process = start(app)
    type_id = process.registry.catalog.named("test.Checked").type_id
    body = msgspec.msgpack.encode({"size": 10})
    submission = Submission(Envelope(1, "@1", 1, 0, 0, None, 0), 1, 1, type_id, body)

    found = failure(process.execution.execute(submission, process.ask))

    assert found.error_type == "driven.errors.MalformedMessage"
    assert isinstance(process.run(Checked(9)), Succeeded)


@pytest.mark.parametrize("type_id", [-1, 0, 99])
def test_a_submission_of_no_command_fails_alone(start: Start, type_id: int) -> None:
    """W6, D10: numbers that are no command's, among them an event's, do not reach any handler."""
    process = start(application(returning(None)))
    submission = Submission(Envelope(1, "@1", 1, 0, 0, None, 0), 1, 1, type_id, msgspec.msgpack.encode({"name": ""}))

    assert failure(process.execution.execute(submission, process.ask)).error_type == "driven.errors.MalformedMessage"


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x81\xa4name\x03", b"\x91" * 100_000], ids=["", "c1", "int", "deep"])
def test_a_body_that_is_garbage_fails_alone(start: Start, body: bytes) -> None:
    """D10: framing survives a bad body."""
    process = start(application(returning(None)))
    type_id = process.registry.catalog.named("test.Do").type_id
    submission = Submission(Envelope(1, "@1", 1, 0, 0, None, 0), 1, 1, type_id, body)

    assert failure(process.execution.execute(submission, process.ask)).error_type == "driven.errors.MalformedMessage"


# ---------------------------------------------------------------------------------------------------- reactions


def reacting(reaction: Callable[[Did], Any]) -> Application:
    """An application with one reaction."""

    def then(event: Did) -> list[Do]:
        return reaction(event)  # type: ignore[no-any-return]

    app = application(returning(None))
    app.reacts_to(Did)(then)
    return app


def _raise(error: BaseException) -> NoReturn:
    raise error


def issued(names: Iterable[Any]) -> Iterator[Do]:
    """Commands, one by one; then an error."""
    yield from (Do(name) for name in names)
    raise ValueError("broken")


def test_a_reaction_issues_commands_in_order(start: Start) -> None:
    """O3: in the order of the list."""
    process = start(reacting(lambda event: [Do("1"), Do("2")]))

    (drafts,) = process.react(Did("x"))

    assert process.decoded(drafts) == [Do("1"), Do("2")]


@pytest.mark.parametrize(
    ("reaction", "error_type"),
    [
        (lambda _: _raise(ValueError("no")), "ValueError"),
        (lambda _: _raise(SystemExit(1)), "SystemExit"),
        (lambda _: _raise(HostileText()), f"{__name__}.HostileText"),
        (lambda _: issued(["1", "2"]), "ValueError"),
        (lambda _: Did("1"), "driven.errors.WrongReturn"),
        (lambda _: {Do("1")}, "driven.errors.WrongReturn"),
        (lambda _: [Do("1"), "2"], "driven.errors.WrongReturn"),
        (lambda _: [Do("1"), Do(3)], "driven.errors.MalformedMessage"),  # type: ignore[arg-type]
        (lambda _: later(), "driven.errors.WrongReturn"),
    ],
)
def test_a_reaction_that_fails_issues_nothing_and_leaves_its_siblings_alone(
    start: Start, reaction: Callable[[Did], Any], error_type: str
) -> None:
    """F2, R2: none of its commands exist, not even those before the wrong one."""
    app = reacting(reaction)

    @app.reacts_to(Did)
    def sibling(event: Did) -> Do:
        return Do("sibling")

    process = start(app)

    failed, drafts = process.react(Did("x"))

    assert failed.error_type == error_type
    assert process.decoded(drafts) == [Do("sibling")]


# --------------------------------------------------------------------------------------------------- re-entrance


def test_the_bus_cannot_be_reached_from_inside_a_handler_or_a_reaction(start: Start) -> None:
    """O7, B12: submit asks first, and is told who runs."""

    def handle(command: Do) -> None:
        refuse_reentry()

    app = application(handle)

    @app.reacts_to(Did)
    def then(event: Did) -> Do | None:
        refuse_reentry()
        return None

    process = start(app)
    (from_reaction,) = process.react(Did("x"))
    from_handler = failure(process.run(Do()))

    assert from_handler.error_type == from_reaction.error_type == "driven.errors.ReentrantDispatch"
    assert "<locals>.handle" in from_handler.message
    assert "<locals>.then" in from_reaction.message


def test_a_generator_is_inside_its_handler_while_it_is_read(start: Start) -> None:
    """O7: its work is not done when the call returns."""

    def handle(command: Do) -> Iterator[Did]:
        refuse_reentry()
        yield Did("1")

    assert failure(start(application(handle)).run(Do())).error_type == "driven.errors.ReentrantDispatch"


def test_nothing_runs_any_more_once_a_handler_or_a_reaction_has_raised(start: Start) -> None:
    """O7: the next submit of this thread is welcome."""
    start(application(raising(ValueError))).run(Do())
    refuse_reentry()

    start(reacting(lambda _: _raise(ValueError()))).react(Did("x"))
    refuse_reentry()


def test_a_dispatch_from_inside_is_refused_by_name() -> None:
    """O7: the error is a misuse, and says what to do instead."""
    assert "let a reaction to it issue the command" in str(ReentrantDispatch("census.measure"))


def test_an_outcome_can_always_be_sent(start: Start) -> None:
    """W6: whatever was read stands in the outcome, also when all else failed."""

    def handle(command: Do, uow: UnitOfWork) -> None:
        for wrong in ("lone \ud800", 5, None):
            with pytest.raises(MalformedMessage, match=r"give it as a str|lone surrogates"):
                uow.find(Thing, wrong)  # type: ignore[arg-type]
        uow.find(Thing, OddText("odd"))
        raise ValueError

    outcome = start(application(handle)).run(Do())

    body = msgspec.msgpack.encode((1, 1, 0, outcome))
    assert decode_completion(body).outcome == outcome
    assert [read.id for read in outcome.reads] == ["odd"]
