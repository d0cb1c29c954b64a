"""Admission: a message gets its position, its place among the hazards, and its line in the journal.

::

    draft or event --> Sequencer (position) --> over its budget? --> Journal
                                                     |
                                      commands: Hazards --free--> WorkerTraffic

Owned by the conductor, as long-lived; on the bus thread. It reads the clock exactly once per message.
"""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any, Final

import msgspec

from driven.bus.budget import over_budget
from driven.bus.hazards import UNKEYED
from driven.bus.sequencer import Moved, Repeat
from driven.service.event_store import LoggedMessage, MessageKind
from driven.service.intake import Draft

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from driven.bus.organs import Organs
    from driven.bus.sequencer import Entry
    from driven.service.aside import DueMessage
    from driven.service.built_in import BuiltIn
    from driven.settings import BusSettings
    from driven.wire import EncodedMessage

_COMMAND: Final = MessageKind.COMMAND
_EVENT: Final = MessageKind.EVENT
"""As plain globals: finding a member in its enumeration takes as long as a call."""


class Admission:
    """The only way to the tail of the queue."""

    def __init__(
        self, organs: Organs, settings: BusSettings, clock_ns: Callable[[], int], detached: Collection[int]
    ) -> None:
        """`clock_ns` is what handlers will see as the time of their message; `detached` are types that are split."""
        self.detached: Final = frozenset(detached)
        self._registry: Final = organs.registry
        self._ready: Final = organs.order.ready
        self._parked_keys: Final = organs.parked_keys
        self._sequencer: Final = organs.sequencer
        self._hazards: Final = organs.hazards
        self._traffic: Final = organs.traffic
        self._journal: Final = organs.journal
        self._hooks: Final = organs.hooks
        self._tally: Final = organs.tally
        self.settings: Final = settings
        self._clock_ns: Final = clock_ns

    def root(self, draft: Draft, command_id: str | None, trace: str) -> Entry:
        """A command from outside; it may be on its way to a worker already."""
        # A time that is a float would be refused by whoever decodes it.
        entry = self._sequencer.admit_root(draft, command_id, index(self._clock_ns()), trace)
        self._write(entry, _COMMAND)
        self._tally.admitted(entry)
        self._place(entry)
        return entry

    def command(self, draft: Draft, cause: Entry, trace: str = "") -> Entry:
        """A command from a reaction to `cause`; it may be on its way to a worker already."""
        entry = self._sequencer.admit(draft.type_id, draft.body, cause, draft.key, index(self._clock_ns()), trace)
        entry.park_reason = over_budget(entry, self.settings, self._registry.name_of)
        self._write(entry, _COMMAND)
        self._tally.admitted(entry)
        self._place(entry)
        return entry

    def event(self, message: EncodedMessage, cause: Entry) -> Entry:
        """An event that `cause` emitted."""
        entry = self._sequencer.admit(message.type_id, message.body, cause, None, index(self._clock_ns()))
        entry.park_reason = over_budget(entry, self.settings, self._registry.name_of)
        self._write(entry, _EVENT)
        if self._ready is not None:
            self._ready(entry.position)
        return entry

    def let_go(self, entry: Entry) -> None:
        """Nothing stands in the way of a command any more; one whose key is parked, or that has moved, will not run."""
        waits = entry.is_on_lane and entry.aside is None and entry.key not in self._parked_keys
        if waits:
            self._traffic.enqueue(entry)
        elif entry.is_on_lane:
            entry.awaits_head = True  # should its key be open when its turn comes
        if self._ready is not None and (entry.is_detached or not waits):
            self._ready(entry.position)

    def late(self, started: Entry) -> Entry:
        """The outcome of a command that retired as started; no budget stops it, as it was accepted with the command."""
        entry = self._sequencer.admit_late(started, index(self._clock_ns()))
        entry.admitted_ns = started.admitted_ns  # it is the same command, and has waited since then
        self._write(entry, _COMMAND)
        if self._hazards.admit(entry.position, entry.footprint):
            self.let_go(entry)
        return entry

    def built_in(self, draft: Draft, command: BuiltIn, command_id: str | None, trace: str) -> Entry:
        """A built-in command; it waits for nobody, and runs when it is at the head."""
        entry = self._sequencer.admit_root(draft, command_id, index(self._clock_ns()), trace)
        entry.aside = command
        name = self._registry.name_of(draft.type_id)
        self._journal.page.admitted.append(LoggedMessage(entry.envelope, _COMMAND, name, 1, draft.body))
        if self._hooks.admitted is not None:
            self._hooks.admitted(name, entry.envelope)
        if self._ready is not None:
            self._ready(entry.position)
        return entry

    def again(self, parked: LoggedMessage, message: EncodedMessage, redrive: Entry) -> Entry:
        """A command that was parked, because of a redrive; `message` is what was logged, as it is encoded today."""
        envelope = parked.envelope
        draft = Draft(message.type_id, message.body, envelope.key)
        entry = self.command(draft, redrive, envelope.trace)
        self._note(redrives=envelope.position)
        return entry

    def repeat(self, parked: LoggedMessage, message: EncodedMessage, redrive: Entry, reactions: Sequence[str]) -> Entry:
        """An event that was parked, because of a redrive; only `reactions` follow it, or all if there are none."""
        entry = self.event(message, redrive)
        entry.aside = Repeat(tuple(reactions)) if reactions else None
        self._note(kind=MessageKind.REPEATED, redrives=parked.envelope.position)
        return entry

    def moved(self, entry: Entry) -> Entry:
        """A command that has not retired, at the tail instead of where it stands."""
        again = self._sequencer.admit_moved(entry, index(self._clock_ns()))
        again.park_reason = entry.park_reason
        entry.aside = Moved(again.position)
        self._write(again, _COMMAND)
        self._note(redrives=entry.position)
        self._place(again)
        return again

    def due(self, due: DueMessage, message: EncodedMessage) -> Entry:
        """A command that was due later and is due now; `message` is what was scheduled, as it is encoded today."""
        entry = self._sequencer.admit_due(due, message.type_id, message.body, index(self._clock_ns()))
        entry.park_reason = over_budget(entry, self.settings, self._registry.name_of)
        self._write(entry, _COMMAND)
        self._note(due=due.id.number)
        self._tally.admitted(entry)
        self._place(entry)
        return entry

    def _place(self, entry: Entry) -> None:
        """Where a command runs and what it touches; it may be on its way to a worker after that."""
        type_id = entry.type_id
        handler = entry.handler = self._registry.handlers[type_id]
        if handler.is_stateful:
            entry.footprint = entry.envelope.key or UNKEYED
        if entry.park_reason is None and self._traffic.goes_to_workers(type_id):
            entry.is_on_lane = True
        if type_id in self.detached:
            entry.is_detached = True
        if entry.footprint is None or self._hazards.admit(entry.position, entry.footprint):
            if entry.is_on_lane and self._ready is None and not self._parked_keys:  # the common case, made short
                self._traffic.enqueue(entry)
            else:
                self.let_go(entry)

    def _note(self, **facts: Any) -> None:  # noqa: ANN401 - of a logged message
        """Add to what was just written what few messages have."""
        admitted = self._journal.page.admitted
        admitted[-1] = msgspec.structs.replace(admitted[-1], **facts)

    def _write(self, entry: Entry, kind: MessageKind) -> None:
        known = self._registry.catalog.entries[entry.type_id]
        self._journal.page.admitted.append(LoggedMessage(entry.envelope, kind, known.name, known.version, entry.body))
        if self._hooks.admitted is not None:
            self._hooks.admitted(known.name, entry.envelope)
