"""Walking through a log: what is there, and what is still to come."""

from __future__ import annotations

from driven.adapters.stores.memory import MemoryStore
from driven.domain.messages import Envelope
from driven.entrypoints.log.asked import Asked
from driven.entrypoints.log.entries import entry_of
from driven.entrypoints.log.walking import followed, there
from driven.service.event_store import Batch, LoggedMessage, LoggedOutcome, LogRecord, MessageKind, Status


def message(position: int, body: bytes = b"\x81\xa1n\x01") -> LoggedMessage:
    """A command at a position."""
    return LoggedMessage(
        Envelope(position, f"@{position}", position, 0, 0, None, 0), MessageKind.COMMAND, "shop.A", 1, body
    )


def store_of(admitted: int, retired: int) -> MemoryStore:
    """A log of so many messages, of which the first have retired."""
    store = MemoryStore()
    store.open()
    store.append(
        Batch(
            [message(position) for position in range(1, admitted + 1)],
            [LoggedOutcome(position, Status.SUCCEEDED, 1) for position in range(1, retired + 1)],
        )
    )
    return store


def test_a_part_of_a_log_is_walked_through_once() -> None:
    """docs/reference/command-line.md: `--from`, `--to`, over more than one chunk, with what waits."""
    store = store_of(2_500, 2_000)

    positions = [record.message.envelope.position for record in there(store, Asked(first=900, last=2_100))]

    assert positions == list(range(900, 2_101))
    assert len(list(there(store, Asked(statuses=("waiting",))))) == 500


def test_what_is_followed_comes_when_it_has_retired_and_in_order() -> None:
    """docs/reference/command-line.md: `--follow`; the second keeps the third waiting, which has retired already."""
    store = store_of(3, 1)
    store.append(Batch([], [LoggedOutcome(3, Status.SUCCEEDED, 1)]))
    seen: list[int] = []
    looks: list[list[int]] = []

    def rest(_seconds: float) -> None:
        looks.append(list(seen))
        if len(looks) == 2:
            store.append(Batch([], [LoggedOutcome(2, Status.FAILED, 1)]))
        if len(looks) == 3:
            store.append(Batch([message(4)], [LoggedOutcome(4, Status.SUCCEEDED, 1)]))

    for record in followed(store, Asked(last=4), rest):
        seen += [record.message.envelope.position]

    assert seen == [1, 2, 3, 4]
    assert looks == [[1], [1], [1, 2, 3]]


def test_a_body_that_cannot_be_read_does_not_stop_the_list() -> None:
    """Style: whoever looks for the culprit is shown it."""
    (record,) = there(store_of(1, 1), Asked())
    broken = LogRecord(message(1, b"\xc1"), record.outcome)

    assert entry_of(record).message == {"n": 1}
    assert entry_of(broken).message == "<1 bytes that cannot be decoded>"
    assert entry_of(record).recorded_at == "1970-01-01T00:00:00.000000Z"
