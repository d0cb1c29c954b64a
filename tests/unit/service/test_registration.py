"""What an application may not be, R1 to R3: a table of faults, and of words that name the culprit and the remedy."""

from __future__ import annotations

import functools
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Generic, NamedTuple, NewType, Protocol, TypeVar, assert_type

import dishka
import msgspec
import pytest
from dishka import Container, Provider

from driven import (
    Aggregate,
    Application,
    Command,
    Context,
    Event,
    MessageBus,
    OnExhausted,
    Placement,
    RegistrationError,
    Repository,
    Scope,
    UnitOfWork,
)
from driven.service.registry import Registry, build_registry

if TYPE_CHECKING:
    from pathlib import Path as Absent  # noqa: TC004 - the fault

    from driven.domain.messages import Message


class Begin(Command):
    """A command with a field of each kind that a key may or may not be."""

    name: str
    size: float = 0
    count: int = 0
    number: uuid.UUID = uuid.UUID(int=0)


class Begun(Event):
    name: str


class Ended(Event):
    name: str


class Stray(Command):
    """A command that nobody handles."""

    name: str


class Account(Aggregate):
    balance: int = 0


class Accounts(Repository[Account]):
    """The accounts."""


class Clock(ABC):
    @abstractmethod
    def now(self) -> int: ...


class SystemClock(Clock):
    def now(self) -> int:
        return 0


class Rates:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock


class Pricing:
    def __init__(self, rates: Rates) -> None:
        self.rates = rates


class Egg:
    def __init__(self, hen: Hen) -> None:
        self.hen = hen


class Hen:
    def __init__(self, egg: Egg) -> None:
        self.egg = egg


class Opaque:
    """A class that msgspec knows nothing of."""


Wire = Callable[[Application], Any]


class Row(NamedTuple):
    wire: Wire
    words: tuple[str, ...]


ROWS: dict[str, Row] = {}


def fault(*words: str) -> Callable[[Wire], Wire]:
    """Put an application that has one fault into the table, with the words that its message must have."""

    def enter(wire: Wire) -> Wire:
        ROWS[wire.__name__[1:]] = Row(wire, words)
        return wire

    return enter


def faults_of(*wires: Wire) -> tuple[str, ...]:
    """All faults of an application that is wired by each of `wires`."""
    app = Application("bank")
    for wire in wires:
        wire(app)
    with pytest.raises(RegistrationError) as raised:
        build_registry(app)
    return raised.value.faults


def sound(app: Application) -> None:
    """What every application needs, so that a row has its own fault only."""

    @app.handles(Begin)
    def begin(command: Begin) -> Begun:
        return Begun(command.name)


def registry_of(*wires: Wire) -> Registry:
    """The registry of an application without faults."""
    app = Application("bank")
    for wire in wires:
        wire(app)
    return build_registry(app)


# ---------------------------------------------------------------------------------------------------- handlers


@fault("it handles no command", "register a handler with @app.handles(...)")
def _no_handler_at_all(app: Application) -> None:
    """An application that only projects."""

    @app.projects(Begun)
    def note(event: Begun) -> None: ...


@fault("then", "issues Stray, which has no handler", "@app.handles(Stray)")
def _a_reaction_that_issues_a_command_without_handler(app: Application) -> None:
    sound(app)

    @app.reacts_to(Begun)
    def then(event: Begun) -> Stray:
        return Stray(event.name)


@fault("Begin has two handlers", "<locals>.one", "<locals>.two", "keep one")
def _two_handlers(app: Application) -> None:
    @app.handles(Begin)
    def one(command: Begin) -> None: ...

    @app.handles(Begin)
    def two(command: Begin) -> None: ...


@fault("Begin has two handlers", "keep one")
def _the_same_handler_twice(app: Application) -> None:
    def one(command: Begin) -> None: ...

    app.handles(Begin)(app.handles(Begin)(one))


@fault("parameter 'command' has no annotation", "write `command: Begin`")
def _a_message_without_annotation(app: Application) -> None:
    @app.handles(Begin)
    def begin(command) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001 - the fault


@fault("parameter 'clock' has no annotation", "annotate it")
def _a_dependency_without_annotation(app: Application) -> None:
    @app.handles(Begin)
    def begin(command: Begin, clock) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001 - the fault


@fault("begin", "has no return annotation", "or None")
def _no_return_annotation(app: Application) -> None:
    @app.handles(Begin)
    def begin(command: Begin): ...  # type: ignore[no-untyped-def]  # noqa: ANN202 - the fault


@fault("begin", "takes no command", "write `command: Begin`")
def _no_parameter_at_all(app: Application) -> None:
    @app.handles(Begin)
    def begin() -> None: ...


@fault("parameter 'command' takes Stray, not Begin", "write `command: Begin`")
def _another_command_as_first_parameter(app: Application) -> None:
    @app.handles(Begin)
    def begin(command: Stray) -> None: ...


@fault("parameter 'uow' takes UnitOfWork, not Begin", "write `command: Begin`")
def _the_message_in_second_place(app: Application) -> None:
    @app.handles(Begin)
    def begin(uow: UnitOfWork, command: Begin) -> None: ...


@fault("takes no command", "write `command: Begin`")
def _a_message_by_name_only(app: Application) -> None:
    @app.handles(Begin)
    def begin(*, command: Begin) -> None: ...


@fault("parameter 'other' asks for a message", "drop it")
def _two_messages(app: Application) -> None:
    @app.handles(Begin)
    def begin(command: Begin, other: Stray) -> None: ...


@fault("parameter *rest", "cannot be injected", "name each parameter")
def _any_number_of_arguments(app: Application) -> None:
    @app.handles(Begin)
    def begin(command: Begin, *rest: Clock) -> None: ...


