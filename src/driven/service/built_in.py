"""Built-in commands: what operators and the bus itself put on the bus. They are in the log like any other command.

::

    driven.Redrive    retry, skip, release or discard what is parked (F3)
    driven.Schedule   accept a command that is due later
    driven.Cancel     let what is due later not enter

The bus does what they say when they are at the head; no application handles them, and no worker sees them. They are of
no catalog: their type ids are negative. Values and functions only.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from driven.service.intake import Draft

if TYPE_CHECKING:
    from driven.service.event_store import LoggedMessage


class Verb(enum.Enum):
    """What to do with what is parked of a key, or with one parked message that has none."""

    RETRY = "retry"
    """All of it enters again, in its order, and the key is open."""
    SKIP = "skip"
    """The oldest is given up; all behind it enters again, in its order, and the key is open."""
    RELEASE = "release"
    """The key is open for what comes; what is parked stays parked, and may be retried or given up later."""
    DISCARD = "discard"
    """All of it is given up, and the key is open."""


class Redrive(msgspec.Struct, frozen=True):
    """One of the verbs, for a key or for the message at a position; a message that has a key stands for its key."""

    verb: Verb
    key: str | None = None
    position: int = 0
    """0: a key is given."""
    by: str = ""
    """Who wanted it."""
    why: str = ""


class Schedule(msgspec.Struct, frozen=True):
    """A command that somebody submitted and that enters when it is due."""

    due_at_ns: int
    name: str
    version: int
    body: bytes
    key: str | None


class Cancel(msgspec.Struct, frozen=True):
    """What is due later is not to enter."""

    cause: int
    number: int
    by: str = ""
    why: str = ""


BuiltIn: TypeAlias = Redrive | Schedule | Cancel

_TYPES: Final[dict[int, type[BuiltIn]]] = {-2: Redrive, -3: Schedule, -4: Cancel}
_TYPE_IDS: Final = {one: type_id for type_id, one in _TYPES.items()}
SCHEDULER: Final = -5
"""Stands for the type of whatever scheduled a message."""
NAMES: Final = {
    **{type_id: f"driven.{one.__name__}" for type_id, one in _TYPES.items()},
    SCHEDULER: "what scheduled it",
}
"""Stable names by type id."""
_BY_NAME: Final = {f"driven.{one.__name__}": one for one in _TYPES.values()}
_encode: Final = msgspec.msgpack.Encoder().encode


def draft_of(command: BuiltIn) -> Draft:
    """A built-in command as it is about to get a position."""
    return Draft(_TYPE_IDS[type(command)], _encode(command), None)


def built_in(message: LoggedMessage) -> BuiltIn | None:
    """The built-in command that a logged message is; None: it is one of an application's."""
    kind = _BY_NAME.get(message.name)
    return None if kind is None else msgspec.msgpack.decode(message.body, type=kind)


def type_id_of(name: str) -> int | None:
    """The type id of a built-in command; None: it has another name."""
    kind = _BY_NAME.get(name)
    return None if kind is None else _TYPE_IDS[kind]
