"""Errands: what the bus itself does when a built-in command is at the head; and messages that are due, on their way in.

::

    driven.Redrive  --> Redriving
    driven.Schedule --> due later, in the outcome of the command
    driven.Cancel   --> not due any more, in the outcome of the command
    Agenda, when it is time --> the tail

Owned by the conductor, as long-lived; on the bus thread.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from driven.bus.as_today import encoded_today
from driven.bus.redriving import Redriving
from driven.errors import MisuseError, NothingDue
from driven.service.aside import Aside, DueId, Scheduled
from driven.service.built_in import Cancel, Redrive, Schedule
from driven.service.failures import failure_of

if TYPE_CHECKING:
    from driven.bus.admission import Admission
    from driven.bus.organs import Organs
    from driven.bus.retirement import Retirement
    from driven.bus.sequencer import Entry
    from driven.service.aside import DueMessage
    from driven.service.built_in import BuiltIn
    from driven.service.event_store import EventStore
    from driven.wire import EncodedMessage

logger = logging.getLogger("driven.bus")


class Errands:
    """Does what built-in commands say."""

    def __init__(self, organs: Organs, admission: Admission, retirement: Retirement, store: EventStore) -> None:
        """Nothing is to be done yet."""
        self._registry: Final = organs.registry
        self._order: Final = organs.order
        self._journal: Final = organs.journal
        self._admission: Final = admission
        self._retirement: Final = retirement
        self._agenda: Final = organs.agenda
        self._redriving: Final = Redriving(organs, admission, retirement, store)

    def run(self, entry: Entry, order: BuiltIn) -> bool:
        """Do it, or a step of it, and retire the command when it is done; False: the store has to catch up first."""
        if isinstance(order, Schedule):
            one = Scheduled(order.due_at_ns, order.name, order.version, order.body, order.key, entry.position, 0)
            self._retirement.done(entry, (0, 0), Aside(scheduled=(one,)))
            return True
        self._journal.flush()
        if self._journal.holds_retirements:
            self._order.make_head(entry)
            return False
        if isinstance(order, Redrive):
            if not self._redriving.run(entry, order):
                self._order.make_head(entry)
        else:
            self._cancel(entry, order)
        return True

    def enter(self, now_ns: int, limit: int) -> None:
        """Let in what is due by now, at most `limit` messages."""
        for _ in range(limit):
            due = self._agenda.take_due(now_ns)
            if due is None:
                return
            self._enter(due)

    def _enter(self, due: DueMessage) -> None:
        if (message := self._as_today(due)) is None:
            self._agenda.settled(due.id)  # the store has it as ever: it can be cancelled
            return
        self._admission.due(due, message)
        self._journal.page.announcements.append(partial(self._agenda.settled, due.id))

    def _as_today(self, due: DueMessage) -> EncodedMessage | None:
        """The command as it is encoded today; None, and said: it cannot enter."""
        scheduled = due.scheduled
        try:
            message = encoded_today(scheduled, self._registry.catalog)
            if message.type_id not in self._registry.handlers:
                logger.error("%s is due and has no handler; %s.", scheduled.name, _stays(due.id))
                return None
        except MisuseError as error:
            logger.error("%s is due and cannot be read: %s; %s.", scheduled.name, error, _stays(due.id))  # noqa: TRY400 - no trace: nobody's code failed
            return None
        return message

    def _cancel(self, entry: Entry, order: Cancel) -> None:
        due_id = DueId(order.cause, order.number)
        if not self._agenda.cancel(due_id):
            self._retirement.refuse(entry, failure_of(NothingDue(*due_id)))
            return
        self._journal.page.announcements.append(partial(self._agenda.settled, due_id))
        self._retirement.done(entry, (0, 0), Aside(cancelled=(due_id,)))


def _stays(due_id: DueId) -> str:
    return (
        f"it stays due (cause {due_id.cause}, number {due_id.number}), and is tried again when a bus opens; "
        f"bring its type back, or cancel it"
    )
