"""Rebuild: projections built anew from the log while no bus has it open (X2).

::

    log --events--> next edition --switch--> what is read
     `- the lease is held meanwhile: a bus that wants to open the log is told who has it

Nothing but the projections is constructed: no handler, no reaction, no notifier, no worker. A bus that is running does
the same by itself: `MessageBus.rebuild`. As long-lived as a call.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import msgspec

from driven.adapters.stores.choice import store_at
from driven.bus.following.edition import ALONE
from driven.bus.following.editions import Editions
from driven.bus.following.rebuild import RebuildProgress
from driven.configuration import load_settings
from driven.errors import MisuseError, ProjectionStopped
from driven.service.registry import build_registry, resolve_application

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from driven.service.application import Application
    from driven.service.event_store import EventStore
    from driven.service.registry import Registry
    from driven.settings import Settings


class Rebuilt(msgspec.Struct, frozen=True):
    """One projection that was built anew."""

    projection: str
    version: int
    position: int
    """Where the log ends: all of it is in the projection."""
    resumed_at: int
    """Where an earlier rebuild had got to that was cut short; 0: it was begun."""
    took_s: float


def rebuild(
    application: Application | str,
    *projections: str,
    settings: Settings | None = None,
    store: EventStore | None = None,
    tell: Callable[[RebuildProgress], object] = lambda _: None,
) -> tuple[Rebuilt, ...]:
    """Build projections anew, beside what is read, and let them take its place; returns when all have.

    Whatever ends it before, an interrupt or a kill, loses nothing: the next one goes on from there, and so does a bus.

    Args:
        application: the application, or where it is, as ``"package.module:attribute"``.
        projections: their names; none: all that last, in the order of their registration.
        settings: the configuration; None: ``driven.toml`` in the current folder, and the environment.
        store: where the log is, not opened; None: as the settings say.
        tell: called again and again with how far it is; what it raises ends the rebuild.

    Raises:
        MisuseError: there is no projection of such a name.
        ProjectionStopped: one raised; those before it are built.
        LogBusy, StoreFailed: the log cannot be opened, or not be written.
        RegistrationError, SettingsError: the application or the configuration is faulty.

    """
    found = application if not isinstance(application, str) else resolve_application(application)
    registry = build_registry(found)
    log = store_at((settings or load_settings()).store) if store is None else store
    with contextlib.closing(registry.injector):
        wanted = _wanted(registry, projections)
        log.open()
        with contextlib.closing(log):
            return tuple(_rebuilt(editions, log, tell) for editions in _opened(registry, wanted, log))


def _wanted(registry: Registry, names: tuple[str, ...]) -> tuple[str, ...]:
    known = tuple(one.name for one in registry.projections)
    for name in names:
        if name not in known:
            raise MisuseError(
                f"{name!r} is no projection of application {registry.application.name!r} that lasts "
                f"(there are: {', '.join(known) or 'none'}); give the name that app.projection(...) was given"
            )
    return names or known


def _opened(registry: Registry, names: tuple[str, ...], log: EventStore) -> Iterator[Editions]:
    for projection in registry.projections:
        if projection.name in names:
            yield Editions(projection, registry, log)


def _rebuilt(editions: Editions, log: EventStore, tell: Callable[[RebuildProgress], object]) -> Rebuilt:
    """Step by step, each of which is kept."""
    began_s = time.monotonic()
    name, end = editions.projection.name, log.last_position
    editions.take_up()
    number = editions.begin()
    resumed_at = editions.next.position if editions.next else 0
    while (building := editions.next) is not None:
        tell(RebuildProgress(name, building.position, end, building.stopped_by))
        if building.stopped_by is not None:
            raise ProjectionStopped(name, building.position, building.stopped_by)
        editions.build(end, ALONE)
    assert editions.live.state.number == number  # noqa: S101 - it took the place, and nobody cancels it here
    tell(RebuildProgress(name, end, end))
    return Rebuilt(name, editions.projection.version, end, resumed_at, time.monotonic() - began_s)
