"""The worker traffic: commands that may start go out to workers, outcomes and deaths come back.

::

    enqueue(entry) ---> Scheduler --credit--> Lane.send ~~~~> worker
                                                                |
    ReorderBuffer <--- completed, or blamed too often <~~~~~~~~~'

It is the bus's `LaneListener`. It decides nothing about order: the conductor says what may start, and takes outcomes
from the reorder buffer when it is their turn. Owned by the conductor; everything happens on the bus thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from driven.bus.reorder_buffer import ReorderBuffer
from driven.bus.scheduler import Candidate, Scheduler
from driven.placement import Placement
from driven.wire import Completion, Failed, Failure, ReadRequest, Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from driven.bus.lane import Lane
    from driven.bus.middleware import Hooks
    from driven.bus.routing import Route
    from driven.bus.sequencer import Entry, Sequencer
    from driven.bus.working_state import WorkingState
    from driven.errors import InfrastructureError
    from driven.service.registry import Registry
    from driven.wire import AggregateState


class WorkerTraffic:
    """Worker commands of one bus: waiting, in flight, and come back early."""

    def __init__(  # noqa: PLR0913 - one argument per organ
        self,
        *,
        registry: Registry,
        routes: Mapping[int, Route],
        sequencer: Sequencer,
        state: WorkingState,
        hooks: Hooks,
        lane: Lane | None,
        groups: Collection[str],
        turn_now: Callable[[], None],
        break_off: Callable[[BaseException], None],
    ) -> None:
        """`groups` are the worker groups that `lane` serves; `break_off` stops the bus because of an error."""
        self._registry: Final = registry
        self._routes: Final = routes
        self._sequencer: Final = sequencer
        self._state: Final = state
        self._hooks: Final = hooks
        self._lane: Final = lane
        self._groups: Final = frozenset(groups) if lane is not None else frozenset[str]()
        self._turn_now: Final = turn_now
        self._break_off: Final = break_off
        self.scheduler: Final = Scheduler()
        self.reorder_buffer: Final = ReorderBuffer()

    def goes_to_workers(self, type_id: int) -> bool:
        """Whether a command of this type, admitted now, is to run on a worker."""
        route = self._routes[type_id]
        if route.placement is Placement.INLINE or route.group not in self._groups:
            return False
        return route.placement is Placement.WORKER or self.scheduler.pays_off(type_id)

    def enqueue(self, entry: Entry) -> None:
        """A command may start, for the first time or again."""
        route = self._routes[entry.type_id]
        key = entry.envelope.key if route.sticky else None
        self.scheduler.enqueue(Candidate(entry.envelope.position, entry.type_id, route.group, key))

    def dispatch(self) -> None:
        """Send out what workers have credit for."""
        if self._lane is None:
            return
        head = self._sequencer.head
        for candidate, worker_id in self.scheduler.assign():
            entry = self._sequencer.find(candidate.position)
            if entry is None:  # parked while it waited
                self.scheduler.forget(candidate, worker_id)
                continue
            entry.generation += 1
            if not self._lane.send(worker_id, self.submission(entry), self._routes[candidate.type_id].timeout_s):
                self.scheduler.refuse(candidate, worker_id)
                continue
            entry.was_head_when_sent = entry is head
            self.reorder_buffer.expect(candidate.position, entry.generation)
            if self._hooks.dispatched is not None:
                self._hooks.dispatched(self._registry.name_of(entry.type_id), entry.envelope, worker_id)
        self._lane.ring()

    def submission(self, entry: Entry) -> Submission:
        """A command as it is handed to whoever runs it, with the aggregates that travel along, as of now."""
        states: tuple[AggregateState, ...] = ()
        handler = entry.handler
        if handler is not None and handler.options.loads:
            command = self._registry.catalog.decode(entry.type_id, entry.body)
            states = tuple(
                self._state.load(self._registry.aggregate_name(aggregate), getattr(command, field))
                for aggregate, field in handler.options.loads.items()
            )
        return Submission(entry.envelope, entry.generation, entry.attempt, entry.type_id, entry.body, states)

    # What a lane tells.

    def worker_ready(self, worker_id: int, group: str) -> None:
        """A worker takes commands from now on."""
        self.scheduler.add_worker(worker_id, group)
        if self._hooks.worker_ready is not None:
            self._hooks.worker_ready(worker_id, group)

    def completed(self, worker_id: int, completion: Completion) -> None:
        """A worker has finished a command; what is not of its latest dispatch is dropped (W4)."""
        self.scheduler.complete(worker_id, completion.position, completion.elapsed_ns)
        self.reorder_buffer.accept(completion.position, completion.generation, completion.outcome)

    def read_requested(self, worker_id: int, request: ReadRequest) -> None:
        """Answer with the state as of the last retirement; whether it was current is judged at the head (O5)."""
        assert self._lane is not None  # noqa: S101 - a lane asked
        try:
            state = self._state.load(request.name, request.id)
        except BaseException as error:  # noqa: BLE001 - a store that cannot be read stops the bus
            self._break_off(error)
        else:
            self._lane.reply(worker_id, state)

    def worker_gone(self, worker_id: int, blamed: tuple[int, int] | None, cause: Failure) -> None:
        """Blame exactly the command that was running (W3); what merely waited goes elsewhere."""
        for candidate in self.scheduler.remove_worker(worker_id):
            entry = self._sequencer.find(candidate.position)
            if entry is None:
                continue
            if blamed == (candidate.position, entry.generation):
                if entry.footprint is not None and not entry.was_head_when_sent:
                    # It may have died of state that it would not see in order: only at the head is that its own fault.
                    self.reorder_buffer.forget(candidate.position)
                    entry.awaits_head = True
                    continue
                entry.deaths += 1
                if entry.deaths >= self._routes[entry.type_id].max_attempts:
                    self.reorder_buffer.accept(candidate.position, entry.generation, Failed(cause))
                    continue
            self.scheduler.enqueue(candidate)
        if self._hooks.worker_gone is not None:
            self._hooks.worker_gone(worker_id, cause.message)

    def turn_wanted(self) -> None:
        """Something of the above was told."""
        self._turn_now()

    def lane_failed(self, error: InfrastructureError) -> None:
        """Workers can no longer be had: nothing can go on in order."""
        self._break_off(error)