@fault("parameter **rest", "cannot be injected", "name each parameter")
def _any_number_of_named_arguments(app: Application) -> None:
    @app.handles(Begin)
    def begin(command: Begin, **rest: Clock) -> None: ...


@fault("parameter 'uow' can only be passed by position", "move it behind the `/`")
def _a_positional_only_dependency(app: Application) -> None:
    @app.handles(Begin)
    def begin(command: Begin, uow: UnitOfWork, /) -> None: ...


@fault("parameter 'clock' has a default", "drop the default and bind a value")
def _a_dependency_with_a_default(app: Application) -> None:
    app.binds(Clock, to=SystemClock)

    @app.handles(Begin)
    def begin(command: Begin, clock: Clock | None = None) -> None: ...


@fault("begin", "is `async def`", "write a plain `def`")
def _a_coroutine(app: Application) -> None:
    @app.handles(Begin)
    async def begin(command: Begin) -> None: ...


@fault("begin", "is `async def`", "write a plain `def`")
def _an_asynchronous_generator(app: Application) -> None:
    @app.handles(Begin)
    async def begin(command: Begin) -> AsyncIterator[Begun]:
        yield Begun(command.name)


@fault("Handler", "is `async def`", "write a plain `def`")
def _a_class_with_a_coroutine(app: Application) -> None:
    @app.handles(Begin)
    class Handler:
        async def __call__(self, command: Begin) -> None: ...


@fault("'Absent', which is not there at run time", "import it outside `if TYPE_CHECKING`")
def _an_annotation_that_only_type_checkers_know(app: Application) -> None:
    @app.handles(Begin)
    def begin(command: Begin, path: Absent) -> None: ...


@fault("begin", "cannot be evaluated", "write one that can")
def _an_annotation_that_raises(app: Application) -> None:
    @app.handles(Begin)
    def begin(command: Begin, path: 1 / 0) -> None: ...  # type: ignore[valid-type]


@fault("what is registered for Begin: is an object of type partial", "a handler is a function, or a class", "`def`")
def _a_partial_object(app: Application) -> None:
    def begin(command: Begin, clock: Clock) -> None: ...

    app.handles(Begin)(functools.partial(begin, clock=SystemClock()))


@fault("is an object of type Handler", "a handler is a function, or a class", "define it with `def`")
def _an_instance_with_a_call(app: Application) -> None:
    class Handler:
        def __call__(self, command: Begin) -> None: ...

    app.handles(Begin)(Handler())


@fault("is a bound method", "a handler is a function, or a class", "define it with `def`")
def _a_bound_method(app: Application) -> None:
    class Service:
        def begin(self, command: Begin) -> None: ...

    app.handles(Begin)(Service().begin)


@fault("Service.begin", "is a method of a class", "register a function, or the class itself")
def _a_method_in_a_class_body(app: Application) -> None:
    class Service:
        @app.handles(Begin)
        def begin(self, command: Begin) -> None: ...


@fault("an object of type int", "define it with `def`")
def _something_that_cannot_be_called(app: Application) -> None:
    app.handles(Begin)(3)


@fault("Handler", "without a method __call__", "add it, or register a function")
def _a_class_that_cannot_be_called(app: Application) -> None:
    @app.handles(Begin)
    class Handler:
        def handle(self, command: Begin) -> None: ...


@fault("Handler", "is abstract", "that can be constructed")
def _an_abstract_class(app: Application) -> None:
    @app.handles(Begin)
    class Handler(ABC):
        @abstractmethod
        def __call__(self, command: Begin) -> None: ...


@fault("Handler", "parameter 'size' has no annotation", "annotate it")
def _a_constructor_without_annotations(app: Application) -> None:
    @app.handles(Begin)
    class Handler:
        def __init__(self, size) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - the fault
            self.size = size

        def __call__(self, command: Begin) -> None: ...


@fault("Handler", "parameter 'command' asks for a message", "drop it")
def _a_constructor_that_asks_for_the_message(app: Application) -> None:
    @app.handles(Begin)
    class Handler:
        def __init__(self, command: Begin) -> None:
            self.command = command

        def __call__(self, command: Begin) -> None: ...


@fault("begin", "used without a message type", "write @app.handles(YourMessage)")
def _a_decorator_without_parentheses(app: Application) -> None:
    sound(app)

    @app.handles  # type: ignore[arg-type]
    def begin(command: Begin) -> None: ...


@fault("@app.handles(Begun) needs a subclass of Command", "name one")
def _a_handler_of_an_event(app: Application) -> None:
    sound(app)

    @app.handles(Begun)  # type: ignore[arg-type]
    def begin(event: Begun) -> None: ...


@fault("@app.handles(Command) needs a subclass of Command", "name one")
def _a_handler_of_any_command(app: Application) -> None:
    sound(app)

    @app.handles(Command)
    def begin(command: Command) -> None: ...


@fault("names Stray, which is no event", "it may return events only")
def _a_handler_that_returns_a_command(app: Application) -> None:
    @app.handles(Begin)
    def begin(command: Begin) -> Stray:
        return Stray(command.name)


@fault("names int", "it may name message types, None, unions and lists of them")
def _a_handler_that_returns_a_number(app: Application) -> None:
    @app.handles(Begin)
    def begin(command: Begin) -> int:
        return command.count


@fault("names Event, which may be any", "name the very types")
def _a_handler_that_returns_any_event(app: Application) -> None:
    @app.handles(Begin)
    def begin(command: Begin) -> list[Event]:
        return [Begun(command.name)]


