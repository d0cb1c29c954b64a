"""The sequencer: gives positions, and holds what has one and has not retired.

One queue, in position order; what is caused joins at the tail, nothing is ever put anywhere else (O1, O3). The queue
belongs to the sequencer and is never replaced (O8). Who retires next, `driven.bus.order` says. Pure: no clock, no I/O.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from driven.domain.messages import Envelope

if TYPE_CHECKING:
    from driven.bus.hazards import Footprint
    from driven.bus.receipts import Receipt
    from driven.service.handlers import Handler
    from driven.service.intake import Draft
    from driven.wire import Completion


class Root:
    """A command from outside, and the count of what it caused that has not retired; lives until all has."""

    __slots__ = ("descendants", "draft", "failed", "open", "parked", "position", "receipt")

    draft: Draft

    receipt: Receipt
    """What the submitter holds; given right after admission, as it needs the position."""

    def __init__(self, draft: Draft) -> None:
        """Nothing was caused yet."""
        self.draft = draft
        self.position = 0
        self.open = 0
        self.descendants = 0
        self.failed = 0
        self.parked = 0


class Entry:
    """One message that has a position and has not retired, and what the bus knows about its way."""

    __slots__ = (
        "admitted_ns",
        "attempt",
        "awaits_head",
        "body",
        "cause",
        "completion",
        "deaths",
        "envelope",
        "footprint",
        "generation",
        "handler",
        "is_detached",
        "is_on_lane",
        "is_retired",
        "is_started",
        "late",
        "load_ns",
        "park_reason",
        "position",
        "root",
        "started",
        "type_id",
        "was_head_when_sent",
    )

    admitted_ns: int
    """When it was admitted, on the clock of the tally; commands only."""

    def __init__(self, envelope: Envelope, type_id: int, body: bytes, root: Root, cause: Entry | None) -> None:
        """`cause` is kept for the chain of causes; it is None for a root."""
        self.envelope: Final = envelope
        self.position: Final = envelope.position
        """Its place in the total order."""
        self.type_id: Final = type_id
        self.body: Final = body
        self.root: Final = root
        self.cause: Final = cause
        self.handler: Handler | None = None
        """None: an event."""
        self.footprint: Footprint = None
        self.park_reason: str | None = None
        """Why it will be parked instead of run, if it will."""
        self.is_on_lane = False
        """Whether it runs on workers."""
        self.attempt = 1
        self.deaths = 0
        self.generation = 0
        self.awaits_head = False
        """Whether it is sent again only when it is at the head."""
        self.was_head_when_sent = False
        self.is_retired = False
        self.is_detached = False
        """Whether it retires as started (O9)."""
        self.is_started = False
        """Whether it has, and its outcome has not retired yet."""
        self.late: Entry | None = None
        """Of a command that has started: the entry of its outcome, once it has one."""
        self.started: Entry | None = None
        """Of the entry of such an outcome: the command that started."""
        self.load_ns = 0.0
        """The scheduler's: what it is expected to take."""
        self.completion: Completion | None = None
        """What came of its latest run, once it was at the head."""

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

    def admit(  # noqa: PLR0913 - the facts of one message
        self,
        *,
        type_id: int,
        body: bytes,
        root: Root,
        cause: Entry | None,
        key: str | None,
        command_id: str | None,
        recorded_at_ns: int,
        trace: str,
    ) -> Entry:
        """Give the next position to a message and put it at the tail."""
        position = self._last_position = self._last_position + 1
        if cause is None:
            root.position = position
        else:
            root.descendants += 1
        root.open += 1
        envelope = Envelope(
            position,
            command_id or f"@{position}",
            root.position,
            cause.envelope.position if cause else 0,
            cause.envelope.hop + 1 if cause else 0,
            key,
            recorded_at_ns,
            trace,
        )
        entry = Entry(envelope, type_id, body, root, cause)
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
        entry = Entry(envelope, started.type_id, started.body, started.root, started.cause)
        entry.handler, entry.footprint, entry.attempt = started.handler, started.footprint, started.attempt
        entry.started, started.late = started, entry
        started.root.descendants += 1
        self._late += 1
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
        if queue[0] is entry:
            queue.popleft()
            while self._is_holed and queue and queue[0].is_retired:
                queue.popleft()
        else:
            self._is_holed = True

    def forget_started(self, started: Entry) -> None:
        """Its outcome has retired, so nothing of it is left to do."""
        started.is_started = False
        started.late = None
        self._late -= 1
        del self._by_position[started.position]
