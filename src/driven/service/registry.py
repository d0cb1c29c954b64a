"""The registry: an application, checked. Made once when a bus or a worker opens; never changes.

`build_registry` reads every note of the application, collects every fault, and raises them together (R1). What
passes has exactly one handler per command, unique stable names, messages that survive encoding, keys and
ids that name fields, and dependencies that resolve.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import types
from typing import TYPE_CHECKING, Any, Final, get_type_hints

import msgspec

from driven.domain.aggregate import Aggregate
from driven.domain.messages import Command, Event, Message
from driven.errors import RegistrationError
from driven.placement import Placement
from driven.service.application import Application, Noted
from driven.service.handlers import (
    Handler,
    Projector,
    Reaction,
    Role,
    Signature,
    Unreadable,
    constructor_signature,
    qualified_name,
    read_signature,
)
from driven.service.injection import Injector
from driven.wire import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class Registry:
    """Everything that is known about an application before it runs."""

    def __init__(  # noqa: PLR0913 - one argument per organ
        self,
        application: Application,
        catalog: Catalog,
        injector: Injector,
        handlers: Sequence[Handler],
        reactions: Sequence[Reaction],
        projectors: Sequence[Projector],
    ) -> None:
        """Made by `build_registry` only."""
        self.application: Final = application
        self.catalog: Final = catalog
        self.injector: Final = injector
        self.handlers: Final = {self._type_id(handler.command): handler for handler in handlers}
        self.projectors: Final = tuple(projectors)
        self.reactions: Final[dict[int, tuple[Reaction, ...]]] = {}
        for reaction in reactions:
            type_id = self._type_id(reaction.event)
            self.reactions[type_id] = (*self.reactions.get(type_id, ()), reaction)

    def aggregate_name(self, aggregate_type: type[Aggregate]) -> str:
        """The stable name of an aggregate type."""
        return stable_name(self.application.name, aggregate_type, "aggregate_name")

    def name_of(self, type_id: int) -> str:
        """The stable name of a message type."""
        return self.catalog.entries[type_id].name

    def _type_id(self, message: type[Message]) -> int:
        entry = self.catalog.entry_of(message)
        assert entry is not None  # noqa: S101 - the catalog was made from these very types
        return entry.type_id


def stable_name(application: str, subject: type, attribute: str) -> str:
    """The explicit name of a message or aggregate type, else ``<application>.<ClassName>``."""
    return vars(subject).get(attribute) or f"{application}.{subject.__name__}"


def build_registry(application: Application) -> Registry:
    """Check everything about an application at once.

    Raises:
        RegistrationError: with every fault that was found.

    """
    return _Examination(application).registry()


def resolve_application(reference: str) -> Application:
    """Import ``"package.module:attribute"``; the attribute is an application or a function that returns one.

    Raises:
        RegistrationError: it cannot be imported, is not there, or is something else.

    """
    module_name, _, attribute = reference.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
        found = found if isinstance(found, Application) or not callable(found) else found()
    except Exception as error:
        fault = (
            f"{reference!r} cannot be imported ({type(error).__name__}: {error}); "
            f'give it as "package.module:attribute", of a module on the import path'
        )
        raise RegistrationError(reference, [fault]) from error
    if not isinstance(found, Application):
        fault = f"{reference!r} is a {type(found).__name__}; name a driven.Application, or a function that returns one"
        raise RegistrationError(reference, [fault])
    return found


def application_reference(application: Application) -> str | None:
    """``module:attribute`` under which a worker can import the application, or None when there is none."""
    module = sys.modules.get(application.module)
    if module is None or application.module == "__main__":
        return None
    names = (name for name, value in vars(module).items() if value is application)
    return next((f"{application.module}:{name}" for name in names), None)


class _Examination:
    """One pass over an application that collects faults; lives for the length of `build_registry`."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.faults: list[str] = []
        self.injector = self._injector()
        self.handlers = list(self._read(application.handlers, self._handler))
        self.reactions = list(self._read(application.reactions, self._reaction))
        self.projectors = list(self._read(application.projectors, self._projector))

    def registry(self) -> Registry:
        self._check_one_handler_each()
        self._check_reactions_are_handled()
        named = self._named_types()
        if not self.handlers and not self.faults:
            self.faults.append("it handles no command; register a handler with @app.handles(...)")
        if not self.faults and (fault := self.injector.graph_fault()):
            self.faults.append(f"the bindings do not fit together: {fault}")
        if self.faults:
            raise RegistrationError(self.application.name, self.faults)
        return Registry(
            self.application, Catalog(named), self.injector, self.handlers, self.reactions, self.projectors
        )

    def _injector(self) -> Injector:
        try:
            return Injector(self.application.bindings)
        except ValueError as error:
            self.faults.append(str(error))
            return Injector(())

    def _read(self, notes: Iterable[Noted], reader: Callable[[Noted], Any]) -> Iterable[Any]:
        for note in notes:
            try:
                yield reader(note)
            except Unreadable as fault:
                self.faults.append(f"{_name(note.target)}: {fault}")

    def _handler(self, note: Noted) -> Handler:
        command = _required(note.message, Command, "@app.handles")
        constructor = None
        called = note.target
        if isinstance(note.target, type):
            constructor = constructor_signature(note.target, note.local_names)
            called = _call_method(note.target)
        _refuse_coroutine(called)
        signature = read_signature(called, local_names=note.local_names, message=command)
        returned = _all_of(signature.returns, Event, "event")
        name = qualified_name(note.target)
        self._check_dependencies(name, signature)
        if constructor is not None:
            self._check_dependencies(name, constructor)
        is_stateful = any(self._is_stateful(part) for part in (signature, constructor) if part)
        handler = Handler(
            name=name,
            target=note.target,
            command=command,
            signature=signature,
            constructor=constructor,
            emits=frozenset((*returned, *note.options.emits)),
            options=note.options,
            is_stateful=is_stateful,
        )
        self.faults.extend(f"{name}: {fault}" for fault in _option_faults(handler))
        return handler

    def _reaction(self, note: Noted) -> Reaction:
        event = _required(note.message, Event, "@app.reacts_to")
        _refuse_coroutine(note.target)
        signature = read_signature(note.target, local_names=note.local_names, message=event)
        for parameter in signature.parameters[1:]:
            if parameter.role is not Role.CONTEXT:
                shown = getattr(parameter.annotation, "__name__", parameter.annotation)
                text = (
                    f"asks for {shown} (parameter {parameter.name!r}); a reaction takes the event and a Context, "
                    f"and only returns commands: do this work in the handler of a command"
                )
                raise Unreadable(text)
        _all_of(signature.returns, Command, "command")
        if not signature.returns:
            text = "its return annotation names no command; name the commands it puts on the bus, or use @app.projects"
            raise Unreadable(text)
        return Reaction(qualified_name(note.target), note.target, event, signature)

    def _projector(self, note: Noted) -> Projector:
        event = _required(note.message, Event, "@app.projects")
        _refuse_coroutine(note.target)
        signature = read_signature(note.target, local_names=note.local_names, message=event)
        name = qualified_name(note.target)
        if self._is_stateful(signature) or signature.asks_for(Role.CONTEXT):
            text = "a projector takes the event and read models; it has no unit of work and no Context"
            raise Unreadable(text)
        if signature.returns:
            text = "a projector returns None; messages come from handlers and reactions only"
            raise Unreadable(text)
        self._check_dependencies(name, signature)
        return Projector(name, note.target, event, signature)

    def _is_stateful(self, signature: Signature) -> bool:
        return signature.asks_for(Role.UNIT_OF_WORK) or any(
            self.injector.reaches_unit_of_work(parameter.annotation)
            for parameter in signature.parameters
            if parameter.role is Role.DEPENDENCY
        )

    def _check_dependencies(self, name: str, signature: Signature) -> None:
        for parameter in signature.parameters:
            if parameter.role is Role.DEPENDENCY and (path := self.injector.missing(parameter.annotation)):
                missing = path.rpartition(" -> ")[2]
                way = f" (needed as {path})" if "->" in path else ""
                self.faults.append(
                    f"{name}: nothing is bound for {missing}, parameter {parameter.name!r}{way}; "
                    f"add app.binds({missing}, to=...)"
                )

    def _check_one_handler_each(self) -> None:
        first: dict[type[Command], Handler] = {}
        for handler in self.handlers:
            other = first.setdefault(handler.command, handler)
            if other is not handler:
                self.faults.append(
                    f"{handler.command.__name__} has two handlers, {other.name} and {handler.name}; "
                    f"keep one, or give the second its own command"
                )

    def _check_reactions_are_handled(self) -> None:
        handled = {handler.command for handler in self.handlers}
        for reaction in self.reactions:
            for command in reaction.signature.returns:
                if command not in handled:
                    self.faults.append(
                        f"{reaction.name} issues {command.__name__}, which has no handler; "
                        f"register one with @app.handles({command.__name__})"
                    )

    def _named_types(self) -> list[tuple[str, type[Message]]]:
        """All message types under their stable names; faults for shared names and unencodable fields."""
        owners: dict[str, type[Message]] = {}
        for message in self._types():
            name = stable_name(self.application.name, message, "message_name")
            owner = owners.setdefault(name, message)
            if owner is not message:
                self.faults.append(
                    f"{_name(owner)} and {_name(message)} share the stable name {name!r}; "
                    f"set message_name in one of them"
                )
            self.faults.extend(_encoding_faults(message))
        return list(owners.items())

    def _types(self) -> Iterable[type[Message]]:
        found: dict[type[Message], None] = {}
        for handler in self.handlers:
            found[handler.command] = None
            found.update(dict.fromkeys(sorted(handler.emits, key=lambda event: event.__qualname__)))
        for reaction in self.reactions:
            found[reaction.event] = None
        for projector in self.projectors:
            found[projector.event] = None
        return found


