"""Contract suites: what every adapter of a port must do, as tests that its author inherits. Needs pytest.

::

    class TestMyStore(EventStoreContract):
        def make_store(self) -> EventStore:
            return MyStore(...)

A suite lives as long as a test run. A class that inherits it may have fixtures of its own, for instance an automatic
one that keeps ``tmp_path`` for `make_store`. For failures that show both sides of a comparison, let ``conftest.py``
call ``pytest.register_assert_rewrite("driven.testing.contracts")``.
"""
# ruff: noqa: PLR2004, S101 - these are tests, wherever they are run

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from driven.domain.messages import Envelope
from driven.errors import LogBusy, StoreFailed
from driven.service.event_store import (
    Batch,
    EventStore,
    LoggedMessage,
    LoggedOutcome,
    LogRecord,
    MessageKind,
    Status,
    log_digest,
)
from driven.testing.aside_contract import AsideContract
from driven.testing.following_contract import FollowingContract
from driven.testing.recovery_contract import RecoveryContract
from driven.testing.stream_contract import StreamContract
from driven.wire import AggregateState, Change, Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERYTHING: Final = 1_000_000
"""More records than any of these tests writes."""

STRANGE_TEXT: Final = 'it\'s "quoted"; -- % ? \\ \n\t \u00e4 \u4e16 \U0001f600'


def command(position: int, command_id: str | None = None, **fields: Any) -> LoggedMessage:  # noqa: ANN401 - of Envelope
    """A command as accepted at `position`, under the id that a bus would give it unless told otherwise."""
    told = {"correlation": position, "causation": 0, "hop": 0, "key": None, "recorded_at_ns": 1, **fields}
    envelope = Envelope(position=position, id=command_id or f"@{position}", **told)
    return LoggedMessage(envelope, MessageKind.COMMAND, "shop.Order", 1, b"\x81\xa1n\x01")


def outcome(position: int, *changes: Change) -> LoggedOutcome:
    """The command at `position` succeeded, and changed something."""
    return LoggedOutcome(position, Status.SUCCEEDED, 1, changes)


def change(expected_version: int, aggregate_id: str = "a", body: bytes = b"body") -> Change:
    """A change of a cart that was at `expected_version`."""
    return Change("shop.Cart", aggregate_id, expected_version, body)


def batch(*parts: LoggedMessage | LoggedOutcome) -> Batch:
    """Admissions and retirements as one transaction."""
    admitted = [part for part in parts if isinstance(part, LoggedMessage)]
    return Batch(admitted, [part for part in parts if isinstance(part, LoggedOutcome)])


BEFORE: Final = batch(command(1, "first"), command(2), command(3), outcome(1, change(0)))
"""What is in the log before something faulty is appended."""

FAULTY: Final[dict[str, tuple[LoggedMessage | LoggedOutcome, ...]]] = {
    "a gap between positions": (command(4), command(6)),
    "a gap before the first position": (command(5),),
    "a position that is taken": (command(3),),
    "a position twice": (command(4), command(4)),
    "position zero": (command(0),),
    "an id that is taken": (command(4), command(5, "first")),
    "an id twice": (command(4, "x"), command(5, "x")),
    "the retirement of what was never admitted": (command(4), outcome(2), outcome(5)),
    "the retirement of position zero": (command(4), outcome(0)),
    "the retirement of what has retired": (command(4), outcome(2), outcome(1)),
    "the same retirement twice": (command(4), outcome(2), outcome(2)),
    "a change of a version that is gone": (command(4), outcome(2, change(0, "b")), outcome(3, change(0))),
    "a change of a version that is not there yet": (command(4), outcome(2, change(2))),
    "a change of something that is not there": (command(4), outcome(2, change(1, "b"))),
    "two changes of one version": (command(4), outcome(2, change(1)), outcome(3, change(1))),
}
"""Batches that break a rule of the port; each begins with something that would be right by itself, where it can."""


