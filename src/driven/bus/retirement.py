"""Retirement: what the message at the head leads to, made visible, and what follows from it.

::

    succeeded --> changes, events at the tail --.
    failed    --> the event of `on_failure`, ----+--> outcome onto the page of the journal
                  or skip, halt, park            |    hazards let go of: what waited may start
    parked    --> its key is parked as well -----+    receipt: handled, settled (once it is in the store)
    event     --> commands of its reactions -----'

Owned by the conductor, as long-lived; on the bus thread. Nothing of a message can be seen before it is here (O2).
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from driven.errors import CommandFailed, CommandParked
from driven.service.aside import Aside, Scheduled
from driven.service.event_store import LoggedOutcome, Status
from driven.service.handlers import OnExhausted
from driven.service.on_failure import event_of_failure
from driven.wire import EncodedMessage, Failure, StoredEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from driven.bus.admission import Admission
    from driven.bus.organs import Organs
    from driven.bus.reactions import Reacted
    from driven.bus.routing import Route
    from driven.bus.sequencer import Entry
    from driven.domain.messages import Event
    from driven.service.catalog import Catalog
    from driven.service.intake import Draft
    from driven.wire import Succeeded

logger = logging.getLogger("driven.bus")

NEW_CHAIN_NS: Final = 1_000_000_000
"""Nanoseconds: who is due so much later begins a new chain of causes (F5). An endless loop is not that slow."""

_SUCCEEDED: Final = Status.SUCCEEDED
"""As a plain global: finding a member in its enumeration takes as long as a call."""

_NOTHING: Final = (0, 0)
"""Where the messages stand that were caused, where there are none."""


class Retirement:
    """How messages leave the queue."""

    def __init__(
        self, organs: Organs, admission: Admission, react: Callable[[Entry], Reacted], halt: Callable[[str], None]
    ) -> None:
        """`react` gives the commands that follow an event, and what failed; `halt` stops the bus, and says why."""
        self._registry: Final = organs.registry
        self._sequencer: Final = organs.sequencer
        self._hazards: Final = organs.hazards
        self._traffic: Final = organs.traffic
        self._state: Final = organs.state
        self._journal: Final = organs.journal
        self._agenda: Final = organs.agenda
        self._roots: Final = organs.roots
        self._hooks: Final = organs.hooks
        self._tally: Final = organs.tally
        self._admission: Final = admission
        self._react: Final = react
        self.decoded: Final = partial(_decoded, organs.registry.catalog)
        """What receipts hold: it does not lead back to the bus."""
        self._halt: Final = halt
        self._parked_keys: Final = organs.parked_keys
        self.parked = 0
        """Messages that were set aside since the bus opened."""
        self.is_halting = False
        """Whether nothing more may retire, as a handler says so (F2)."""

    def succeed(self, entry: Entry, outcome: Succeeded) -> None:
        """A command did what it was told: its changes, its events and its outcome, together."""
        if outcome.changes:
            self._state.apply(outcome.changes, self._on_streams(outcome))
        caused = self._emit(entry, outcome.events) if outcome.events else _NOTHING
        if not entry.causes:
            self._journal.page.succeeded.append(entry.root)
        self._retire(entry, LoggedOutcome(entry.position, _SUCCEEDED, entry.attempt, outcome.changes, caused))

    def start(self, entry: Entry) -> None:
        """A detached command frees everything behind it; it runs on, and its outcome enters at the tail (O9)."""
        entry.is_started = True
        entry.was_head_when_sent = False  # from here on others retire
        if not entry.causes:
            self._announce(entry.root.receipt.start)
        self._retire(entry, LoggedOutcome(entry.position, Status.STARTED, entry.attempt))

    def fail(self, entry: Entry, failure: Failure, route: Route) -> None:
        """A command failed for good; nothing that it did exists, and an event follows if its handler says so (F1)."""
        event, failure = event_of_failure(entry.handler, entry.body, failure, self._registry.catalog)
        is_internal = bool(entry.causes)
        if is_internal and event is None and route.on_exhausted is OnExhausted.PARK:
            self.park(entry, f"{failure.error_type}: {failure.message}", failure)
            return
        entry.root.failed += 1
        caused = _NOTHING
        if event is not None:
            caused = self._emit(entry, (event,))
            if not is_internal:
                self._journal.page.succeeded.append(entry.root)
        elif not is_internal:
            self._announce(partial(entry.root.receipt.fail, self._error_of(entry, failure)))
        self._retire(entry, LoggedOutcome(entry.position, Status.FAILED, entry.attempt, (), caused, (failure,)))
        if is_internal and event is None and route.on_exhausted is OnExhausted.HALT:
            name = self._registry.name_of(entry.type_id)
            self.is_halting = True
            self._journal.page.last_words = partial(
                self._halt,
                f"{name} at position {entry.position} failed and its handler says on_exhausted=HALT "
                f"({failure.message})",
            )

    def park(self, entry: Entry, reason: str, failure: Failure | None = None) -> None:
        """Set a message aside, and let every later message of its key follow it (F2)."""
        name = self._registry.name_of(entry.type_id)
        self.parked += 1
        entry.root.parked += 1
        if entry.envelope.key is not None:
            self._parked_keys.setdefault(entry.envelope.key, entry.position)
        logger.warning("%s at position %d is parked: %s", name, entry.position, reason)
        if not entry.causes:
            self._announce(partial(entry.root.receipt.fail, partial(CommandParked, name, entry.position, reason)))
        self._traffic.reorder_buffer.forget(entry.position)  # it may be on a worker, as it was not known before
        failures = (failure or Failure("driven.errors.CommandParked", reason),)
        self._retire(entry, LoggedOutcome(entry.position, Status.PARKED, entry.attempt, failures=failures))

    def follow(self, entry: Entry) -> None:
        """Run every reaction to an event; one that fails leaves its siblings alone (F2)."""
        drafts, failures, later, failed = self._react(entry)
        caused = (self._sequencer.last_position + 1, len(drafts)) if drafts else _NOTHING
        for draft in drafts:
            self._admission.command(draft, entry)
        status = Status.PARKED if failures else Status.SUCCEEDED
        self.parked += bool(failures)
        entry.root.parked += bool(failures)
        aside = None
        if failed or later:
            aside = Aside(reactions=failed, scheduled=self._scheduled(entry, later))
            self._expect(entry, aside)
        self._retire(entry, LoggedOutcome(entry.position, status, 1, (), caused, failures, aside))

    def _scheduled(self, entry: Entry, later: Sequence[Draft]) -> tuple[Scheduled, ...]:
        """What reactions to an event have due later. Who does not wait for long is still of the same chain (F5)."""
        entries, envelope, found = self._registry.catalog.entries, entry.envelope, []
        for draft in later:
            waits_long = draft.due_at_ns - envelope.recorded_at_ns >= NEW_CHAIN_NS
            known, hop = entries[draft.type_id], 0 if waits_long else envelope.hop + 1
            found.append(
                Scheduled(draft.due_at_ns, known.name, known.version, draft.body, draft.key, envelope.correlation, hop)
            )
        return tuple(found)

    def _expect(self, entry: Entry, aside: Aside) -> None:
        """Put on the agenda what a message schedules, once the store has it."""
        if aside.scheduled:
            self._announce(partial(self._agenda.add, self._agenda.expect(entry.position, aside.scheduled)))

    def move(self, entry: Entry) -> None:
        """Nothing of a command happens here: it stands at the tail (F3)."""
        self._traffic.reorder_buffer.forget(entry.position)  # it may be on a worker all the same
        self._retire(entry, LoggedOutcome(entry.position, Status.MOVED, entry.attempt))

    def done(self, entry: Entry, caused: tuple[int, int], aside: Aside) -> None:
        """A built-in command has done this to what stands aside."""
        self._journal.page.succeeded.append(entry.root)
        self._expect(entry, aside)
        self._retire(entry, LoggedOutcome(entry.position, Status.SUCCEEDED, 1, (), caused, (), aside))

    def refuse(self, entry: Entry, failure: Failure) -> None:
        """A built-in command cannot be done; nothing has changed."""
        entry.root.failed += 1
        self._announce(partial(entry.root.receipt.fail, self._error_of(entry, failure)))
        self._retire(entry, LoggedOutcome(entry.position, Status.FAILED, 1, failures=(failure,)))

    def _on_streams(self, outcome: Succeeded) -> Sequence[StoredEvent]:
        """The events of an outcome as streams hold them, in their places; none where no change is of a stream."""
        if not any(change.events for change in outcome.changes):
            return ()
        entries = self._registry.catalog.entries
        known = ((entries[event.type_id], event.body) for event in outcome.events)
        return [StoredEvent(entry.name, entry.version, body) for entry, body in known]

    def _emit(self, entry: Entry, events: Sequence[EncodedMessage]) -> tuple[int, int]:
        """Events join at the tail, and a root's receipt will tell them; where they stand, and how many."""
        caused = (self._sequencer.last_position + 1, len(events))
        for event in events:
            self._admission.event(event, entry)
        if not entry.causes:
            entry.root.emitted = events
        return caused

    def _retire(self, entry: Entry, outcome: LoggedOutcome) -> None:
        """The only moment at which anything of a message becomes visible (O2)."""
        page = self._journal.page
        self._sequencer.retire(entry)
        if entry.started is not None:
            self._traffic.reorder_buffer.forget(entry.started.position)
            self._sequencer.forget_started(entry.started)
        page.retired.append(outcome)
        if entry.handler is not None:
            self._tally.retired(entry, outcome.status)
        if entry.footprint is not None:
            for position in self._hazards.retire(entry.position, entry.footprint):
                freed = self._sequencer.find(position)
                if freed is not None:
                    self._admission.let_go(freed)
        if self._hooks.retired is not None:
            self._hooks.retired(self._registry.name_of(entry.type_id), entry.envelope, outcome)
        if entry.root.open == 0:
            page.settled.append(entry.root)

    def _announce(self, announcement: Callable[[], None]) -> None:
        """Say it once what retired is in the store."""
        self._journal.page.announcements.append(announcement)

    def _error_of(self, entry: Entry, failure: Failure) -> Callable[[], CommandFailed]:
        """Makes what its submitter is to be told."""
        name = self._registry.name_of(entry.type_id)
        return partial(CommandFailed, name, entry.position, failure.error_type, failure.message, failure.traceback)


def _decoded(catalog: Catalog, events: Sequence[EncodedMessage]) -> tuple[Event, ...]:
    return tuple([catalog.decode(event.type_id, event.body) for event in events])
