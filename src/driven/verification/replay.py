"""The replay: recorded commands go out to workers, as many as have credit, and what comes back is judged.

::

    Recording --Run--> candidate --Scheduler--> Lane.send ~~~~> worker
        `--changes--> Past <------- read_requested <-----------~'   (as of that command, wherever the walk is)
    judge(run, outcome) <---- completed, or blamed too often <--'

It is the `LaneListener` of a verification. Nothing waits for anything else: each command has the state that was
recorded before it, so there is no order to keep, and all workers are always busy. How far the walk may be ahead is
bounded, and with it the memory. Everything happens on the thread of one event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from driven.bus.scheduler import Scheduler
from driven.errors import MalformedMessage
from driven.service.failures import failure_of
from driven.settings import DEFAULT_GROUP
from driven.verification.comparison import reason_not_to_compare
from driven.wire import Failed, Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from driven.bus.lane import Lane
    from driven.bus.routing import Route
    from driven.errors import InfrastructureError
    from driven.service.execution import AskForState
    from driven.service.registry import Registry
    from driven.verification.judgement import Judgement
    from driven.verification.past import Past
    from driven.verification.recording import Recording, Run
    from driven.wire import AggregateState, Completion, EncodedMessage, Failure, Outcome, ReadRequest

AHEAD: Final = 1_024
"""Commands that may be under way at once, at most: the walk is no further ahead of the oldest."""


class _Candidate:
    """One run that is to be made, or is being made."""

    __slots__ = ("body", "deaths", "generation", "key", "load_ns", "position", "run", "type_id")

    def __init__(self, run: Run, command: EncodedMessage) -> None:
        self.run: Final = run
        self.type_id: Final = command.type_id
        self.body: Final = command.body
        """Of the version of today."""
        self.position: Final = run.message.envelope.position
        self.key: Final = None
        self.load_ns = 0.0
        self.generation = 0
        self.deaths = 0


class Replay:
    """Runs what is recorded, against the past; a `LaneListener`."""

    def __init__(
        self,
        registry: Registry,
        routes: Mapping[int, Route],
        recording: Recording,
        past: Past,
        judgement: Judgement,
    ) -> None:
        """`judgement` hears of each run what came of it."""
        self._registry: Final = registry
        self._routes: Final = routes
        self._runs: Final = iter(recording)
        self._past: Final = past
        self._judgement: Final = judgement
        self._scheduler: Final[Scheduler[_Candidate]] = Scheduler()
        for type_id in registry.handlers:
            self._scheduler.declare(type_id, DEFAULT_GROUP)
        self._under_way: Final[dict[int, _Candidate]] = {}
        self._has_more = True
        self._lane: Lane | None = None
        self._wake: Callable[[], None]
        self.failure: Exception | None = None
        """Why it cannot go on, if it cannot."""

    @property
    def is_over(self) -> bool:
        """Whether everything has been judged, or nothing more can be."""
        return self.failure is not None or (not self._has_more and not self._under_way)

    # With workers.

    def attach(self, lane: Lane, wake: Callable[[], None]) -> None:
        """Where the workers are, and how to ask for a `turn`. To be called before the lane starts."""
        self._lane = lane
        self._wake = wake

    def turn(self) -> None:
        """Walk on as far as may be, and give workers what they have credit for."""
        assert self._lane is not None  # noqa: S101 - attach() was called
        while self._has_more and len(self._under_way) < AHEAD:
            candidate = self._next()
            if candidate is not None:
                self._under_way[candidate.position] = candidate
                self._scheduler.enqueue(candidate)
        for candidate, worker_id in self._scheduler.assign():
            candidate.generation += 1
            submission = self._submission(candidate)
            if submission is None:
                self._scheduler.forget(candidate, worker_id)
            elif not self._lane.send(worker_id, submission, self._routes[candidate.type_id].timeout_s):
                self._scheduler.refuse(candidate, worker_id)
        self._lane.ring()

    def worker_ready(self, worker_id: int, group: str) -> None:
        """A worker takes commands from now on."""
        self._scheduler.add_worker(worker_id, group)
        self._wake()

    def completed(self, worker_id: int, completions: Sequence[Completion]) -> None:
        """A worker has finished runs; what is not of its latest dispatch is dropped (W4)."""
        for completion in completions:
            self._scheduler.complete(worker_id, completion.position, completion.elapsed_ns)
            candidate = self._under_way.get(completion.position)
            if candidate is not None and candidate.generation == completion.generation:
                self._finish(candidate, completion.outcome)

    def read_requested(self, worker_id: int, request: ReadRequest) -> None:
        """Answer with what was there when the command that asks came to the head."""
        assert self._lane is not None  # noqa: S101 - a lane asked
        candidate = self._under_way.get(request.position)
        if candidate is not None:
            self._lane.reply(worker_id, self._past.at(candidate.run.index, request.name, request.id))

    def worker_gone(self, worker_id: int, blamed: tuple[int, int] | None, cause: Failure) -> None:
        """Blame the run that it died of; what merely waited goes elsewhere."""
        for candidate in self._scheduler.remove_worker(worker_id):
            if blamed == (candidate.position, candidate.generation):
                candidate.deaths += 1
                if candidate.deaths >= self._routes[candidate.type_id].max_attempts:
                    self._finish(candidate, Failed(cause))
                    continue
            if candidate.position in self._under_way:
                self._scheduler.enqueue(candidate)

    def worker_leaving(self, worker_id: int) -> None:
        """Give a worker nothing more."""
        self._scheduler.close_worker(worker_id)

    def worker_left(self, worker_id: int) -> None:
        """What a worker had not begun when it left goes elsewhere."""
        for candidate in self._scheduler.remove_worker(worker_id):
            if candidate.position in self._under_way:
                self._scheduler.enqueue(candidate)

    def turn_wanted(self) -> None:
        """Something of the above was told."""
        self._wake()

    def lane_failed(self, error: InfrastructureError) -> None:
        """Workers can no longer be had."""
        self.failure = error
        self._wake()

    # Without workers.

    def run_here(self, execute: Callable[[Submission, AskForState], Outcome], limit: int) -> None:
        """Make the next `limit` runs on this thread."""
        for _ in range(limit):
            if self.is_over:
                return
            candidate = self._next()
            if candidate is None:
                continue
            self._under_way[candidate.position] = candidate
            submission = self._submission(candidate)
            if submission is not None:
                index = candidate.run.index
                self._finish(candidate, execute(submission, lambda *place, index=index: self._past.at(index, *place)))

    # Both.

    def _next(self) -> _Candidate | None:
        """Walk on to the next command; None where it is not to be run, or the log ends."""
        run = next(self._runs, None)
        if run is None:
            self._has_more = False
            return None
        self._past.apply(run.index, run.outcome.changes, run.events)
        candidate = None
        if run.is_wanted:
            reason = reason_not_to_compare(run, self._registry)
            if reason:
                self._judgement.set_aside(run, reason)
            else:
                candidate = self._candidate(run)
        if candidate is None:
            self._forget()
        return candidate

    def _candidate(self, run: Run) -> _Candidate | None:
        """The command as it is read today; None where it cannot be, which is a difference."""
        message = run.message
        try:
            return _Candidate(run, self._registry.catalog.current(message.name, message.version, message.body))
        except MalformedMessage as error:
            self._judgement.judge(run, message.body, Failed(failure_of(error)), None)
            return None

    def _submission(self, candidate: _Candidate) -> Submission | None:
        """The command as it was handed over then; None where today's code cannot read it, which is a difference."""
        envelope, attempt = candidate.run.message.envelope, candidate.run.outcome.attempts
        try:
            states = self._states_for(candidate)
        except MalformedMessage as error:
            self._finish(candidate, Failed(failure_of(error)))
            return None
        return Submission(envelope, candidate.generation, attempt, candidate.type_id, candidate.body, states)

    def _states_for(self, candidate: _Candidate) -> tuple[AggregateState, ...]:
        loads = self._registry.handlers[candidate.type_id].options.loads
        if not loads:
            return ()
        command = self._registry.catalog.decode(candidate.type_id, candidate.body)
        names = ((self._registry.aggregate_name(aggregate), field) for aggregate, field in loads.items())
        return tuple(self._past.at(candidate.run.index, name, getattr(command, field)) for name, field in names)

    def _finish(self, candidate: _Candidate, outcome: Outcome) -> None:
        del self._under_way[candidate.position]
        stale = self._past.first_stale(candidate.run.index, outcome.reads)
        self._judgement.judge(candidate.run, candidate.body, outcome, stale)
        self._forget()

    def _forget(self) -> None:
        """Let go of the past that nobody under way will ask for; the walk's order is that of the indexes."""
        oldest = next(iter(self._under_way.values()), None)
        if oldest is not None:
            self._past.forget_before(oldest.run.index)
        else:
            self._past.forget_all()
