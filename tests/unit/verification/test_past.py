"""What commands saw: states of aggregates at any retirement since the oldest that is still wanted."""

from __future__ import annotations

from contextlib import closing

from hypothesis import example, given, settings
from hypothesis import strategies as st

from driven.adapters.stores.memory import MemoryStore
from driven.adapters.stores.scratch import ScratchStates
from driven.domain.messages import Envelope
from driven.service.event_store import Batch, LoggedMessage, LoggedOutcome, MessageKind, Status
from driven.verification.past import SNAPSHOT_EVERY, Past
from driven.wire import AggregateState, Change

PLACES = [("shop.Cart", "a"), ("shop.Cart", "b"), ("shop.Stream", "a"), ("shop.Stream", "b")]
STEPS = st.lists(st.tuples(st.lists(st.sampled_from(PLACES), unique=True, max_size=3), st.integers(0, 3)), max_size=25)


def message(position: int, kind: MessageKind) -> LoggedMessage:
    """A message that says where it stands."""
    return LoggedMessage(Envelope(position, f"@{position}", 1, 0, 0, None, 1), kind, "shop.X", 2, b"%d" % position)


def whole(_state: AggregateState) -> bytes | None:
    """As of streams that nobody can take a snapshot of."""
    return None


@given(steps=STEPS, lag=st.integers(1, 6))
def test_the_past_is_what_a_store_had_at_each_retirement(
    steps: list[tuple[list[tuple[str, str]], int]], lag: int
) -> None:
    """X2: documents and streams, as a store over the same log would have loaded them then."""
    store = MemoryStore()
    store.open()
    seen: list[dict[tuple[str, str], AggregateState]] = []
    with closing(ScratchStates()) as states:
        past = Past(states, whole)
        for index, (places, count) in enumerate(steps, 1):
            seen.append({place: store.load(*place) for place in PLACES})
            root = store.last_position + 1
            events = [message(root + number, MessageKind.EVENT) for number in range(1, len(places) * count + 1)]
            changes = []
            for number, place in enumerate(places):
                on_stream = tuple(range(number * count, number * count + count)) if "Stream" in place[0] else ()
                if on_stream or "Cart" in place[0]:
                    version = store.load(*place).version
                    changes.append(Change(*place, version, None if on_stream else b"%d" % root, on_stream))
            caused = (root + 1, len(events)) if events else (0, 0)
            outcome = LoggedOutcome(root, Status.SUCCEEDED, 1, tuple(changes), caused)

            store.append(Batch([message(root, MessageKind.COMMAND), *events], [outcome]))
            past.apply(index, changes, events)
            oldest = max(index - lag, 1)
            past.forget_before(oldest)

            for then in range(oldest, index + 1):
                assert {place: past.at(then, *place) for place in PLACES} == seen[then - 1]
            assert {place: past.at(index + 1, *place) for place in PLACES} == {
                place: store.load(*place) for place in PLACES
            }


def test_nothing_is_remembered_that_nobody_will_ask_for() -> None:
    """X2: memory is that of what is under way, however long the log is."""
    with closing(ScratchStates()) as states:
        past = Past(states, whole)
        for index in range(1, 1_001):
            past.apply(index, [Change("shop.Cart", "a", index - 1, b"body")], [])
            past.forget_before(index - 5)

        assert len(past._order) == 6  # noqa: SLF001 - what it is made to keep small
        assert [len(replaced) for replaced in past._replaced.values()] == [6]  # noqa: SLF001 - as above
        past.forget_all()
        assert not past._order  # noqa: SLF001 - as above
        assert past.at(1, "shop.Cart", "a").version == 1_000


@given(sizes=st.lists(st.integers(1, 2 * SNAPSHOT_EVERY), min_size=1, max_size=40), lag=st.integers(1, 30))
@example(sizes=[1, 49, 50, 50, 50], lag=1)
@settings(max_examples=30)
def test_of_a_stream_what_is_handed_over_does_not_grow_with_it(sizes: list[int], lag: int) -> None:
    """X2: a snapshot and what followed are as much as the whole, as of any command that still runs."""
    joined = b"".join

    def take(state: AggregateState) -> bytes:
        return joined([state.body or b"", *(event.body for event in state.events)])

    with closing(ScratchStates()) as states:
        past = Past(states, take)
        told = [b""]
        for index, size in enumerate(sizes, 1):
            start = sum(sizes[: index - 1])
            events = [message(start + number, MessageKind.EVENT) for number in range(1, size + 1)]
            past.apply(index, [Change("shop.Stream", "a", start, None, tuple(range(size)))], events)
            told.append(joined([told[-1], *(event.body for event in events)]))
            past.forget_before(max(index - lag, 1))

            for then in range(max(index - lag, 1), index + 2):
                state = past.at(then, "shop.Stream", "a")
                assert take(state) == told[then - 1]
                assert len(state.events) < 3 * SNAPSHOT_EVERY
            (kept,) = states._database.execute("SELECT count(*) FROM snapshot").fetchone()  # noqa: SLF001 - as below
            # One for each retirement that was remembered when it changed last, itself among them, and one before all.
            assert kept <= lag + 3
