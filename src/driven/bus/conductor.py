"""The conductor: the whole of order, as one object that waits for nothing.

::

    admit ---> Admission (position) --> Hazards --free--> WorkerTraffic --> Lane ~~> worker
                   |  head                                                            |
                   v                                                                  v
    turn:  reactions / inline run / <----------- ReorderBuffer <------------- completed(outcome)
                   |
                   v  stale? run again at the head (O5).  failed? retry, or give up (F2)
              Retirement --> Journal --flush--> Committer --> store;  then projectors, then receipts

It is driven from outside by `admit`, by what a lane tells it, and by `turn`; a message bus drives it from an event
loop, a simulation from a seeded generator. It owns no thread, takes time only through `clock_ns` (read exactly
once per admission), and does I/O only through its ports. Everything happens on the bus thread.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from driven.bus.admission import Admission
from driven.bus.agenda import Agenda
from driven.bus.errands import Errands
from driven.bus.hazards import Hazards
from driven.bus.inline_lane import InlineLane
from driven.bus.journal import Journal, Page
from driven.bus.lone import LoneCommands
from driven.bus.order import order_of
from driven.bus.organs import Organs
from driven.bus.reactions import Reactions
from driven.bus.reception import Reception
from driven.bus.recovery import Recovery
from driven.bus.retirement import Retirement
from driven.bus.roots import OpenRoots
from driven.bus.sequencer import Entry, Moved, Repeat, Sequencer
from driven.bus.tally import Tally
from driven.bus.traffic import WorkerTraffic
from driven.bus.worker_group import CREDIT_NS
from driven.bus.working_state import WorkingState
from driven.errors import AggregateExists, BusClosed, DrivenError
from driven.service.failures import failure_of
from driven.wire import Completion, Failed, Failure, Outcome, Succeeded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from driven.bus.committer import Committer
    from driven.bus.followers import Followers
    from driven.bus.lane import Lane
    from driven.bus.middleware import Hooks
    from driven.bus.routing import Route
    from driven.service.built_in import BuiltIn
    from driven.service.event_store import EventStore
    from driven.service.execution import Execution
    from driven.service.registry import Registry
    from driven.settings import BusSettings

logger = logging.getLogger("driven.bus")

TURN_NS: Final = CREDIT_NS // 2
"""Nanoseconds after which a turn ends, however little has retired: the event loop and the workers are waiting.

