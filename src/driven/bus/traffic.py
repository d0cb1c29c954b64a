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

from driven.bus.auto_placement import AutoPlacement
from driven.bus.reorder_buffer import ReorderBuffer
from driven.bus.scheduler import Scheduler
from driven.placement import Placement
from driven.wire import Completion, Failed, Failure, ReadRequest, Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from driven.bus.lane import Lane
    from driven.bus.middleware import Hooks
    from driven.bus.order import Order
    from driven.bus.routing import Route
    from driven.bus.sequencer import Entry, Sequencer
    from driven.bus.tally import Tally
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
        order: Order,
        state: WorkingState,
        hooks: Hooks,
        lane: Lane | None,
        groups: Collection[str],
        turn_now: Callable[[], None],
        break_off: Callable[[BaseException], None],
        timer_ns: Callable[[], int],
        arrived: Callable[[int], None] | None,
        tally: Tally,
    ) -> None:
        """`groups` are the worker groups that `lane` serves; `break_off` stops the bus because of an error.

        `timer_ns` measures what handing a command over costs. `arrived` takes the position of each command whose
        outcome has come; None: nobody waits to be told.
        """
        self._registry: Final = registry
        self._routes: Final = routes
        self._sequencer: Final = sequencer
        self._order: Final = order
        self._arrived: Final = arrived
        self._state: Final = state
        self._hooks: Final = hooks
        self._lane: Final = lane
        self._groups: Final = frozenset(groups) if lane is not None else frozenset[str]()
        self._turn_now: Final = turn_now
        self._break_off: Final = break_off
        self._tally: Final = tally
        self.scheduler: Final[Scheduler[Entry]] = Scheduler()
        self.enqueue: Final = self.scheduler.enqueue
        """Takes a command that may start, for the first time or again."""
        self.reorder_buffer: Final = ReorderBuffer()
        for type_id, route in routes.items():
            self.scheduler.declare(type_id, route.group, is_sticky=route.sticky)
        served = {type_id: route.placement for type_id, route in routes.items() if route.group in self._groups}
        self._always: Final = frozenset(one for one, placement in served.items() if placement is Placement.WORKER)
        """Types that run on workers."""
        self._perhaps: Final = frozenset(one for one, placement in served.items() if placement is Placement.AUTO)
        """Types that run on workers when that pays off."""
        self.auto_placement: Final = AutoPlacement(self._perhaps, timer_ns)
        self._with_states: Final = frozenset(one for one in routes if registry.handlers[one].options.loads)
        """Types with which aggregates travel."""

    def goes_to_workers(self, type_id: int) -> bool:
        """Whether a command of this type, admitted now, is to run on a worker."""
        if type_id in self._perhaps:
            return self.auto_placement.goes_to_workers(type_id, *self.scheduler.measured(type_id))
        return type_id in self._always

    def dispatch(self) -> None:
        """Send out what workers have credit for."""
        if self._lane is None or not self.scheduler.is_anything_waiting:
            return
        head = self._order.head
        self._dispatch(self._lane.send, head.started or head if head is not None else None)
        self._lane.ring()

    def _dispatch(self, send: Callable[[int, Submission, float | None], bool], head: Entry | None) -> None:
        routes, scheduler, dispatched = self._routes, self.scheduler, self._hooks.dispatched
        expect, with_states = self.reorder_buffer.expect, self._with_states
        began_ns = self.auto_placement.begin_turn(self._sequencer.head)
        for entry, worker_id in scheduler.assign():
            position = entry.position
            if entry.is_retired and not entry.is_started:  # while it waited, as it was parked
                scheduler.forget(entry, worker_id)
                continue
            type_id = entry.type_id
            generation = entry.generation = entry.generation + 1
            states = self._states_for(entry) if type_id in with_states else ()
            submission = Submission(entry.envelope, generation, entry.attempt, type_id, entry.body, states)
            if not send(worker_id, submission, routes[type_id].timeout_s):
                scheduler.refuse(entry, worker_id)
                continue
            entry.was_head_when_sent = entry is head
            expect(position, generation)
            if began_ns:  # only the first of a turn is timed: the others wait for those before them
                if scheduler.held_by(worker_id) == 1:
                    self.auto_placement.sent(entry, began_ns)
                began_ns = 0
            if dispatched is not None:
                dispatched(self._registry.name_of(entry.type_id), entry.envelope, worker_id)

    def submission(self, entry: Entry) -> Submission:
        """A command as it is handed to whoever runs it, with the aggregates that travel along, as of now."""
        states = self._states_for(entry) if entry.type_id in self._with_states else ()
        return Submission(entry.envelope, entry.generation, entry.attempt, entry.type_id, entry.body, states)

    def _states_for(self, entry: Entry) -> tuple[AggregateState, ...]:
        command = self._registry.catalog.decode(entry.type_id, entry.body)
        loads = self._registry.handlers[entry.type_id].options.loads
        return tuple(
            self._state.load(self._registry.aggregate_name(aggregate), getattr(command, field))
            for aggregate, field in loads.items()
        )

    def whereabouts(self, entry: Entry) -> str:
        """Where a worker command is that nobody is seen to run and that has no outcome: for people."""
        holder = self.scheduler.holder_of(entry.position)
        if holder is not None:
            return f"was sent to worker {holder}, which has not begun it or is about to answer"
        return f"waits for a worker of group {self._routes[entry.type_id].group}"

    # What a lane tells.

    def worker_ready(self, worker_id: int, group: str) -> None:
        """A worker takes commands from now on."""
        self.scheduler.add_worker(worker_id, group)
        if self._hooks.worker_ready is not None:
            self._hooks.worker_ready(worker_id, group)

    def completed(self, worker_id: int, completions: Sequence[Completion]) -> None:
        """A worker has finished commands; what is not of its latest dispatch is dropped (W4)."""
        complete, accept, placement = self.scheduler.complete, self.reorder_buffer.accept, self.auto_placement
        for completion in completions:
            position = completion.position
            complete(worker_id, position, completion.elapsed_ns)
            if position == placement.probed:
                placement.came_back(completion.elapsed_ns)
            if accept(completion) and self._arrived is not None:
                self._arrived(position)

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
        for entry in self.scheduler.remove_worker(worker_id):
            if entry.is_retired and not entry.is_started:
                continue
            if blamed == (entry.position, entry.generation):
                if entry.footprint is not None and not entry.was_head_when_sent and not entry.is_detached:
                    # It may have died of state that it would not see in order: only at the head is that its own fault.
                    self.reorder_buffer.forget(entry.position)
                    entry.awaits_head = True
                    self._order.make_head(entry)
                    continue
                entry.deaths += 1
                self._tally[entry.type_id].deaths += 1
                if entry.deaths >= self._routes[entry.type_id].max_attempts:
                    self.reorder_buffer.accept(Completion(entry.position, entry.generation, 0, Failed(cause)))
                    if self._arrived is not None:
                        self._arrived(entry.position)
                    continue
            self.scheduler.enqueue(entry)
        if self._hooks.worker_gone is not None:
            self._hooks.worker_gone(worker_id, cause.message)

    def worker_leaving(self, worker_id: int) -> None:
        """Give a worker nothing more."""
        self.scheduler.close_worker(worker_id)

    def worker_left(self, worker_id: int) -> None:
        """What a worker had not begun when it left goes elsewhere."""
        for entry in self.scheduler.remove_worker(worker_id):
            if self._sequencer.find(entry.position) is not None:
                self.scheduler.enqueue(entry)
        if self._hooks.worker_left is not None:
            self._hooks.worker_left(worker_id)

    def turn_wanted(self) -> None:
        """Something of the above was told."""
        self._turn_now()

    def lane_failed(self, error: InfrastructureError) -> None:
        """Workers can no longer be had: nothing can go on in order."""
        self._break_off(error)