@fault("names None", "it may name message types")
def _a_list_with_nothing_in_it(app: Application) -> None:
    @app.handles(Begin)
    def begin(command: Begin) -> list[Begun | None]:
        return [None]


@fault("returns set[Begun], which has no order of its own", "return a list")
def _a_set_of_events(app: Application) -> None:
    @app.handles(Begin)
    def begin(command: Begin) -> set[Begun]:
        return {Begun(command.name)}


@fault("returns dict[str, Begun], which has no order of its own", "return a list")
def _a_dict_of_events(app: Application) -> None:
    @app.handles(Begin)
    def begin(command: Begin) -> dict[str, Begun]:
        return {"": Begun(command.name)}


# ----------------------------------------------------------------------------------------------------- options


def takes_state(command: Begin, uow: UnitOfWork) -> None:
    """A stateful handler, for options."""


def takes_none(command: Begin) -> None:
    """A stateless handler, for options."""


@fault("takes_state", "key='nam' is not a field of Begin", "it has: name, size, count, number", "name one of them")
def _a_key_that_names_no_field(app: Application) -> None:
    app.handles(Begin, key="nam")(takes_state)


@fault("takes_state", "key=['name'] is not a field", "name one of them")
def _a_key_that_is_no_name(app: Application) -> None:
    app.handles(Begin, key=["name"])(takes_state)  # type: ignore[arg-type]


@fault("takes_state", "key='size' is a float", "name a field that is a str, an int or a UUID")
def _a_key_of_a_wrong_type(app: Application) -> None:
    app.handles(Begin, key="size")(takes_state)


@fault("takes_none", "is sticky without a key", "say key=")
def _sticky_without_a_key(app: Application) -> None:
    app.handles(Begin, sticky=True)(takes_none)


@fault("takes_state", "loads={Account: 'id'} is no str field of Begin", "name the one with the id")
def _loads_by_a_field_that_is_not_there(app: Application) -> None:
    app.handles(Begin, loads={Account: "id"})(takes_state)


@fault("takes_state", "loads={Account: 'count'} is no str field of Begin", "name the one with the id")
def _loads_by_a_field_that_is_no_text(app: Application) -> None:
    app.handles(Begin, loads={Account: "count"})(takes_state)


@fault("takes_state", "loads= names Begun, which is no Aggregate", "name a subclass of Aggregate")
def _loads_of_what_is_no_aggregate(app: Application) -> None:
    app.handles(Begin, loads={Begun: "name"})(takes_state)  # type: ignore[dict-item]


@fault("takes_state", "is no mapping", "write loads={AggregateType: 'field'}")
def _loads_of_a_list(app: Application) -> None:
    app.handles(Begin, loads=[Account])(takes_state)  # type: ignore[arg-type]


@fault("takes_none", "loads aggregates, but has no unit of work", "drop loads=")
def _loads_of_a_stateless_handler(app: Application) -> None:
    app.handles(Begin, loads={Account: "name"})(takes_none)


@fault("takes_state", "emits= names Account, which is no Event", "name subclasses of Event")
def _emits_of_what_is_no_event(app: Application) -> None:
    app.handles(Begin, emits=(Account,))(takes_state)  # type: ignore[arg-type]


@fault("takes_state", "emits= names Event, which may be any", "name the very types")
def _emits_of_any_event(app: Application) -> None:
    app.handles(Begin, emits=(Event,))(takes_state)


@fault("takes_state", "emits=Begun is no collection", "write emits=(Begun,)")
def _emits_without_a_collection(app: Application) -> None:
    app.handles(Begin, emits=Begun)(takes_state)  # type: ignore[arg-type]


@fault("takes_none", "timeout_s=3 cannot be kept", "say placement=Placement.WORKER")
def _a_timeout_inline(app: Application) -> None:
    app.handles(Begin, timeout_s=3)(takes_none)


@fault("takes_none", "timeout_s=3 cannot be kept", "say placement=Placement.WORKER")
def _a_timeout_of_what_may_run_inline(app: Application) -> None:
    app.handles(Begin, timeout_s=3, placement=Placement.AUTO)(takes_none)


@fault("takes_none", "timeout_s=-1 is no duration", "a positive number of seconds")
def _a_negative_timeout(app: Application) -> None:
    app.handles(Begin, timeout_s=-1, placement=Placement.WORKER)(takes_none)


@fault("takes_none", "placement='worker' is no Placement", "write Placement.INLINE")
def _a_placement_as_text(app: Application) -> None:
    app.handles(Begin, placement="worker")(takes_none)  # type: ignore[arg-type]


@fault("takes_none", "on_exhausted='park' is no OnExhausted", "write OnExhausted.PARK")
def _on_exhausted_as_text(app: Application) -> None:
    app.handles(Begin, on_exhausted="park")(takes_none)  # type: ignore[arg-type]


@fault("takes_none", "max_attempts=0", "write 1 or more")
def _no_attempts_at_all(app: Application) -> None:
    app.handles(Begin, max_attempts=0)(takes_none)


@fault("takes_none", "retries=True", "write 0 or more")
def _retries_that_are_no_number(app: Application) -> None:
    app.handles(Begin, retries=True)(takes_none)


@fault("takes_none", "group='' names no worker group", "drop group=")
def _a_group_without_a_name(app: Application) -> None:
    app.handles(Begin, group="")(takes_none)


# ---------------------------------------------------------------------------------------------------- messages


@fault("Broken.thing: Opaque cannot cross", "use types that msgspec supports")
def _a_field_of_an_unknown_class(app: Application) -> None:
    class Broken(Command):
        thing: Opaque

    @app.handles(Broken)
    def begin(command: Broken) -> None: ...


