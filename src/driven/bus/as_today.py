"""Messages of the log as the application knows them today: their types, their bodies, and the chain of their causes.

A log outlives the code that wrote it: what stands there may be of an older version, or of a type that is gone. Used
when a bus opens and when a command id is looked up; pure but for what it reads from the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from driven.bus.sequencer import KEPT_CAUSES
from driven.errors import MalformedMessage
from driven.service import built_in
from driven.service.event_store import Status
from driven.service.registry import FORGOTTEN_TYPE

if TYPE_CHECKING:
    from driven.service.aside import Scheduled
    from driven.service.catalog import Catalog
    from driven.service.event_store import EventStore, LoggedMessage
    from driven.wire import EncodedMessage

BRING_BACK: Final = (
    "bring the class back under this name (message_name), or open the log once with the code that wrote it and let it "
    "drain"
)
"""What to do where a message in the log is of a type that is gone."""
RAISE_VERSION: Final = (
    "let the class take what was recorded (give new fields defaults), "
    "or raise its message_version and write an upcaster"
)
"""What to do where a class has changed."""


def encoded_today(message: LoggedMessage | Scheduled, catalog: Catalog) -> EncodedMessage:
    """A logged message as if it were encoded now, and sure to be decoded by whoever gets it.

    Raises:
        UnreadableMessage: nothing leads from its version to today's (X3).
        MalformedMessage: its type is not there, or does not take what was recorded.

    """
    entry = catalog.named(message.name)
    if entry is None:
        raise MalformedMessage(message.name, "the application has no message of this name", BRING_BACK)
    if entry.version == message.version:
        try:
            catalog.decode(entry.type_id, message.body)
        except MalformedMessage as error:
            raise MalformedMessage(message.name, error.reason, RAISE_VERSION) from error
    return catalog.current(message.name, message.version, message.body)


def type_id_today(name: str, catalog: Catalog) -> int:
    """The number of a message type, or of a built-in command; `FORGOTTEN_TYPE` where there is none of this name."""
    known = catalog.named(name)
    return (built_in.type_id_of(name) or FORGOTTEN_TYPE) if known is None else known.type_id


class Causes:
    """The chains of causes of what is taken up; each cause is read once."""

    def __init__(self, store: EventStore, catalog: Catalog) -> None:
        """Nothing was read yet."""
        self._store: Final = store
        self._catalog: Final = catalog
        self._links: Final[dict[int, _Link]] = {}

    def of(self, message: LoggedMessage) -> tuple[int, ...]:
        """What `Entry.causes` was: type and position of the nearest causes, that of a started command left out (O9)."""
        causes: list[int] = []
        above, is_due = message.envelope.causation, bool(message.due)
        while above and len(causes) < 2 * KEPT_CAUSES:
            if is_due:  # a root of its own, which names what scheduled it and nothing beyond
                return (*causes, built_in.SCHEDULER, above)
            link = self._link(above)
            if not link.is_started:
                causes += link.type_id, above
            above, is_due = link.above, link.is_due
        return tuple(causes)

    def _link(self, position: int) -> _Link:
        """What the chains through the message at `position` have of it."""
        link = self._links.get(position)
        if link is None:
            (record,) = self._store.read(position - 1, 1)
            message, outcome = record.message, record.outcome
            is_started = outcome is not None and outcome.status is Status.STARTED
            type_id = type_id_today(message.name, self._catalog)
            link = self._links[position] = _Link(type_id, message.envelope.causation, is_started, bool(message.due))
        return link


class _Link(NamedTuple):
    """One message of a chain of causes."""

    type_id: int
    above: int
    """Position of its own cause; 0: none."""
    is_started: bool
    """Whether it retired as started: its outcome stands in the chain instead."""
    is_due: bool
    """Whether it was due later, and so ends the chain."""