A worker holds work for one credit; half of that later it is given more."""


class Conductor:
    """Order among the commands of one log; as long-lived as its bus."""

    failure: BusClosed | None = None
    """Why nothing goes on any more, if nothing does."""

    def __init__(  # noqa: PLR0913 - one argument per organ
        self,
        *,
        registry: Registry,
        execution: Execution,
        store: EventStore,
        committer: Committer,
        followers: Followers,
        routes: Mapping[int, Route],
        settings: BusSettings,
        clock_ns: Callable[[], int],
        hooks: Hooks,
        lane: Lane | None,
        groups: Collection[str],
        wake: Callable[[], None],
        turn_now: Callable[[], None] | None = None,
        timer_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`groups` are the worker groups that the lane serves; without a lane there are no workers.

        `wake` asks whoever drives the conductor for a `turn`, `turn_now` for one at once; `timer_ns` is a stopwatch.
        """
        self._registry: Final = registry
        self._store: Final = store
        self._feed: Final = followers.feed
        self._routes: Final = routes
        self._hooks: Final = hooks
        self.clock_ns, self._wake = clock_ns, wake
        self._state: Final = WorkingState(store)
        self._timer_ns, self._inline_lane = timer_ns, InlineLane(execution, self._state, timer_ns)
        self._journal: Final = Journal(store, committer, self._make_known, self._break_off, wake)
        self._roots, self.agenda = OpenRoots(), Agenda(store)
        self.sequencer: Final = Sequencer(store.last_position)
        self._order: Final = order_of(settings.ordering, self.sequencer)
        self.hazards: Final = Hazards()
        detached = [type_id for type_id, route in routes.items() if route.detached]
        self._finished: Final[deque[Entry]] = deque()
        self.tally: Final = Tally(registry.handlers, timer_ns)
        self.traffic: Final = WorkerTraffic(
            registry=registry,
            routes=routes,
            sequencer=self.sequencer,
            order=self._order,
            state=self._state,
            hooks=hooks,
            lane=lane,
            groups=groups,
            turn_now=turn_now or wake,
            break_off=self._break_off,
            timer_ns=timer_ns,
            arrived=self._arrived if detached or settings.ordering == "keyed" else None,
            tally=self.tally,
        )
        self._parked_keys: Final[dict[str, int]] = {}
        organs = self._organs()
        self._admission: Final = Admission(organs, settings, clock_ns, detached)
        react = Reactions(registry, execution, settings.retries).to
        self._retirement: Final = Retirement(organs, self._admission, react, self._halt)
        self._errands: Final = Errands(organs, self._admission, self._retirement, store)
        self.reception: Final = Reception(organs, self._admission, store)

    def _organs(self) -> Organs:
        return Organs(
            registry=self._registry,
            sequencer=self.sequencer,
            order=self._order,
            hazards=self.hazards,
            parked_keys=self._parked_keys,
            traffic=self.traffic,
            state=self._state,
            journal=self._journal,
            roots=self._roots,
            hooks=self._hooks,
            tally=self.tally,
            agenda=self.agenda,
        )

    def recover(self) -> None:
        """Take up what an earlier bus accepted and did not bring to its end; before anything else is done (U9).

        Raises:
            RegistrationError: something of it cannot be read by this application.
            StoreFailed: the log cannot be read.

        """
        recovery = Recovery(self._organs(), self._admission, self._store)
        self._finished.extend(recovery.take_up())
        self.agenda.open()

    def lone_commands(self) -> LoneCommands:
        """The short way of commands that are alone; for whoever gives turns."""
        return LoneCommands(self._organs(), self._break_off, is_store_blocking=self._store.is_blocking)

    @property
    def page(self) -> Page:
        """The page on which the latest admission stands; when it is in the store, so are all admissions before."""
        return self._journal.latest

    @property
    def head(self) -> Entry | None:
        """What retires next: in keyed order, who holds up all others, if anybody does; else the oldest message."""
        return self._order.head or self.sequencer.head

    def has_waiting(self, group: str) -> bool:
        """Whether commands wait for a worker of this group, and will be sent. A guess, where another thread asks."""
        return self.failure is None and self.traffic.scheduler.has_waiting(group)

    @property
    def parked(self) -> int:
        """Messages that were set aside since the bus opened."""
        return self._retirement.parked

    @property
    def is_settled(self) -> bool:
        """Whether everything admitted has retired and is in the store."""
        return not len(self.sequencer) and self._journal.is_blank

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
        self.tally.turn_begins(len(self.traffic.reorder_buffer))
        while self._finished and self.failure is None:
            self._admission.late(self._finished.popleft())
        if not self.agenda.is_empty and self.failure is None:
            self._errands.enter(self.clock_ns(), limit)
        if self.failure is None:
            self.traffic.dispatch()  # what has come back left workers with nothing to do: they come first
        steps, over_at_ns, is_over = 0, self._timer_ns() + TURN_NS, False
        while not is_over and not self._retirement.is_halting and self.failure is None and self._step():
            steps += 1
            is_over = steps >= limit or self._timer_ns() >= over_at_ns
        if self.failure is None:
            self.traffic.dispatch()
        self._journal.flush()
        self.tally.turn_ends(self.head)
        return is_over

    def _step(self) -> bool:
        """Bring the next message one step further; False when there is nothing to do now."""
        entry = self._order.next()
        if entry is None:
            return False
        if entry.aside is not None and not isinstance(entry.aside, Repeat):
            return self._do_aside(entry, entry.aside)
        if entry.park_reason is not None:
            self._retirement.park(entry, entry.park_reason)
        elif entry.handler is None:
            self._retirement.follow(entry)
        elif self._parked_keys and entry.envelope.key in self._parked_keys:
            since = self._parked_keys[entry.envelope.key]
            self._retirement.park(entry, f"its key {entry.envelope.key!r} is parked since position {since}")
        elif entry.is_detached:
            self._start(entry)
        else:
            outcome = self._outcome_of(entry)
            if isinstance(outcome, Succeeded):
                self._retirement.succeed(entry, outcome)
            elif outcome is None or not self._fail(entry, outcome.failure):
                return self._order.may_be_passed(entry)
        return True

    def _do_aside(self, entry: Entry, aside: BuiltIn | Moved) -> bool:
        """Bring a message that takes no course of its own one step further; False when it has to wait."""
        if isinstance(aside, Moved):
            self._retirement.move(entry)
            return True
        return self._errands.run(entry, aside)

    def _start(self, entry: Entry) -> None:
        """Retire a detached command as started; its outcome may be there already, or is to be had at once."""
        self._retirement.start(entry)
        if not entry.is_on_lane:
            entry.generation += 1
            self.traffic.reorder_buffer.expect(entry.position, entry.generation)
            self.traffic.reorder_buffer.accept(self._run_inline(entry))
        if self.traffic.reorder_buffer.holds(entry.position):
            self._admission.late(entry)

    def _arrived(self, position: int) -> None:
        """An outcome has come: somebody may retire with it, or it is of a detached command and is to get a position."""
        entry = self.sequencer.find(position)
        if entry is None or (entry.is_detached and not entry.is_started):
            return
        if entry.is_started and not entry.late:
            self._finished.append(entry)
        elif self._order.ready is not None:
            self._order.ready(entry.late or entry.position)

    def _late_outcome(self, entry: Entry, started: Entry) -> Completion | None:
        """The outcome that a command which retired as started has brought; None while it has to run again."""
        completion = self.traffic.reorder_buffer.retire(started.position)
        if completion is None and started.is_on_lane and started.awaits_head:
            started.awaits_head = False
            self.traffic.enqueue(started)
        elif completion is None and not started.is_on_lane:
            completion = self._run_inline(started)
            started.was_head_when_sent = True
        entry.was_head_when_sent = started.was_head_when_sent
        return completion

    def _run_inline(self, entry: Entry) -> Completion:
        completion = self._inline_lane.run(self.traffic.submission(entry))
        if self._state.failure is not None:  # whatever the handler made of it, this is not its outcome
            raise self._state.failure
        self.traffic.scheduler.observe(entry.type_id, completion.elapsed_ns)
        return completion

    def _outcome_of(self, entry: Entry) -> Outcome | None:
        """The outcome of who is next, current as of now; None while there is none, or only a stale one (O5)."""
        completion: Completion | None
        if entry.is_on_lane:
            completion = self.traffic.reorder_buffer.retire(entry.position)
            if completion is None:
                if entry.awaits_head:
                    entry.awaits_head = False
                    self.traffic.enqueue(entry)
                return None
        elif entry.started is not None:
            completion = self._late_outcome(entry, entry.started)
            if completion is None:
                return None
        else:
            completion = self._run_inline(entry)
            entry.was_head_when_sent = True
        entry.completion, outcome = completion, completion.outcome
        stale = self._state.first_stale(outcome.reads) if outcome.reads else None
        if stale is None:
            return outcome
        if entry.was_head_when_sent:  # nothing retired since: it added what is there already
            return Failed(failure_of(AggregateExists(stale.name, stale.id)), outcome.reads)
        self.tally[entry.type_id].discarded += 1
        if self._hooks.discarded is not None:
            self._hooks.discarded(self._registry.name_of(entry.type_id), entry.envelope)
        self._order.make_head(entry)
        runs = entry.started or entry
        if not runs.is_on_lane:  # a detached one, where there are no workers
            return self._outcome_of(entry)
        self.traffic.enqueue(runs)
        return None

    def _fail(self, entry: Entry, failure: Failure) -> bool:
        """Retire a command as failed, or have it tried again; False when that has to be waited for."""
        route = self._routes[entry.type_id]
        runs = entry.started or entry
        died_too_often = runs.deaths >= route.max_attempts
        if entry.causes and entry.attempt <= route.retries and not died_too_often:
            entry.attempt = runs.attempt = entry.attempt + 1
            if runs.is_on_lane:
                self.traffic.enqueue(runs)
                return False
            self._order.again(entry)
            return True
        self._retirement.fail(entry, failure, route)
        return True

    def _make_known(self, page: Page) -> None:
        """What is on the page is in the store: show it to whoever follows or waits."""
        for outcome in page.retired:
            if outcome.changes:
                self._state.appended(outcome.changes)
        self._feed(page.admitted)
        decoded = self._retirement.decoded
        for root in page.succeeded:
            receipt = root.receipt
            if receipt is not None:  # else abandoned while the batch was under way
                receipt.succeed(decoded, root.emitted)
        for announcement in page.announcements:
            announcement()
        for root in page.settled:
            self._roots.settle(root)
        if page.last_words is not None:
            page.last_words()

    def _break_off(self, error: BaseException) -> None:
        """Stop because of an error that is nobody's outcome; what ends a program is raised again."""
        if self.failure is None:
            logger.error("The bus cannot go on.", exc_info=error)
        self.stop(BusClosed(str(error) if isinstance(error, DrivenError) else repr(error)))
        if not isinstance(error, Exception):
            raise error

    def _halt(self, reason: str) -> None:
        """A handler says that nothing may go on without it (F2)."""
        self._journal.write_out()
        self.stop(BusClosed(reason))

    def give_up(self) -> None:
        """Somebody wants it to go no further; called between two turns."""
        self._journal.write_out()
        self.close(BusClosed())

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
            self._roots.abandon(failure)