@fault("Broken.things: Opaque cannot cross", "use types that msgspec supports")
def _an_unknown_class_deep_inside_a_field(app: Application) -> None:
    class Broken(Event):
        things: dict[str, list[tuple[int, Opaque]]]

    @app.handles(Begin, emits=[Broken])
    def begin(command: Begin) -> None: ...


@fault("Broken.thing: what Any leaves open (Any) comes back as something else", "like int | str or list[int]")
def _a_field_that_may_be_anything(app: Application) -> None:
    class Broken(Command):
        thing: Any

    @app.handles(Broken)
    def begin(command: Broken) -> None: ...


@fault("Broken.things: what dict[str, tuple[int, Any]] leaves open (Any) comes back", "name its types")
def _anything_deep_inside_a_field(app: Application) -> None:
    class Broken(Event):
        things: dict[str, tuple[int, Any]]

    @app.handles(Begin, emits=[Broken])
    def begin(command: Begin) -> None: ...


@fault("Broken.things: what set leaves open (Any) comes back", "name its types")
def _a_collection_that_does_not_say_of_what(app: Application) -> None:
    class Broken(Command):
        things: set  # type: ignore[type-arg]

    @app.handles(Broken)
    def begin(command: Broken) -> None: ...


@fault("Broken.work: Callable cannot cross", "use types that msgspec supports")
def _a_field_that_is_a_function(app: Application) -> None:
    class Broken(Command):
        work: Callable[[], None]

    @app.handles(Broken)
    def begin(command: Broken) -> None: ...


@fault("Broken.things: Type unions may not contain", "msgspec supports")
def _a_union_that_cannot_be_told_apart(app: Application) -> None:
    class Broken(Command):
        things: list[int] | set[str]

    @app.handles(Broken)
    def begin(command: Broken) -> None: ...


@fault("Broken has a field whose type cannot be evaluated", "'Absent'", "at the top of the module")
def _a_field_that_only_type_checkers_know(app: Application) -> None:
    class Broken(Command):
        path: Absent

    @app.handles(Broken)
    def begin(command: Broken) -> None: ...


@fault("Broken.things: the members of set[int | str] have no order", "use a list")
def _a_set_that_cannot_be_sorted(app: Application) -> None:
    class Broken(Command):
        things: set[int | str]

    @app.handles(Broken)
    def begin(command: Broken) -> None: ...


@fault("Broken has dicts whose keys are no str, and sets", "use a list for one of them")
def _a_set_beside_a_dict_of_numbers(app: Application) -> None:
    class Broken(Command):
        counts: dict[int, int]
        names: set[str]

    @app.handles(Broken)
    def begin(command: Broken) -> None: ...


@fault("Broken is not frozen", "drop frozen=False")
def _a_message_that_can_change(app: Application) -> None:
    class Broken(Command, frozen=False):  # type: ignore[misc]
        name: str

    @app.handles(Broken)
    def begin(command: Broken) -> None: ...


@fault("Broken has message_version = '2'", "a whole number, 1 or more")
def _a_version_that_is_no_number(app: Application) -> None:
    class Broken(Command):
        message_version = "2"  # type: ignore[assignment]

    @app.handles(Broken)
    def begin(command: Broken) -> None: ...


@fault("Broken has message_name = ' broken'", "write a name like 'census.MeasureFile'")
def _a_name_with_blanks_around_it(app: Application) -> None:
    class Broken(Command):
        message_name = " broken"

    @app.handles(Broken)
    def begin(command: Broken) -> None: ...


@fault("<locals>.Begun share the stable name 'bank.Begun'", "set message_name in one of them")
def _two_messages_of_one_name(app: Application) -> None:
    sound(app)
    first = Begun

    def other() -> type[Event]:
        class Begun(Event):
            name: str

        return Begun

    app.handles(Stray, emits=[first, other()])(lambda_like(Stray))


def lambda_like(command_type: type[Command]) -> Callable[[Any], None]:
    """A handler of `command_type` that does nothing."""

    def handle(command: Any) -> None: ...  # noqa: ANN401 - any command

    handle.__annotations__["command"] = command_type
    return handle


@fault("Account share the stable name 'bank.Account'", "set aggregate_name in one of them")
def _two_aggregates_of_one_name(app: Application) -> None:
    def other() -> type[Aggregate]:
        class Account(Aggregate):
            balance: int = 0

        return Account

    app.binds(Accounts, scope=Scope.COMMAND)
    app.handles(Begin, loads={other(): "name"})(takes_state)


@fault("Broken.thing: Opaque cannot cross", "use types that msgspec supports")
def _an_aggregate_that_cannot_be_stored(app: Application) -> None:
    class Broken(Aggregate):
        thing: Opaque

    app.handles(Begin, loads={Broken: "name"})(takes_state)


@fault("its name is 'my bank'", "give it one word")
def _an_application_without_a_proper_name(app: Application) -> None:
    app.name = "my bank"
    sound(app)


# ------------------------------------------------------------------------------------------------ dependencies


@fault("begin: parameter 'clock'", "nothing is bound for Clock", "add app.binds(Clock, to=...)")
def _a_dependency_that_is_not_bound(app: Application) -> None:
    @app.handles(Begin)
    def begin(command: Begin, clock: Clock) -> None: ...


@fault("begin", "nothing is bound for Clock (needed as Pricing -> Rates -> Clock)", "app.binds(Clock, to=...)")
def _a_dependency_of_a_dependency_that_is_not_bound(app: Application) -> None:
    app.binds(Pricing)
    app.binds(Rates)

    @app.handles(Begin)
    def begin(command: Begin, pricing: Pricing) -> None: ...


