"""`on_failure`: a failed command as an event, so that workflows can go on from a failure as from anything else (F1).

::

    @app.handles(Price, on_failure=PricingFailed)

    Price(book="x", copies=3)  --raises-->  PricingFailed(book="x", error_type="ValueError", reason="...")
                    |                                      `- copied       `- from the failure
                    `- not asked for by the event

Each field of the event is filled by its name. That this works is checked when a bus opens (R1); that the values are
ones the event takes, when it is made. It carries no traceback: that depends on where the command ran (O6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from driven.domain.messages import Event
from driven.service.failures import failure_of
from driven.service.naming import shown
from driven.wire import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.domain.messages import Command
    from driven.service.catalog import Catalog
    from driven.service.handlers import Handler, HandlerOptions
    from driven.wire import EncodedMessage

FROM_FAILURE: Final = ("error_type", "reason")
"""Fields that the failure fills: the qualified name of the error, and its text."""


def on_failure_faults(command: type[Command], options: HandlerOptions) -> Iterator[str]:
    """What is wrong with ``on_failure=``: it is no event, it cannot be made of this command, or it is not all."""
    event: Any = options.on_failure
    if event is None:
        return
    if not (isinstance(event, type) and issubclass(event, Event)) or event is Event:
        yield f"on_failure={shown(event)} is no event; name a subclass of Event, or drop on_failure="
        return
    if options.on_exhausted is not None:
        yield (
            f"on_failure={event.__name__} and on_exhausted={options.on_exhausted} are two answers to one question; "
            f"keep one of them"
        )
    misfits = list(_misfits(command, event))
    if misfits:
        yield (
            f"on_failure={event.__name__} cannot be made of {command.__name__}: {'; '.join(misfits)}. "
            f"Its fields are copied from the command by name and type, and error_type: str and reason: str come from "
            f"the failure; rename these fields, or give them defaults"
        )


def event_of_failure(
    handler: Handler | None, body: bytes, failure: Failure, catalog: Catalog
) -> tuple[EncodedMessage | None, Failure]:
    """The event that this failure of a command is to become, if any, and the failure to record.

    An event that cannot be made leaves the failure to be told in the ordinary way, with both reasons.
    """
    event = handler.options.on_failure if handler is not None else None
    if handler is None or event is None:
        return None, failure
    try:
        entry = catalog.entry_of(handler.command)
        assert entry is not None  # noqa: S101 - the catalog was made from these very types
        command = catalog.decode(entry.type_id, body)
        told = {"error_type": failure.error_type, "reason": failure.message}
        copied = {name: getattr(command, name) for name in _copied(handler.command, event)}
        known = {name: value for name, value in told.items() if name in event.__struct_fields__}
        return catalog.encode(event(**{**copied, **known})), failure
    except Exception as error:  # noqa: BLE001 - a message's own __post_init__ may raise anything
        why = failure_of(error)
        both = f"{failure.message} (and on_failure={event.__name__} cannot be made of it: {why.message})"
        return None, Failure(failure.error_type, both, failure.traceback)


def _copied(command: type[Command], event: type[Event]) -> list[str]:
    """The fields of the event that the command fills."""
    return [name for name in event.__struct_fields__ if name in command.__struct_fields__ and name not in FROM_FAILURE]


def _misfits(command: type[Command], event: type[Event]) -> Iterator[str]:
    """The fields of the event that nothing fills; none where a type cannot be evaluated, which is said elsewhere."""
    try:
        there = {field.name: field.type for field in msgspec.structs.fields(command)}
        wanted = msgspec.structs.fields(event)
    except (NameError, TypeError):
        return
    for field in wanted:
        if field.name in FROM_FAILURE:
            if field.type is not str:
                yield f"{field.name!r} is {shown(field.type)} and not str"
        elif field.name in there:
            if field.type != there[field.name]:
                types = shown(field.type), shown(there[field.name])
                more = ", with other constraints" if types[0] == types[1] else ""
                yield f"{field.name!r} is {types[0]} there and {types[1]} in the command{more}"
        elif field.required:
            yield f"{field.name!r} ({shown(field.type)}) is no field of the command"
