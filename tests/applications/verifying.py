"""Verification as tests drive it: over any log, with workers that a seed moves or with none, in this process."""

from __future__ import annotations

import random
from contextlib import closing
from typing import TYPE_CHECKING

from driven.adapters.stores.scratch import ScratchStates
from driven.bus.routing import routes
from driven.service.execution import Execution
from driven.settings import Settings, WorkerSettings
from driven.testing.simulation import Faults, SimulatedLane
from driven.verification.judgement import Judgement
from driven.verification.past import Past
from driven.verification.recording import RecordedLog, Recording
from driven.verification.replay import Replay
from driven.verification.snapshots import snapshots_of

if TYPE_CHECKING:
    from driven.service.registry import Registry


def judged(  # noqa: PLR0913 - each is one dial
    registry: Registry,
    log: RecordedLog,
    *,
    workers: int = 0,
    seed: int = 0,
    faults: Faults | None = None,
    max_attempts: int = 1_000_000,
) -> Judgement:
    """Verify a whole log; with as many simulated workers, or with none."""
    judgement = Judgement(registry, 10)
    table = routes(registry, Settings(workers=WorkerSettings(max_attempts=max_attempts)), ["default"])
    execution = Execution(registry, log.log_id)
    with closing(ScratchStates()) as states:
        replay = Replay(registry, table, Recording(log, 1, None), Past(states, snapshots_of(registry)), judgement)
        if not workers:
            while not replay.is_over:
                replay.run_here(execution.execute, 1_000)
            return judgement
        lane = SimulatedLane(execution, {"default": workers}, random.Random(seed), faults or Faults())
        replay.attach(lane, lambda: None)
        lane.start(replay, lambda: None)
        while not replay.is_over:
            replay.turn()
            lane.step()
    return judgement
