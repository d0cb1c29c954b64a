"""Walking through a log: the records that were asked for, in position order, and those that are still to come."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from driven.service.event_store import READ_CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from driven.entrypoints.log.asked import Asked
    from driven.service.event_store import EventStore, LogRecord

LOOK_AGAIN_S: Final = 0.2
"""Between two looks at a log that is followed."""


def there(store: EventStore, asked: Asked) -> Iterator[LogRecord]:
    """What is there and wanted."""
    position = asked.first - 1
    while records := store.read(position, READ_CHUNK):
        for record in records:
            position = record.message.envelope.position
            if asked.last is not None and position > asked.last:
                return
            if asked.takes(record):
                yield record


def followed(store: EventStore, asked: Asked, rest: Callable[[float], None] = time.sleep) -> Iterator[LogRecord]:
    """What is wanted as soon as it has retired, in position order: what stands behind one that has not waits for it."""
    position = asked.first - 1
    while True:
        for record in store.read(position, READ_CHUNK):
            if record.outcome is None:
                break
            position = record.message.envelope.position
            if asked.last is not None and position > asked.last:
                return
            if asked.takes(record):
                yield record
        else:
            if position < store.last_position:
                continue
        if asked.last is not None and position >= asked.last:
            return
        rest(LOOK_AGAIN_S)
