"""What is injected into handlers: made by type, for as long as its scope says, and swapped by binding again."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import pytest
from dishka import Container, FromComponent, Provider, provide

from driven import Aggregate, Application, Command, Context, Event, Placement, Repository, Scope, UnitOfWork
from driven.service.registry import build_registry
from driven.wire import Failed, Succeeded

Start = Callable[..., Any]


class Ask(Command):
    """The command of all tests here."""

    name: str = "x"


class Answered(Event):
    """What a dependency said."""

    text: str


class Speaker(ABC):
    """An interface."""

    @abstractmethod
    def say(self) -> str: ...


class Plain(Speaker):
    """One implementation."""

    def say(self) -> str:
        return "plain"


class Loud(Speaker):
    """Another, that needs something."""

    def __init__(self, words: Words) -> None:
        self.words = words

    def say(self) -> str:
        return self.words.text.upper()


@dataclass
class Words:
    """A value."""

    text: str


class Thing(Aggregate):
    """An aggregate."""

    size: int = 0


class Things(Repository[Thing]):
    """The things."""

    def grown(self, thing_id: str) -> Thing:
        """A thing that has just grown."""
        thing = self.get(thing_id)
        thing.size += 1
        return thing


class Service:
    """Needs a repository."""

    def __init__(self, things: Things, speaker: Speaker) -> None:
        self.things = things
        self.speaker = speaker


def asking() -> Application:
    """An application whose handler says what its speaker says."""
    app = Application("test")

    @app.handles(Ask)
    def ask(command: Ask, speaker: Speaker) -> Answered:
        return Answered(speaker.say())

    return app


def answers(process: Any, *commands: Command) -> list[str]:  # noqa: ANN401 - of the fixture
    """The texts of the events of `commands`."""
    texts: list[str] = []
    for command in commands or (Ask(),):
        outcome = process.run(command)
        assert isinstance(outcome, Succeeded), outcome
        texts.extend(event.text for event in process.decoded(outcome.events))
    return texts


def loud() -> Speaker:
    """A factory without needs."""
    return Loud(Words("made"))


def loud_with(words: Words) -> Speaker:
    """A factory with needs."""
    return Loud(words)


def loud_for_now(words: Words) -> Iterator[Speaker]:
    """A factory that cleans up."""
    yield Loud(words)


@pytest.mark.parametrize(
    ("to", "said"),
    [
        (Plain, "plain"),
        (Plain(), "plain"),
        (Loud, "BOUND"),
        (loud, "MADE"),
        (loud_with, "BOUND"),
        (loud_for_now, "BOUND"),
    ],
)
@pytest.mark.parametrize("scope", list(Scope))
def test_an_interface_is_bound_to_a_class_a_function_or_a_value(
    start: Start, to: object, said: str, scope: Scope
) -> None:
    """R1: asked for by type, made from what it needs in turn."""
    app = asking()
    app.binds(Words, to=Words("bound"))
    app.binds(Speaker, to=to, scope=scope)

    assert answers(start(app)) == [said]


def test_a_later_binding_replaces_an_earlier_one(start: Start) -> None:
    """R1: what a test or a deployment swaps, it binds again."""
    app = asking()
    app.binds(Speaker, to=Loud)
    app.binds(Speaker, to=Plain)

    assert answers(start(app)) == ["plain"]


def test_a_copy_of_an_application_can_be_rewired_without_touching_the_original(start: Start) -> None:
    """R1: `copy` is how a test swaps one thing of an application that others use."""
    app = asking()
    app.binds(Speaker, to=Plain)
    twin = app.copy()
    twin.binds(Words, to=Words("twin"))
    twin.binds(Speaker, to=Loud)

    assert answers(start(twin)) == ["TWIN"]
    assert answers(start(app)) == ["plain"]


def test_bindings_of_a_dishka_provider_are_taken_over(start: Start) -> None:
    """R1: in the order in which they were told; whoever comes later wins."""

    class Speakers(Provider):
        scope = Scope.APP

        @provide
        def words(self) -> Words:
            return Words("provided")

        @provide
        def speaker(self, words: Words) -> Speaker:
            return Loud(words)

    app = asking()
    app.binds(Words, to=Words("bound first"))
    app.uses(Speakers())
    assert answers(start(app)) == ["PROVIDED"]

    app.binds(Words, to=Words("bound last"))
    assert answers(start(app)) == ["BOUND LAST"]


def test_a_component_of_a_provider_is_asked_for_by_its_name(start: Start) -> None:
    """R1: dishka's components work for handlers as they do elsewhere."""
    provider = Provider(scope=Scope.APP, component="stage")
    provider.provide(lambda: Plain(), provides=Speaker)  # noqa: PLW0108 - a factory function
    app = Application("test")
    app.uses(provider)

    @app.handles(Ask)
    def ask(command: Ask, speaker: Annotated[Speaker, FromComponent("stage")]) -> Answered:
        return Answered(speaker.say())

    assert answers(start(app)) == ["plain"]


T = TypeVar("T")


class Shelf(Generic[T]):
    """A generic dependency."""


