"""Recovery: what an earlier bus accepted and did not bring to its end is taken up again, in position order (U9).

::

    log   1 r   2 r   3 S   4 r   5 .   6 r   7 .   8 .          r retired   S started (O9)   . not yet
                      |           |           |     |
                 runs again    Sequencer ---------------->  the same queue, hazards, roots, budgets and parked keys
                                                            as if the earlier bus had gone on

One pass over the log, in chunks, from the oldest root of which something is left. Nothing is written: whoever dies in
the middle of it has lost nothing. What a recovered bus does next is what the earlier one would have done next, so the
log ends up the same (O6): outcomes that were not in the store yet are had again. Used once, before commands come in.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final

from driven.bus.as_today import BRING_BACK, Causes, encoded_today, type_id_today
from driven.bus.budget import over_budget
from driven.bus.hazards import UNKEYED
from driven.bus.receipts import Receipt
from driven.bus.recorded import tell
from driven.bus.redriving import failed_reactions
from driven.bus.sequencer import Entry, Moved, Repeat, Root
from driven.errors import MalformedMessage, MisuseError, RegistrationError
from driven.service.built_in import built_in, draft_of
from driven.service.event_store import READ_CHUNK, MessageKind, Status
from driven.service.intake import Draft
from driven.wire import EncodedMessage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.bus.admission import Admission
    from driven.bus.organs import Organs
    from driven.service.built_in import BuiltIn
    from driven.service.event_store import EventStore, LoggedMessage, LogRecord

logger = logging.getLogger("driven.bus")

PROGRESS_EVERY: Final = 100_000
"""Positions after which the log is told how far recovery is."""
SHOWN_FAULTS: Final = 20
"""How many messages that cannot be taken up are named."""


class Recovery:
    """One opening of one log."""

    def __init__(self, organs: Organs, admission: Admission, store: EventStore) -> None:
        """Nothing was read yet."""
        self._organs: Final = organs
        self._admission: Final = admission
        self._store: Final = store
        self._causes: Final = Causes(store, organs.registry.catalog)
        self._open_roots: Final[dict[int, Root | None]] = {}
        """Those of which something is left, by position; None until their own record was read."""
        self._started: Final[dict[int, Entry | None]] = {}
        """Commands that have started and are not finished, by position; None until their own record was read."""
        self._moved: Final[dict[int, str | None]] = {}
        """Of what stood at a position and went to the tail: why it was to be parked, if it was."""
        self._faults: Final[list[str]] = []
        self._unreadable = 0

    def take_up(self) -> list[Entry]:
        """Fill the organs with what is left; the started commands whose outcome is to get a position at once.

        Raises:
            RegistrationError: something that is left is of a type that the application does not have, or cannot be
                decoded; the log is as it was.
            StoreFailed: the log cannot be read.

        """
        organs, store = self._organs, self._store
        organs.parked_keys.update(store.parked_keys())
        if organs.parked_keys:
            logger.warning(
                "Keys of which something is parked: %d; their commands are parked as well.", len(organs.parked_keys)
            )
        self._started.update(dict.fromkeys(store.unfinished()))
        left = self._find_open_roots()
        if not self._open_roots:
            return []
        first = min(self._open_roots)
        logger.info(
            "Recovery: %d messages of %d commands have not retired; the log is read from position %d to %d.",
            *(left, len(self._open_roots), first, store.last_position),
        )
        for record in self._records(first):
            self._take(record)
        if self._faults:
            if self._unreadable > SHOWN_FAULTS:
                self._faults.append(f"{self._unreadable - SHOWN_FAULTS:,} more messages are like these")
            raise RegistrationError(organs.registry.application.name, self._faults)
        logger.info("Recovery is done; all of them go on in the order in which they were accepted.")
        return [one for one in self._started.values() if one is not None and self._is_due(one)]

    def _find_open_roots(self) -> int:
        """Note the roots of everything that is left; how much that is."""
        left, after = len(self._started), 0
        for position in self._started:
            (record,) = self._store.read(position - 1, 1)
            self._open_roots[record.message.envelope.correlation] = None
        while messages := self._store.unretired(after, READ_CHUNK):
            left += len(messages)
            self._open_roots.update((one.envelope.correlation, None) for one in messages)
            after = messages[-1].envelope.position
        return left

    def _records(self, first: int) -> Iterator[LogRecord]:
        """The log from position `first` on."""
        after, told = first - 1, first - 1
        while records := self._store.read(after, READ_CHUNK):
            yield from records
            after = records[-1].message.envelope.position
            if after - told >= PROGRESS_EVERY:
                told = after
                logger.info("Recovery has read up to position %d of %d.", after, self._store.last_position)

    def _take(self, record: LogRecord) -> None:
        """Count a message for its root, if that is open; take it up, if it is left."""
        message, outcome = record.message, record.outcome
        position, correlation = message.envelope.position, message.envelope.correlation
        if correlation not in self._open_roots:
            return
        if position == correlation:
            self._open_roots[position] = self._root(record)
        root = self._open_roots[correlation]
        assert root is not None  # noqa: S101 - a root stands before what it causes
        root.descendants += position != correlation
        if outcome is None:
            self._take_unretired(message, root)
            return
        root.failed += outcome.status is Status.FAILED
        root.parked += outcome.status is Status.PARKED
        if position in self._started:
            self._take_started(message, root)
        elif outcome.status is Status.MOVED:
            with contextlib.suppress(MisuseError):  # of a type that is gone: so is what it went to, and that is told
                self._moved[position] = self._park_reason(message, self._entry(message, root))

    def _root(self, record: LogRecord) -> Root:
        """A root with the receipt that its submitter would hold."""
        message, outcome, catalog = record.message, record.outcome, self._organs.registry.catalog
        envelope = message.envelope
        try:
            as_today = encoded_today(message, catalog)
        except MisuseError:  # said where it matters; of a root that has retired it does not
            as_today = EncodedMessage(type_id_today(message.name, catalog), message.body)
        root = Root(Draft(as_today.type_id, as_today.body, envelope.key), envelope.position)
        receipt = root.receipt = Receipt(envelope.position, envelope.id)
        if outcome is None:
            if as_today.type_id in self._admission.detached:
                receipt.will_start()
        elif envelope.position in self._started:
            receipt.will_start()
            receipt.start()
        else:
            tell(receipt, record, self._store, catalog)
        self._organs.roots.add(root, None if envelope.id.startswith("@") else envelope.id)
        return root

    def _take_unretired(self, message: LoggedMessage, root: Root) -> None:
        """Back into the queue, and among the hazards."""
        if (order := built_in(message)) is not None:
            self._take_built_in(message, root, order)
            return
        started = self._started.get(message.envelope.causation)
        try:
            entry = self._entry(message, root)
        except MisuseError as error:
            self._note(message, error)
            return
        if message.kind is MessageKind.COMMAND and started is not None and not message.redrives:
            entry.started, entry.causes = started, started.causes
        elif entry.causes:  # a root has caused nothing yet
            entry.park_reason = self._park_reason(message, entry)
        self._organs.sequencer.take_up(entry)
        if message.redrives:
            self._take_redriven(message, entry)
        if message.kind is MessageKind.COMMAND:
            self._place(entry)
        elif self._organs.order.ready is not None:
            self._organs.order.ready(entry.position)

    def _take_built_in(self, message: LoggedMessage, root: Root, order: BuiltIn) -> None:
        """A command that the bus itself does when it is at the head."""
        envelope, draft = message.envelope, draft_of(order)
        entry = Entry(envelope, envelope.position, draft.type_id, message.body, root, aside=order)
        self._organs.sequencer.take_up(entry)
        if self._organs.order.ready is not None:
            self._organs.order.ready(entry.position)

    def _take_redriven(self, message: LoggedMessage, entry: Entry) -> None:
        """A message that a redrive put here (F3): where it stood it does not happen; of an event some reactions run."""
        origin = self._organs.sequencer.find(message.redrives)
        if origin is not None and not origin.is_retired:
            origin.aside = Moved(entry.position)
        elif message.kind is MessageKind.REPEATED:
            (parked,) = self._store.read(message.redrives - 1, 1)
            reactions = failed_reactions(parked.outcome)
            entry.aside = Repeat(reactions) if reactions else None

    def _park_reason(self, message: LoggedMessage, entry: Entry) -> str | None:
        """Why it is to be parked, if it is: what has moved goes by what was said of it where it stood first (F5)."""
        origin = self._organs.sequencer.find(message.redrives)
        if origin is not None and not origin.is_retired:
            return origin.park_reason
        if message.redrives in self._moved:
            return self._moved[message.redrives]
        return over_budget(entry, self._admission.settings, self._organs.registry.name_of)

    def _take_started(self, message: LoggedMessage, root: Root) -> None:
        """It frees everything behind it already; it runs again, as nothing of its outcome is in the log (O9)."""
        try:
            entry = self._entry(message, root)
        except MisuseError as error:
            self._note(message, error)
            return
        self._started[entry.position] = entry
        self._organs.sequencer.take_up_started(entry)
        self._describe(entry)

    def _entry(self, message: LoggedMessage, root: Root) -> Entry:
        """A message as the bus held it when it was admitted.

        Raises:
            MisuseError: it cannot be taken up.

        """
        envelope, registry = message.envelope, self._organs.registry
        body = encoded_today(message, registry.catalog)
        if message.kind is MessageKind.COMMAND and body.type_id not in registry.handlers:
            raise MalformedMessage(message.name, "no handler is registered for it", BRING_BACK)
        return Entry(envelope, envelope.position, body.type_id, body.body, root, self._causes.of(message))

    def _describe(self, entry: Entry) -> None:
        """What a command is to the bus of today: where it runs, and what it touches."""
        organs = self._organs
        handler = entry.handler = organs.registry.handlers[entry.type_id]
        if handler.is_stateful:
            entry.footprint = entry.key or UNKEYED
        if entry.started is not None:
            entry.admitted_ns = entry.started.admitted_ns
            return
        organs.tally.admitted(entry)
        entry.is_on_lane = entry.park_reason is None and organs.traffic.goes_to_workers(entry.type_id)
        entry.is_detached = entry.type_id in self._admission.detached

    def _place(self, entry: Entry) -> None:
        self._describe(entry)
        if self._organs.hazards.admit(entry.position, entry.footprint):
            self._admission.let_go(entry)

    def _is_due(self, started: Entry) -> bool:
        """Run a started command again; whether its outcome gets a position now, and not when it has come.

        Where it has or gets one, it runs when that is its turn: nothing may retire before what stands in its way.
        """
        if started.is_on_lane and started.is_detached and not started.late:
            self._organs.traffic.enqueue(started)
            return False
        started.awaits_head = True
        return not started.late

    def _note(self, message: LoggedMessage, error: MisuseError) -> None:
        """One more message that cannot be taken up; the first ones are told."""
        self._unreadable += 1
        if self._unreadable <= SHOWN_FAULTS:
            where = f"position {message.envelope.position} of the log has not retired and cannot be taken up"
            self._faults.append(f"{where}: {error}. Nothing is lost, and nothing was changed")
