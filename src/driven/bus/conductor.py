"""The conductor: the whole of order, as one object that waits for nothing.

::

    admit ---> Sequencer (position) --> Hazards --free--> Scheduler --> Lane ~~> worker
                   |  head                                                         |
                   v                                                               v
    turn:  reactions / inline run / <-------- ReorderBuffer <------------- completed(outcome)
                   |
                   v  stale? run again at the head (O5).  failed? retry, park, skip or halt (F2)
               Journal --flush--> Committer --> store;  then projectors, then receipts

It is driven from outside by `admit`, by what a lane tells it, and by `turn`; a message bus drives it from an event
loop, a simulation from a seeded generator. It owns no thread, takes time only through `clock_ns` (read exactly
once per admission), and does I/O only through its ports. Everything happens on the bus thread.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from operator import index
from typing import TYPE_CHECKING, Final

from driven.bus.budget import over_budget
from driven.bus.hazards import UNKEYED, Hazards
from driven.bus.inline_lane import InlineLane
from driven.bus.journal import Journal, Page
from driven.bus.reactions import react
from driven.bus.receipts import Receipt, Settlement
from driven.bus.recorded import receipt_from_log, refuse_other_command
from driven.bus.sequencer import Entry, Root, Sequencer
from driven.bus.traffic import WorkerTraffic
from driven.bus.worker_group import CREDIT_NS
from driven.bus.working_state import WorkingState
from driven.errors import AggregateExists, BusClosed, CommandFailed, CommandParked, DrivenError
from driven.service.event_store import LoggedMessage, LoggedOutcome, MessageKind, Status
from driven.service.failures import failure_of
from driven.service.handlers import OnExhausted
from driven.wire import EncodedMessage, Failed, Failure, Outcome, Succeeded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from driven.bus.committer import Committer
    from driven.bus.lane import Lane
    from driven.bus.middleware import Hooks
    from driven.bus.projections import Projections
    from driven.bus.routing import Route
    from driven.domain.messages import Event
    from driven.service.event_store import EventStore
    from driven.service.execution import Execution
    from driven.service.intake import Draft
    from driven.service.registry import Registry
    from driven.settings import BusSettings

logger = logging.getLogger("driven.bus")

TURN_NS: Final = CREDIT_NS // 2
"""Nanoseconds after which a turn ends, however little has retired: the event loop and the workers are waiting.

