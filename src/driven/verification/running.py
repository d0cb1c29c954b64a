"""Running a verification: registry, workers, recording, past, report; put together here and taken apart again.

It lives in the event loop of whoever awaits it. Beside reading, all that it does to a log is nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from driven.adapters.stores.scratch import ScratchStates
from driven.bus.routing import routes
from driven.configuration import load_settings, validate
from driven.errors import MisuseError, SettingsError
from driven.placement import Placement
from driven.service.execution import Execution
from driven.service.registry import application_reference, build_registry, resolve_application
from driven.service.warming import warm_up
from driven.settings import DEFAULT_GROUP, Settings
from driven.verification.judgement import Judgement
from driven.verification.past import Past
from driven.verification.recording import Recording
from driven.verification.replay import Replay
from driven.verification.snapshots import snapshots_of
from driven.workforce import Workforce, worker_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from driven.pool.worker_lane import WorkerLane
    from driven.service.application import Application
    from driven.service.registry import Registry
    from driven.verification.recording import RecordedLog
    from driven.verification.report import VerificationReport

RUNS_AT_ONCE: Final = 64
"""Without workers: commands between two looks at what else the event loop has to do."""


async def verify(  # noqa: PLR0913 - what, where, which part, how much, all but the first two by name
    application: Application | str,
    settings: Settings | None = None,
    *,
    store: RecordedLog,
    first_position: int = 1,
    last_position: int | None = None,
    commands: Collection[str] = (),
    most_differences: int = 10,
    tell: Callable[[int, int], None] = lambda _passed, _all: None,
) -> VerificationReport:
    """Run recorded commands through today's code, on all workers, and compare what they do with the log (X2).

    Each runs against the state, the clock, the ids and the chance that it had then. Nothing is written, and no
    reaction, projector or notifier is constructed. What a handler does to the world beside its outcome, it does again.

    Args:
        application: the application of today, or where it is, as ``"package.module:attribute"``.
        settings: as for a bus; of the groups of workers only ``default`` is used, by all commands.
        store: the log; only read. A bus may be writing to it.
        first_position: where to begin; what stands before it is read, as later commands build upon it, and not run.
        last_position: where to end; None: where the log ends now.
        commands: names of the commands to run, stable or of their classes; none: all.
        most_differences: how many differences are told in full, at least 1; all are counted.
        tell: hears how far it is: messages that were gone by, and all.

    Raises:
        RegistrationError, SettingsError, WorkersUnavailable: as of `open_bus`.
        MisuseError: there is no such command.
        StoreFailed: the log cannot be read.

    """
    settings = settings or load_settings()
    if faults := validate(settings):
        raise SettingsError("given in code", faults)
    found = application if not isinstance(application, str) else resolve_application(application)
    registry = build_registry(found)
    reference = application if isinstance(application, str) else application_reference(found)
    workforce = _workforce(registry, reference, settings)
    recording = Recording(store, first_position, last_position, _meant(commands, registry))
    judgement = Judgement(registry, most_differences)
    began_s = time.perf_counter()
    with contextlib.closing(registry.injector), contextlib.closing(ScratchStates()) as states:
        replay = Replay(registry, workforce.routes, recording, Past(states, snapshots_of(registry)), judgement)
        lane = workforce.lane(store.log_id)
        if lane is None:
            warm_up(registry)
            await _run_here(replay, Execution(registry, store.log_id), recording, tell)
        else:
            await _run_on_workers(replay, lane, recording, tell)
    workers = 0 if lane is None else sum(workforce.groups.values())
    return judgement.report(store.log_id, recording, workers, time.perf_counter() - began_s)


def _meant(commands: Collection[str], registry: Registry) -> frozenset[str]:
    """The stable names of commands that are named in full or without the application."""
    known = {registry.name_of(type_id) for type_id in registry.handlers}
    meant = set()
    for name in commands:
        found = {one for one in known if name in {one, one.rpartition(".")[2]}}
        if not found:
            names = ", ".join(sorted(known))
            raise MisuseError(f"application {registry.application.name!r} has no command {name!r}; it has: {names}")
        meant |= found
    return frozenset(meant)


def _workforce(registry: Registry, reference: str | None, settings: Settings) -> Workforce:
    """One group of workers that run everything: with its state at hand, no command has to wait for another."""
    workers = msgspec.structs.replace(settings.workers, groups={})
    groups = {name: count for name, count in worker_groups(settings).items() if name == DEFAULT_GROUP}
    on_workers: dict[str, Any] = {"placement": Placement.WORKER, "group": DEFAULT_GROUP, "sticky": False}
    table = {
        type_id: msgspec.structs.replace(route, **on_workers)
        for type_id, route in routes(registry, settings, worker_groups(settings)).items()
    }
    return Workforce(registry, reference, msgspec.structs.replace(settings, workers=workers), groups, table)


async def _run_here(
    replay: Replay, execution: Execution, recording: Recording, tell: Callable[[int, int], None]
) -> None:
    while not replay.is_over:
        replay.run_here(execution.execute, RUNS_AT_ONCE)
        tell(recording.passed, recording.last)
        await asyncio.sleep(0)


async def _run_on_workers(
    replay: Replay, lane: WorkerLane, recording: Recording, tell: Callable[[int, int], None]
) -> None:
    wanted = asyncio.Event()
    replay.attach(lane, wanted.set)
    await lane.start(replay)
    try:
        while not replay.is_over:
            wanted.clear()
            replay.turn()
            tell(recording.passed, recording.last)
            if not replay.is_over:
                await wanted.wait()
        if replay.failure is not None:
            raise replay.failure
    finally:
        await lane.stop(0.0)
