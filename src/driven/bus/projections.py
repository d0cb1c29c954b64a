"""Projections: read models that follow the log, fed in position order with what is durable.

Each projector is on its own: one that raises is stopped where it stands, with its position, and neither the bus nor its
siblings notice. It is not skipped over the event, as a read model with a hole would look complete.
Projectors run on the bus thread, after the commit. What they keep is gone with the process, so they are shown the
log from its beginning before the bus opens its entrance.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec

from driven.bus.following.rebuild import RebuildProgress
from driven.service.event_store import READ_CHUNK, MessageKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from driven.service.event_store import EventStore, LoggedMessage
    from driven.service.handlers import Projector
    from driven.service.registry import Registry

logger = logging.getLogger("driven.bus")


class ProjectionStatistics(msgspec.Struct, frozen=True):
    """How far a projector in memory is, or a projection that lasts."""

    name: str
    position: int
    """In memory: of the last event it saw. One that lasts: it is done with everything up to here."""
    stopped_by: str | None
    """Why it goes no further; None: nothing keeps it."""
    version: int = 0
    """0: it is in memory."""
    lag: int = 0
    """Positions between it and the end of the log. 0 in memory, as that is shown everything at once."""
    rebuild: RebuildProgress | None = None
    """The edition that is being built beside it, if one is."""


class _Projection:
    __slots__ = ("apply", "name", "position", "stopped_by")

    def __init__(self, name: str, apply: Callable[[Any], None]) -> None:
        self.name = name
        self.apply = apply
        self.position = 0
        self.stopped_by: str | None = None


class Projections:
    """All projectors of a bus and how far each is; as long-lived as the bus."""

    def __init__(self, registry: Registry) -> None:
        """Construct the read models."""
        self._catalog: Final = registry.catalog
        self._following: dict[str, list[_Projection]] = {}
        for projector in registry.projectors:
            entry = registry.catalog.entry_of(projector.event)
            assert entry is not None  # noqa: S101 - it was encoded with this catalog
            projection = _Projection(projector.name, _bound(projector, registry))
            self._following.setdefault(entry.name, []).append(projection)

    async def catch_up(self, store: EventStore) -> None:
        """Show what is in the log already, chunk by chunk: the event loop goes on, and memory does not grow (B14)."""
        if not self._following:
            return
        for after in range(0, store.last_position, READ_CHUNK):
            self.feed(store.events(self._following, after, after + READ_CHUNK))
            await asyncio.sleep(0)

    def feed(self, messages: Iterable[LoggedMessage]) -> None:
        """Show newly logged messages, in position order, to whoever follows their type."""
        if not self._following:
            return
        for message in messages:
            followers = self._following.get(message.name)
            if followers and message.kind is MessageKind.EVENT:
                event = self._catalog.decode_logged(message.name, message.version, message.body)
                for projection in followers:
                    self._show(projection, event, message.envelope.position)

    def statistics(self) -> tuple[ProjectionStatistics, ...]:
        """How far each projector is."""
        return tuple(
            ProjectionStatistics(projection.name, projection.position, projection.stopped_by)
            for followers in self._following.values()
            for projection in followers
        )

    def _show(self, projection: _Projection, event: Any, position: int) -> None:  # noqa: ANN401
        if projection.stopped_by is not None:
            return
        try:
            projection.apply(event)
            projection.position = position
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: the other read models go on
            projection.stopped_by = f"{type(error).__name__}: {error}"
            logger.exception(
                "Projector %s raised at position %d and is stopped there; mend it and open the bus again.",
                projection.name,
                position,
            )


def _bound(projector: Projector, registry: Registry) -> Callable[[Any], None]:
    models = {
        parameter.name: registry.injector.container.get(parameter.annotation)
        for parameter in projector.signature.parameters[1:]
    }
    target = projector.target
    return lambda event: target(event, **models)
