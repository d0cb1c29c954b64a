"""The workforce: which workers an application gets on this machine; decided and checked before anything starts.

::

    settings, registry -> groups, routes -> kind, memory, CPUs -> lane()

It makes a lane and owns nothing. A bus opens with one, and so does a verification; each lets it go with what it made.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from driven.errors import RegistrationError
from driven.placement import Placement
from driven.pool.affinity import pins_here
from driven.pool.cpus import MAX_CPUS, available_cpus
from driven.pool.kinds import beyond_threads, decided_kind
from driven.pool.scaling import bounds_of
from driven.service.wiring import recipe_of
from driven.settings import DEFAULT_GROUP, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driven.bus.routing import Route
    from driven.pool.kinds import Kind
    from driven.pool.worker import MakeWorker
    from driven.pool.worker_lane import WorkerLane
    from driven.service.registry import Registry


def worker_groups(settings: Settings) -> dict[str, int]:
    """How many workers each group gets on this machine at first; empty: everything runs inline."""
    count = settings.workers.count
    if count == 0:
        return {}
    groups = {name: group.count for name, group in settings.workers.groups.items() if name != DEFAULT_GROUP}
    if count == "auto":
        pinned = pins_here(settings).groups[DEFAULT_GROUP]
        count = bounds_of(settings.workers).limit(min(available_cpus().count, len(pinned) or MAX_CPUS))
    groups[DEFAULT_GROUP] = count
    return groups


def uses_workers(table: Mapping[int, Route]) -> bool:
    """Whether any route leads, or may lead, to a worker."""
    return any(route.placement is not Placement.INLINE for route in table.values())


class Workforce:
    """The workers of one application under given settings, as long as they are only an intention."""

    def __init__(
        self,
        registry: Registry,
        reference: str | None,
        settings: Settings,
        groups: Mapping[str, int],
        table: Mapping[int, Route],
    ) -> None:
        """Decide.

        Args:
            registry: the application.
            reference: where workers find it; None: they cannot.
            settings: how workers are.
            groups: how many there are of each group; none: everything runs inline.
            table: the route of every command type.

        Raises:
            SettingsError: the settings name what is not there.
            RegistrationError: workers cannot import the application.
            WorkersUnavailable: there is no memory for rings, and a command has a timeout.

        """
        self._registry: Final = registry
        self._reference: Final = reference
        self._settings: Final = settings
        self.groups: Mapping[str, int] = groups
        self.routes: Final = table
        self.inline_because = ""
        """Why there are none, though there should be; empty: there are, or none are wanted."""
        self.workers = settings.workers
        self.bus_cpus: tuple[int, ...] = ()
        self._kind: Kind = "processes"
        if self.groups and uses_workers(self.routes):
            _check_importable(registry, reference)
            beyond = beyond_threads(self._routes_by_name(), settings.workers)
            self._kind = decided_kind(settings.workers.kind, beyond)
            self._check_memory()
        if self.groups:
            self._check_cpus()

    def lane(self, log_id: str) -> WorkerLane | None:
        """The way to these workers, for commands of this log; None: there are none."""
        if not self.groups or not uses_workers(self.routes) or self._reference is None:
            return None
        from driven.pool.worker_lane import WorkerLane  # noqa: PLC0415 - what runs inline starts without it

        recipe = recipe_of(self._registry, self._reference)
        return WorkerLane(self.workers, self.groups, recipe, log_id, self._make_worker())

    def _check_cpus(self) -> None:
        """Turn what the settings say of CPUs into their numbers; refuse what is not there."""
        from driven.pool.affinity import pinned_settings  # noqa: PLC0415 - what runs inline starts without it

        self.workers, self.bus_cpus = pinned_settings(self._settings)
        if pinned := self.workers.groups[DEFAULT_GROUP].cpus:  # more workers than CPUs would only take turns
            most = min(len(pinned), bounds_of(self.workers).most or MAX_CPUS)
            self.workers = msgspec.structs.replace(self.workers, max_count=most)

    def _check_memory(self) -> None:
        """Do without workers where no memory can be had that they would share (W8)."""
        from driven.pool.fallback import reason_to_run_inline  # noqa: PLC0415 - what runs inline starts without it

        self.inline_because = reason_to_run_inline(self._settings.workers.ring_bytes, self._routes_by_name())
        if self.inline_because:
            self.groups = {}

    def _routes_by_name(self) -> dict[str, Route]:
        return {self._registry.name_of(type_id): route for type_id, route in self.routes.items()}

    def _make_worker(self) -> MakeWorker:
        """How a worker of the kind that was decided on is made; what only one kind needs is imported for it alone."""
        if self._kind == "processes":
            from driven.pool.process_worker import ProcessWorker  # noqa: PLC0415 - see above

            return ProcessWorker
        from driven.pool.thread_worker import ThreadWorker  # noqa: PLC0415 - see above
        from driven_worker.thread import WorkerThread  # noqa: PLC0415 - see above

        return partial(ThreadWorker, program=WorkerThread)


def _check_importable(registry: Registry, reference: str | None) -> None:
    """Handlers must be importable by name (R1): a worker is a program that starts from nothing (W1)."""
    application = registry.application
    here = "__main__ (the script, session or notebook that runs now), which workers do not run"
    faults = [
        f"{name} is defined in {here}; move it to a module and import that"
        for name in (*(one.name for one in registry.handlers.values()), *(one.name for one in registry.warm_ups))
        if name.startswith("__main__.")
    ]
    if reference is None and application.module == "__main__":
        faults.append(f"the application is made in {here}; make it in a module and import that")
    elif reference is None:
        faults.append(
            "the application is no variable of a module, so workers cannot import it; assign it to one, "
            'or give open_bus "module:function" of a function that returns it'
        )
    if faults:
        raise RegistrationError(application.name, [*faults, "or run without workers: [workers] count = 0"])
