"""Execution: one command, run. The same function inline and in every worker; nobody else runs handlers.

::

    Submission --decode--> command --inject--> handler --> events, changes, reads --encode--> Outcome
                                                   `-- raises, exits, returns rubbish --> Failed

Whatever the handler's code does, the answer is an `Outcome` (W6). Events are encoded here, so that what
cannot be encoded fails its own command, and fails it the same way everywhere (D9).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Final

import msgspec

from driven.domain.later import Later
from driven.domain.messages import Command, Event, Message
from driven.errors import MalformedMessage, ReentrantDispatch, UndeclaredEvent, WrongReturn
from driven.service.context import Context
from driven.service.failures import failure_of
from driven.service.injection import requested
from driven.service.intake import Draft, draft
from driven.service.signature import Parameter, Role, Signature
from driven.service.unit_of_work import UnitOfWork
from driven.wire import AggregateState, EncodedMessage, Failed, Failure, Outcome, Submission, Succeeded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driven.domain.messages import Envelope
    from driven.service.context import TellProgress
    from driven.service.handlers import Handler, Reaction
    from driven.service.registry import Registry

AskForState = Callable[[str, str], AggregateState]
"""How a handler that needs an aggregate which did not travel with its command gets it."""


class _Running(threading.local):
    """What runs on this thread. A default on the class: a name that is missing costs ten times as much to look up."""

    name: str | None = None


_running: Final = _Running()


def refuse_reentry() -> None:
    """Raise `ReentrantDispatch` when called from inside a handler or reaction (O7)."""
    name = _running.name
    if name is not None:
        raise ReentrantDispatch(name)


def running_handler() -> str | None:
    """The name of the handler or reaction that runs on this thread; None when none does."""
    return _running.name


class Execution:
    """Runs the handlers and reactions of one registry, in one process; as long-lived as that process."""

    def __init__(self, registry: Registry, log_id: str, tell: TellProgress | None = None) -> None:
        """`log_id` names the log that the commands belong to; `tell` hears how far they are."""
        self._registry: Final = registry
        self._catalog: Final = registry.catalog
        self._log_id: Final = log_id
        self._tell: Final = tell
        self._runs: Final = {
            type_id: _plan(handler, registry, self._context_of) for type_id, handler in registry.handlers.items()
        }

    def execute(self, submission: Submission, ask: AskForState) -> Outcome:
        """Run one attempt of one command; never raises for what the handler does."""
        uow = None
        try:
            command = self._catalog.decode(submission.type_id, submission.body)
            handler = self._registry.handlers.get(submission.type_id)
            if handler is None:
                raise MalformedMessage(f"command {type(command).__name__}", "it has no handler")  # noqa: TRY301
            if handler.is_stateful:
                uow = UnitOfWork(_known_first(submission.states, ask), self._registry.aggregate_name, self._catalog)
            return self._succeeded(handler, command, uow, submission)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - SystemExit and the like fail one command as well (W6)
            return Failed(failure_of(error), uow.reads() if uow else ())
        finally:
            if uow is not None:
                uow.release()

    def react(self, reaction: Reaction, event: Any, envelope: Envelope, attempt: int) -> list[Draft] | Failure:  # noqa: ANN401
        """Run one reaction: the commands it puts on the bus, or what went wrong."""
        try:
            context = Context(envelope, attempt, self._log_id, reaction.name)
            wanted = (parameter.name for parameter in reaction.signature.parameters if parameter.role is Role.CONTEXT)
            _running.name = reaction.name
            try:
                result = reaction.target(event, **dict.fromkeys(wanted, context))
                commands = _returned(reaction.name, result, reaction.signature, Command)
            finally:
                _running.name = None
            if reaction.signature.later:
                return [self._draft(reaction, command, envelope) for command in commands]
            return [draft(self._registry, command) for command in commands]
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a reaction may not harm its siblings (F2)
            return failure_of(error)

    def _draft(self, reaction: Reaction, command: Command | Later[Any], envelope: Envelope) -> Draft:
        """A command of a reaction some of whose commands are due later."""
        if not isinstance(command, Later):
            if type(command) not in reaction.signature.at_once:
                raise WrongReturn(reaction.name, f"a {type(command).__name__}", _allowed(reaction.signature))
            return draft(self._registry, command)
        due_at_ns = command.due_at_ns(envelope.recorded_at_ns)
        return msgspec.structs.replace(draft(self._registry, command.command), due_at_ns=due_at_ns)

    def _succeeded(
        self,
        handler: Handler,
        command: Command,
        uow: UnitOfWork | None,
        submission: Submission,
    ) -> Succeeded:
        """Run the handler; what it leaves behind is encoded here, so that it fails here if it cannot be (D9)."""
        _running.name = handler.name
        try:
            result = self._runs[submission.type_id](command, uow, submission)
            returned = () if result is None else _returned(handler.name, result, handler.signature, Event)
        finally:
            _running.name = None
        if uow is None:
            return Succeeded(tuple([self._encoded(handler, event) for event in returned])) if returned else _NOTHING
        events = tuple(self._encoded(handler, event) for event in (*uow.collect_events(), *returned))
        return Succeeded(events, uow.changes(events), uow.reads())

    def _context_of(self, submission: Submission) -> Context:
        return Context(submission.envelope, submission.attempt, self._log_id, "", self._tell)

    def _encoded(self, handler: Handler, event: Event) -> EncodedMessage:
        if type(event) not in handler.emits:
            if not isinstance(event, Event):
                raise WrongReturn(
                    f"an aggregate of {handler.name}", f"a {type(event).__name__}", "events, with record()"
                )
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


_NOTHING: Final = Succeeded()
"""Of a command that changed nothing and said nothing."""

Run = Callable[[Any, UnitOfWork | None, Submission], Any]
ContextOf = Callable[[Submission], Context]


def _plan(handler: Handler, registry: Registry, context_of: ContextOf) -> Run:
    """How to call a handler: decided once, so that a call does only what its signature asks for."""
    parameters = handler.signature.parameters[1:]
    constructor = handler.constructor
    if constructor is None and not handler.signature.dependencies():
        return _plain_call(handler.target, parameters, context_of)
    arguments = _arguments(parameters)
    construction = None if constructor is None else _arguments(constructor.parameters)

    def run(command: Any, uow: UnitOfWork | None, submission: Submission) -> Any:  # noqa: ANN401
        context = context_of(submission)
        with registry.injector.command_scope(uow, context) as scope:
            given = {Role.UNIT_OF_WORK: uow, Role.CONTEXT: context}
            target = handler.target if construction is None else handler.target(**construction(given, scope))
            return _exhausted(target(command, **arguments(given, scope)))

    return run


def _plain_call(target: Callable[..., Any], parameters: Sequence[Parameter], context_of: ContextOf) -> Run:
    """A call that needs nothing injected; the common cases without a look at roles. A generator is read later."""
    roles = {parameter.name: parameter.role for parameter in parameters}
    if not roles:
        return lambda command, _uow, _submission: target(command)
    if list(roles.values()) == [Role.UNIT_OF_WORK]:
        (name,) = roles
        return lambda command, uow, _submission: target(command, **{name: uow})

    def run(command: Any, uow: UnitOfWork | None, submission: Submission) -> Any:  # noqa: ANN401
        given = {Role.UNIT_OF_WORK: uow, Role.CONTEXT: context_of(submission)}
        return target(command, **{name: given[role] for name, role in roles.items()})

    return run


def _arguments(parameters: Sequence[Parameter]) -> Callable[[Mapping[Role, Any], Any], dict[str, Any]]:
    """How to come by the arguments for `parameters`, from what is given and from a container."""
    given_names = {one.name: one.role for one in parameters if one.role is not Role.DEPENDENCY}
    injected = {one.name: requested(one.annotation) for one in parameters if one.role is Role.DEPENDENCY}

    def arguments(given: Mapping[Role, Any], scope: Any) -> dict[str, Any]:  # noqa: ANN401 - a container
        found = {name: given[role] for name, role in given_names.items()}
        for name, (hint, component) in injected.items():
            found[name] = scope.get(hint, component)
        return found

    return arguments


def _exhausted(result: Any) -> Any:  # noqa: ANN401
    """A generator's work happens while it is read: read it inside its scope."""
    return list(result) if hasattr(result, "__next__") else result