@fault("the bindings", "nothing is bound for Clock (needed as Pricing -> Rates -> Clock)", "app.binds(Clock, to=...)")
def _a_binding_that_nobody_needs_and_that_cannot_be_made(app: Application) -> None:
    sound(app)
    app.binds(Rates)
    app.binds(Pricing)


@fault("Handler", "nothing is bound for Clock", "add app.binds(Clock, to=...)")
def _a_constructor_that_asks_for_what_is_not_bound(app: Application) -> None:
    @app.handles(Begin)
    class Handler:
        def __init__(self, clock: Clock) -> None:
            self.clock = clock

        def __call__(self, command: Begin) -> None: ...


@fault("begin", "nothing is bound for Clock | None", "ask for one type")
def _an_optional_dependency(app: Application) -> None:
    app.binds(Clock, to=SystemClock)

    @app.handles(Begin)
    def begin(command: Begin, clock: Clock | None) -> None: ...


@fault("begin", "nothing is bound for Repository[Account]", "add app.binds(Repository[Account], to=...)")
def _a_repository_that_has_no_class_of_its_own(app: Application) -> None:
    @app.handles(Begin)
    def begin(command: Begin, accounts: Repository[Account]) -> None: ...


@fault("Egg -> Hen -> Egg is a circle", "let one of them do without the next")
def _a_circle_of_dependencies(app: Application) -> None:
    app.binds(Egg)
    app.binds(Hen)

    @app.handles(Begin)
    def begin(command: Begin, egg: Egg) -> None: ...


@fault("Clock -> Clock is a circle", "let one of them do without the next")
def _a_dependency_on_itself(app: Application) -> None:
    def wound(clock: Clock) -> Clock:
        return clock

    sound(app)
    app.binds(Clock, to=wound)


@fault("Accounts lives as long as the process, but needs UnitOfWork", "bind Accounts with scope=Scope.COMMAND")
def _a_repository_that_outlives_its_unit_of_work(app: Application) -> None:
    app.binds(Accounts)

    @app.handles(Begin)
    def begin(command: Begin, accounts: Accounts) -> None: ...


@fault("begin", "asks for MessageBus, but handlers cannot reach the bus", "return or record an event")
def _a_handler_that_asks_for_the_bus(app: Application) -> None:
    @app.handles(Begin)
    def begin(command: Begin, bus: MessageBus) -> None: ...


@fault("begin", "asks for the container", "ask for each thing by its type")
def _a_handler_that_asks_for_the_container(app: Application) -> None:
    @app.handles(Begin)
    def begin(command: Begin, container: Container) -> None: ...


@fault("app.binds(Clock)", "is abstract", "say to= which class")
def _a_binding_of_an_abstract_class(app: Application) -> None:
    app.binds(Clock)

    @app.handles(Begin)
    def begin(command: Begin, clock: Clock) -> None: ...


@fault("app.binds(Clock)", "partial object", "write a function with `def`")
def _a_binding_to_a_partial_object(app: Application) -> None:
    sound(app)
    app.binds(Clock, to=functools.partial(SystemClock))


@fault("app.binds(Clock)", "`async def`", "make it with a plain `def`")
def _a_binding_to_a_coroutine(app: Application) -> None:
    async def clock() -> Clock:
        return SystemClock()

    sound(app)
    app.binds(Clock, to=clock)


@fault("app.binds(Rates)", "type hints: clock", "correct what it is bound to")
def _a_binding_to_a_function_without_annotations(app: Application) -> None:
    def rates(clock):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - the fault
        return Rates(clock)

    sound(app)
    app.binds(Rates, to=rates)


@fault("app.binds(UnitOfWork)", "is not for you to bind", "drop this binding")
def _a_binding_of_the_unit_of_work(app: Application) -> None:
    sound(app)
    app.binds(UnitOfWork)


@fault("app.binds(MessageBus)", "is not for you to bind", "drop this binding")
def _a_binding_of_the_bus(app: Application) -> None:
    sound(app)
    app.binds(MessageBus)


@fault("app.binds(Begun)", "a message is handed over, not injected", "drop this binding")
def _a_binding_of_a_message(app: Application) -> None:
    sound(app)
    app.binds(Begun, to=Begun(""))


@fault("app.binds(Clock)", "scope='app' is no scope of Driven", "write Scope.APP or Scope.COMMAND")
def _a_binding_in_no_scope(app: Application) -> None:
    sound(app)
    app.binds(Clock, to=SystemClock, scope="app")  # type: ignore[arg-type]


@fault("app.binds(Anything)", "does not say what it is a repository of", "(Repository[YourAggregate])")
def _a_repository_of_nothing(app: Application) -> None:
    class Anything(Repository):  # type: ignore[type-arg]
        """No aggregate is named."""

    sound(app)
    app.binds(Anything, scope=Scope.COMMAND)


@fault("app.uses(Provider)", "is no provider", "pass an object of a Provider class")
def _a_provider_class(app: Application) -> None:
    sound(app)
    app.uses(Provider)  # type: ignore[arg-type]


@fault("the bindings cannot be used together", "UnknownScopeError", "its scopes being driven.Scope")
def _a_provider_of_another_scope(app: Application) -> None:
    provider = Provider(scope=dishka.Scope.REQUEST)
    provider.provide(SystemClock, provides=Clock)
    sound(app)
    app.uses(provider)


# --------------------------------------------------------------------------------------- reactions, projectors


@fault("then", "asks for UnitOfWork (parameter 'uow')", "do this work in the handler of a command")
def _a_reaction_that_asks_for_a_unit_of_work(app: Application) -> None:
    sound(app)

    @app.reacts_to(Begun)
    def then(event: Begun, uow: UnitOfWork) -> Begin:
        return Begin("")


