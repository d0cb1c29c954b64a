"""Middleware: every hook there is into the way of a message, on one base class.

Subclass it and override what you need; hooks are called on the bus thread, in the order in which the middleware was
given to `open_bus`, and must be quick. A hook that raises is logged and does no harm. Hooks see; they change nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from driven.domain.messages import Envelope
    from driven.service.event_store import LoggedOutcome

logger = logging.getLogger("driven.bus")


class Middleware:
    """What can be observed; every hook does nothing until it is overridden."""

    def admitted(self, name: str, envelope: Envelope) -> None:
        """A message got its position."""

    def dispatched(self, name: str, envelope: Envelope, worker_id: int) -> None:
        """A command was sent to a worker; more than once if a worker died or what it read was stale."""

    def discarded(self, name: str, envelope: Envelope) -> None:
        """An early outcome was thrown away, as what it had read is stale; the command runs again at the head (O5)."""

    def retired(self, name: str, envelope: Envelope, outcome: LoggedOutcome) -> None:
        """A message became visible, with everything it did (O2)."""

    def worker_ready(self, worker_id: int, group: str) -> None:
        """A worker takes commands from now on."""

    def worker_gone(self, worker_id: int, reason: str) -> None:
        """A worker is no more, and was not told to leave."""

    def worker_left(self, worker_id: int) -> None:
        """A worker is no more, as it was told to leave."""


HOOKS = ("admitted", "dispatched", "discarded", "retired", "worker_ready", "worker_gone", "worker_left")


class Hooks:
    """The overridden hooks of all middleware, one caller each; None where nobody listens, so that nothing is paid."""

    __slots__ = HOOKS

    def __init__(self, middleware: Sequence[Middleware]) -> None:
        """Look once which hooks are overridden."""
        for name in HOOKS:
            listeners = [
                getattr(one, name) for one in middleware if getattr(type(one), name) is not getattr(Middleware, name)
            ]
            setattr(self, name, _guarded(listeners) if listeners else None)

    admitted: Callable[[str, Envelope], None] | None
    dispatched: Callable[[str, Envelope, int], None] | None
    discarded: Callable[[str, Envelope], None] | None
    retired: Callable[[str, Envelope, LoggedOutcome], None] | None
    worker_ready: Callable[[int, str], None] | None
    worker_gone: Callable[[int, str], None] | None
    worker_left: Callable[[int], None] | None


def _guarded(listeners: list[Callable[..., None]]) -> Callable[..., None]:
    def call(*facts: Any) -> None:  # noqa: ANN401
        for listener in listeners:
            try:
                listener(*facts)
            except KeyboardInterrupt:
                raise
            except BaseException:  # SystemExit too: an observer does not end the program it observes
                logger.exception("A middleware hook raised and was ignored: %s.", listener)

    return call
