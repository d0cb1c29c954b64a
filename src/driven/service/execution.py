"""Execution: one command, run. The same function inline and in every worker; nobody else runs handlers.

::

    Submission --decode--> command --inject--> handler --> events, changes, reads --encode--> Outcome
                                                   `-- raises, exits, returns rubbish --> Failed

Whatever the handler's code does, the answer is an `Outcome` (W6). Events are encoded here, so that what
cannot be encoded fails its own command, and fails it the same way everywhere (D9).
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from driven.domain.messages import Command, Event, Message
from driven.errors import ReentrantDispatch, UndeclaredEvent, WrongReturn
from driven.service.context import Context
from driven.service.handlers import Handler, Parameter, Reaction, Role, Signature
from driven.service.intake import Draft, draft
from driven.service.unit_of_work import UnitOfWork
from driven.wire import AggregateState, EncodedMessage, Failed, Failure, Outcome, Submission, Succeeded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from driven.domain.messages import Envelope
    from driven.service.registry import Registry

AskForState = Callable[[str, str], AggregateState]
"""How a handler that needs an aggregate which did not travel with its command gets it."""

_running = threading.local()


def refuse_reentry() -> None:
    """Raise `ReentrantDispatch` when called from inside a handler or reaction (O7)."""
    name = getattr(_running, "name", None)
    if name is not None:
        raise ReentrantDispatch(name)


@contextmanager
def _running_as(name: str) -> Iterator[None]:
    outer = getattr(_running, "name", None)
    _running.name = name
    try:
        yield
    finally:
        _running.name = outer


class Execution:
    """Runs the handlers and reactions of one registry, in one process; as long-lived as that process."""

    def __init__(self, registry: Registry, log_id: str) -> None:
        """`log_id` names the log that the commands belong to."""
        self._registry: Final = registry
        self._catalog: Final = registry.catalog
        self._log_id: Final = log_id
        self._runs: Final = {
            type_id: _plan(handler, registry) for type_id, handler in registry.handlers.items()
        }

    def execute(self, submission: Submission, ask: AskForState) -> Outcome:
        """Run one attempt of one command; never raises for what the handler does."""
        handler = self._registry.handlers[submission.type_id]
        uow = None
        try:
            command = self._catalog.decode(submission.type_id, submission.body)
            if handler.is_stateful:
                uow = UnitOfWork(_known_first(submission.states, ask), self._registry.aggregate_name)
            context = Context(submission.envelope, submission.attempt, self._log_id)
            with _running_as(handler.name):
                result = self._runs[submission.type_id](command, uow, context)
                returned = list(_returned(handler.name, result, handler.signature, Event))
            recorded = uow.collect_events() if uow else []
            events = tuple(self._encode(handler, event) for event in (*recorded, *returned))
            return Succeeded(events, uow.changes() if uow else (), uow.reads() if uow else ())
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - SystemExit and the like fail one command as well (W6)
            return Failed(failure_of(error), uow.reads() if uow else ())

    def react(self, reaction: Reaction, event: Any, envelope: Envelope, attempt: int) -> list[Draft] | Failure:  # noqa: ANN401
        """Run one reaction: the commands it puts on the bus, or what went wrong."""
        try:
            arguments = {
                parameter.name: Context(envelope, attempt, self._log_id)
                for parameter in reaction.signature.parameters
                if parameter.role is Role.CONTEXT
            }
            with _running_as(reaction.name):
                result = reaction.target(event, **arguments)
                commands = list(_returned(reaction.name, result, reaction.signature, Command))
            return [draft(self._registry, command) for command in commands]
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a reaction may not harm its siblings (F2)
            return failure_of(error)

    def _encode(self, handler: Handler, event: Event) -> EncodedMessage:
        if type(event) not in handler.emits:
            raise UndeclaredEvent(handler.name, type(event).__name__)
        return self._catalog.encode(event)


def _known_first(states: Sequence[AggregateState], ask: AskForState) -> AskForState:
    """Look among the states that came along, before asking."""
    if not states:
        return ask
    known = {(state.name, state.id): state for state in states}

    def load(name: str, aggregate_id: str) -> AggregateState:
        state = known.get((name, aggregate_id))
        return ask(name, aggregate_id) if state is None else state

    return load


Run = Callable[[Any, UnitOfWork | None, Context], Any]


def _plan(handler: Handler, registry: Registry) -> Run:
    """How to call a handler: decided once, so that a call does only what its signature asks for."""
    parameters = handler.signature.parameters[1:]
    constructor = handler.constructor
    needs_scope = any(
        parameter.role is Role.DEPENDENCY
        for parameter in (*parameters, *(constructor.parameters if constructor else ()))
    )
    if not needs_scope and constructor is None:
        return _plain_call(handler.target, parameters)

    def run(command: Any, uow: UnitOfWork | None, context: Context) -> Any:  # noqa: ANN401
        with registry.injector.command_scope(uow, context) as scope:
            given = {Role.UNIT_OF_WORK: uow, Role.CONTEXT: context}

            def arguments(wanted: Iterable[Parameter]) -> dict[str, Any]:
                return {
                    parameter.name: scope.get(parameter.annotation)
                    if parameter.role is Role.DEPENDENCY
                    else given[parameter.role]
                    for parameter in wanted
                }

            target = handler.target if constructor is None else handler.target(**arguments(constructor.parameters))
            return _exhausted(target(command, **arguments(parameters)))

    return run


def _plain_call(target: Callable[..., Any], parameters: Sequence[Parameter]) -> Run:
    """A call that needs nothing injected; the common cases without building keyword arguments."""
    roles = tuple(parameter.role for parameter in parameters)
    if not roles:
        return lambda command, _uow, _context: _exhausted(target(command))
    if roles == (Role.UNIT_OF_WORK,):
        return lambda command, uow, _context: _exhausted(target(command, uow))

    def run(command: Any, uow: UnitOfWork | None, context: Context) -> Any:  # noqa: ANN401
        given = {Role.UNIT_OF_WORK: uow, Role.CONTEXT: context}
        return _exhausted(target(command, *(given[role] for role in roles)))

    return run


def _exhausted(result: Any) -> Any:  # noqa: ANN401
    """A generator's work happens while it is read: read it inside its scope."""
    return list(result) if hasattr(result, "__next__") else result


