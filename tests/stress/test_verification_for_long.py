"""Verifying a log of a million messages in the memory of a small one: `make stress` does it."""

from __future__ import annotations

import gc
import os
from contextlib import closing
from typing import TYPE_CHECKING

import psutil
import pytest

from driven import Aggregate, Application, Command, Event, UnitOfWork
from driven.adapters.stores.scratch import ScratchStates
from driven.bus.routing import routes
from driven.domain.messages import Envelope
from driven.service.event_store import LoggedMessage, LoggedOutcome, LogRecord, MessageKind, Status
from driven.service.execution import Execution
from driven.service.registry import build_registry
from driven.settings import Settings
from driven.verification.judgement import Judgement
from driven.verification.past import Past
from driven.verification.recording import Recording
from driven.verification.replay import Replay
from driven.verification.snapshots import snapshots_of
from driven.wire import Change, body_encoder

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = [pytest.mark.stress, pytest.mark.timeout(0)]

MESSAGES = int(os.environ.get("DRIVEN_STRESS_MESSAGES", "1000000"))
ROOM_BYTES = 48 << 20
"""What the process may grow by; the log has some hundred megabytes."""


class Note(Command):
    page: str
    text: str


class Noted(Event):
    page: str
    length: int


class Page(Aggregate):
    text: str = ""


app = Application("notes")


@app.handles(Note, emits=(Noted,))
def note(command: Note, uow: UnitOfWork) -> Noted:
    """Write a page that is not there yet."""
    uow.add(Page(command.page, command.text))
    return Noted(command.page, len(command.text))


REGISTRY = build_registry(app)
TEXT = "x" * 200
ENCODE_PAGE = body_encoder(Page)


class EndlessLog:
    """A log that is made while it is read: a note on a page of its own, and its event, in turn."""

    log_id = "endless"
    last_position = MESSAGES

    def read(self, after: int, limit: int) -> Sequence[LogRecord]:
        """Records in position order."""
        return [record_at(position) for position in range(after + 1, min(after + limit, MESSAGES) + 1)]

    def retired(self, after: int, limit: int) -> Sequence[LogRecord]:
        """They retired in that order."""
        return self.read(after, limit)


def record_at(position: int) -> LogRecord:
    """The command at an odd position, its event behind it."""
    if position % 2:
        page = f"p{position}"
        envelope = Envelope(position, f"@{position}", position, 0, 0, None, position)
        body = REGISTRY.catalog.encode(Note(page, TEXT)).body
        change = Change("notes.Page", page, 0, ENCODE_PAGE(Page(page, TEXT)))
        outcome = LoggedOutcome(position, Status.SUCCEEDED, 1, (change,), (position + 1, 1))
        return LogRecord(LoggedMessage(envelope, MessageKind.COMMAND, "notes.Note", 1, body), outcome)
    envelope = Envelope(position, f"@{position}", position - 1, position - 1, 1, None, position)
    body = REGISTRY.catalog.encode(Noted(f"p{position - 1}", len(TEXT))).body
    outcome = LoggedOutcome(position, Status.SUCCEEDED, 1)
    return LogRecord(LoggedMessage(envelope, MessageKind.EVENT, "notes.Noted", 1, body), outcome)


def test_the_memory_of_a_verification_does_not_grow_with_the_log() -> None:
    """X2: half a million commands, each with an aggregate of its own, and nothing of them is kept in memory."""
    process = psutil.Process()
    execution, judgement = Execution(REGISTRY, "endless"), Judgement(REGISTRY, 10)
    highest = 0
    with closing(ScratchStates()) as states:
        recording = Recording(EndlessLog(), 1, None)
        replay = Replay(
            REGISTRY, routes(REGISTRY, Settings(), []), recording, Past(states, snapshots_of(REGISTRY)), judgement
        )
        replay.run_here(execution.execute, 5_000)
        gc.collect()
        before = process.memory_info().rss
        while not replay.is_over:
            replay.run_here(execution.execute, 5_000)
            highest = max(highest, process.memory_info().rss)

    assert (judgement.same, judgement.different) == (MESSAGES // 2, 0)
    assert highest - before < ROOM_BYTES, f"grew by {(highest - before) / 2**20:.1f} MiB"
