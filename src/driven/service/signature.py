"""Signatures: what a handler asks for and what it may return, read once from its annotations.

::

    def measure_file(command: MeasureFile, tree: SourceTree) -> FileMeasured | FileUnreadable
                              |                  |                    `- what it may emit (R3)
                              |                  `- injected by type
                              `- what it handles

A parameter's role follows from its annotation: the message first, then in any order a `UnitOfWork`, a
`Context`, and dependencies. A handler that is a class is read twice: its constructor and its ``__call__``. What is
read here never changes.
"""

from __future__ import annotations

import collections
import collections.abc
import enum
import inspect
import types
import typing
from typing import Any, Final

import msgspec

from driven.domain.later import Later
from driven.domain.messages import Command, Event, Message
from driven.service.context import Context
from driven.service.naming import shown
from driven.service.unit_of_work import UnitOfWork


class Role(enum.Enum):
    """What a parameter asks for."""

    MESSAGE = "message"
    UNIT_OF_WORK = "unit of work"
    CONTEXT = "context"
    DEPENDENCY = "dependency"


class Parameter(msgspec.Struct, frozen=True):
    """One parameter of a handler, and what is to be passed for it."""

    name: str
    role: Role
    annotation: Any


class Signature(msgspec.Struct, frozen=True):
    """The parameters of a callable, and the message types that its return annotation names."""

    parameters: tuple[Parameter, ...] = ()
    returns: tuple[type[Message], ...] = ()
    later: tuple[type[Message], ...] = ()
    """Those that it names inside `Later`."""
    at_once: tuple[type[Message], ...] = ()
    """Those that it names outside."""

    def dependencies(self) -> tuple[Parameter, ...]:
        """The parameters that are injected from bindings."""
        return tuple(parameter for parameter in self.parameters if parameter.role is Role.DEPENDENCY)


class Unreadable(Exception):
    """A note that cannot be used; the text names what and the remedy. It never leaves this package."""


def read_signature(function: Any, local_names: dict[str, Any], message: type[Message]) -> Signature:  # noqa: ANN401
    """Read what handles `message`: it comes first, and what is returned is annotated.

    `local_names` are the variables of the function around `function`, if any, for its annotations.

    Raises:
        Unreadable: with what is wrong and what to do.

    """
    _refuse_coroutine(function)
    hints = _hints(function, local_names)
    taken = list(inspect.signature(function).parameters.values())
    first = _message_parameter(taken[:1], hints, message)
    injected = _injected(taken[1:], hints)
    if "return" not in hints:
        raise Unreadable("has no return annotation; annotate the messages it may return, or None")
    at_once, later = _returned_types(hints["return"])
    return Signature((first, *injected), tuple(dict.fromkeys((*at_once, *later))), later, at_once)


def read_warm_up(function: Any, local_names: dict[str, Any]) -> Signature:  # noqa: ANN401
    """Read what warms up a process: everything that it takes is injected for as long as the process lives.

    Raises:
        Unreadable: with what is wrong and what to do.

    """
    _refuse_coroutine(function)
    hints = _hints(function, local_names)
    injected = tuple(_parameter(parameter, hints) for parameter in inspect.signature(function).parameters.values())
    for parameter in injected:
        if parameter.role is not Role.DEPENDENCY:
            raise Unreadable(
                f"asks for {shown(parameter.annotation)} (parameter {parameter.name!r}), but it runs before there is "
                f"any command; drop it"
            )
    if hints.get("return") is not type(None):
        raise Unreadable(
            "is not annotated with -> None, and nobody would use what it returns; annotate it with -> None"
        )
    return Signature(injected)


def read_constructor(target: type, local_names: dict[str, Any]) -> Signature:
    """Read the constructor of a handler class, without `self`; everything it takes is injected.

    Raises:
        Unreadable: with what is wrong and what to do.

    """
    if inspect.isabstract(target):
        raise Unreadable("is abstract; register a class that can be constructed")
    if any("__new__" in vars(cls) for cls in target.__mro__ if cls is not object):
        raise Unreadable(
            "has a __new__ of its own, which injection cannot read; register a class that has __init__ only"
        )
    init = _own_init(target)
    if init is None:
        return Signature()
    bound: Any = types.MethodType(init, target)
    hints = _hints(bound, local_names)
    return Signature(_injected(inspect.signature(bound).parameters.values(), hints))