def _name(target: Any) -> str:  # noqa: ANN401
    return qualified_name(target) if hasattr(target, "__qualname__") else repr(target)


def _required(message: Any, base: type[Message], decorator: str) -> Any:  # noqa: ANN401
    if isinstance(message, type) and issubclass(message, base) and message is not base:
        return message
    text = f"{decorator}({getattr(message, '__name__', message)!s}) needs a subclass of {base.__name__}"
    raise Unreadable(text)


def _call_method(target: type) -> Any:  # noqa: ANN401
    method = vars(target).get("__call__") or getattr(target, "__call__", None)  # noqa: B004 - the class's own, not type's
    if method is None or not hasattr(method, "__code__"):
        text = "a handler class needs a method __call__(self, command, ...); add it, or register a function"
        raise Unreadable(text)
    return types.MethodType(method, target)


def _refuse_coroutine(target: Any) -> None:  # noqa: ANN401
    if inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target):
        text = "is `async def`; handlers are plain functions, as no message may be awaited inside one (O7)"
        raise Unreadable(text)


def _all_of(types: Sequence[type[Message]], base: type[Message], word: str) -> Sequence[type[Message]]:
    for found in types:
        if not issubclass(found, base):
            text = f"its return annotation names {found.__name__}, which is no {word}; it may return {word}s only"
            raise Unreadable(text)
    return types