def test_what_is_bound_for_a_generic_class_is_made_for_each_of_its_types(start: Start) -> None:
    """R1: `Shelf[int]` is made from the provider of `Shelf[T]`."""
    provider = Provider(scope=Scope.APP)
    provider.provide(Shelf)
    app = Application("test")
    app.uses(provider)

    @app.handles(Ask)
    def ask(command: Ask, shelf: Shelf[int]) -> Answered:
        return Answered(type(shelf).__name__)

    assert answers(start(app)) == ["Shelf"]


class Counted:
    """Counts how often it is made, and remembers what has been closed."""

    made = 0
    closed: list[int] = []  # noqa: RUF012 - of the class, on purpose

    @classmethod
    def begin(cls) -> Iterator[Counted]:
        """Make one, and note its end."""
        cls.made += 1
        number = cls.made
        yield Counted(number)
        cls.closed.append(number)

    def __init__(self, number: int) -> None:
        self.number = number


@pytest.fixture
def counted() -> type[Counted]:
    """A class that counts from zero."""
    return type("Fresh", (Counted,), {"made": 0, "closed": []})


def counting(make: Callable[[], Iterator[Counted]], scope: Scope) -> Application:
    """An application whose handler asks for a Counted twice over, and fails when told to."""
    app = Application("test")

    def begin() -> Iterator[Counted]:
        yield from make()

    class Wrapper:
        def __init__(self, counted: Counted) -> None:
            self.counted = counted

    app.binds(Counted, to=begin, scope=scope)
    app.binds(Wrapper, scope=scope)

    @app.handles(Ask)
    def ask(command: Ask, counted: Counted, wrapper: Wrapper) -> Answered:
        assert wrapper.counted is counted
        if command.name == "fail":
            raise ValueError
        return Answered(str(counted.number))

    return app


def test_an_object_of_scope_app_is_made_once_in_a_process_and_closed_with_it(
    start: Start, counted: type[Counted]
) -> None:
    """docs/how-to/swap-an-implementation.md: APP lives as long as the process; nothing is made that nobody asks for."""
    process = start(counting(counted.begin, Scope.APP))
    assert counted.made == 0

    assert answers(process, Ask(), Ask(), Ask()) == ["1", "1", "1"]
    assert counted.closed == []

    process.registry.injector.close()
    assert counted.closed == [1]


def test_an_object_of_scope_command_is_made_for_each_attempt_and_closed_at_its_end(
    start: Start, counted: type[Counted]
) -> None:
    """U1: one per attempt, also of one that fails; within an attempt it is one and the same."""
    process = start(counting(counted.begin, Scope.COMMAND))

    assert answers(process, Ask(), Ask()) == ["1", "2"]
    assert counted.closed == [1, 2]

    assert isinstance(process.run(Ask("fail")), Failed)
    assert counted.closed == [1, 2, 3]


def test_a_generator_keeps_its_dependencies_until_it_is_read_to_the_end(start: Start, counted: type[Counted]) -> None:
    """U1: the scope of a command ends when its work does."""
    app = Application("test")

    def begin() -> Iterator[Counted]:
        yield from counted.begin()

    app.binds(Counted, to=begin, scope=Scope.COMMAND)

    @app.handles(Ask)
    def ask(command: Ask, held: Counted) -> Iterator[Answered]:
        yield Answered(str(len(counted.closed)))

    assert answers(start(app)) == ["0"]
    assert counted.closed == [1]


def test_a_finaliser_that_raises_fails_its_command(start: Start) -> None:
    """U1: a command whose work could not be finished did not happen."""
    app = asking()

    def speaker() -> Iterator[Speaker]:
        yield Plain()
        raise ValueError("not closed")

    app.binds(Speaker, to=speaker, scope=Scope.COMMAND)

    outcome = start(app).run(Ask())

    assert isinstance(outcome, Failed)
    assert "not closed" in outcome.failure.traceback


def test_a_factory_that_raises_fails_the_command_and_is_asked_again(start: Start) -> None:
    """W6: a database that is away for a moment does not spoil the process."""
    app = asking()
    moods = iter([False, True])

    def speaker() -> Speaker:
        if not next(moods):
            raise ConnectionError("away")
        return Plain()

    app.binds(Speaker, to=speaker)
    process = start(app)

    assert process.run(Ask()).failure.error_type == "ConnectionError"
    assert answers(process) == ["plain"]


def test_a_handler_class_is_constructed_anew_for_each_attempt(start: Start) -> None:
    """B2: nothing is kept on handlers."""
    app = Application("test")
    app.binds(Speaker, to=Plain)

    @app.handles(Ask)
    class Handler:
        def __init__(self, speaker: Speaker, context: Context) -> None:
            self.speaker = speaker
            self.context = context
            self.calls = 0

        def __call__(self, command: Ask) -> Answered:
            self.calls += 1
            return Answered(f"{self.speaker.say()} {self.calls} {self.context.envelope.position}")

    assert answers(start(app), Ask(), Ask()) == ["plain 1 1", "plain 1 1"]


