"""The sequencer: gives positions, and holds what has one and has not retired.

One queue, in position order; what is caused joins at the tail, nothing is ever put anywhere else (O1, O3). The queue
belongs to the sequencer and is never replaced (O8). Who retires next, `driven.bus.order` says. Pure: no clock, no I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from driven.bus.hazards import Footprint
from driven.bus.receipts import Receipt
from driven.domain.messages import Envelope
from driven.service.built_in import SCHEDULER, BuiltIn
from driven.service.handlers import Handler
from driven.service.intake import Draft
from driven.wire import Completion, EncodedMessage

if TYPE_CHECKING:
    from driven.service.aside import DueMessage

KEPT_CAUSES: Final = 10
"""How many of its causes a message remembers."""


class Repeat(msgspec.Struct, frozen=True):
    """An event that was parked, again: only these of its reactions follow it."""

    reactions: tuple[str, ...]


class Moved(msgspec.Struct, frozen=True):
    """A command that went to the tail; nothing of it happens here."""

    to: int


# Both are made for each command and kept from the garbage collector: nothing that they hold leads back to them.


class Root(msgspec.Struct, eq=False, gc=False):
    """A command from outside, and the count of what it caused that has not retired; lives until all has."""

    draft: Draft
    position: int = 0
    open: int = 0
    descendants: int = 0
    failed: int = 0
    parked: int = 0
    receipt: Receipt = None  # type: ignore[assignment]  # given right after admission, as it needs the position
    """What the submitter holds."""
    emitted: Sequence[EncodedMessage] = ()
    """Events of the command itself, to be told with its receipt."""


class Entry(msgspec.Struct, eq=False, gc=False):
    """One message that has a position and has not retired, and what the bus knows about its way."""

    envelope: Envelope
    position: int
    """Its place in the total order."""
    type_id: int
    body: bytes
    root: Root
    causes: tuple[int, ...] = ()
    """Type and position of its cause, of the cause of that and so on, the nearest `KEPT_CAUSES`; none: it is a root.

    Numbers and not entries: a chain of those keeps all that ever happened, and is let go of by recursion in C."""
    handler: Handler | None = None
    """None: an event."""
    footprint: Footprint = None
    park_reason: str | None = None
    """Why it will be parked instead of run, if it will."""
    is_on_lane: bool = False
    """Whether it runs on workers."""
    attempt: int = 1
    deaths: int = 0
    generation: int = 0
    awaits_head: bool = False
    """Whether it is sent again only when it is at the head."""
    was_head_when_sent: bool = False
    is_retired: bool = False
    is_detached: bool = False
    """Whether it retires as started (O9)."""
    is_started: bool = False
    """Whether it has, and its outcome has not retired yet."""
    late: int = 0
    """Of a command that has started: the position of its outcome, once it has one; no entry, that would be a circle."""
    started: Entry | None = None
    """Of the entry of such an outcome: the command that started."""
    load_ns: float = 0.0
    """The scheduler's: what it is expected to take."""
    admitted_ns: int = 0
    """When it was admitted, on the clock of the tally; commands only."""
    completion: Completion | None = None
    """What came of its latest run, once it was at the head."""
    aside: BuiltIn | Repeat | Moved | None = None
    """What it is instead of a command or an event that takes its course; almost always None."""

    @property
    def key(self) -> str | None:
        """What commands of the same key value wait for each other by."""
        return self.envelope.key