@fault("then", "asks for Accounts (parameter 'accounts')", "do this work in the handler of a command")
def _a_reaction_that_asks_for_a_repository(app: Application) -> None:
    sound(app)
    app.binds(Accounts, scope=Scope.COMMAND)

    @app.reacts_to(Begun)
    def then(event: Begun, accounts: Accounts) -> Begin:
        return Begin("")


@fault("then", "asks for MessageBus (parameter 'bus')", "do this work in the handler of a command")
def _a_reaction_that_asks_for_the_bus(app: Application) -> None:
    sound(app)

    @app.reacts_to(Begun)
    def then(event: Begun, bus: MessageBus) -> Begin:
        return Begin("")


@fault("then", "asks for Clock (parameter 'clock')", "do this work in the handler of a command")
def _a_reaction_that_asks_for_a_dependency(app: Application) -> None:
    sound(app)
    app.binds(Clock, to=SystemClock)

    @app.reacts_to(Begun)
    def then(event: Begun, clock: Clock) -> Begin:
        return Begin("")


@fault("then", "has no return annotation", "annotate the messages")
def _a_reaction_without_return_annotation(app: Application) -> None:
    sound(app)

    @app.reacts_to(Begun)
    def then(event: Begun): ...  # type: ignore[no-untyped-def]  # noqa: ANN202 - the fault


@fault("then", "names Ended, which is no command", "it may return commands only")
def _a_reaction_that_returns_an_event(app: Application) -> None:
    sound(app)

    @app.reacts_to(Begun)
    def then(event: Begun) -> list[Ended]:
        return []


@fault("then", "names no command", "use @app.projects")
def _a_reaction_that_returns_nothing(app: Application) -> None:
    sound(app)

    @app.reacts_to(Begun)
    def then(event: Begun) -> None: ...


@fault("then", "returns frozenset[Begin], which has no order", "return a list")
def _a_reaction_that_returns_a_set(app: Application) -> None:
    sound(app)

    @app.reacts_to(Begun)
    def then(event: Begun) -> frozenset[Begin]:
        return frozenset()


@fault("then", "is `async def`", "write a plain `def`")
def _a_reaction_that_is_a_coroutine(app: Application) -> None:
    sound(app)

    @app.reacts_to(Begun)
    async def then(event: Begun) -> Begin:
        return Begin("")


@fault("Then", "is a class", "a reaction is a function")
def _a_reaction_that_is_a_class(app: Application) -> None:
    sound(app)

    @app.reacts_to(Begun)
    class Then:
        def __call__(self, event: Begun) -> Begin:
            return Begin("")


@fault("then", "reacts twice to Begun", "register it once")
def _a_reaction_that_is_registered_twice(app: Application) -> None:
    sound(app)

    def then(event: Begun) -> Begin:
        return Begin("")

    app.reacts_to(Begun)(app.reacts_to(Begun)(then))


@fault("@app.reacts_to(Begin) needs a subclass of Event", "name one")
def _a_reaction_to_a_command(app: Application) -> None:
    sound(app)

    @app.reacts_to(Begin)  # type: ignore[arg-type]
    def then(command: Begin) -> Begin:
        return command


@fault("note", "asks for UnitOfWork (parameter 'uow')", "event and read models", "drop it")
def _a_projector_that_asks_for_a_unit_of_work(app: Application) -> None:
    sound(app)

    @app.projects(Begun)
    def note(event: Begun, uow: UnitOfWork) -> None: ...


@fault("note", "asks for Context (parameter 'context')", "event and read models", "drop it")
def _a_projector_that_asks_for_a_context(app: Application) -> None:
    sound(app)

    @app.projects(Begun)
    def note(event: Begun, context: Context) -> None: ...


@fault("note", "Accounts lives for one command only", "scope=Scope.APP")
def _a_projector_that_asks_for_a_repository(app: Application) -> None:
    sound(app)
    app.binds(Accounts, scope=Scope.COMMAND)

    @app.projects(Begun)
    def note(event: Begun, accounts: Accounts) -> None: ...


@fault("note", "nothing is bound for Clock", "app.binds(Clock, to=...)")
def _a_projector_whose_read_model_is_not_bound(app: Application) -> None:
    sound(app)

    @app.projects(Begun)
    def note(event: Begun, clock: Clock) -> None: ...


@fault("note", "returns messages", "annotate it with -> None")
def _a_projector_that_returns_messages(app: Application) -> None:
    sound(app)

    @app.projects(Begun)
    def note(event: Begun) -> Begun:
        return event


@fault("Note", "is a class", "a projector is a function")
def _a_projector_that_is_a_class(app: Application) -> None:
    sound(app)

    @app.projects(Begun)
    class Note:
        def __call__(self, event: Begun) -> None: ...


@fault("warm", "asks for UnitOfWork (parameter 'uow')", "before there is any command", "drop it")
def _a_warm_up_that_asks_for_a_unit_of_work(app: Application) -> None:
    sound(app)

    @app.warms_up
    def warm(uow: UnitOfWork) -> None: ...


@fault("warm", "asks for Begun (parameter 'event')", "before there is any command", "drop it")
def _a_warm_up_that_asks_for_a_message(app: Application) -> None:
    sound(app)

    @app.warms_up
    def warm(event: Begun) -> None: ...


@fault("warm", "Accounts lives for one command only", "scope=Scope.APP")
def _a_warm_up_that_asks_for_a_repository(app: Application) -> None:
    sound(app)
    app.binds(Accounts, scope=Scope.COMMAND)

    @app.warms_up
    def warm(accounts: Accounts) -> None: ...