def call_method(target: type) -> Any:  # noqa: ANN401 - a bound method, or what will be one
    """The ``__call__`` of a handler class, its own or inherited, without `self`.

    Raises:
        Unreadable: there is none.

    """
    for cls in target.__mro__:
        method = vars(cls).get("__call__")
        if hasattr(method, "__code__"):
            return types.MethodType(method, target)  # type: ignore[arg-type]  # it has code, so it is a function
    raise Unreadable("is a class without a method __call__(self, command, ...); add it, or register a function")


def check_function(target: Any, kind: str) -> None:  # noqa: ANN401 - whatever was decorated
    """Refuse what is no plain function: what it holds or binds would live on from one message to the next.

    Raises:
        Unreadable: with what it is instead.

    """
    if hasattr(target, "__code__") and not inspect.ismethod(target):
        return
    what = "a bound method" if inspect.ismethod(target) else f"an object of type {type(target).__name__}"
    if isinstance(target, type):
        what = "a class"
    raise Unreadable(f"is {what}; {kind}: define it with `def` in a module")


def _own_init(target: type) -> Any:  # noqa: ANN401 - a function or None
    """The constructor that would run, None for none; protocols bring one that does nothing."""
    for cls in target.__mro__:
        init = vars(cls).get("__init__")
        if init is not None and not getattr(cls, "_is_protocol", False):
            return None if init is object.__init__ else init
    return None


def _refuse_coroutine(function: Any) -> None:  # noqa: ANN401
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise Unreadable("is `async def`; write a plain `def`, as no message may be awaited inside a handler (O7)")


def _hints(function: Any, local_names: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    plain = function.__func__ if isinstance(function, types.MethodType) else function
    try:
        return typing.get_type_hints(plain, localns=local_names or None, include_extras=True)
    except NameError as error:
        raise Unreadable(
            f"an annotation names {error.name!r}, which is not there at run time; "
            f"import it outside `if TYPE_CHECKING`, or define it at the top of the module"
        ) from error
    except Exception as error:
        raise Unreadable(
            f"an annotation cannot be evaluated ({type(error).__name__}: {error}); write one that can"
        ) from error


def _injected(parameters: collections.abc.Iterable[inspect.Parameter], hints: dict[str, Any]) -> tuple[Parameter, ...]:
    """What is to be injected; a message is not."""
    injected = tuple(_parameter(parameter, hints) for parameter in parameters)
    for parameter in injected:
        if parameter.role is Role.MESSAGE:
            text = f"parameter {parameter.name!r} asks for a message; the one that is handled comes first"
            raise Unreadable(f"{text}, everything else is injected: drop it")
    return injected


def _parameter(parameter: inspect.Parameter, hints: dict[str, Any]) -> Parameter:
    """What a parameter asks for, if it can be asked for."""
    name = parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
        raise Unreadable(f"parameter {stars}{name} cannot be injected; name each parameter and annotate it")
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise Unreadable(
            f"parameter {name!r} can only be passed by position, and injection passes by name; move it behind the `/`"
        )
    if name not in hints:
        raise Unreadable(f"parameter {name!r} has no annotation; annotate it with what is to be passed")
    if parameter.default is not parameter.empty:
        raise Unreadable(
            f"parameter {name!r} has a default, which injection would never use; drop the default and bind a value"
        )
    return Parameter(name, _role(hints[name]), hints[name])


def _role(annotation: Any) -> Role:  # noqa: ANN401
    plain = _plain(annotation)
    if plain is UnitOfWork:
        return Role.UNIT_OF_WORK
    if plain is Context:
        return Role.CONTEXT
    if isinstance(plain, type) and issubclass(plain, Message):
        return Role.MESSAGE
    return Role.DEPENDENCY


def _message_parameter(
    parameters: collections.abc.Sequence[inspect.Parameter], hints: dict[str, Any], message: type[Message]
) -> Parameter:
    """The first parameter, if it can take every `message` that there may be."""
    kind = "event" if issubclass(message, Event) else "command"
    wanted = f"write `{kind}: {message.__name__}` as its first parameter"
    first = parameters[0] if parameters else None
    if first is None or first.kind not in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD):
        raise Unreadable(f"takes no {kind}; {wanted}")
    if first.name not in hints:
        if first.name == "self":
            raise Unreadable("is a method of a class; register a function, or the class itself with a __call__")
        raise Unreadable(f"parameter {first.name!r} has no annotation; {wanted}")
    accepted = (_plain(one) for one in _alternatives(hints[first.name]))
    if not any(isinstance(one, type) and issubclass(message, one) for one in accepted):
        raise Unreadable(f"parameter {first.name!r} takes {shown(hints[first.name])}, not {message.__name__}; {wanted}")
    return Parameter(first.name, Role.MESSAGE, message)


