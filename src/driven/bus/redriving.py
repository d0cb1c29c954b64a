"""Redriving: what is parked of a key, or one parked message without a key, enters again or is given up (F3).

::

    key k    parked  2 4 5      queue  .. [redrive 9] 10k 11 12k        retry: 2 4 5 enter again as 13 14 15,
                                                                        10 and 12 move behind them, to 16 and 17
             parked  -          queue  10k 11 12k 13(2) 14(4) 15(5) 16(10) 17(12)
                                       `--- 10 and 12 retire as moved: nothing of them happens there

A redrive is a command in the log. When it is at the head, and all that retired before it is in the store, it reads
there what is parked, step by step, as it may be very much and others want the bus thread meanwhile; then it does what
its verb says in one go. It is the root of what enters again. What was accepted
behind a parked key and has not retired moves behind that, so a key keeps its order. Owned by the conductor; on the bus
thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from driven.bus.as_today import encoded_today
from driven.errors import DrivenError, MalformedMessage, MisuseError, NothingParked
from driven.service.aside import Aside
from driven.service.built_in import Verb
from driven.service.event_store import MessageKind
from driven.service.failures import failure_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from driven.bus.admission import Admission
    from driven.bus.organs import Organs
    from driven.bus.retirement import Retirement
    from driven.bus.sequencer import Entry
    from driven.service.built_in import Redrive
    from driven.service.event_store import EventStore, LoggedMessage, LoggedOutcome, ParkedRecord
    from driven.wire import EncodedMessage


AT_ONCE: Final = 256
"""Parked messages that are read in one step: a millisecond or two of the bus thread."""


class _Plan(NamedTuple):
    """What becomes of parked messages, each in position order."""

    again: Sequence[tuple[ParkedRecord, EncodedMessage]] = ()
    given_up: tuple[int, ...] = ()
    released: tuple[int, ...] = ()


class _Reading:
    """What was read so far for one redrive."""

    def __init__(self, redrive: Redrive) -> None:
        self._verb: Final = redrive.verb
        self.records: Final[list[ParkedRecord]] = []
        self.again: Final[list[tuple[ParkedRecord, EncodedMessage]]] = []

    @property
    def last(self) -> int:
        """The position of the last one, 0: there is none."""
        return _position(self.records[-1]) if self.records else 0

    def add(self, record: ParkedRecord, encoded: Callable[[LoggedMessage], EncodedMessage]) -> None:
        """One more; `encoded` is how messages are encoded today, for those that enter again."""
        if self._verb is Verb.RETRY or (self._verb is Verb.SKIP and self.records):
            self.again.append((record, encoded(record.message)))
        self.records.append(record)


class Redriving:
    """Does what redrives say, one after the other."""

    def __init__(self, organs: Organs, admission: Admission, retirement: Retirement, store: EventStore) -> None:
        """Nothing is read before a redrive is at the head."""
        self._registry: Final = organs.registry
        self._sequencer: Final = organs.sequencer
        self._parked_keys: Final = organs.parked_keys
        self._admission: Final = admission
        self._retirement: Final = retirement
        self._store: Final = store
        self._reading: _Reading | None = None

    def run(self, entry: Entry, redrive: Redrive) -> bool:
        """Bring it one step further; True: it has retired.

        All that retired before it is in the store, and nothing retires until it has.
        """
        reading, self._reading = self._reading or _Reading(redrive), None
        try:
            if not self._read_on(reading, redrive):
                self._reading = reading
                return False
            plan = self._plan(redrive, reading)
        except DrivenError as error:
            self._retirement.refuse(entry, failure_of(error))
            return True
        key = reading.records[0].message.envelope.key
        if key is not None:
            self._parked_keys.pop(key, None)
        caused, moved = self._enter(entry, key, plan)
        entered = tuple(_position(record) for record, _ in plan.again)
        aside = Aside((), entered, moved, plan.given_up, plan.released)
        self._retirement.done(entry, caused, aside)
        return True

    def _read_on(self, reading: _Reading, redrive: Redrive) -> bool:
        """Read more of what it is about: all that is parked of a key, or one message without any; True: that was all.

        Raises:
            MalformedMessage, UnreadableMessage: one of them is of a type that the application does not have.

        """
        key = redrive.key
        if key is None:
            record = next(iter(self._store.parked(redrive.position - 1, 1)), None)
            if record is None or _position(record) != redrive.position:
                raise NothingParked(f"at position {redrive.position}")
            key = record.message.envelope.key
            if key is None:
                reading.add(record, self._encoded)
                return True
        found = self._store.parked(reading.last, AT_ONCE, key)
        for record in found:
            reading.add(record, self._encoded)
        if not reading.records:
            raise NothingParked(f"of key {key!r}")
        return len(found) < AT_ONCE

    def _plan(self, redrive: Redrive, reading: _Reading) -> _Plan:
        records = reading.records
        positions = tuple(map(_position, records))
        match redrive.verb:
            case Verb.RETRY:
                return _Plan(reading.again)
            case Verb.SKIP:
                return _Plan(reading.again, given_up=positions[:1])
            case Verb.DISCARD:
                return _Plan(given_up=positions)
            case Verb.RELEASE:
                if records[0].message.envelope.key is None:
                    raise MisuseError(
                        f"position {positions[0]} has no key, so nothing waits behind it and there is nothing to "
                        f"release; retry or discard it"
                    )
                return _Plan(released=tuple(_position(record) for record in records if not record.is_released))

    def _encoded(self, message: LoggedMessage) -> EncodedMessage:
        """What was logged as it is encoded today."""
        encoded = encoded_today(message, self._registry.catalog)
        if message.kind is MessageKind.COMMAND and encoded.type_id not in self._registry.handlers:
            remedy = "register one, or give the message up"
            raise MalformedMessage(message.name, "no handler is registered for it any more", remedy)
        return encoded

    def _enter(self, entry: Entry, key: str | None, plan: _Plan) -> tuple[tuple[int, int], tuple[int, ...]]:
        """Let messages enter again, and what waits of their key move behind them; where they stand, and who moved."""
        if not plan.again:
            return (0, 0), ()
        waiting = [] if key is None else [one for one in self._sequencer.queue if one.key == key and not one.is_retired]
        waiting = [one for one in waiting if one.aside is None]
        first = self._sequencer.last_position + 1
        for record, message in plan.again:
            if record.message.kind is MessageKind.COMMAND:
                self._admission.again(record.message, message, entry)
            else:
                self._admission.repeat(record.message, message, entry, failed_reactions(record.outcome))
        for one in waiting:
            self._admission.moved(one)
        return (first, len(plan.again) + len(waiting)), tuple(one.position for one in waiting)


def failed_reactions(outcome: LoggedOutcome | None) -> tuple[str, ...]:
    """The names of the reactions that failed to an event which was parked; none: no reaction has run."""
    return () if outcome is None or outcome.aside is None else outcome.aside.reactions


def _position(record: ParkedRecord) -> int:
    return record.message.envelope.position