@fault("warm", "nothing is bound for Clock", "app.binds(Clock, to=...)")
def _a_warm_up_whose_dependency_is_not_bound(app: Application) -> None:
    sound(app)

    @app.warms_up
    def warm(clock: Clock) -> None: ...


@fault("warm", "annotate it with -> None")
def _a_warm_up_that_returns_something(app: Application) -> None:
    sound(app)

    @app.warms_up
    def warm() -> int:
        return 1


@fault("warm", "is `async def`", "write a plain `def`")
def _a_warm_up_that_is_a_coroutine(app: Application) -> None:
    sound(app)

    @app.warms_up
    async def warm() -> None: ...


@fault("Warm", "is a class", "what warms up is a function")
def _a_warm_up_that_is_a_class(app: Application) -> None:
    sound(app)

    @app.warms_up
    class Warm: ...


@pytest.mark.parametrize("row", ROWS)
def test_a_fault_is_named_with_its_remedy_and_makes_no_other(row: str) -> None:
    """R1, R2: one fault gives one line, which says who is at fault and what to do."""
    wire, words = ROWS[row]

    faults = faults_of(wire)

    assert len(faults) == 1, faults
    assert [word for word in words if word not in faults[0]] == [], faults[0]


def test_all_faults_are_listed_at_once() -> None:
    """R1: opening checks everything; nobody mends an application one fault at a time."""
    wires = [_two_handlers, _a_key_that_names_no_field, _a_reaction_that_asks_for_the_bus, _a_circle_of_dependencies]
    wires += [_a_field_of_an_unknown_class, _a_projector_that_returns_messages, _a_binding_to_a_partial_object]

    text = "\n".join(faults_of(*wires))

    for wire in wires:
        assert ROWS[wire.__name__[1:]].words[0] in text
    assert "key='nam'" in text


def test_a_signature_that_cannot_be_read_hides_no_fault_of_the_options() -> None:
    """R1: what stands in the decorator is wrong by itself; nobody is blamed for a unit of work that may be there."""

    def wire(app: Application) -> None:
        @app.handles(Begin, key="nam", retries=-1, loads={Account: "name"})
        def begin(command: Begin, uow: UnitOfWork) -> Opaque:
            return Opaque()

    options = ["key='nam' is not a field", "retries=-1 is no number", "its return annotation names Opaque"]
    assert [word in one for word, one in zip(options, faults_of(wire), strict=True)] == [True] * 3


def test_the_error_says_which_application_and_how_many_faults() -> None:
    """R1: the text is a numbered list under the name of the application."""
    app = Application("bank")
    _two_handlers(app)

    with pytest.raises(RegistrationError, match=r"application 'bank' cannot be opened: 1 fault\n  1\. "):
        build_registry(app)


# ------------------------------------------------------------------------------------------- what is permitted


def test_handlers_and_types_that_are_defined_inside_a_function_can_be_read() -> None:
    """R1: annotations are evaluated with the names that were there where the handler was decorated."""
    app = Application("bank")

    class Local(Command):
        name: str

    class Happened(Event):
        name: str

    class Ledger:
        """A dependency."""

    app.binds(Ledger)

    @app.handles(Local)
    def handle(command: Local, ledger: Ledger) -> Happened | None: ...

    @app.reacts_to(Happened)
    def then(event: Happened) -> Iterator[Local]:
        yield Local(event.name)

    registry = build_registry(app)

    assert [entry.name for entry in registry.catalog.entries] == ["bank.Happened", "bank.Local"]


def test_a_handler_class_may_inherit_its_constructor_and_its_call() -> None:
    """R1: what is inherited is read where it is defined."""

    class Base:
        def __init__(self, clock: Clock) -> None:
            self.clock = clock

        def __call__(self, command: Begin, uow: UnitOfWork) -> Begun:
            return Begun(command.name)

    def wire(app: Application) -> None:
        app.binds(Clock, to=SystemClock)

        @app.handles(Begin)
        class Handler(Base):
            """Everything is inherited."""

    (handler,) = registry_of(wire).handlers.values()

    assert handler.is_stateful
    assert handler.constructor is not None
    assert [parameter.name for parameter in handler.constructor.parameters] == ["clock"]
    assert handler.emits == {Begun}


def test_a_handler_class_may_be_a_dataclass_or_follow_a_protocol() -> None:
    """R1: generated constructors are read, and those that protocols bring along are passed over."""

    class Handles(Protocol):
        def __call__(self, command: Begin) -> None: ...

    def wire(app: Application) -> None:
        app.binds(Clock, to=SystemClock)

        @app.handles(Begin)
        @dataclass
        class ByDataclass:
            clock: Clock

            def __call__(self, command: Begin) -> None: ...

        @app.handles(Stray)
        class ByProtocol(Handles):
            def __call__(self, command: Begin | Stray) -> None: ...

    names = [handler.name.rpartition(".")[2] for handler in registry_of(wire).handlers.values()]

    assert names == ["ByDataclass", "ByProtocol"]


def test_a_message_may_be_taken_as_one_of_several_or_by_its_base() -> None:
    """R1: whoever can take every message of the type can handle it."""

    def wire(app: Application) -> None:
        sound(app)

        @app.reacts_to(Begun)
        @app.reacts_to(Ended)
        def then(event: Begun | Ended) -> Begin:
            return Begin(event.name)

        @app.projects(Begun)
        @app.projects(Ended)
        def note(event: Event) -> None: ...

    registry = registry_of(wire)

    assert sum(len(reactions) for reactions in registry.reactions.values()) == 2
    assert len(registry.projectors) == 2


