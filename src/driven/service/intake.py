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


def draft(registry: Registry, command: Command) -> Draft:
    """Check and encode a command.

    Raises:
        MisuseError: it is no command.
        UnknownCommand: no handler is registered for its type.
        EmptyKey: its key field is empty.
        MalformedMessage: a field holds what it does not declare, or what cannot be encoded.

    """
    entry = registry.catalog.entry_of(type(command))
    handler = registry.handlers.get(entry.type_id) if entry else None
    if entry is None or handler is None:
        if not isinstance(command, Command):
            raise MisuseError(f"{command!r} is no command; submit an object of a subclass of driven.Command")
        known = [registry.name_of(type_id) for type_id in registry.handlers]
        raise UnknownCommand(type(command).__qualname__, registry.application.name, known)
    key = None
    if handler.options.key is not None:
        value = getattr(command, handler.options.key)
        if value is None or value == "":
            raise EmptyKey(entry.name, handler.options.key)
        key = str(value)
    return Draft(entry.type_id, registry.catalog.encode(command).body, key)
