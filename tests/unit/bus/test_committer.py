"""Committers: one batch after the other, on the bus thread or on one of its own, and an end that waits for the last."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

import pytest

from both_loops import PATIENCE_S
from driven import StoreFailed
from driven.adapters.stores.memory import MemoryStore
from driven.bus.committer import DirectCommitter, ThreadCommitter
from driven.service.event_store import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

EMPTY = Batch((), ())


class Held(MemoryStore):
    """Waits in `append` until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()
        self.threads: list[str] = []

    def append(self, batch: Batch) -> None:
        """Wait, then keep it."""
        assert self.let_go.wait(PATIENCE_S)
        self.threads.append(threading.current_thread().name)
        super().append(batch)


def test_the_direct_committer_answers_at_once_on_the_same_thread() -> None:
    """U8: a store that never waits is called on the spot; a failure is a value."""
    store = MemoryStore()
    answers: list[StoreFailed | None] = []
    committer = DirectCommitter(store)

    committer.commit(EMPTY, answers.append)
    store.open()
    committer.commit(EMPTY, answers.append)
    committer.close()

    assert [type(answer) for answer in answers] == [StoreFailed, type(None)]


def test_closing_the_store_thread_waits_for_the_batch_under_way() -> None:
    """X4, U8: appended on a thread of its own, told through the bus thread, and nothing is lost at the end."""
    store = Held()
    store.open()
    told: list[Callable[[], None]] = []
    answers: list[StoreFailed | None] = []
    committer = ThreadCommitter(store, told.append)
    committer.commit(EMPTY, answers.append)
    assert answers == []

    threading.Timer(0.01, store.let_go.set).start()
    committer.close()
    committer.close()

    assert store.threads == ["driven-store"]
    for tell in told:
        tell()
    assert answers == [None]


def test_the_store_thread_ends_well_when_nobody_listens_any_more() -> None:
    """D4: an event loop that was closed first is no reason for a traceback, nor for a batch that is not appended."""
    store = Held()
    store.let_go.set()
    store.open()

    def refuse(_: Callable[[], None]) -> None:
        raise RuntimeError("Event loop is closed")

    committer = ThreadCommitter(store, refuse)
    for _ in range(2):
        committer.commit(EMPTY, lambda _: pytest.fail("nobody was to be told"))
    committer.close()

    assert store.threads == ["driven-store"] * 2


class Exiting(MemoryStore):
    """An adapter whose library ends programs."""

    def append(self, batch: Batch) -> None:
        """Exit."""
        raise SystemExit(7)


def test_a_store_that_exits_on_its_thread_fails_its_batch() -> None:
    """B11: a thread that ends in silence would leave everybody waiting for it."""
    told: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    answers: list[StoreFailed | None] = []
    store = Exiting()
    store.open()
    committer = ThreadCommitter(store, told.put)

    committer.commit(EMPTY, answers.append)
    told.get(timeout=30)()
    committer.close()

    assert "SystemExit: 7" in str(answers[0])


def test_what_is_done_between_batches_cannot_end_the_store_thread(caplog: pytest.LogCaptureFixture) -> None:
    """U8, D6: whatever it raises, the next batch is appended; else all that wait for one would wait for ever."""
    store = MemoryStore()
    store.open()
    told: list[Callable[[], None]] = []
    answers: list[StoreFailed | None] = []
    committer = ThreadCommitter(store, told.append)

    def interrupt() -> None:
        raise KeyboardInterrupt

    committer.between(interrupt)
    committer.commit(EMPTY, answers.append)
    committer.close()
    for answer in told:
        answer()

    assert answers == [None]
    assert "was not" in caplog.text