def _returned(name: str, result: Any, signature: Signature, base: type[Message]) -> Sequence[Any]:  # noqa: ANN401
    """What a handler or reaction returned, as messages; `WrongReturn` for anything undeclared (R2)."""
    if result is None:
        return ()
    messages = (result,) if isinstance(result, Message) else _in_order(name, result, signature)
    for message in messages:
        if (not isinstance(message, base) or type(message) not in signature.returns) and not (
            isinstance(message, Later) and type(message.command) in signature.later
        ):
            raise WrongReturn(name, f"a {type(message).__name__}", _allowed(signature))
    return messages


def _in_order(name: str, result: Any, signature: Signature) -> Sequence[Any]:  # noqa: ANN401
    """The members of a collection that has an order of its own (O3)."""
    if isinstance(result, list | tuple):
        return result
    if isinstance(result, Later):
        return (result,)
    if isinstance(result, str | bytes | Mapping | AbstractSet) or not isinstance(result, Iterable):
        if hasattr(result, "close"):
            result.close()  # a coroutine that nobody awaits would warn
        raise WrongReturn(name, f"a {type(result).__name__}", f"{_allowed(signature)}, or a list of these")
    return list(result)


def _allowed(signature: Signature) -> str:
    names = [found.__name__ for found in signature.at_once] + [f"Later[{one.__name__}]" for one in signature.later]
    return ", ".join(sorted(names)) or "None"
