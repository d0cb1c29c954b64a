"""What the framework knows about each handler, reaction and projector: read once, from its signature.

::

    def measure_file(command: MeasureFile, tree: SourceTree) -> FileMeasured | FileUnreadable
                              |                  |                    `- what it may emit (R3)
                              |                  `- injected by type
                              `- what it handles

A parameter's role follows from its annotation: the message first, then in any order a `UnitOfWork`, a
`Context`, and dependencies. A handler that is a class is constructed by injection, once per attempt,
and its ``__call__`` is read in the same way. The records made here never change.
"""

from __future__ import annotations

import collections.abc
import enum
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, Final

import msgspec

from driven.domain.aggregate import Aggregate
from driven.domain.messages import Command, Event, Message
from driven.placement import Placement
from driven.service.context import Context
from driven.service.unit_of_work import UnitOfWork


class OnExhausted(enum.Enum):
    """What happens to an internal command that failed as often as it may (F2)."""

    PARK = "park"
    """Set it aside, and every later message of its key behind it, in order."""
    SKIP = "skip"
    """Record the failure and go on."""
    HALT = "halt"
    """Stop the bus."""


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

    parameters: tuple[Parameter, ...]
    returns: tuple[type[Message], ...]

    def asks_for(self, role: Role) -> bool:
        """Whether any parameter has this role."""
        return any(parameter.role is role for parameter in self.parameters)


class HandlerOptions(msgspec.Struct, frozen=True):
    """What ``@app.handles(...)`` was given, as it was given."""

    key: str | None = None
    placement: Placement = Placement.INLINE
    loads: dict[type[Aggregate], str] = {}
    emits: tuple[type[Event], ...] = ()
    timeout_s: float | None = None
    max_attempts: int | None = None
    retries: int | None = None
    on_exhausted: OnExhausted = OnExhausted.PARK
    group: str = "default"
    sticky: bool = False


class Handler(msgspec.Struct, frozen=True):
    """A command handler: a function, or a class to construct."""

    name: str
    target: Any
    command: type[Command]
    signature: Signature
    constructor: Signature | None
    emits: frozenset[type[Event]]
    options: HandlerOptions
    is_stateful: bool
    """Whether a unit of work reaches it, directly or through what is injected: the root of its hazards (O4)."""


class Reaction(msgspec.Struct, frozen=True):
    """From one event to commands, and nothing else (R2)."""

    name: str
    target: Callable[..., Any]
    event: type[Event]
    signature: Signature


class Projector(msgspec.Struct, frozen=True):
    """From one event to a read model, in the main process."""

    name: str
    target: Callable[..., Any]
    event: type[Event]
    signature: Signature


class Unreadable(Exception):  # noqa: N818 - a fault found while reading, listed with others; never leaves this package
    """A signature that cannot be used; the text names what and the remedy."""


def qualified_name(target: Any) -> str:  # noqa: ANN401 - anything that has a name
    """``module.qualname`` of a function or class."""
    return f"{target.__module__}.{target.__qualname__}"


def read_signature(function: Any, *, local_names: dict[str, Any], message: type[Message] | None) -> Signature:  # noqa: ANN401
    """Read a function's parameters and return annotation.

    `message` is the base (or type) that the first parameter must have, None where there is no message, as in
    a constructor. `local_names` are the variables of the function around it, if any.

    Raises:
        Unreadable: with what is wrong and what to do.

    """
    hints = _hints(function, local_names)
    parameters = []
    signature = inspect.signature(function)
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            text = f"parameter {parameter} cannot be injected; name each parameter and annotate it"
            raise Unreadable(text)
        if name not in hints:
            text = f"parameter {name!r} has no annotation; annotate it with what is to be passed"
            raise Unreadable(text)
        parameters.append(Parameter(name, _role(hints[name]), hints[name]))
    if message is not None:
        _check_message_first(parameters, message)
        if signature.return_annotation is inspect.Signature.empty:
            text = "has no return annotation; annotate the messages it may return, or None"
            raise Unreadable(text)
    return Signature(tuple(parameters), _message_types(hints.get("return")))


def constructor_signature(target: type, local_names: dict[str, Any]) -> Signature:
    """The parameters of a handler class's constructor, without `self`."""
    if target.__init__ is object.__init__:  # type: ignore[misc]  # reading the slot, not calling it
        return Signature((), ())
    bound = types.MethodType(target.__init__, target)  # type: ignore[misc]
    return read_signature(bound, local_names=local_names, message=None)


def _hints(function: Any, local_names: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    plain = function.__func__ if isinstance(function, types.MethodType) else function
    try:
        return typing.get_type_hints(plain, localns=local_names or None)
    except NameError as error:
        text = (
            f"an annotation names {error.name!r}, which is not there at run time; "
            f"import it outside `if TYPE_CHECKING`, or define it at the top of the module"
        )
        raise Unreadable(text) from error
    except TypeError as error:
        text = f"an annotation cannot be evaluated: {error}"
        raise Unreadable(text) from error


def _role(annotation: Any) -> Role:  # noqa: ANN401
    if annotation is UnitOfWork:
        return Role.UNIT_OF_WORK
    if annotation is Context:
        return Role.CONTEXT
    if isinstance(annotation, type) and issubclass(annotation, Message):
        return Role.MESSAGE
    return Role.DEPENDENCY


def _check_message_first(parameters: list[Parameter], message: type[Message]) -> None:
    kind = "command" if issubclass(message, Command) else "event"
    if not parameters or parameters[0].role is not Role.MESSAGE or not issubclass(parameters[0].annotation, message):
        text = f"its first parameter must be annotated with {_described(message)}; write `{kind}: {_example(message)}`"
        raise Unreadable(text)
    extra = [parameter.name for parameter in parameters[1:] if parameter.role is Role.MESSAGE]
    if extra:
        text = f"parameter {extra[0]!r} is a second message; it handles exactly one {kind}"
        raise Unreadable(text)


def _described(message: type[Message]) -> str:
    return {Command: "a command type", Event: "an event type"}.get(message, message.__name__)


def _example(message: type[Message]) -> str:
    return {Command: "MeasureFile", Event: "FileMeasured"}.get(message, message.__name__)


_CONTAINERS: Final = (list, tuple, collections.abc.Iterable, collections.abc.Iterator, collections.abc.Sequence, collections.abc.Generator)


def _message_types(annotation: Any) -> tuple[type[Message], ...]:  # noqa: ANN401
    """The message types that a return annotation names: one, a union, or an ordered collection of those."""
    if annotation is None or annotation is type(None) or annotation is Ellipsis:
        return ()
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType) or origin in _CONTAINERS:
        members = arguments[:1] if origin is collections.abc.Generator else arguments
        return tuple(dict.fromkeys(found for member in members for found in _message_types(member)))
    if isinstance(annotation, type) and issubclass(annotation, Message):
        return (annotation,)
    if origin in (set, frozenset, dict) or annotation in (set, frozenset, dict):
        text = f"returns {annotation}, which has no order of its own; return a list"
        raise Unreadable(text)
    shown = getattr(annotation, "__name__", None) or str(annotation)
    text = f"its return annotation names {shown}; it may name message types, None, unions and lists of them"
    raise Unreadable(text)
