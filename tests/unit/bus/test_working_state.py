"""The working state against a model: what retired last is what is read, whether or not it is in the store yet (O5)."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driven.adapters.stores.memory import MemoryStore
from driven.bus.working_state import KEPT, LARGEST_KEPT_BYTES, WorkingState
from driven.domain.messages import Envelope
from driven.service.event_store import Batch, LoggedMessage, LoggedOutcome, MessageKind, Status
from driven.wire import AggregateState, Change, Read, StoredEvent

IDS = st.sampled_from(["a", "b", "c"])


def change(aggregate_id: str, expected_version: int) -> Change:
    """The next body of an account; it says which version it is."""
    return Change("Account", aggregate_id, expected_version, f"{aggregate_id}{expected_version + 1}".encode())


def append(store: MemoryStore, changes: list[Change]) -> None:
    """One message that retires with these changes."""
    position = store.last_position + 1
    message = LoggedMessage(
        Envelope(position, f"@{position}", position, 0, 0, None, 0), MessageKind.COMMAND, "n", 1, b""
    )
    store.append(Batch([message], [LoggedOutcome(position, Status.SUCCEEDED, 1, tuple(changes))]))


STEPS = st.one_of(IDS.map(lambda one: ("change", one)), st.just(("begin", "")), st.just(("end", "")))


class WaitingStore(MemoryStore):
    """Counts what is loaded, as from a disk."""

    is_blocking: ClassVar[bool] = True  # type: ignore[misc]  # the one thing that it says otherwise

    def __init__(self) -> None:
        super().__init__()
        self.loads = 0

    def load(self, name: str, aggregate_id: str) -> AggregateState:
        """Count it."""
        self.loads += 1
        return super().load(name, aggregate_id)


def test_what_was_used_lately_is_not_loaded_again() -> None:
    """U7: nobody else changes it; what was appended is known, and what is not there as well."""
    store = WaitingStore()
    store.open()
    state = WorkingState(store)
    for _ in range(3):
        assert state.load("Account", "a").version == 0
    changes = [change("a", 0)]
    state.apply(changes)
    append(store, changes)
    state.appended(changes)

    for _ in range(3):
        assert state.load("Account", "a").body == b"a1"
    assert store.loads == 1


def test_only_so_many_are_kept_and_none_that_is_large() -> None:
    """P13: memory stays bounded, whatever a log holds; those used first go first."""
    store = WaitingStore()
    store.open()
    state = WorkingState(store)
    large = Change("Account", "large", 0, bytes(LARGEST_KEPT_BYTES + 1))
    append(store, [large])
    for number in range(KEPT + 1):
        state.load("Account", str(number))
    assert store.loads == KEPT + 1

    state.load("Account", "1")
    assert store.loads == KEPT + 1
    for _ in range(2):
        state.load("Account", "0")
        state.load("Account", "large")
    assert store.loads == KEPT + 1 + 3


@pytest.mark.parametrize("store_of", [MemoryStore, WaitingStore])
@given(steps=st.lists(STEPS, max_size=30))
def test_what_retired_last_is_read_however_far_behind_the_store_is(
    store_of: type[MemoryStore], steps: list[tuple[str, str]]
) -> None:
    """O5, U2: batches reach the store later and in order; a read in between sees every retirement, none twice."""
    store = store_of()
    store.open()
    state = WorkingState(store)
    versions = dict.fromkeys("abc", 0)
    batch: list[Change] = []
    under_way: list[Change] = []

    for kind, aggregate_id in steps:
        if kind == "change":
            batch.append(change(aggregate_id, versions[aggregate_id]))
            state.apply(batch[-1:])
            versions[aggregate_id] += 1
        elif kind == "begin" and not under_way:
            under_way, batch = batch, []
        elif kind == "end":
            append(store, under_way)
            state.appended(under_way)
            under_way = []
        for one, version in versions.items():
            body = f"{one}{version}".encode() if version else None
            assert state.load("Account", one) == AggregateState("Account", one, version, body)
            assert state.first_stale([Read("Account", one, version)]) is None
            assert state.first_stale([Read("Account", one, version + 1)]) == Read("Account", one, version + 1)


@given(st.lists(st.one_of(STEPS, IDS.map(lambda one: ("snapshot", one))), max_size=30))
def test_a_stream_reads_the_same_however_far_behind_the_store_is(steps: list[tuple[str, str]]) -> None:
    """O5, O6: body and events are those that the store will give, so nobody can tell which of both was asked."""
    store, ahead = MemoryStore(), MemoryStore()
    store.open()
    ahead.open()
    state = WorkingState(store)
    batch: list[Change] = []
    under_way: list[Change] = []

    for kind, aggregate_id in steps:
        if kind in {"change", "snapshot"}:
            version = ahead.load("Account", aggregate_id).version
            body = f"{aggregate_id}{version}".encode() if kind == "snapshot" else None
            grown = Change("Account", aggregate_id, version, body, (1, 2))
            batch.append(grown)
            state.apply([grown], [StoredEvent("other", 1, b"")] + [stored_event(grown, place) for place in (1, 2)])
            append_stream(ahead, grown)
        elif kind == "begin" and not under_way:
            under_way, batch = batch, []
        elif kind == "end":
            for change_under_way in under_way:
                append_stream(store, change_under_way)
            state.appended(under_way)
            under_way = []
        for one in "abc":
            assert state.load("Account", one) == ahead.load("Account", one)


def stored_event(grown: Change, place: int) -> StoredEvent:
    """An event that says whose it is, and which version it leads to."""
    return StoredEvent("grown", 1, f"{grown.id}{grown.expected_version + place}".encode())


def append_stream(store: MemoryStore, grown: Change) -> None:
    """One message that retires with this change, and its events."""
    position = store.last_position + 1
    envelopes = [Envelope(position + n, f"@{position + n}", position, 0, 0, None, 0) for n in range(4)]
    events = [StoredEvent("other", 1, b""), stored_event(grown, 1), stored_event(grown, 2)]
    messages = [LoggedMessage(envelopes[0], MessageKind.COMMAND, "n", 1, b"")] + [
        LoggedMessage(envelope, MessageKind.EVENT, one.name, one.version, one.body)
        for envelope, one in zip(envelopes[1:], events, strict=True)
    ]
    outcome = LoggedOutcome(position, Status.SUCCEEDED, 1, (grown,), (position + 1, 3))
    store.append(Batch(messages, [outcome]))


def test_nothing_is_kept_of_what_is_in_the_store() -> None:
    """P13: the overlay holds the batch that is on its way, and not the whole of the state."""
    store = MemoryStore()
    store.open()
    state = WorkingState(store)
    changes = [change("a", 0), change("a", 1), change("b", 0)]
    state.apply(changes)

    append(store, changes)
    state.appended(changes)
    append(store, [change("a", 2)])

    assert state.load("Account", "a").version == 3, "what the store holds shows, so nothing lies over it"


def test_the_first_stale_read_is_named() -> None:
    """O5: whoever decides what to do about it needs to know which one."""
    store = MemoryStore()
    store.open()
    state = WorkingState(store)
    state.apply([change("a", 0), change("b", 0)])

    reads = [Read("Account", "a", 1), Read("Account", "b", 0), Read("Account", "c", 4)]

    assert state.first_stale(reads) == reads[1]
