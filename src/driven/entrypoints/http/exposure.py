"""Exposure: the commands that may be reached from outside, each with how its JSON is read.

Nobody gets in who does not belong: what is not said to be exposed does not exist here, and answers like any name that
there never was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from driven.errors import RegistrationError

if TYPE_CHECKING:
    from driven.domain.messages import Command, Event
    from driven.service.handlers import Handler
    from driven.service.registry import Registry


class Exposed(NamedTuple):
    """One command that can be reached, and what it may emit."""

    name: str
    command: type[Command]
    handler: Handler
    events: tuple[tuple[str, type[Event]], ...]
    """Stable name and type, in the order of names."""


def exposed_commands(registry: Registry) -> dict[str, Exposed]:
    """All commands that say ``exposed=True``, by their stable name.

    Raises:
        RegistrationError: JSON cannot hold one of them, or one of its events.

    """
    found: dict[str, Exposed] = {}
    for type_id, handler in registry.handlers.items():
        if handler.options.exposed:
            name = registry.name_of(type_id)
            names = {_name(registry, event): event for event in handler.emits}
            found[name] = Exposed(name, handler.command, handler, tuple(sorted(names.items())))
    if faults := [fault for one in found.values() for fault in _faults(one)]:
        raise RegistrationError(registry.application.name, faults)
    return found


def _name(registry: Registry, event: type[Event]) -> str:
    entry = registry.catalog.entry_of(event)
    assert entry is not None  # noqa: S101 - the registry knows all that handlers emit
    return entry.name


def _faults(one: Exposed) -> list[str]:
    faults = [
        f"{one.name} is exposed, but {kind.__name__} cannot be sent as JSON ({error}); "
        f"use types that JSON has, or drop exposed=True"
        for kind in (one.command, *(event for _, event in one.events))
        if (error := json_refusal(kind))
    ]
    if "/" in one.name:
        faults.append(f"{one.name} is exposed, but no path leads to a name with a slash; give it another message_name")
    return faults


def json_refusal(kind: Any) -> str:  # noqa: ANN401 - any type annotation
    """Why JSON cannot hold values of a type; empty: it can."""
    try:
        msgspec.json.Decoder(kind)
        msgspec.json.schema_components([kind])
    except TypeError as error:
        return str(error).rpartition("\n")[2]
    return ""
