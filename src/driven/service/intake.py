"""The intake: a command as it is about to get a position, checked and encoded.

Commands from outside and commands from reactions pass the same gate, so whatever has a position can be run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from driven.domain.messages import Command
from driven.errors import EmptyKey, MisuseError, UnknownCommand

if TYPE_CHECKING:
    from driven.service.registry import Registry


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A command without its envelope."""

    type_id: int
    body: bytes
    key: str | None
    due_at_ns: int = 0
    """When it is to enter, in nanoseconds since the epoch; 0: at once."""


def draft(registry: Registry, command: Command) -> Draft:
    """Check and encode a command.

    Raises:
        MisuseError: it is no command.
        UnknownCommand: no handler is registered for its type.
        EmptyKey: its key field is empty.
        MalformedMessage: a field holds what it does not declare, or what cannot be encoded.

    """
    handler = registry.handler_of.get(type(command))
    if handler is None:
        if not isinstance(command, Command):
            raise MisuseError(f"{command!r} is no command; submit an object of a subclass of driven.Command")
        known = [registry.name_of(type_id) for type_id in registry.handlers]
        raise UnknownCommand(type(command).__qualname__, registry.application.name, known)
    key, field = None, handler.options.key
    if field is not None:
        value = getattr(command, field)
        if value is None or value == "":
            raise EmptyKey(registry.name_of(registry.type_id_of(type(command))), field)
        key = str(value)
    encoded = registry.catalog.encode(command)
    return Draft(encoded.type_id, encoded.body, key)