A worker holds work for one credit; half of that later it is given more."""


class Conductor:
    """Order among the commands of one log; as long-lived as its bus."""

    def __init__(  # noqa: PLR0913 - one argument per organ
        self,
        *,
        registry: Registry,
        execution: Execution,
        store: EventStore,
        committer: Committer,
        projections: Projections,
        routes: Mapping[int, Route],
        settings: BusSettings,
        clock_ns: Callable[[], int],
        hooks: Hooks,
        lane: Lane | None,
        groups: Collection[str],
        wake: Callable[[], None],
        turn_now: Callable[[], None] | None = None,
        timer_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        """`lane` None: no workers, everything runs inline. `groups` are the worker groups that the lane serves.

        `wake` asks whoever drives the conductor for a `turn`, `turn_now` for one at once, when a lane has told
        something and nothing else is going on. `timer_ns` measures what inline handlers cost
        and when a turn is over.
        """
        self._registry: Final = registry
        self._execution: Final = execution
        self._store: Final = store
        self._projections: Final = projections
        self._routes: Final = routes
        self._settings: Final = settings
        self._clock_ns: Final = clock_ns
        self._hooks: Final = hooks
        self._wake: Final = wake
        self._state: Final = WorkingState(store)
        self._timer_ns: Final = timer_ns
        self._inline_lane: Final = InlineLane(execution, self._state, timer_ns)
        self._journal: Final = Journal(committer, self._make_known, self._break_off, wake)
        self._is_halting = False
        self.sequencer: Final = Sequencer(store.last_position)
        self.hazards: Final = Hazards()
        self.traffic: Final = WorkerTraffic(
            registry=registry,
            routes=routes,
            sequencer=self.sequencer,
            state=self._state,
            hooks=hooks,
            lane=lane,
            groups=groups,
            turn_now=turn_now or wake,
            break_off=self._break_off,
        )
        self._open_roots: dict[int, Root] = {}
        self._open_ids: dict[str, Root] = {}
        self._parked_keys: dict[str, int] = {}
        self.parked = 0
        self.failure: BusClosed | None = None
        """Why nothing goes on any more, if nothing does."""

    def admit(self, draft: Draft, command_id: str | None, trace: str = "") -> Receipt:
        """Give a command from outside its position; it is durable when `page` is in the store.

        Raises:
            CommandIdReused: the log holds another command under `command_id`.

        """
        if command_id is not None and (known := self._accepted_before(command_id, draft)) is not None:
            return known
        root = Root(draft)
        entry = self._admit_command(draft, root, None, command_id, trace)
        receipt = root.receipt = Receipt(entry.envelope.position, entry.envelope.id)
        self._open_roots[root.position] = root
        if command_id is not None:
            self._open_ids[command_id] = root
        return receipt

    def _accepted_before(self, command_id: str, draft: Draft) -> Receipt | None:
        """The receipt of the command that was accepted under this id before, if any (U5)."""
        root = self._open_ids.get(command_id)
        if root is None:
            return receipt_from_log(command_id, draft, self._store, self._registry.catalog)
        refuse_other_command(command_id, draft, root.draft, self._registry.name_of(root.draft.type_id), root.position)
        return root.receipt

    @property
    def page(self) -> Page:
        """The page on which the latest admission stands; when it is in the store, so are all admissions before."""
        return self._journal.latest

    @property
    def is_settled(self) -> bool:
        """Whether everything admitted has retired and is in the store."""
        return not len(self.sequencer) and self._journal.is_blank

    def _admit_command(
        self, draft: Draft, root: Root, cause: Entry | None, command_id: str | None = None, trace: str = ""
    ) -> Entry:
        entry = self._take_position(
            EncodedMessage(draft.type_id, draft.body), root, cause, draft.key, command_id, trace
        )
        handler = entry.handler = self._registry.handlers[draft.type_id]
        if handler.is_stateful:
            entry.footprint = draft.key or UNKEYED
        entry.is_on_lane = entry.park_reason is None and self.traffic.goes_to_workers(draft.type_id)
        is_free = self.hazards.admit(entry.envelope.position, entry.footprint)
        if is_free and entry.is_on_lane:
            self.traffic.enqueue(entry)
        return entry

    def _take_position(  # noqa: PLR0913, PLR0917 - the facts of one message
        self,
        message: EncodedMessage,
        root: Root,
        cause: Entry | None,
        key: str | None,
        command_id: str | None,
        trace: str,
    ) -> Entry:
        entry = self.sequencer.admit(
            type_id=message.type_id,
            body=message.body,
            root=root,
            cause=cause,
            key=key,
            command_id=command_id,
            recorded_at_ns=index(self._clock_ns()),  # a float would be refused by whoever decodes it
            trace=trace,
        )
        entry.park_reason = over_budget(entry, self._settings, self._registry.name_of)
        known = self._registry.catalog.entries[message.type_id]
        kind = MessageKind.COMMAND if message.type_id in self._registry.handlers else MessageKind.EVENT
        self._journal.page.admitted.append(LoggedMessage(entry.envelope, kind, known.name, known.version, message.body))
        if self._hooks.admitted is not None:
            self._hooks.admitted(known.name, entry.envelope)
        return entry

    def turn(self, limit: int) -> bool:
        """Retire what can retire, at most `limit` messages, then dispatch and flush; True: there may be more to retire.

        An error that is no command's own stops the bus: it may have left what is in memory half changed.
        """
        try:
            return self._turn(limit)
        except BaseException as error:  # noqa: BLE001 - what ends programs is raised again
            self._break_off(error)
            return False

    def _turn(self, limit: int) -> bool:
        if self.failure is None:
            self.traffic.dispatch()  # what has come back left workers with nothing to do: they come first
        steps, over_at_ns, is_over = 0, self._timer_ns() + TURN_NS, False
        while not is_over and not self._is_halting and self.failure is None and self._step():
            steps += 1
            is_over = steps >= limit or self._timer_ns() >= over_at_ns
        if self.failure is None:
            self.traffic.dispatch()
        self._journal.flush()
        return is_over

    def _step(self) -> bool:
        """Bring the head one step further; False when there is nothing to do for it now."""
        entry = self.sequencer.head
        if entry is None:
            return False
        if entry.park_reason is not None:
            self._park(entry, entry.park_reason)
        elif entry.handler is None:
            self._retire_event(entry)
        elif entry.envelope.key is not None and entry.envelope.key in self._parked_keys:
            ahead = self._parked_keys[entry.envelope.key]
            self._park(entry, f"its key {entry.envelope.key!r} is parked since position {ahead}")
        else:
            outcome = self._outcome_of(entry)
            return outcome is not None and self._conclude(entry, outcome)
        return True

    def _outcome_of(self, entry: Entry) -> Outcome | None:
        """The outcome of the head, current as of now; None while there is none, or only a stale one (O5)."""
        outcome: Outcome | None
        if entry.is_on_lane:
            outcome = self.traffic.reorder_buffer.retire(entry.envelope.position)
            if outcome is None:
                if entry.awaits_head:
                    entry.awaits_head = False
                    self.traffic.enqueue(entry)
                return None
        else:
            outcome, elapsed_ns = self._inline_lane.run(self.traffic.submission(entry))
            if self._state.failure is not None:  # whatever the handler made of it, this is not its outcome
                raise self._state.failure
            self.traffic.scheduler.observe(entry.type_id, elapsed_ns)
            entry.was_head_when_sent = True
        stale = self._state.first_stale(outcome.reads)
        if stale is None:
            return outcome
        if entry.was_head_when_sent:  # nothing retired since: it added what is there already
            return Failed(failure_of(AggregateExists(stale.name, stale.id)), outcome.reads)
        if self._hooks.discarded is not None:
            self._hooks.discarded(self._registry.name_of(entry.type_id), entry.envelope)
        self.traffic.enqueue(entry)
        return None

    def _conclude(self, entry: Entry, outcome: Outcome) -> bool:
        """Retire the head with its outcome, or have it tried again; False when that has to be waited for."""
        if isinstance(outcome, Succeeded):
            self._retire_succeeded(entry, outcome)
            return True
        route = self._routes[entry.type_id]
        died_too_often = entry.deaths >= route.max_attempts
        if entry.cause is not None and entry.attempt <= route.retries and not died_too_often:
            entry.attempt += 1
            if entry.is_on_lane:
                self.traffic.enqueue(entry)
            return not entry.is_on_lane
        self._retire_failed(entry, outcome.failure, route)
        return True

    def _retire_succeeded(self, entry: Entry, outcome: Succeeded) -> None:
        self._state.apply(outcome.changes)
        caused = (self.sequencer.last_position + 1, len(outcome.events)) if outcome.events else (0, 0)
        for event in outcome.events:
            self._take_position(event, entry.root, entry, None, None, "")
        if entry.cause is None:
            events = outcome.events
            self._announce(partial(entry.root.receipt.succeed, partial(self._decoded, events)))
        self._retire(entry, LoggedOutcome(entry.position, Status.SUCCEEDED, entry.attempt, outcome.changes, caused))

    def _retire_failed(self, entry: Entry, failure: Failure, route: Route) -> None:
        name = self._registry.name_of(entry.type_id)
        if entry.cause is not None and route.on_exhausted is OnExhausted.PARK:
            self._park(entry, f"{failure.error_type}: {failure.message}", failure)
            return
        entry.root.failed += 1
        if entry.cause is None:
            error = CommandFailed(name, entry.position, failure.error_type, failure.message, failure.traceback)
            self._announce(partial(entry.root.receipt.fail, error))
        self._retire(entry, LoggedOutcome(entry.position, Status.FAILED, entry.attempt, failures=(failure,)))
        if entry.cause is not None and route.on_exhausted is OnExhausted.HALT:
            reason = (
                f"{name} at position {entry.position} failed and its handler says on_exhausted=HALT ({failure.message})"
            )
            self._is_halting = True
            self._announce(partial(self.stop, BusClosed(reason)))

    def _park(self, entry: Entry, reason: str, failure: Failure | None = None) -> None:
        """Retire the head as set aside, and let every later message of its key follow it (F2)."""
        name = self._registry.name_of(entry.type_id)
        self.parked += 1
        entry.root.parked += 1
        if entry.envelope.key is not None:
            self._parked_keys.setdefault(entry.envelope.key, entry.position)
        logger.warning("%s at position %d is parked: %s", name, entry.position, reason)
        if entry.cause is None:
            self._announce(partial(entry.root.receipt.fail, CommandParked(name, entry.position, reason)))
        failures = (failure or Failure("driven.errors.CommandParked", reason),)
        self._retire(entry, LoggedOutcome(entry.position, Status.PARKED, entry.attempt, failures=failures))

    def _retire_event(self, entry: Entry) -> None:
        """Run every reaction to the event; one that fails leaves its siblings alone (F2)."""
        drafts, failures = react(entry, self._registry, self._execution, self._settings.retries)
        caused = (self.sequencer.last_position + 1, len(drafts)) if drafts else (0, 0)
        for draft in drafts:
            self._admit_command(draft, entry.root, entry)
        status = Status.PARKED if failures else Status.SUCCEEDED
        self.parked += bool(failures)
        entry.root.parked += bool(failures)
        self._retire(entry, LoggedOutcome(entry.position, status, 1, (), caused, failures))

    def _retire(self, entry: Entry, outcome: LoggedOutcome) -> None:
        """The only moment at which anything of a message becomes visible (O2)."""
        self.sequencer.retire()
        if entry.is_on_lane:
            self.traffic.reorder_buffer.forget(entry.position)
        self._journal.page.retired.append(outcome)
        for position in self.hazards.retire(entry.position, entry.footprint):
            freed = self.sequencer.find(position)
            if freed is not None and freed.is_on_lane:
                self.traffic.enqueue(freed)
        if self._hooks.retired is not None:
            self._hooks.retired(self._registry.name_of(entry.type_id), entry.envelope, outcome)
        if entry.root.open == 0:
            self._announce(partial(self._settle, entry.root))

    def _settle(self, root: Root) -> None:
        del self._open_roots[root.position]
        self._open_ids.pop(root.receipt.id, None)
        root.receipt.settle(partial(Settlement, root.descendants + 1, root.failed, root.parked))

    def _announce(self, announcement: Callable[[], None]) -> None:
        """Say it once what retired is in the store."""
        self._journal.page.announcements.append(announcement)

    def _decoded(self, events: Sequence[EncodedMessage]) -> tuple[Event, ...]:
        return tuple(self._registry.catalog.decode(event.type_id, event.body) for event in events)

    def _make_known(self, page: Page) -> None:
        """What is on the page is in the store: show it to whoever follows or waits."""
        for outcome in page.retired:
            self._state.appended(outcome.changes)
        self._projections.feed(page.admitted)
        for announcement in page.announcements:
            announcement()

    def _break_off(self, error: BaseException) -> None:
        """Stop because of an error that is nobody's outcome; what ends a program is raised again."""
        if self.failure is None:
            logger.error("The bus cannot go on.", exc_info=error)
        self.stop(BusClosed(str(error) if isinstance(error, DrivenError) else repr(error)))
        if not isinstance(error, Exception):
            raise error

    def stop(self, failure: BusClosed) -> None:
        """Something makes going on impossible: say so, and close."""
        if self.failure is None:
            logger.error("The bus stops: %s.", failure.reason)
        self.close(failure)
        self._wake()

    def close(self, failure: BusClosed) -> None:
        """Nothing goes on from here; whoever still waits is told why. A batch that is under way is still decided."""
        if self.failure is None:
            self.failure = failure
            self._journal.close()
            for root in self._open_roots.values():
                root.receipt.abandon(failure)