class Sequencer:
    """The queue of unretired messages, in position order."""

    __slots__ = ("_by_position", "_is_holed", "_last_position", "_late", "_retired", "queue")

    def __init__(self, last_position: int) -> None:
        """`last_position` is the highest in the log, 0 for a new one."""
        self.queue: Final[deque[Entry]] = deque()
        """In position order, the oldest unretired message first."""
        self._by_position: dict[int, Entry] = {}
        self._last_position = last_position
        self._retired = 0
        self._late = 0
        self._is_holed = False
        """Whether anything ever retired that was not the oldest: never in strict order."""

    def __len__(self) -> int:
        """The number of messages that have not retired, and of commands that have started and have no outcome."""
        return len(self._by_position) - self._late

    @property
    def last_position(self) -> int:
        """The position given last."""
        return self._last_position

    @property
    def retired(self) -> int:
        """The number of messages retired since the bus opened."""
        return self._retired

    @property
    def head(self) -> Entry | None:
        """The oldest message that has not retired."""
        return self.queue[0] if self.queue else None

    def admit_root(self, draft: Draft, command_id: str | None, recorded_at_ns: int, trace: str) -> Entry:
        """Give the next position to a command from outside, and put it at the tail: a root of its own."""
        position = self._last_position = self._last_position + 1
        envelope = Envelope(position, command_id or f"@{position}", position, 0, 0, draft.key, recorded_at_ns, trace)
        entry = Entry(envelope, position, draft.type_id, draft.body, Root(draft, position, 1))
        self.queue.append(entry)
        self._by_position[position] = entry
        return entry

    def admit(  # noqa: PLR0913, PLR0917 - the facts of one message, by place: that is faster
        self, type_id: int, body: bytes, cause: Entry, key: str | None, recorded_at_ns: int, trace: str = ""
    ) -> Entry:
        """Give the next position to what `cause` has caused, and put it at the tail."""
        position = self._last_position = self._last_position + 1
        root, told = cause.root, cause.envelope
        root.descendants += 1
        root.open += 1
        envelope = Envelope(
            position, f"@{position}", root.position, told.position, told.hop + 1, key, recorded_at_ns, trace
        )
        causes = (cause.type_id, cause.position, *cause.causes[: 2 * KEPT_CAUSES - 2])
        entry = Entry(envelope, position, type_id, body, root, causes)
        self.queue.append(entry)
        self._by_position[position] = entry
        return entry

    def admit_late(self, started: Entry, recorded_at_ns: int) -> Entry:
        """Give the next position to the outcome of a command that retired as started: the same command again."""
        position = self._last_position = self._last_position + 1
        told = started.envelope
        envelope = Envelope(
            position,
            f"@{position}",
            told.correlation,
            told.position,
            told.hop,
            told.key,
            recorded_at_ns,
            told.trace,
        )
        entry = Entry(envelope, position, started.type_id, started.body, started.root, started.causes)
        entry.handler, entry.footprint, entry.attempt = started.handler, started.footprint, started.attempt
        entry.started, started.late = started, position
        started.root.descendants += 1
        self._late += 1
        self.queue.append(entry)
        self._by_position[position] = entry
        return entry

    def take_up(self, entry: Entry) -> None:
        """Hold again what an earlier bus gave its position and did not retire; in position order (U9)."""
        if entry.started is None:
            entry.root.open += 1
        else:
            entry.started.late = entry.position
            self._late += 1
        self.queue.append(entry)
        self._by_position[entry.position] = entry

    def take_up_started(self, started: Entry) -> None:
        """Hold again a command that an earlier bus retired as started, and whose outcome has not retired (O9)."""
        started.is_retired = started.is_started = True
        started.root.open += 1
        self._by_position[started.position] = started

    def admit_due(self, due: DueMessage, type_id: int, body: bytes, recorded_at_ns: int) -> Entry:
        """Give the next position to a command that was due later: a root of its own, which names what scheduled it."""
        position = self._last_position = self._last_position + 1
        scheduled, cause = due.scheduled, due.id.cause
        envelope = Envelope(position, f"@{position}", position, cause, scheduled.hop, scheduled.key, recorded_at_ns)
        root = Root(Draft(type_id, body, scheduled.key), position, open=1)
        entry = Entry(envelope, position, type_id, body, root, (SCHEDULER, cause))
        self.queue.append(entry)
        self._by_position[position] = entry
        return entry

    def admit_moved(self, told: Entry, recorded_at_ns: int) -> Entry:
        """Give the next position to a message that is to stand further back: the same one again, for the same root."""
        position = self._last_position = self._last_position + 1
        envelope = msgspec.structs.replace(
            told.envelope, position=position, id=f"@{position}", recorded_at_ns=recorded_at_ns
        )
        entry = Entry(envelope, position, told.type_id, told.body, told.root, told.causes)
        entry.admitted_ns = told.admitted_ns
        told.root.descendants += 1
        told.root.open += 1
        self.queue.append(entry)
        self._by_position[position] = entry
        return entry

    def find(self, position: int) -> Entry | None:
        """The message at `position` that has not retired, or has started and still has no outcome that has."""
        return self._by_position.get(position)

    def retire(self, entry: Entry) -> None:
        """Take a message out; it leaves the queue as soon as all before it have."""
        entry.is_retired = True
        if not entry.is_started:
            del self._by_position[entry.position]
            entry.root.open -= 1
        self._retired += 1
        queue = self.queue
        if queue[0] is not entry:
            self._is_holed = True
            return
        queue.popleft()
        while self._is_holed and queue and queue[0].is_retired:
            queue.popleft()

    def forget_started(self, started: Entry) -> None:
        """Its outcome has retired, so nothing of it is left to do."""
        started.is_started = False
        started.late = 0
        self._late -= 1
        del self._by_position[started.position]