def _option_faults(handler: Handler) -> Iterable[str]:
    """What is wrong with the options of a handler, each with its remedy."""
    options, command = handler.options, handler.command
    fields = {field.name: field.type for field in msgspec.structs.fields(command)}
    known = ", ".join(fields) or "none"
    if options.key is not None and options.key not in fields:
        yield f"key={options.key!r} is not a field of {command.__name__} (it has: {known}); name one of them"
    elif options.key is not None and fields[options.key] not in (str, int):
        yield f"key={options.key!r} is a {fields[options.key]}; a key is a str or an int field"
    if options.key is not None and not handler.is_stateful and not options.sticky:
        yield "has a key, but no unit of work to order by it; take a UnitOfWork, drop key=, or say sticky=True"
    if options.sticky and options.key is None:
        yield "is sticky without a key; say key=, whose values stay with their worker"
    for aggregate, field in options.loads.items():
        if not (isinstance(aggregate, type) and issubclass(aggregate, Aggregate)):
            yield f"loads= names {aggregate!r}, which is no Aggregate"
        elif fields.get(field) is not str:
            yield f"loads={{{aggregate.__name__}: {field!r}}} must name a str field of {command.__name__} (it has: {known})"
    if options.loads and not handler.is_stateful:
        yield "loads aggregates, but has no unit of work to get them from; take a UnitOfWork, or drop loads="
    for event in options.emits:
        if not (isinstance(event, type) and issubclass(event, Event)):
            yield f"emits= names {event!r}, which is no Event"
    if options.timeout_s is not None and (options.timeout_s <= 0 or options.placement is Placement.INLINE):
        yield f"timeout_s={options.timeout_s} needs a positive number and placement=Placement.WORKER; only workers can be killed"
    if options.max_attempts is not None and options.max_attempts < 1:
        yield f"max_attempts={options.max_attempts} must be at least 1"
    if options.retries is not None and options.retries < 0:
        yield f"retries={options.retries} must not be negative"


def _encoding_faults(message: type[Message]) -> Iterable[str]:
    """Fields that msgspec cannot carry over the wire and back."""
    name = _name(message)
    try:
        hints = get_type_hints(message)
    except (NameError, TypeError) as error:
        yield f"{name}: the type of a field cannot be evaluated ({error}); define or import it at the top of the module"
        return
    for field in message.__struct_fields__:
        try:
            msgspec.msgpack.Decoder(hints.get(field, Any))
        except (TypeError, ValueError) as error:
            yield f"{name}.{field} cannot be encoded and decoded: {error}; use a type that msgspec supports"
            continue
        if _is_opaque(hints.get(field, Any)):
            yield f"{name}.{field} is a {hints[field].__name__}, which cannot cross a process; use a type that msgspec supports"
    if not message.__struct_config__.frozen:
        yield f"{name} is not frozen; a message is a value: drop frozen=False"


def _is_opaque(annotation: Any) -> bool:  # noqa: ANN401
    """Whether msgspec would only check ``isinstance`` and cannot encode the value."""
    if not isinstance(annotation, type):
        return False
    try:
        return isinstance(msgspec.inspect.type_info(annotation), msgspec.inspect.CustomType)
    except (TypeError, ValueError):
        return True