class EventStoreContract(FollowingContract, RecoveryContract, StreamContract, AsideContract):
    """What a store must do to carry a bus."""

    def make_store(self) -> EventStore:
        """A store over a new log, not opened yet."""
        raise NotImplementedError

    def reopened(self, store: EventStore) -> EventStore:
        """The log of `store`, closed and opened again; override it to do so with a new object."""
        store.close()
        store.open()
        return store

    def rival_of(self, store: EventStore) -> EventStore:
        """Another store over the log of `store`, not opened; override it to do so with a new object."""
        return store

    @pytest.fixture
    def store(self) -> Iterator[EventStore]:
        """A new log, opened."""
        store = self.make_store()
        store.open()
        yield store
        store.close()

    # The log.

    def test_a_new_log_is_empty(self, store: EventStore) -> None:
        """O1: the first position is 1."""
        assert store.last_position == 0
        assert list(store.read(0, EVERYTHING)) == []
        assert store.find("anything") is None

    def test_a_log_has_a_name_for_ever(self, store: EventStore) -> None:
        """O6: it seeds the ids that handlers make."""
        log_id = store.log_id
        store.append(BEFORE)

        assert isinstance(log_id, str)
        assert log_id
        assert self.reopened(store).log_id == log_id

    def test_what_was_appended_can_be_read_in_position_order(self, store: EventStore) -> None:
        """U3: every field comes back as it went."""
        envelope = Envelope(1, STRANGE_TEXT, 1, 0, 0, STRANGE_TEXT, 2**63 - 1, STRANGE_TEXT)
        plain = LoggedMessage(envelope, MessageKind.COMMAND, STRANGE_TEXT, 3, bytes(range(256)))
        event = LoggedMessage(Envelope(2, "@2", 1, 1, 1, None, 0), MessageKind.EVENT, "shop.Ordered", 1, b"")
        failure = Failure("ValueError", STRANGE_TEXT, "Traceback\n" + STRANGE_TEXT)
        told = LoggedOutcome(1, Status.FAILED, 7, (change(0, STRANGE_TEXT, b""),), (2, 1), (failure,))

        store.append(batch(plain, event, told))

        assert list(store.read(0, EVERYTHING)) == [LogRecord(plain, told), LogRecord(event, None)]
        assert store.last_position == 2

    def test_a_record_may_be_large(self, store: EventStore) -> None:
        """U3: four megabytes are no reason to lose any."""
        body = bytes(4_000_000)
        large = LoggedMessage(Envelope(1, "@1", 1, 0, 0, None, 0), MessageKind.COMMAND, "shop.Order", 1, body)

        store.append(batch(large, outcome(1, change(0, body=body))))

        assert store.read(0, 1)[0].message.body == body
        assert store.load("shop.Cart", "a").body == body

    def test_a_batch_may_be_empty(self, store: EventStore) -> None:
        """U2: then nothing happens."""
        store.append(batch())

        assert store.last_position == 0

    @pytest.mark.parametrize(
        ("after", "limit", "positions"),
        [
            (0, 3, [1, 2, 3]),
            (3, 3, [4, 5, 6]),
            (6, 3, [7]),
            (7, 3, []),
            (99, 3, []),
            (0, 0, []),
            (2, EVERYTHING, [3, 4, 5, 6, 7]),
        ],
    )
    def test_a_log_is_read_in_pages(self, store: EventStore, after: int, limit: int, positions: list[int]) -> None:
        """B14: at most as many as were asked for, beginning behind a position."""
        store.append(batch(*(command(position) for position in range(1, 8))))

        assert [record.message.envelope.position for record in store.read(after, limit)] == positions

    def test_an_outcome_may_come_with_its_command_or_long_after(self, store: EventStore) -> None:
        """U3: a record has its outcome from the moment it retires."""
        store.append(batch(command(1, "x"), command(2), outcome(1)))
        store.append(batch(command(3)))
        store.append(batch(outcome(2), outcome(3)))

        assert [record.outcome for record in store.read(0, EVERYTHING)] == [outcome(1), outcome(2), outcome(3)]

    def test_a_log_tells_what_there_are_messages_of(self, store: EventStore) -> None:
        """X3: by kind, name and version, for a bus that opens to see whether it can read them all."""
        assert set(store.message_types()) == set()
        later = msgspec.structs.replace(command(4), version=2)
        event = msgspec.structs.replace(command(5), kind=MessageKind.EVENT, name="shop.Ordered")

        store.append(batch(command(1), command(2), command(3), outcome(1)))
        store.append(batch(later, event))

        held = [("command", "shop.Order", 1), ("command", "shop.Order", 2), ("event", "shop.Ordered", 1)]
        told = sorted((one.kind.value, one.name, one.version) for one in self.reopened(store).message_types())
        assert told == held

    def test_what_has_not_retired_has_no_outcome(self, store: EventStore) -> None:
        """U9: that is where recovery begins."""
        store.append(BEFORE)

        assert [record.outcome is None for record in store.read(0, EVERYTHING)] == [False, True, True]

    # Aggregates.

    def test_what_is_not_there_is_at_version_zero(self, store: EventStore) -> None:
        """O5: a version that can be compared with, and no body."""
        assert store.load("shop.Cart", "a") == AggregateState("shop.Cart", "a", 0, None)

    def test_every_change_raises_the_version_by_one(self, store: EventStore) -> None:
        """O5: also several in one batch, and of one command."""
        changes = [change(0, body=b"0"), change(1, body=b"1"), change(2, body=b"2"), change(3, body=b"3")]
        store.append(batch(command(1), command(2), command(3), outcome(1, changes[0]), outcome(2, changes[1])))
        assert store.load("shop.Cart", "a") == AggregateState("shop.Cart", "a", 2, b"1")

        store.append(batch(outcome(3, changes[2], changes[3])))
        assert store.load("shop.Cart", "a") == AggregateState("shop.Cart", "a", 4, b"3")

    def test_an_aggregate_is_known_by_its_name_and_its_id(self, store: EventStore) -> None:
        """R1: neither is enough."""
        carts = [
            Change(name, one, 0, f"{name} {one}".encode()) for name in ("a", "b") for one in ("a", "b", STRANGE_TEXT)
        ]

        store.append(batch(command(1), outcome(1, *carts)))

        for cart in carts:
            assert store.load(cart.name, cart.id) == AggregateState(cart.name, cart.id, 1, cart.body)

    # Order.

    @pytest.mark.parametrize(
        ("after", "limit", "positions"),
        [(0, 2, [3, 1]), (2, 2, [5, 2]), (4, 2, []), (9, 2, []), (0, 0, []), (1, EVERYTHING, [1, 5, 2])],
    )
    def test_retirements_are_read_in_the_order_in_which_they_happened(
        self, store: EventStore, after: int, limit: int, positions: list[int]
    ) -> None:
        """O9, O2: that of the batches and of the retirements within each, which need not be that of positions."""
        store.append(batch(*(command(position) for position in range(1, 6)), outcome(3), outcome(1, change(0))))
        store.append(batch(outcome(5), outcome(2, change(1))))

        records = list(store.retired(after, limit))

        assert [record.message.envelope.position for record in records] == positions
        told = {3: outcome(3), 1: outcome(1, change(0)), 5: outcome(5), 2: outcome(2, change(1))}
        assert records == [LogRecord(command(position), told[position]) for position in positions]

    def test_the_order_of_retirements_survives_closing(self, store: EventStore) -> None:
        """O9, U9: what a later bus finds is what happened."""
        store.append(batch(command(1), command(2), outcome(2)))

        again = self.reopened(store)
        again.append(batch(outcome(1)))

        assert [record.message.envelope.position for record in again.retired(0, EVERYTHING)] == [2, 1]
        again.close()

    # Ids.

    def test_a_command_is_found_by_the_id_that_its_caller_gave(self, store: EventStore) -> None:
        """U5: with its outcome, once there is one."""
        store.append(batch(command(1), command(2, STRANGE_TEXT), command(3, "y")))
        assert store.find(STRANGE_TEXT) == LogRecord(command(2, STRANGE_TEXT), None)

        store.append(batch(outcome(1), outcome(2)))
        assert store.find(STRANGE_TEXT) == LogRecord(command(2, STRANGE_TEXT), outcome(2))
        assert store.find("z") is None

    def test_ids_that_the_bus_gives_are_not_looked_up(self, store: EventStore) -> None:
        """U5: they begin with an @, and say the position anyway."""
        store.append(batch(command(1)))

        assert store.find("@1") is None

    # All or nothing.

    @pytest.mark.parametrize("fault", FAULTY)
    def test_a_faulty_batch_leaves_nothing(self, store: EventStore, fault: str) -> None:
        """U3: nothing of it is there, and the log goes on as if it had never been."""
        store.append(BEFORE)
        before = self._everything(store)

        with pytest.raises(StoreFailed):
            store.append(batch(*FAULTY[fault]))
        assert self._everything(store) == before

        store.append(batch(command(4, "x"), outcome(2, change(1)), outcome(3, change(0, "b"))))
        assert store.last_position == 4
        assert store.load("shop.Cart", "a").version == 2

    def test_nothing_is_lost_between_two_buses(self, store: EventStore) -> None:
        """U9: what was appended is there after closing and opening, and the log goes on where it was."""
        store.append(BEFORE)
        before, digest = self._everything(store), log_digest(store)

        again = self.reopened(store)

        assert self._everything(again) == before
        assert log_digest(again) == digest
        again.append(batch(command(4), outcome(2, change(1))))
        with pytest.raises(StoreFailed):
            again.append(batch(command(5, "first")))
        again.close()

    # Opening and closing.

    def test_nothing_is_appended_to_a_store_that_is_not_open(self) -> None:
        """X4: neither before it was opened nor after it was closed."""
        store = self.make_store()
        with pytest.raises(StoreFailed):
            store.append(batch(command(1)))

        store.open()
        store.append(batch(command(1)))
        store.close()

        with pytest.raises(StoreFailed):
            store.append(batch(command(2)))

    def test_closing_twice_is_harmless(self, store: EventStore) -> None:
        """X4: stopping is idempotent."""
        store.close()
        store.close()

    def test_a_log_has_one_writer(self, store: EventStore) -> None:
        """U7: a second bus is refused and does no harm; when the first one is gone, it may come."""
        rival = self.rival_of(store)

        with pytest.raises(LogBusy, match="another bus writes to this log"):
            rival.open()
        store.append(BEFORE)
        store.close()

        rival.open()
        rival.append(batch(command(4)))
        assert rival.last_position == 4
        rival.close()

    # Threads.

    def test_whoever_reads_during_an_append_sees_all_of_it_or_nothing(self, store: EventStore) -> None:
        """U3, U8: other threads see a prefix of the log that ends where a batch ends, and what that batch changed."""
        batches, size, halves = 60, 40, []
        done = threading.Event()

        def read() -> None:
            last_seen = 0
            while not done.is_set():
                version = store.load("shop.Cart", "a").version
                records = list(store.read(0, EVERYTHING))
                positions = [record.message.envelope.position for record in records]
                is_whole = len(records) % size == 0 and all(record.outcome is not None for record in records)
                is_prefix = positions == list(range(1, len(records) + 1)) and len(records) >= last_seen
                if not (is_whole and is_prefix and version * size <= len(records)):
                    halves.append((version, positions))
                    return
                last_seen = len(records)

        reader = threading.Thread(target=read)
        interval_s = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)  # let threads meet in the middle of things
        reader.start()
        try:
            for number in range(batches):
                store.append(_full_batch(number, size))
        finally:
            done.set()
            reader.join()
            sys.setswitchinterval(interval_s)

        assert halves == []
        assert store.last_position == batches * size

    @staticmethod
    def _everything(store: EventStore) -> tuple[object, ...]:
        """All that can be seen of a log in these tests."""
        found = [store.find(command_id) for command_id in ("first", "x")]
        carts = [store.load("shop.Cart", cart) for cart in ("a", "b")]
        order = [record.message.envelope.position for record in store.retired(0, EVERYTHING)]
        return store.last_position, list(store.read(0, EVERYTHING)), order, found, carts


def _full_batch(number: int, size: int) -> Batch:
    """Batch `number` of commands that retire at once, the first of which changes the cart."""
    first, *others = range(number * size + 1, (number + 1) * size + 1)
    admitted = [command(position) for position in (first, *others)]
    return Batch(admitted, [outcome(first, change(number)), *(outcome(position) for position in others)])
