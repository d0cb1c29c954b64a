"""A simulated pool: the real conductor and real handlers, with workers, deaths and delays drawn from a seed.

::

    Simulation.run(commands)
        |- Conductor            the real one
        |- SimulatedLane        workers that are records in this process; every step of theirs is a choice of the seed
        `- SimulatedCommitter   a store thread whose batches take a drawn number of steps

No process, no thread, no clock, no sleeping: thousands of runs a minute, and a seed replays one exactly. Everything
that crosses the ring in reality is encoded and decoded here as well. What is not simulated: bytes in shared memory,
and time.
"""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from driven.adapters.stores.memory import MemoryStore
from driven.bus.conductor import Conductor
from driven.bus.followers import Followers
from driven.bus.lane import GroupStatistics, PoolStatistics, Vitals
from driven.bus.middleware import Hooks, Middleware
from driven.bus.projections import Projections
from driven.bus.routing import routes
from driven.domain.messages import Command
from driven.service.event_store import log_digest
from driven.service.execution import Execution
from driven.service.intake import draft
from driven.service.registry import Registry, build_registry
from driven.settings import Settings
from driven.testing.simulated_clocks import counting_clock, drawn_timer
from driven.wire import (
    AggregateState,
    Completion,
    Failure,
    ReadRequest,
    decode_completion,
    decode_state,
    decode_submission,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from driven.bus.committer import Done
    from driven.bus.lane import LaneListener
    from driven.bus.receipts import Receipt
    from driven.service.application import Application
    from driven.service.built_in import BuiltIn
    from driven.service.event_store import Batch, EventStore
    from driven.wire import Submission


PATIENCE_STEPS: Final = 20_000
"""Steps without a retirement after which a run is stuck; with all faults at their most frequent some hundred occur."""


class Faults(msgspec.Struct, frozen=True):
    """How often things go wrong, as probabilities per step, and how tight things are."""

    kill: float = 0.0
    """That a worker is killed, whatever it does."""
    recycle: float = 0.0
    """That a worker is told to leave, and another one comes."""
    kill_running_only: bool = False
    """Whether only a worker that runs a command is killed."""
    ring_slots: int = 8
    """Commands that fit in a worker's ring, beside the one that runs."""
    late_store: float = 0.0
    """That the store thread has not finished its batch at a step."""


class _Killed(BaseException):
    """Raised where a handler stands when its worker is killed, so that it gets no further."""


class _Worker:
    """One simulated worker: what is in its ring, what it runs and with which outcome, and what it has published."""

    def __init__(self, worker_id: int, group: str) -> None:
        self.worker_id = worker_id
        self.group = group
        self.ring: deque[bytes] = deque()
        self.running: Submission | None = None
        self.outcome: bytes | None = None
        """What came of the command that it runs; gone if it dies before that is published."""
        self.published: deque[bytes] = deque()
        """What lies in its ring to the bus: told several at a time, and also when it has died."""
        self.is_asking = False
        self.is_leaving = False


class SimulatedLane:
    """A `Lane` whose workers live in this process and move only when `step` is called."""

    def __init__(self, execution: Execution, groups: Mapping[str, int], chance: random.Random, faults: Faults) -> None:
        """`groups` gives the number of workers of each group."""
        self._execution: Final = execution
        self._chance: Final = chance
        self._faults: Final = faults
        self._workers: dict[int, _Worker] = {}
        self._next_id = 0
        self._answers: dict[int, bytes] = {}
        self._between: Callable[[], None] = lambda: None
        self._told: LaneListener | None = None
        self._groups: Final = dict(groups)
        self.kills = 0

    def start(self, listener: LaneListener, between: Callable[[], None]) -> None:
        """All workers come up; `between` is what may happen while a handler waits for an aggregate."""
        self._told = listener
        self._between = between
        for group, count in self._groups.items():
            for _ in range(count):
                self._spawn(group)

    def send(self, worker_id: int, submission: Submission, timeout_s: float | None) -> bool:
        """Into the ring, if it has room."""
        del timeout_s
        worker = self._workers[worker_id]
        assert not worker.is_leaving, "a worker that leaves is sent nothing"  # noqa: S101 - what this checks of the bus
        if len(worker.ring) >= self._faults.ring_slots:
            return False
        worker.ring.append(encode(submission))
        return True

    def ring(self) -> None:
        """Nobody sleeps here."""

    def reply(self, worker_id: int, state: AggregateState) -> None:
        """Kept for the handler that asked."""
        self._answers[worker_id] = encode(state)

    def grow(self, group: str) -> None:
        """Here a new worker is ready at once."""
        self._spawn(group)

    def retire(self, worker_id: int) -> None:
        """It leaves at a later step, when it has delivered what it runs."""
        worker = self._workers.get(worker_id)
        if worker is not None and not worker.is_leaving:
            worker.is_leaving = True
            self._listener().worker_leaving(worker_id)

    def statistics(self) -> PoolStatistics:
        """All workers are always there."""
        groups = (GroupStatistics(name, count, count, 0, count, 0, 0) for name, count in self._groups.items())
        return PoolStatistics("processes", tuple(groups))

    def vitals(self) -> tuple[Vitals, ...]:
        """Every worker, as idle."""
        return tuple(Vitals(one.worker_id, 0, one.group, "idle", 0, 0.0, 0) for one in self._workers.values())

    def step(self) -> bool:
        """Let one worker do one thing; False when none of them can."""
        awake = [one for one in self._workers.values() if not one.is_asking]
        movable = [one for one in awake if one.ring or one.outcome or one.published or one.is_leaving]
        if not movable:
            return False
        worker = self._chance.choice(movable)
        may_die = worker.running is not None or not self._faults.kill_running_only
        if may_die and self._chance.random() < self._faults.kill:
            self._kill(worker)
        elif worker.outcome is not None:
            worker.published.append(worker.outcome)
            worker.running = worker.outcome = None
        elif worker.published and (worker.is_leaving or not worker.ring or self._chance.choice((True, False))):
            self._deliver(worker)
        elif worker.is_leaving:
            del self._workers[worker.worker_id]
            self._listener().worker_left(worker.worker_id)
        elif self._chance.random() < self._faults.recycle:
            self.retire(worker.worker_id)
            self.grow(worker.group)
        else:
            self._run(worker)
        return True

    def _listener(self) -> LaneListener:
        assert self._told is not None  # noqa: S101 - start() was called
        return self._told

    def _spawn(self, group: str) -> None:
        self._next_id += 1
        self._workers[self._next_id] = _Worker(self._next_id, group)
        self._listener().worker_ready(self._next_id, group)

    def _kill(self, worker: _Worker) -> None:
        self.kills += 1
        self._deliver(worker)
        del self._workers[worker.worker_id]
        running = worker.running
        blamed = (running.envelope.position, running.generation) if running else None
        self._listener().worker_gone(
            worker.worker_id, blamed, Failure("driven.errors.WorkerDied", "killed by the simulation")
        )
        if not worker.is_leaving:
            self._spawn(worker.group)

    def _run(self, worker: _Worker) -> None:
        """The handler runs now; its outcome is delivered at a later step."""
        submission = worker.running = decode_submission(worker.ring.popleft())
        position, generation = submission.envelope.position, submission.generation

        def ask(name: str, aggregate_id: str) -> AggregateState:
            worker.is_asking = True
            self._between()
            worker.is_asking = False
            if self._chance.random() < self._faults.kill:
                self._kill(worker)
                raise _Killed
            self._listener().read_requested(worker.worker_id, ReadRequest(position, generation, name, aggregate_id))
            return decode_state(self._answers.pop(worker.worker_id))

        outcome = self._execution.execute(submission, ask)
        if worker.worker_id not in self._workers:
            return
        worker.outcome = encode(Completion(position, generation, self._chance.randrange(1_000, 5_000_000), outcome))

    def _deliver(self, worker: _Worker) -> None:
        """Tell all that it has published, in one call."""
        completions = tuple(decode_completion(one) for one in worker.published)
        worker.published.clear()
        if completions:
            self._listener().completed(worker.worker_id, completions)


class SimulatedCommitter:
    """A store thread whose batch is finished at a step of the seed's choice."""

    def __init__(self, store: EventStore, chance: random.Random, faults: Faults) -> None:
        """One batch at a time, as a `Committer`."""
        self._store = store
        self._chance = chance
        self._faults = faults
        self._under_way: tuple[Batch, Done] | None = None

    def commit(self, batch: Batch, done: Done) -> None:
        """Take the batch; it is in the store at some later step."""
        assert self._under_way is None, "a committer takes one batch at a time"  # noqa: S101 - what this checks of the conductor
        self._under_way = (batch, done)

    def step(self) -> bool:
        """Perhaps finish the batch; False when there is none."""
        if self._under_way is None:
            return False
        if self._chance.random() >= self._faults.late_store:
            (batch, done), self._under_way = self._under_way, None
            self._store.append(batch)
            done(None)
        return True

    def between(self, work: Callable[[], object]) -> None:
        """Nothing else is being done."""
        work()

    def close(self) -> None:
        """Nothing to let go of."""


class Simulation:
    """One run of an application with simulated workers."""

    def __init__(  # noqa: PLR0913 - each is one dial of the simulation
        self,
        application: Application | Registry,
        *,
        workers: int | Mapping[str, int],
        seed: int,
        faults: Faults | None = None,
        settings: Settings | None = None,
        middleware: Sequence[Middleware] = (),
        store: EventStore | None = None,
        clock_ns: Callable[[], int] | None = None,
    ) -> None:
        """Nothing has begun yet.

        Args:
            application: an application; as a registry, whoever runs many simulations has it checked only once.
            workers: how many there are, 0 for none, or how many of each group.
            seed: decides everything that is left to chance.
            faults: what goes wrong, and how often; None: nothing.
            settings: the configuration; None: the default.
            middleware: hooks, called in this order.
            store: where the log is; None: in memory. What an earlier simulation left there is taken up (U9).
            clock_ns: nanoseconds since the epoch, read once per admission; None: a second more at each reading.

        """
        faults = faults or Faults()
        settings = settings or Settings()
        groups = {"default": workers} if isinstance(workers, int) else dict(workers)
        groups = {group: count for group, count in groups.items() if count}
        chance = random.Random(seed)  # noqa: S311 - reproducible by design
        self.registry: Final = application if isinstance(application, Registry) else build_registry(application)
        self.store: Final = MemoryStore() if store is None else store
        self.store.open()
        self.store.keep_snapshots(self.registry.snapshot_schemas)
        execution = Execution(self.registry, self.store.log_id)
        self.committer: Final = SimulatedCommitter(self.store, chance, faults)
        self.lane: Final = SimulatedLane(execution, groups, chance, faults)
        self._chance: Final = chance
        self._is_started = False
        self.conductor: Final = Conductor(
            registry=self.registry,
            execution=execution,
            store=self.store,
            committer=self.committer,
            followers=Followers(Projections(self.registry)),
            routes=routes(self.registry, settings, groups),
            settings=settings.bus,
            clock_ns=clock_ns or counting_clock(self.store.last_position),
            hooks=Hooks(middleware),
            lane=self.lane if groups else None,
            groups=groups,
            wake=lambda: None,
            timer_ns=drawn_timer(chance),
        )
        self.conductor.recover()

    def run(self, commands: Sequence[Command | BuiltIn]) -> tuple[Receipt, ...]:
        """Admit all commands, then let workers, store and conductor take steps until everything has settled.

        It may be called again; what the bus itself handles, such as a redrive, may stand among the commands.
        """
        receipts = self.begin(commands)
        self.go_on()
        return receipts

    def begin(self, commands: Sequence[Command | BuiltIn]) -> tuple[Receipt, ...]:
        """Let workers come, the first time, and admit all commands."""
        if not self._is_started:
            self._is_started = True
            self.lane.start(self.conductor.traffic, self._between)
        return tuple(self._admit(command) for command in commands)

    def go_on(self, steps: int | None = None) -> None:
        """Let workers, store and conductor take so many steps, or as many as it takes until everything has settled."""
        patience = _Patience(self.conductor)
        while steps != 0 and self.conductor.failure is None and not self.conductor.is_settled:
            steps = None if steps is None else steps - 1
            patience.spend()
            self.conductor.turn(self._chance.randint(1, 8))
            moved = self.lane.step()
            moved = self.committer.step() or moved
            if not moved and self.conductor.sequencer.head is not None and not self.conductor.turn(1_000):
                self._check_not_stuck()

    def _admit(self, command: Command | BuiltIn) -> Receipt:
        if isinstance(command, Command):
            return self.conductor.reception.command(draft(self.registry, command), None)
        return self.conductor.reception.built_in(command)

    def digest(self) -> str:
        """The digest of the log (O6)."""
        return log_digest(self.store)

    def _between(self) -> None:
        """What may happen between two reads of a handler: other workers move, and messages retire."""
        for _ in range(self._chance.randint(0, 3)):
            self.lane.step()
            self.committer.step()
            self.conductor.turn(self._chance.randint(1, 4))

    def _check_not_stuck(self) -> None:
        """Nobody can move and the head has not retired: name it, rather than spin for ever (D5)."""
        head = self.conductor.sequencer.head
        if head is not None and not self.lane.step() and not self.committer.step():
            raise _stuck("nothing moves any more", self.conductor)


class _Patience:
    """How long a run may go on without anything retiring: workers that run the same command for ever move as well."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor
        self._retired = -1
        self._left = 0

    def spend(self) -> None:
        """One more step; all patience is there again when something has retired."""
        retired = self._conductor.sequencer.retired
        if retired != self._retired:
            self._retired, self._left = retired, PATIENCE_STEPS
        self._left -= 1
        if not self._left:
            raise _stuck(f"nothing has retired for {PATIENCE_STEPS:,} steps", self._conductor)


def _stuck(what: str, conductor: Conductor) -> RuntimeError:
    head = conductor.sequencer.head
    return RuntimeError(
        f"{what}: position {head.position if head else None} is at the head, "
        f"{conductor.traffic.scheduler.waiting} commands wait for workers"
    )
