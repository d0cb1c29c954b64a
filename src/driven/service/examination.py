"""The examination of an application: one pass that reads every note and collects every fault (R1).

::

    notes --read--> handlers, reactions, projectors --.
    bindings ---------------------> injector ---------+--> findings, or every fault at once
    message and aggregate types -- names, encoding ---'

A fault in one place does not hide those in others, and does not make faults of what refers to it. An examination
lives for as long as a bus or a worker takes to open.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from driven.domain.aggregate import Aggregate
from driven.domain.event_sourced import events_of
from driven.domain.messages import Command, Event, Message
from driven.errors import RegistrationError
from driven.service.checks import declared_events, loaded_aggregates, option_faults, type_faults
from driven.service.dependencies import Lifetime
from driven.service.handlers import Handler, Projector, Reaction, WarmUp
from driven.service.injection import Binding, Injector
from driven.service.naming import qualified_name, shown, stable_name
from driven.service.notifier import Delivery, NotedNotifier, Notifier, notifier_faults
from driven.service.projection import HANDED_OVER, Creator, LastingProjection, projection_faults
from driven.service.repository import Repository
from driven.service.signature import (
    Role,
    Signature,
    Unreadable,
    call_method,
    check_function,
    read_constructor,
    read_signature,
    read_warm_up,
)
from driven.service.sourcing import is_event_sourced, sourcing_faults
from driven.service.tables import Tables
from driven.service.upcasting import Upcaster, upcaster_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from driven.service.application import Application
    from driven.service.noted import Noted
    from driven.service.projection import Projection
    from driven.service.signature import Parameter


class Findings(msgspec.Struct, frozen=True):
    """What an application without faults is made of."""

    injector: Injector
    handlers: tuple[Handler, ...]
    reactions: tuple[Reaction, ...]
    projectors: tuple[Projector, ...]
    projections: tuple[LastingProjection, ...]
    notifiers: tuple[Notifier, ...]
    warm_ups: tuple[WarmUp, ...]
    messages: tuple[tuple[str, type[Message]], ...]
    """Stable names and types."""
    upcasters: tuple[Upcaster, ...]
    aggregates: tuple[type[Aggregate], ...]
    """Those that are known before anything runs: loaded, or of a repository."""


def examine(application: Application) -> Findings:
    """Check everything about an application at once.

    Raises:
        RegistrationError: with every fault that was found.

    """
    return _Examination(application).findings()


class _Examination:
    def __init__(self, application: Application) -> None:
        self.application: Final = application
        self.faults: Final[list[str]] = []
        self.asked: Final[list[Any]] = []
        self.injector: Final = Injector(application.bindings)
        self.handlers = tuple(self._read(application.handlers, self._handler))
        self.reactions = tuple(self._read(application.reactions, self._reaction))
        self.projectors = tuple(self._read(application.projectors, self._projector))
        self.projections = tuple(self._projection(one) for one in application.projections)
        self.notifiers = tuple(self._read(application.notifiers, self._notifier))
        self.warm_ups = tuple(self._read(application.warm_ups, self._warm_up))

    def findings(self) -> Findings:
        self._check_application()
        self._check_one_handler_each()
        self._check_reactions()
        self.faults.extend(projection_faults(self.application.projections))
        self.faults.extend(
            notifier_faults([self._name_of(one) for one in self.application.notifiers], self.application.notifiers)
        )
        aggregates = self._named(self._aggregates(), "aggregate_name")
        sourced = [one for one in aggregates.values() if is_event_sourced(one)]
        self.faults.extend(f"{qualified_name(one)}{fault}" for one in sourced for fault in sourcing_faults(one))
        messages = self._named(self._messages(sourced), "message_name")
        self._check_upcasters(messages)
        self._check_bindings()
        if self.faults:
            self.injector.close()
            raise RegistrationError(self.application.name, self.faults)
        return Findings(
            injector=self.injector,
            handlers=self.handlers,
            reactions=self.reactions,
            projectors=self.projectors,
            projections=self.projections,
            notifiers=self.notifiers,
            warm_ups=self.warm_ups,
            messages=tuple(messages.items()),
            upcasters=tuple(self.application.upcasters),
            aggregates=tuple(aggregates.values()),
        )

    # Reading notes.

    def _read(self, notes: Iterable[Any], reader: Callable[[Any], Any]) -> Iterator[Any]:
        for one in notes:
            try:
                yield reader(one)
            except Unreadable as fault:
                note = one.note if isinstance(one, NotedNotifier) else one
                self.faults.append(f"{note.culprit}: {fault}")

    def _handler(self, note: Noted) -> Handler:
        command = _required(note, Command, "handles")
        try:
            signature, constructor = _handler_signatures(note, command)
        except Unreadable:
            self._check_options(note, command, is_stateful=True)  # it may be: nobody is blamed for what is not known
            raise
        name = qualified_name(note.target)
        asked = (*signature.parameters, *(constructor.parameters if constructor else ()))
        self._check_dependencies(name, asked, Lifetime.COMMAND)
        is_stateful = any(
            parameter.role is Role.UNIT_OF_WORK or self._reaches_unit_of_work(parameter) for parameter in asked
        )
        self._check_options(note, command, is_stateful=is_stateful)
        return Handler(
            name=name,
            target=note.target,
            command=command,
            signature=signature,
            constructor=constructor,
            emits=frozenset((*signature.returns, *declared_events(note.options))),  # type: ignore[arg-type]  # all events
            options=note.options,
            is_stateful=is_stateful,
        )

    def _check_options(self, note: Noted, command: type[Command], *, is_stateful: bool) -> None:
        faults = option_faults(command, note.options, is_stateful=is_stateful)
        self.faults.extend(f"{note.culprit}: {fault}" for fault in faults)

    def _reaction(self, note: Noted) -> Reaction:
        event = _required(note, Event, "reacts_to")
        check_function(note.target, "a reaction is a function")
        signature = read_signature(note.target, note.local_names, event)
        for parameter in signature.parameters[1:]:
            if parameter.role is not Role.CONTEXT:
                raise Unreadable(
                    f"asks for {shown(parameter.annotation)} (parameter {parameter.name!r}), but a reaction takes "
                    f"its event and at most a Context (R2); do this work in the handler of a command that it returns"
                )
        _refuse_others(signature.returns, Command)
        if not signature.returns:
            raise Unreadable(
                "its return annotation names no command; name the commands it puts on the bus, or use @app.projects"
            )
        return Reaction(qualified_name(note.target), note.target, event, signature)

    def _projector(self, note: Noted, *, has_tables: bool = False) -> Projector:
        event = _required(note, Event, "projects")
        check_function(note.target, "a projector is a function, which asks for its read models by type")
        signature = read_signature(note.target, note.local_names, event)
        for parameter in signature.parameters[1:]:
            if parameter.role is not Role.DEPENDENCY:
                raise Unreadable(
                    f"asks for {shown(parameter.annotation)} (parameter {parameter.name!r}), but a projector takes "
                    f"its event and read models; drop it"
                )
        if signature.returns:
            raise Unreadable("returns messages, which handlers and reactions do; annotate it with -> None")
        name = qualified_name(note.target)
        self._check_dependencies(name, _without_tables(signature.parameters, has_tables=has_tables), Lifetime.APP)
        return Projector(name, note.target, event, signature)

    def _projection(self, noted: Projection) -> LastingProjection:
        has_tables = bool(noted.tables)
        creators = tuple(self._read(noted.creators, partial(self._creator, has_tables=has_tables)))
        projectors = tuple(self._read(noted.projectors, partial(self._projector, has_tables=has_tables)))
        switchers = tuple(self._read(noted.switchers, self._creator))
        return LastingProjection(
            name=noted.name,
            version=noted.version,
            tables=tuple(noted.tables),
            creator=creators[0] if creators else None,
            switcher=switchers[0] if switchers else None,
            projectors=projectors,
        )

    def _creator(self, note: Noted, *, has_tables: bool = False) -> Creator:
        check_function(note.target, "it has to be a function, which asks for what it needs by type")
        signature = read_warm_up(note.target, note.local_names)
        name = qualified_name(note.target)
        self._check_dependencies(name, _without_tables(signature.parameters, has_tables=has_tables), Lifetime.APP)
        return Creator(name, note.target, signature)

    def _notifier(self, noted: NotedNotifier) -> Notifier:
        note = noted.note
        check_function(note.target, "a notifier is a function, which asks for what it needs by type")
        events: Sequence[Any] = [
            _required(msgspec.structs.replace(note, message=one), Event, "notifies") for one in noted.events
        ]
        signatures = [read_signature(note.target, note.local_names, event) for event in events]
        signature = signatures[0] if signatures else Signature()
        if signature.returns:
            raise Unreadable("returns messages, which handlers and reactions do; annotate it with -> None")
        others = signature.parameters[1:]
        for parameter in others:
            if parameter.role is not Role.DEPENDENCY:
                raise Unreadable(
                    f"asks for {shown(parameter.annotation)} (parameter {parameter.name!r}), but a notifier takes its "
                    f"event, its Delivery, and what is bound; drop it"
                )
        injected = [parameter for parameter in others if parameter.annotation is not Delivery]
        self._check_dependencies(qualified_name(note.target), injected, Lifetime.APP)
        return Notifier(
            name=self._name_of(noted),
            target=note.target,
            events=tuple(events),
            injected={parameter.name: parameter.annotation for parameter in injected},
            deliveries=tuple(parameter.name for parameter in others if parameter.annotation is Delivery),
            patience=noted.patience,
            since=noted.since,
        )

    def _name_of(self, noted: NotedNotifier) -> str:
        return f"{self.application.name}.{noted.note.target.__name__}" if noted.name is None else noted.name

    def _warm_up(self, note: Noted) -> WarmUp:
        check_function(note.target, "what warms up is a function, which asks for what it needs by type")
        signature = read_warm_up(note.target, note.local_names)
        name = qualified_name(note.target)
        self._check_dependencies(name, signature.parameters, Lifetime.APP)
        return WarmUp(name, note.target, signature)

    def _check_dependencies(self, name: str, parameters: Sequence[Parameter], lifetime: Lifetime) -> None:
        for parameter in parameters:
            if parameter.role is Role.DEPENDENCY:
                self.asked.append(parameter.annotation)
                for fault in self.injector.faults_of(parameter.annotation, lifetime):
                    self.faults.append(f"{name}: parameter {parameter.name!r}: {fault}")

    def _reaches_unit_of_work(self, parameter: Parameter) -> bool:
        return parameter.role is Role.DEPENDENCY and self.injector.reaches_unit_of_work(parameter.annotation)

    # What no note shows by itself.

    def _check_application(self) -> None:
        name: Any = self.application.name
        if not isinstance(name, str) or not name or name.split() != [name]:
            self.faults.append(f"its name is {name!r}; give it one word, as the names of its messages begin with it")
        if not self.application.handlers:
            self.faults.append("it handles no command; register a handler with @app.handles(...)")

    def _check_one_handler_each(self) -> None:
        first: dict[Any, Any] = {}
        for note in self.application.handlers:
            if not _is_kind(note.message, Command):
                continue
            other = first.setdefault(note.message, note)
            if other is not note:
                names = f"{qualified_name(other.target)} and {qualified_name(note.target)}"
                self.faults.append(
                    f"{qualified_name(note.message)} has two handlers, {names}; "
                    f"keep one, or give the second a command of its own"
                )

    def _check_upcasters(self, messages: Mapping[str, type[Message]]) -> None:
        versions = {name: vars(one).get("message_version", 1) for name, one in messages.items()}
        sound = {name: version for name, version in versions.items() if type(version) is int}
        self.faults.extend(upcaster_faults(self.application.upcasters, sound))

    def _check_reactions(self) -> None:
        handled = [note.message for note in self.application.handlers]
        seen: set[tuple[Any, type[Event]]] = set()
        for reaction in self.reactions:
            if (reaction.target, reaction.event) in seen:
                self.faults.append(f"{reaction.name} reacts twice to {reaction.event.__name__}; register it once")
            seen.add((reaction.target, reaction.event))
            for command in reaction.signature.returns:
                if command not in handled:
                    self.faults.append(
                        f"{reaction.name} issues {command.__name__}, which has no handler; "
                        f"register one with @app.handles({command.__name__})"
                    )

    def _check_bindings(self) -> None:
        self.faults.extend(self.injector.faults)
        self.faults.extend(f"the bindings: {fault}" for fault in self.injector.other_faults(self.asked))
        if not self.faults and (fault := self.injector.container_fault()):
            self.faults.append(fault)

    def _named(self, types: Iterable[Any], attribute: str) -> dict[str, Any]:
        """Types under their stable names; faults for shared names, and for what cannot be encoded."""
        owners: dict[str, Any] = {}
        for one in types:
            name = stable_name(self.application.name, one, attribute)
            owner = owners.setdefault(name, one)
            if owner is not one:
                self.faults.append(
                    f"{qualified_name(owner)} and {qualified_name(one)} share the stable name {name!r}; "
                    f"set {attribute} in one of them"
                )
            self.faults.extend(type_faults(one))
        return owners

    def _messages(self, sourced: Iterable[type[Aggregate]]) -> Iterable[type[Message]]:
        found: dict[type[Message], None] = {}
        for aggregate in sourced:
            found.update((one, None) for one in events_of(aggregate) if _is_kind(one, Event))
        for handler in self.handlers:
            found[handler.command] = None
            found.update(dict.fromkeys(sorted(handler.emits, key=qualified_name)))
        found.update((reaction.event, None) for reaction in self.reactions)
        projectors = (*self.projectors, *(each for one in self.projections for each in one.projectors))
        found.update((projector.event, None) for projector in projectors)
        found.update((event, None) for notifier in self.notifiers for event in notifier.events)
        return found

    def _aggregates(self) -> Iterable[type[Aggregate]]:
        found: dict[type[Aggregate], None] = {}
        for kept in self.application.kept:
            if isinstance(kept, type) and issubclass(kept, Aggregate):
                found[kept] = None
            else:
                self.faults.append(f"app.keeps({shown(kept)}) names no Aggregate; name a subclass of Aggregate")
        for note in self.application.handlers:
            found.update(dict.fromkeys(loaded_aggregates(note.options)))
        for binding in self.application.bindings:
            target = binding.to if isinstance(binding, Binding) else None
            if isinstance(target, type) and issubclass(target, Repository) and hasattr(target, "aggregate_type"):
                found[target.aggregate_type] = None
        return found


def _without_tables(parameters: Sequence[Parameter], *, has_tables: bool) -> list[Parameter]:
    """What is injected; `Tables` are handed over, to the functions of a projection that has some."""
    if not has_tables and any(parameter.annotation is Tables for parameter in parameters):
        raise Unreadable(
            "asks for Tables, which only a projection that names its tables has; "
            "register it with the projects of an app.projection(..., tables=[...])"
        )
    return [parameter for parameter in parameters if parameter.annotation not in HANDED_OVER]


def _handler_signatures(note: Noted, command: type[Command]) -> tuple[Signature, Any]:
    """Of a handler, and of the constructor if it is a class, else None."""
    called, constructor = note.target, None
    if isinstance(note.target, type):
        constructor = read_constructor(note.target, note.local_names)
        called = call_method(note.target)
    else:
        check_function(called, "a handler is a function, or a class with a __call__")
    signature = read_signature(called, note.local_names, command)
    _refuse_others(signature.returns, Event)
    return signature, constructor


def _is_kind(message: object, base: type[Message]) -> bool:
    return isinstance(message, type) and issubclass(message, base) and message is not base


def _required(note: Noted, base: type[Message], decorator: str) -> Any:  # noqa: ANN401 - a subclass of `base`
    if note.target is note.message:
        raise Unreadable(f"@app.{decorator} was used without a message type; write @app.{decorator}(YourMessage)")
    if not _is_kind(note.message, base):
        raise Unreadable(f"@app.{decorator}({shown(note.message)}) needs a subclass of {base.__name__}; name one")
    return note.message


def _refuse_others(types: Sequence[type[Message]], base: type[Message]) -> None:
    word = base.__name__.lower()
    for found in types:
        if not issubclass(found, base):
            raise Unreadable(
                f"its return annotation names {shown(found)}, which is no {word}; it may return {word}s only"
            )