def test_everything_in_one_attempt_has_the_same_unit_of_work_and_the_same_context(start: Start) -> None:
    """U1: a repository, a handler class and its parameters work on one unit of work."""
    app = Application("test")
    app.binds(Things, scope=Scope.COMMAND)
    seen: list[Any] = []

    class Notes:
        def __init__(self, uow: UnitOfWork, context: Context) -> None:
            seen.append((uow, context))

    app.binds(Notes, scope=Scope.COMMAND)

    @app.handles(Ask)
    class Handler:
        def __init__(self, things: Things, context: Context) -> None:
            self.things, self.context = things, context

        def __call__(self, command: Ask, *, uow: UnitOfWork, notes: Notes) -> None:
            seen.append((uow, self.context))
            assert self.things.grown(command.name) is uow.get(Thing, command.name)

    process = start(app)
    process.store(Thing("x", 4))

    outcome = process.run(Ask())

    assert isinstance(outcome, Succeeded), outcome
    assert len({id(uow) for uow, _ in seen}) == len({id(context) for _, context in seen}) == 1
    assert len(outcome.changes) == 1


def test_a_unit_of_work_by_name_only_is_passed_by_name(start: Start) -> None:
    """R1: parameters behind a `*` are parameters."""
    app = Application("test")

    @app.handles(Ask)
    def ask(command: Ask, *, context: Context, uow: UnitOfWork) -> Answered:
        return Answered(f"{context.attempt} {uow.find(Thing, 'x')}")

    assert answers(start(app)) == ["1 None"]


def direct(command: Ask, uow: UnitOfWork) -> None:
    """Asks for a unit of work."""


def by_repository(command: Ask, things: Things) -> None:
    """Asks for something that needs one."""


def by_service(command: Ask, service: Service) -> None:
    """Asks for something that needs something that needs one."""


def without(command: Ask, speaker: Speaker, context: Context) -> None:
    """Needs none."""


class ByConstructor:
    """Is constructed with something that needs one."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def __call__(self, command: Ask) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("target", "is_stateful"),
    [(direct, True), (by_repository, True), (by_service, True), (ByConstructor, True), (without, False)],
)
@pytest.mark.parametrize("placement", list(Placement))
def test_a_handler_is_stateful_however_a_unit_of_work_reaches_it(
    target: Callable[..., Any], is_stateful: bool, placement: Placement
) -> None:
    """O4: hazards come from the signature, and from everything that is injected because of it."""
    app = Application("test")
    app.binds(Speaker, to=Plain)
    app.binds(Things, scope=Scope.COMMAND)
    app.binds(Service, scope=Scope.COMMAND)
    app.handles(Ask, placement=placement)(target)

    (handler,) = build_registry(app).handlers.values()

    assert handler.is_stateful is is_stateful


def test_a_decorator_of_a_provider_makes_a_handler_stateful_as_well() -> None:
    """O4: whatever dishka puts around a dependency belongs to it."""

    class Tracing(Provider):
        scope = Scope.COMMAND

        speaker = provide(Plain, provides=Speaker)

    tracing = Tracing()

    def traced(speaker: Speaker, uow: UnitOfWork) -> Speaker:
        return speaker

    tracing.decorate(traced)
    app = asking()
    app.uses(tracing)

    (handler,) = build_registry(app).handlers.values()

    assert handler.is_stateful


def test_an_object_of_scope_app_is_made_once_however_many_threads_ask_for_it(start: Start) -> None:
    """W9: workers that are threads share a process."""
    app = asking()
    inside, twice, go_on = threading.Event(), threading.Event(), threading.Event()

    def speaker() -> Speaker:
        if inside.is_set():
            twice.set()
        inside.set()
        assert go_on.wait(10)
        return Plain()

    app.binds(Speaker, to=speaker)
    container = start(app).registry.injector.container
    found: list[Speaker] = []
    threads = [threading.Thread(target=lambda: found.append(container.get(Speaker))) for _ in range(2)]
    threads[0].start()
    assert inside.wait(10)
    threads[1].start()
    made_twice = twice.wait(0.2)
    go_on.set()
    for thread in threads:
        thread.join()

    assert not made_twice
    assert found[0] is found[1]


def test_a_factory_of_a_provider_may_ask_the_container_itself(start: Start) -> None:
    """W9: the lock that keeps threads apart lets the same thread in again."""
    provider = Provider(scope=Scope.APP)

    def speaker(container: Container) -> Speaker:
        return Loud(container.get(Words))

    provider.provide(speaker)
    app = asking()
    app.binds(Words, to=Words("asked"))
    app.uses(provider)

    assert answers(start(app)) == ["ASKED"]


def test_a_projector_gets_the_read_model_that_everybody_gets(start: Start) -> None:
    """docs/how-to/swap-an-implementation.md: read models are of scope APP, one for the process."""
    app = asking()
    app.binds(Speaker, to=Plain)

    class Table:
        """A read model."""

    app.binds(Table)

    @app.projects(Answered)
    def tabulate(event: Answered, table: Table) -> None: ...

    container = start(app).registry.injector.container

    assert container.get(Table) is container.get(Table)
