"""Every error Driven raises, in one tree; the branch says whose fault it is, the message ends in what to do.

::

    DrivenError
    |- RegistrationError        the application: all faults found when the bus opens, listed together
    |- SettingsError            the configuration: all wrong keys and values, listed together
    |- MisuseError              the call just made
    |  |- UnknownCommand          no handler is registered for this type
    |  |- EmptyKey                the field that holds the key is empty
    |  |- CommandIdReused         the same id was used before, for another command
    |  |- ReentrantDispatch       a handler tried to reach the bus
    |  |- NothingParked           a redrive of what is not parked
    |  |- NothingDue              a cancel of what is not due later
    |  |- MalformedMessage        bytes that do not decode to the message they claim to be
    |  `- UnreadableMessage       a message of the log that nothing leads from to a type of today
    |- BusFull                  not now: the entrance is full
    |- BusClosed                the bus is closed or closing
    |- HandlerError             the handler's work; nothing it did exists
    |  |- CommandFailed           a handler raised (carries the remote traceback)
    |  |- CommandParked           set aside, in order, with the reason
    |  |- AggregateNotFound       get() of an aggregate that is not there
    |  |- AggregateExists         add() of an aggregate that is there already
    |  |- UndeclaredEvent         an event type the handler did not declare
    |  |- EventNotApplied         an event that an event-sourced aggregate cannot take in
    |  |- WrongReturn             a handler or reaction returned what it must not
    |  `- ProjectionStopped       a projection raised, and stands before that event
    `- InfrastructureError      the world: processes, shared memory, the store
       |- WorkersUnavailable      workers could not be started
       |- SegmentUnavailable      no shared memory of the size asked for
       |- RingBroken              a ring holds bytes that cannot be trusted
       |- StatisticsUnavailable   another process tells nothing about a bus
       `- StoreFailed             the store could not do what was asked
          `- LogBusy              another bus writes to this log

Errors hold the values they speak of as attributes and render them; nothing here does any work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class DrivenError(Exception):
    """The root of every error that Driven raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied and pickled as it is: its text is not what its constructor takes."""
        return _remade, (type(self), self.args, self.__dict__)


def _remade(kind: type[DrivenError], args: tuple[object, ...], values: dict[str, object]) -> DrivenError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(values)
    return error


def _listed(heading: str, faults: Sequence[str]) -> str:
    count = f"{len(faults)} fault" + ("s" if len(faults) != 1 else "")
    return "\n".join([f"{heading}: {count}", *(f"  {n}. {fault}" for n, fault in enumerate(faults, 1))])


class RegistrationError(DrivenError):
    """The application cannot be opened; `faults` lists everything that is wrong with it (R1)."""

    def __init__(self, application: str, faults: Sequence[str]) -> None:
        self.application = application
        self.faults = tuple(faults)
        super().__init__(_listed(f"application {application!r} cannot be opened", self.faults))


class SettingsError(DrivenError):
    """The configuration is wrong; `faults` lists every wrong key and value, `source` names the file."""

    def __init__(self, source: str, faults: Sequence[str]) -> None:
        self.source = source
        self.faults = tuple(faults)
        super().__init__(_listed(f"configuration {source} is not valid", self.faults))


class MisuseError(DrivenError):
    """The call that was just made is wrong; nothing was accepted."""


class UnknownCommand(MisuseError):
    """A command of a type that no handler is registered for."""

    def __init__(self, command: str, application: str, known: Sequence[str]) -> None:
        self.command = command
        self.application = application
        self.known = tuple(known)
        names = ", ".join(self.known) or "none"
        super().__init__(
            f"application {application!r} has no handler for {command!r} (it handles: {names}); "
            f"register one with @app.handles({command.rpartition('.')[2]})"
        )


class EmptyKey(MisuseError):
    """A command whose key field is empty: no key is never a random lane (O4)."""

    def __init__(self, command: str, field: str) -> None:
        self.command = command
        self.field = field
        super().__init__(
            f"{command}.{field} is the command's key and it is empty; give it a value, "
            f"or register the handler without key= to serialise it with all stateful commands"
        )


class CommandIdReused(MisuseError):
    """A caller's command id that the log already holds for a different command (U5)."""

    def __init__(self, command_id: str, recorded: str, position: int) -> None:
        self.command_id = command_id
        self.recorded = recorded
        self.position = position
        super().__init__(
            f"command id {command_id!r} was used at position {position} for a different {recorded}; "
            f"an id names one command for ever: use a new id"
        )


