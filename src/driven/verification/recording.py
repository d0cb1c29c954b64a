"""The recording: what a log says about its commands, in the order in which they retired.

::

    retired(...)  1 StartSurvey  2 SurveyStarted  3 MeasureFile ...      one cursor: who retired, what it changed
    read(...)       `-- caused: 2                   `-- caused: 7        another: what it emitted stands further on

A reader of its own, as long-lived as one verification. It holds two chunks of the log at a time, and the commands that
have started and whose outcome has not come (O9).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from driven.errors import StoreFailed
from driven.service.built_in import type_id_of
from driven.service.event_store import READ_CHUNK, LoggedMessage, LoggedOutcome, MessageKind, Status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from driven.service.event_store import LogRecord


class RecordedLog(Protocol):
    """The reading half of an `EventStore`, as far as a verification needs it."""

    @property
    def log_id(self) -> str:
        """Names the log for ever."""

    @property
    def last_position(self) -> int:
        """The highest position in the log."""

    def read(self, after: int, limit: int) -> Sequence[LogRecord]:
        """Records in position order."""

    def retired(self, after: int, limit: int) -> Sequence[LogRecord]:
        """Records in the order in which they retired."""


class Run(msgspec.Struct, frozen=True, gc=False):
    """One command that retired with an outcome."""

    index: int
    """Its place in the order of retirement, from 1."""
    message: LoggedMessage
    """As it was accepted. Of a detached command that is at another position than its outcome (O9)."""
    outcome: LoggedOutcome
    events: tuple[LoggedMessage, ...]
    """What it emitted; left out where nobody needs it."""
    is_wanted: bool
    """Whether it is in the part of the log that is looked at; what it changed is needed in any case."""


class Recording:
    """All runs of one log up to where it ended when this was made."""

    def __init__(self, log: RecordedLog, first: int, last: int | None, names: Collection[str] = ()) -> None:
        """The runs at positions from `first` to `last`, None: to the end, of these names, none: of all, are wanted."""
        self._log: Final = log
        self._names: Final = names
        self.first: Final = first
        self.last: Final = log.last_position if last is None else min(last, log.last_position)
        self.passed = 0
        """How many messages of the part that is looked at, and of what stands before it, have been gone by."""
        self._ahead: Sequence[LogRecord] = ()
        self._started: Final[dict[int, LoggedMessage]] = {}

    def __iter__(self) -> Iterator[Run]:
        """Every command that retired with an outcome; ends at the last that is wanted."""
        index = 0
        while self.passed < self.last and (records := self._log.retired(index, READ_CHUNK)):
            for record in records:
                index += 1
                run = self._run(index, record)
                if run is not None:
                    yield run
                if record.message.envelope.position <= self.last:
                    self.passed += 1
                    if self.passed == self.last:
                        return

    def _run(self, index: int, record: LogRecord) -> Run | None:
        message, outcome = record.message, record.outcome
        if message.kind is not MessageKind.COMMAND or outcome is None:
            return None
        position = message.envelope.position
        if outcome.status is Status.MOVED or type_id_of(message.name) is not None:
            return None  # nothing of it happened there; or it is the bus's own, with a handler of the bus
        if outcome.status is Status.STARTED:
            self._started[position] = message
            return None
        is_wanted = self.first <= position <= self.last and (not self._names or message.name in self._names)
        began = self._started.pop(message.envelope.causation, message)
        is_told = is_wanted or any(change.events for change in outcome.changes)
        return Run(index, began, outcome, self._events(*outcome.caused) if is_told else (), is_wanted)

    def _events(self, first: int, count: int) -> tuple[LoggedMessage, ...]:
        """The messages at `count` positions from `first`: nearly always those behind the ones asked for before."""
        found: list[LoggedMessage] = []
        while len(found) < count:
            position = first + len(found)
            offset = position - self._ahead[0].message.envelope.position if self._ahead else -1
            if not 0 <= offset < len(self._ahead):
                self._ahead, offset = self._log.read(position - 1, READ_CHUNK), 0
                if not self._ahead:
                    raise StoreFailed(self._log.log_id, f"position {position} is named as an event and is not there")
            found.extend(record.message for record in self._ahead[offset : offset + count - len(found)])
        return tuple(found)
