"""Scenarios: what has been, what comes, what is to follow. In memory, without workers, threads or files.

::

    given(app, Account("a", balance=130))       what there is: aggregates, or commands that were carried out before
        .when(Deposit("a", 70))                 one command: its handler     | one event: its reactions
        .then(Deposited("a", 200))              exactly these events         | exactly these commands
        .then_state(Account("a", balance=200))

    given(app).when_settled(Deposit("a", 130))  the whole workflow: whatever the command leads to
        .then_happened(Deposited("a", 130), Deposited("a", 200))

It runs what a bus runs: the same registry with all its checks, the same execution, the same encoding there and back; of
whole workflows the real conductor. A scenario lives as long as the test that writes it down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from driven.adapters.stores.memory import MemoryStore
from driven.domain.aggregate import Aggregate
from driven.domain.later import Later
from driven.domain.messages import Command, Event
from driven.errors import MisuseError
from driven.service.registry import build_registry
from driven.testing.clock import Clock
from driven.testing.expectations import check_same
from driven.testing.past_state import restored, seed
from driven.testing.single_run import Ran, later_at, run_command, run_reactions
from driven.testing.workflow import Settled, settle

if TYPE_CHECKING:
    from driven.domain.messages import Message
    from driven.service.application import Application
    from driven.service.registry import Registry

A = TypeVar("A", bound=Aggregate)


def given(application: Application, *past: Aggregate | Command, clock: Clock | None = None) -> Scenario:
    """Begin a scenario in which the `past` is there: aggregates as they are, and commands that were carried out.

    An event-sourced aggregate is there with the events that it has recorded; `history` makes one. Commands of the past
    settle, with all they lead to, before anything else, and must not fail. `clock` is read once per message; None: one
    that stands still.

    Raises:
        RegistrationError: the application is faulty; every fault is listed.

    """
    return Scenario(build_registry(application), past, clock or Clock())


def history(aggregate: A, *events: Event) -> A:
    """An aggregate that has recorded these events: ``history(Account("a"), Opened("a"), Deposited("a", 5))``."""
    for event in events:
        aggregate.record(event)
    return aggregate


class Scenario:
    """What there is before something happens; made by `given`."""

    def __init__(self, registry: Registry, past: tuple[Aggregate | Command, ...], clock: Clock) -> None:
        self._registry: Final = registry
        self._clock: Final = clock
        self._store: Final = MemoryStore()
        self._store.open()
        self._store.keep_snapshots(registry.snapshot_schemas)
        for one in past:
            if not isinstance(one, Aggregate | Command):
                raise MisuseError(f"the past is made of aggregates and commands; {one!r} is neither")
        seed(self._store, registry, [one for one in past if isinstance(one, Aggregate)], clock)
        commands = [one for one in past if isinstance(one, Command)]
        if commands:
            self.when_settled(*commands).then_nothing_failed()

    def when(self, message: Command | Event, *, attempt: int = 1) -> Followed:
        """One message, and only what follows from it at once: a command's handler, or an event's reactions.

        A command is carried out as attempt number `attempt`, and what it changes is kept. What `submit` would raise is
        raised.
        """
        if isinstance(message, Command):
            return Followed(self, run_command(self._registry, self._store, message, self._clock, attempt))
        if isinstance(message, Event):
            return Followed(self, run_reactions(self._registry, self._store, message, self._clock, attempt))
        raise MisuseError(f"{message!r} is neither a command nor an event; give an object of a subclass of either")

    def when_settled(self, *commands: Command) -> Settled:
        """Commands one after the other, each with all that it leads to, reactions and their commands included."""
        return settle(self._registry, self._store, commands, self._clock)

    def state(self, aggregate_type: type[A], aggregate_id: str) -> A | None:
        """An aggregate as it is now; None: there is none."""
        return restored(self._store, self._registry, aggregate_type, aggregate_id)

    @property
    def clock(self) -> Clock:
        """The clock of this scenario."""
        return self._clock


class Followed:
    """What followed from one message; its methods raise AssertionError where that is not what was expected."""

    def __init__(self, scenario: Scenario, ran: Ran) -> None:
        self._scenario: Final = scenario
        self._ran: Final = ran

    def then(self, *messages: Message | Later[Any]) -> Followed:
        """Exactly these events, or commands, at once or later, in this order; none: nothing at all."""
        __tracebackhide__ = True
        if self._ran.failure is not None:
            failure = self._ran.failure
            raise AssertionError(f"it failed: {failure.error_type}: {failure.message}\n\n{failure.traceback}")
        at_ns = self._ran.recorded_at_ns
        wanted = [later_at(one.command, one.due_at_ns(at_ns)) if isinstance(one, Later) else one for one in messages]
        check_same(self._ran.what, wanted, self._ran.messages)
        return self

    def then_fails(self, error: type[BaseException] | str, told: str = "") -> Followed:
        """It fails with this error, a class or its qualified name, whose text holds `told`.

        Where the handler says ``on_failure=``, the event stands in `messages`.
        """
        __tracebackhide__ = True
        failure, name = self._ran.failure, error if isinstance(error, str) else _name_of(error)
        if failure is None:
            raise AssertionError(f"it was expected to fail with {name}, and gave {list(self._ran.messages)}")
        if failure.error_type != name or told not in failure.message:
            wanted = f"{name}: ...{told}..." if told else name
            got = f"{failure.error_type}: {failure.message}"
            raise AssertionError(
                f"it failed in another way:\n  expected {wanted}\n  got      {got}\n\n{failure.traceback}"
            )
        return self

    def then_state(self, *aggregates: Aggregate) -> Followed:
        """These aggregates are there now, and as they are here."""
        __tracebackhide__ = True
        found = [self._scenario.state(type(one), one.id) for one in aggregates]
        for one, there in zip(aggregates, found, strict=True):
            if there is None:
                raise AssertionError(f"there is no {type(one).__name__} {one.id!r}")
        check_same("aggregates", aggregates, [there for there in found if there is not None])
        return self

    def then_changed(self, *names: str) -> Followed:
        """Exactly these aggregates were changed, each as ``"Account a"``: its class and its id; none: nothing was."""
        __tracebackhide__ = True
        if sorted(names) != sorted(self._ran.changed):
            got = ", ".join(self._ran.changed) or "nothing"
            raise AssertionError(
                f"what was changed is not what was expected:\n  expected {', '.join(names)}\n  got {got}"
            )
        return self

    def when(self, message: Command | Event, *, attempt: int = 1) -> Followed:
        """Go on from here."""
        return self._scenario.when(message, attempt=attempt)

    @property
    def messages(self) -> tuple[Any, ...]:
        """What followed, for questions of your own."""
        return self._ran.messages


def _name_of(error: type[BaseException]) -> str:
    return error.__qualname__ if error.__module__ == "builtins" else f"{error.__module__}.{error.__qualname__}"
