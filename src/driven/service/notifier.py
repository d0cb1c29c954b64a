"""Notifiers: from an event to a call outside, as the user's wiring says; a part of the application.

A notifier is called at least once for each of its events, strictly in position order. It may be called again for the
last ones after the process died; what it calls is told by `Delivery.key` that it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from driven.domain.messages import Envelope, Event
from driven.service.noted import Noted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Delivery(msgspec.Struct, frozen=True):
    """What a notifier may know about the call that it is making; it asks for it by this type."""

    key: str
    """The idempotency key: the same whenever this notifier is called for this event, and no other's."""
    attempt: int
    """1 for the first call for this event since the bus opened."""
    envelope: Envelope
    """The event's place, causes, and when it was recorded."""


class Patience(msgspec.Struct, frozen=True):
    """How a notifier that raises is called again."""

    attempts: int | None = None
    """Calls for one event before it stops there; None: until one succeeds."""
    first_wait_s: float = 0.1
    """About how long it waits after the first failure, in seconds; twice as long after each other."""
    longest_wait_s: float = 60.0
    """The longest that it waits between two calls, in seconds."""


class NotedNotifier(msgspec.Struct, frozen=True):
    """One use of ``@app.notifies(...)``."""

    name: str | None
    events: tuple[Any, ...]
    note: Noted
    patience: Patience
    since: int | None


class Notifier(msgspec.Struct, frozen=True):
    """A notifier as the registry knows it: checked."""

    name: str
    """Its place in the log is known by it."""
    target: Callable[..., Any]
    events: tuple[type[Event], ...]
    injected: dict[str, Any]
    """Parameter -> what it is annotated with."""
    deliveries: tuple[str, ...]
    """Parameters that take the `Delivery`."""
    patience: Patience
    since: int | None
    """The position behind which it begins when it is new; None: the end of the log."""


def notifier_faults(names: Sequence[str], noted: Sequence[NotedNotifier]) -> Iterator[str]:
    """What is wrong with names and numbers; `names` are those that they go by."""
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"notifier {name!r}: there are two of this name; each has its own place in the log, so give them a name="
    for name, one in zip(names, noted, strict=True):
        patience, since = one.patience, one.since
        if not name or name.split() != [name]:
            yield f"notifier {name!r}: give it a name of one word"
        if not one.events:
            yield f"notifier {name!r}: it is told of no event; write @app.notifies(YourEvent)"
        if patience.attempts is not None and (type(patience.attempts) is not int or patience.attempts < 1):
            yield f"notifier {name!r}: attempts={patience.attempts!r}; give a whole number of at least 1, or None"
        if not 0 < patience.first_wait_s <= patience.longest_wait_s:
            yield (
                f"notifier {name!r}: it waits {patience.first_wait_s!r} s at first, {patience.longest_wait_s!r} s at "
                f"most; give first_wait_s above 0, and longest_wait_s not below it"
            )
        if since is not None and (type(since) is not int or since < 0):
            yield f"notifier {name!r}: since={since!r}; give a position, 0 for the beginning of the log, or None"