class ReentrantDispatch(MisuseError):
    """A handler or reaction tried to use the bus while it runs (O7)."""

    def __init__(self, running: str) -> None:
        self.running = running
        super().__init__(
            f"submit() was called from inside {running}; handlers cannot reach the bus: "
            f"return or record an event, and let a reaction to it issue the command"
        )


class NothingParked(MisuseError):
    """A redrive of something that is not parked, or not any more; `what` was named (F3)."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"nothing is parked {what}; see parked.list(), or `driven parked list`, for what is")


class NothingDue(MisuseError):
    """A cancel of what is not due later, or has entered: the one with this number of what `cause` scheduled."""

    def __init__(self, cause: int, number: int) -> None:
        self.cause = cause
        self.number = number
        super().__init__(
            f"nothing is due later as number {number} of what position {cause} scheduled; "
            f"see due.list(), or `driven due list`, for what is"
        )


class MalformedMessage(MisuseError):
    """Bytes that do not decode to the message type they claim to be."""

    def __init__(self, name: str, reason: str, remedy: str = "") -> None:
        self.name = name
        self.reason = reason
        self.remedy = remedy or f"send the fields and types that {name} declares"
        super().__init__(f"not a valid {name}: {reason}; {self.remedy}")


class UnreadableMessage(MisuseError):
    """The log holds a message of a name or version that the application cannot read (X3)."""

    def __init__(self, name: str, version: int, reason: str) -> None:
        self.name = name
        self.version = version
        self.reason = reason
        super().__init__(f"{name} version {version}, which the log holds, cannot be read: {reason}")


class BusFull(DrivenError):
    """The entrance is full: `pending` messages are unretired and `capacity` is the bound (F4)."""

    def __init__(self, pending: int, capacity: int) -> None:
        self.pending = pending
        self.capacity = capacity
        super().__init__(
            f"{pending} messages are waiting and the bus takes {capacity}; try again later, "
            f"await submit() to wait for room, or raise [bus] max_pending"
        )


class BusClosed(DrivenError):
    """The bus is closed, closing, or broken by `reason`; open a new one."""

    def __init__(self, reason: str = "it was closed") -> None:
        self.reason = reason
        super().__init__(f"the bus takes no more commands: {reason}; open a new bus")


class HandlerError(DrivenError):
    """The work of a handler failed; nothing it did exists, and the bus goes on."""


class CommandFailed(HandlerError):
    """A command failed; carries the kind of error, its message and the traceback of where it ran.

    `position` is the command's place in the log, `command` its message name, `error_type` the
    qualified name of what was raised, `error_message` its text, `remote_traceback` may be empty.
    """

    def __init__(
        self, command: str, position: int, error_type: str, error_message: str, remote_traceback: str = ""
    ) -> None:
        self.command = command
        self.position = position
        self.error_type = error_type
        self.error_message = error_message
        self.remote_traceback = remote_traceback
        text = f"{command} at position {position} failed: {error_type}: {error_message}"
        if remote_traceback:
            text = f"{text}\n\nwhere it ran:\n{remote_traceback.rstrip()}"
        super().__init__(text)


class CommandParked(HandlerError):
    """A message was set aside, in order, and did not happen (F2, F5)."""

    def __init__(self, command: str, position: int, reason: str) -> None:
        self.command = command
        self.position = position
        self.reason = reason
        super().__init__(
            f"{command} at position {position} is parked: {reason}; "
            f"mend the cause, then retry it with bus.parked, or `driven parked retry`"
        )


class AggregateNotFound(HandlerError):
    """The unit of work was asked to get an aggregate that does not exist."""

    def __init__(self, aggregate: str, aggregate_id: str) -> None:
        self.aggregate = aggregate
        self.aggregate_id = aggregate_id
        super().__init__(
            f"there is no {aggregate} {aggregate_id!r}; add() it first, or use find() where it may be missing"
        )


class AggregateExists(HandlerError):
    """The unit of work was asked to add an aggregate that exists already."""

    def __init__(self, aggregate: str, aggregate_id: str) -> None:
        self.aggregate = aggregate
        self.aggregate_id = aggregate_id
        super().__init__(f"{aggregate} {aggregate_id!r} exists already; get() it and change it, or choose another id")


class UndeclaredEvent(HandlerError):
    """A handler emitted an event type that its registration does not declare (R3)."""

    def __init__(self, handler: str, event: str) -> None:
        self.handler = handler
        self.event = event
        super().__init__(
            f"{handler} emitted {event}, which it does not declare; "
            f"add it to the return annotation or to emits= of @app.handles"
        )


class EventNotApplied(HandlerError):
    """An event-sourced aggregate cannot take in an event; `version` is its place on the stream, 0 for a new one."""

    def __init__(self, aggregate: str, aggregate_id: str, event: str, reason: str, version: int = 0) -> None:
        self.aggregate = aggregate
        self.aggregate_id = aggregate_id
        self.event = event
        self.reason = reason
        self.version = version
        place = f", version {version} of its stream," if version else ""
        super().__init__(f"{aggregate} {aggregate_id!r} cannot apply {event}{place}: {reason}")


class WrongReturn(HandlerError):
    """A handler or reaction returned something it must not (R2)."""

    def __init__(self, handler: str, returned: str, allowed: str) -> None:
        self.handler = handler
        self.returned = returned
        self.allowed = allowed
        super().__init__(f"{handler} returned {returned}; it may return {allowed}")


class ProjectionStopped(HandlerError):
    """A projection raised at an event: it is done with everything up to `position`, and goes no further."""

    def __init__(self, projection: str, position: int, reason: str) -> None:
        self.projection = projection
        self.position = position
        self.reason = reason
        super().__init__(
            f"projection {projection!r} stands at position {position}, stopped by {reason}; mend it, and open the bus "
            f"again or rebuild it"
        )


class InfrastructureError(DrivenError):
    """Something outside the program failed: a process, shared memory, the store."""


class WorkersUnavailable(InfrastructureError):
    """Workers could not be started; `reason` carries what the last one said before it died."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"workers cannot be started; mend the cause, or run without them ([workers] count = 0). The cause: {reason}"
        )