def test_annotated_says_nothing_to_injection_and_a_new_type_is_a_type_of_its_own() -> None:
    """R1: `Annotated[Clock, ...]` asks for a Clock; a `NewType` of a str is bound like any type."""
    root = NewType("root", str)

    def wire(app: Application) -> None:
        app.binds(Clock, to=SystemClock)
        app.binds(root, to=lambda: "/")

        @app.handles(Begin, key="name")
        def begin(
            command: Annotated[Begin, "what"],
            clock: Annotated[Clock, "which"],
            uow: Annotated[UnitOfWork, "where"],
            path: root,
        ) -> Annotated[Begun, "told"] | None: ...

    (handler,) = registry_of(wire).handlers.values()

    assert handler.is_stateful
    assert handler.emits == {Begun}


Name = NewType("Name", str)


@pytest.mark.parametrize("field", [str, int, uuid.UUID, Name, Annotated[str, msgspec.Meta(min_length=1)]])
def test_a_key_may_be_text_a_number_or_a_uuid_by_any_name(field: Any) -> None:  # noqa: ANN401 - an annotation
    """O4, R1: keys are told apart by their text; a NewType or a constraint makes no difference."""
    keyed = msgspec.defstruct("Keyed", [("name", field)], bases=(Command,), frozen=True)

    def wire(app: Application) -> None:
        app.handles(keyed, key="name")(stateful(keyed))  # type: ignore[arg-type]

    assert len(registry_of(wire).handlers) == 1


def stateful(command_type: Any) -> Callable[[Any, UnitOfWork], None]:  # noqa: ANN401 - a command type made just now
    """A stateful handler of `command_type` that does nothing."""

    def handle(command: Any, uow: UnitOfWork) -> None: ...  # noqa: ANN401 - any command

    handle.__annotations__["command"] = command_type
    return handle


T = TypeVar("T")


class Box(msgspec.Struct, Generic[T], frozen=True):
    content: T


class Rich(Command):
    """A command with fields of many kinds."""

    box: Box[int]
    boxes: list[Box[str]]
    counts: dict[tuple[int, int], float]
    again: Rich | None = None


def test_a_stateless_handler_may_stick_to_the_worker_of_its_key() -> None:
    """docs/how-to/place-commands-on-workers.md: same key, same worker, for handlers that keep something warm."""
    registry = registry_of(lambda app: app.handles(Begin, key="name", sticky=True)(takes_none))

    assert [handler.is_stateful for handler in registry.handlers.values()] == [False]


def test_fields_may_be_anything_that_comes_back_as_it_went() -> None:
    """R1: nested structs, generics, dicts with keys of any kind, sets that can be sorted, recursion."""

    class Sorted(Command):
        names: frozenset[str]
        pairs: set[tuple[str, int]]
        several: int | str | list[float] | None = None

    def wire(app: Application) -> None:
        @app.handles(Rich)
        def rich(command: Rich) -> None: ...

        @app.handles(Sorted)
        def in_order(command: Sorted) -> None: ...

    assert len(registry_of(wire).handlers) == 2


def test_a_name_and_a_version_belong_to_one_class_and_not_to_its_subclasses() -> None:
    """R1: two types cannot share a name, so a subclass gets one of its own, and begins at version 1."""

    class Named(Event):
        message_name = "ledger.Named"
        message_version = 3

    class Derived(Named):
        """Has neither."""

    def wire(app: Application) -> None:
        app.handles(Begin, emits=[Named, Derived])(takes_none)
        for version in (1, 2):
            app.upcasts("ledger.Named", version=version)(lambda fields: fields)

    entries = {entry.name: entry.version for entry in registry_of(wire).catalog.entries}

    assert entries == {"bank.Begin": 1, "bank.Derived": 1, "ledger.Named": 3}


@pytest.mark.parametrize(
    ("returned", "emits"),
    [
        (None, []),
        (Begun, [Begun]),
        (Begun | None, [Begun]),
        (Begun | Ended, [Begun, Ended]),
        (list[Begun], [Begun]),
        (list[Begun | Ended] | None, [Begun, Ended]),
        (tuple[Begun, ...], [Begun]),
        (tuple[Begun, Ended], [Begun, Ended]),
        (Iterator[Begun], [Begun]),
        (Annotated[list[Annotated[Begun, 1]], 2], [Begun]),
    ],
)
def test_what_a_handler_may_emit_is_read_from_its_return_annotation(returned: Any, emits: list[type[Message]]) -> None:  # noqa: ANN401
    """R3: messages, None, unions and ordered collections of messages."""

    def begin(command: Begin) -> Any: ...  # noqa: ANN401 - replaced below

    begin.__annotations__["return"] = returned

    (handler,) = registry_of(lambda app: app.handles(Begin)(begin)).handlers.values()

    assert handler.emits == set(emits)


def test_a_decorated_handler_keeps_its_type() -> None:
    """Style: what a decorator returns is what it was given, for readers and for type checkers."""
    app = Application("bank")

    @app.handles(Begin, on_exhausted=OnExhausted.SKIP)
    def begin(command: Begin) -> Begun:
        return Begun(command.name)

    @app.handles(Stray)
    class Handler:
        def __call__(self, command: Stray) -> None: ...

    assert_type(begin(Begin("x")), Begun)
    assert_type(Handler(), Handler)
    assert begin(Begin("x")) == Begun("x")


def test_decorators_may_run_in_any_thread() -> None:
    """R1: an application only notes what it is told; importing may happen anywhere."""
    app = Application("bank")
    thread = threading.Thread(target=sound, args=(app,))
    thread.start()
    thread.join()

    assert len(build_registry(app).handlers) == 1