def _returned(name: str, result: Any, signature: Signature, base: type[Message]) -> Iterable[Any]:  # noqa: ANN401
    """What a handler or reaction returned, as messages; `WrongReturn` for anything undeclared (R2)."""
    if result is None:
        return ()
    messages = (result,) if isinstance(result, Message) else result
    allowed = ", ".join(sorted(found.__name__ for found in signature.returns)) or "None"
    if isinstance(messages, str | bytes | dict | set | frozenset) or not isinstance(messages, Iterable):
        raise WrongReturn(name, f"a {type(result).__name__}", f"{allowed}, or a list of these")
    messages = list(messages)
    for message in messages:
        if not isinstance(message, base) or type(message) not in signature.returns:
            raise WrongReturn(name, f"a {type(message).__name__}", allowed)
    return messages


def failure_of(error: BaseException) -> Failure:
    """An exception as values; survives exceptions whose own methods raise (D9)."""
    kind = type(error)
    error_type = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = str(error)
    except BaseException as broken:  # noqa: BLE001 - its __str__ is the user's code
        message = f"<its text cannot be had: {type(broken).__name__}>"
    try:
        lines = traceback.format_exception(kind, error, _past_our_frames(error))
    except BaseException:  # noqa: BLE001 - as above
        lines = ["<its traceback cannot be had>\n"]
    return Failure(error_type, _encodable(message), _encodable("".join(lines)))


def _past_our_frames(error: BaseException) -> Any:  # noqa: ANN401 - a traceback or None
    """The traceback without the frames of this module at its top, unless nothing else is left."""
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename == __file__:
        frame = frame.tb_next
    return frame or error.__traceback__


def _encodable(text: str) -> str:
    """Lone surrogates cannot be encoded; show them escaped."""
    return text.encode("utf-8", "backslashreplace").decode()
