"""The application: the user's wiring. It starts nothing, and may be imported anywhere, by workers too.

It only notes what it is told; everything is checked together when a bus opens (R1), so that decorators never
fail half way and all faults are listed at once.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

from driven.placement import Placement
from driven.service.handlers import HandlerOptions, OnExhausted
from driven.service.injection import Binding, ForeignProvider, Scope
from driven.service.noted import Noted, noting
from driven.service.notifier import NotedNotifier, Patience
from driven.service.projection import Projection
from driven.service.upcasting import Upcaster

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from driven.domain.aggregate import Aggregate
    from driven.domain.messages import Command, Event

T = TypeVar("T")


class Application:
    """Commands, reactions, projectors and bindings of one service, under one name.

    The name begins the stable names of its messages. Assign the application to a variable of a module, so that
    workers can import it.
    """

    def __init__(self, name: str) -> None:
        """`name` is short and stable, e.g. ``"census"``."""
        self.name = name
        self.module = str(sys._getframe(1).f_globals.get("__name__", ""))  # noqa: SLF001 - where workers look for it
        self.handlers: list[Noted] = []
        self.reactions: list[Noted] = []
        self.projectors: list[Noted] = []
        self.projections: list[Projection] = []
        self.notifiers: list[NotedNotifier] = []
        self.warm_ups: list[Noted] = []
        self.kept: list[type[Aggregate]] = []
        self.upcasters: list[Upcaster] = []
        self.forgotten: set[str] = set()
        self.bindings: list[Binding | ForeignProvider] = []

    def handles(  # noqa: PLR0913 - each is one fact about the handler, all by name
        self,
        command: type[Command],
        *,
        key: str | None = None,
        placement: Placement = Placement.INLINE,
        loads: Mapping[type[Aggregate], str] | None = None,
        emits: Sequence[type[Event]] = (),
        timeout_s: float | None = None,
        max_attempts: int | None = None,
        retries: int | None = None,
        on_exhausted: OnExhausted | None = None,
        on_failure: type[Event] | None = None,
        group: str = "default",
        sticky: bool = False,
        detached: bool = False,
        exposed: bool = False,
    ) -> Callable[[T], T]:
        """Register the one handler of `command`: a function, or a class with ``__call__``.

        Args:
            command: the command type.
            key: the field whose value orders stateful commands among each other (O4).
            placement: where it runs; workers need handlers that can be imported by name.
            loads: aggregate type -> the field that holds its id; these travel with the submission.
            emits: events that its aggregates record, beside those of the return annotation.
            timeout_s: seconds a worker may take before it is killed.
            max_attempts: deaths of workers before the command fails; default ``[workers] max_attempts``.
            retries: further attempts, at the head, of a failed internal command; default ``[bus] retries``.
            on_exhausted: what happens when those are used up; default `OnExhausted.PARK`.
            on_failure: the event that a failure becomes, instead of raising to the submitter and of `on_exhausted`;
                its fields are copied from the command, ``error_type`` and ``reason`` come from the failure (F1).
            group: the worker group that runs it.
            sticky: send the same key to the same worker.
            detached: a long command: at the head it retires as started, which frees everything behind it, and its
                outcome enters at the tail, with a position of its own, when it is there (O9).
            exposed: whether it can be reached from outside, by HTTP; otherwise nobody there learns that it exists.

        """
        options = HandlerOptions(
            key=key,
            placement=placement,
            loads={} if loads is None else loads,
            emits=emits,
            timeout_s=timeout_s,
            max_attempts=max_attempts,
            retries=retries,
            on_exhausted=on_exhausted,
            on_failure=on_failure,
            group=group,
            sticky=sticky,
            detached=detached,
            exposed=exposed,
        )
        return noting(self.handlers.append, command, options)

    def reacts_to(self, event: type[Event]) -> Callable[[T], T]:
        """Register a reaction: ``(event[, context]) -> Command | Iterable[Command] | None`` (R2)."""
        return noting(self.reactions.append, event, HandlerOptions())

    def projects(self, event: type[Event]) -> Callable[[T], T]:
        """Register a projector: ``(event, *read_models) -> None``, run in the main process in log order."""
        return noting(self.projectors.append, event, HandlerOptions())

    def projection(self, name: str, *, version: int = 1, tables: Sequence[str] = ()) -> Projection:
        """A projection that lasts longer than the process: it has its own place in the log, and goes on from there.

        Args:
            name: stable, and unique in the application: its place in the log is known by it.
            version: raised when its tables or functions change; it is then built anew, beside the old one.
            tables: what it writes in the file of the log, each event exactly once. None: it writes somewhere else,
                each event at least once.

        """
        projection = Projection(name, version, tables)
        self.projections.append(projection)
        return projection

    def notifies(
        self,
        *events: type[Event],
        name: str | None = None,
        attempts: int | None = None,
        first_wait_s: float = 0.1,
        longest_wait_s: float = 60.0,
        since: int | None = None,
    ) -> Callable[[T], T]:
        """Register a notifier: ``(event[, delivery], ...) -> None``, which calls something outside.

        It is called at least once for each event, strictly in position order, on a thread of its own. It has its own
        place in the log, and goes on from there when a bus opens.

        Args:
            events: what it is told of.
            name: stable, and unique in the application; default: the application's name and the function's.
            attempts: calls for one event before it stops there; None: until one succeeds. More than 1 needs stamina.
            first_wait_s: about how long it waits after the first failure, in seconds; twice as long after each other.
            longest_wait_s: the longest that it waits between two calls, in seconds.
            since: the position behind which it begins when it is new; None: the end of the log.

        """
        patience = Patience(attempts, first_wait_s, longest_wait_s)

        def keep(note: Noted) -> None:
            self.notifiers.append(NotedNotifier(name, events, note, patience, since))

        return noting(keep, events[0] if events else type(None), HandlerOptions())

    def warms_up(self, target: T) -> T:
        """Register a function that each worker calls once, after its imports and before its first command.

        It asks for what it needs by type, in scope APP, and returns None. Where there are no workers, it is called in
        the main process while the bus opens. One that raises keeps the bus from opening.
        """
        return noting(self.warm_ups.append, type(None), HandlerOptions())(target)

    def keeps(self, *aggregates: type[Aggregate]) -> None:
        """Say which aggregates there are, beside those of ``loads=`` and of repositories that are bound.

        Event-sourced ones have to be known when a bus opens: what their streams hold is checked then.
        """
        self.kept.extend(aggregates)

    def upcasts(self, name: str, *, version: int) -> Callable[[T], T]:
        """Register how a message that was recorded at `version` becomes one of the next version (X3).

        `name` is its stable name. The function takes the fields as they were recorded, by name and made of plain
        values, and returns those of the next version; it depends on nothing else.
        """

        def note(target: T) -> T:
            self.upcasters.append(Upcaster(target, name, version))  # type: ignore[arg-type]  # examined when a bus opens
            return target

        return note

    def forgets(self, *names: str) -> None:
        """Say that events of these stable names, which the log may hold, are of no use to anybody any more.

        A bus refuses to open a log with events that it does not know, as a class that was renamed would look the same.
        """
        self.forgotten.update(names)

    def binds(self, interface: type, to: Any = None, *, scope: Scope = Scope.APP) -> None:  # noqa: ANN401
        """Say what is injected where `interface` is asked for; a later binding replaces an earlier one.

        `to` is a class to construct, a factory function, or a ready value; nothing: `interface` itself.
        """
        self.bindings.append(Binding(interface, interface if to is None else to, scope))

    def uses(self, provider: ForeignProvider) -> None:
        """Take all bindings of a dishka provider, whose scopes are `driven.Scope`."""
        self.bindings.append(provider)

    def copy(self) -> Application:
        """The same wiring in a new application, to swap a binding without touching the original."""
        twin = Application(self.name)
        twin.module = ""
        twin.handlers.extend(self.handlers)
        twin.reactions.extend(self.reactions)
        twin.projectors.extend(self.projectors)
        twin.projections.extend(self.projections)
        twin.notifiers.extend(self.notifiers)
        twin.warm_ups.extend(self.warm_ups)
        twin.kept.extend(self.kept)
        twin.upcasters.extend(self.upcasters)
        twin.forgotten.update(self.forgotten)
        twin.bindings.extend(self.bindings)
        return twin