def _plain(annotation: Any) -> Any:  # noqa: ANN401
    """An annotation without its ``Annotated[...]`` and without the ``type`` statement that names it."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _plain(typing.get_args(annotation)[0])
    if type(annotation).__name__ == "TypeAliasType":
        return _plain(annotation.__value__)
    return annotation


def _alternatives(annotation: Any) -> tuple[Any, ...]:  # noqa: ANN401
    """The members of a union, or the annotation itself."""
    plain = _plain(annotation)
    if typing.get_origin(plain) in (typing.Union, types.UnionType):
        return tuple(found for one in typing.get_args(plain) for found in _alternatives(one))
    return (plain,)


_IN_ORDER: Final = (
    list,
    tuple,
    collections.deque,
    collections.abc.Generator,
    collections.abc.Iterable,
    collections.abc.Iterator,
    collections.abc.Sequence,
)
_WITHOUT_ORDER: Final = (
    set,
    frozenset,
    dict,
    collections.abc.Set,
    collections.abc.MutableSet,
    collections.abc.Mapping,
    collections.abc.MutableMapping,
)


def _returned_types(annotation: Any) -> tuple[tuple[type[Message], ...], tuple[type[Message], ...]]:  # noqa: ANN401
    """The message types that a return annotation names: one, a union, or an ordered collection of those.

    First those that are meant at once, then those inside `Later`.
    """
    named = list(_named_types(annotation))
    later = [_message_type(each) for one in named if _is_later(one) for each in _inside_later(one)]
    at_once = [_message_type(one) for one in named if not _is_later(one)]
    return tuple(dict.fromkeys(at_once)), tuple(dict.fromkeys(later))


def _is_later(annotation: Any) -> bool:  # noqa: ANN401
    return annotation is Later or typing.get_origin(annotation) is Later


def _inside_later(annotation: Any) -> tuple[Any, ...]:  # noqa: ANN401
    if annotation is Later:
        raise Unreadable("its return annotation names Later, which may be any; write Later[TheCommand]")
    return _alternatives(typing.get_args(annotation)[0])


def _named_types(annotation: Any) -> collections.abc.Iterator[Any]:  # noqa: ANN401
    """Each type that a return annotation names, without what is around it."""
    for one in _alternatives(annotation):
        origin, arguments = typing.get_origin(one), typing.get_args(one)
        if origin in _WITHOUT_ORDER or one in _WITHOUT_ORDER:
            raise Unreadable(f"returns {shown(one)}, which has no order of its own; return a list")
        if origin in _IN_ORDER:
            members = arguments[:1] if origin is collections.abc.Generator else arguments
            for member in members:
                yield from (each for each in _alternatives(member) if each is not Ellipsis)
        elif one is not None and one is not type(None):
            yield one


def _message_type(annotation: Any) -> type[Message]:  # noqa: ANN401
    if annotation in (Message, Command, Event):
        raise Unreadable(
            f"its return annotation names {shown(annotation)}, which may be any; name the very types it may return"
        )
    if isinstance(annotation, type) and issubclass(annotation, Message):
        return annotation
    raise Unreadable(
        f"its return annotation names {shown(annotation)}; it may name message types, None, unions and lists of them"
    )