class SegmentUnavailable(InfrastructureError):
    """No shared memory of `size_bytes` could be had from any backing."""

    def __init__(self, size_bytes: int, reason: str) -> None:
        self.size_bytes = size_bytes
        self.reason = reason
        super().__init__(
            f"no shared memory of {size_bytes:,} bytes: {reason}; "
            f"give the container a larger /dev/shm or more memory, or lower [workers] ring_bytes"
        )


class RingBroken(InfrastructureError):
    """A ring holds bytes that cannot be trusted; whoever writes it must be replaced."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"a ring cannot be trusted: {reason}; its worker is replaced")


class StatisticsUnavailable(InfrastructureError):
    """The process `pid` tells nothing about a bus that could be read."""

    def __init__(self, pid: int, reason: str) -> None:
        self.pid = pid
        self.reason = reason
        super().__init__(f"no statistics of a bus in process {pid}: {reason}")


class StoreFailed(InfrastructureError):
    """The store could not do what was asked; what was accepted before stays readable."""

    remedy = "mend the cause and open the bus again: what was appended before is still there"

    def __init__(self, store: str, reason: str, remedy: str = "") -> None:
        self.store = store
        self.reason = reason
        self.remedy = remedy or self.remedy
        super().__init__(f"store {store} failed: {reason}; {self.remedy}")


class LogBusy(StoreFailed):
    """Another bus holds the lease of this log (U7)."""

    remedy = "stop it, or open another log"

    def __init__(self, store: str, holder: str) -> None:
        self.holder = holder
        super().__init__(store, f"another bus writes to this log ({holder})")
