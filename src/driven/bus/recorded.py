"""What the log already holds of a command id: the receipt of a command that was accepted before (U5)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from driven.bus.receipts import Receipt, Settlement
from driven.errors import CommandFailed, CommandIdReused, CommandParked
from driven.service.built_in import type_id_of
from driven.service.event_store import READ_CHUNK, LoggedMessage, LoggedOutcome, LogRecord, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.bus.sequencer import Root
    from driven.domain.messages import Event
    from driven.errors import BusClosed
    from driven.service.catalog import Catalog
    from driven.service.event_store import EventStore
    from driven.service.intake import Draft


def refuse_other_command(command_id: str, draft: Draft, accepted: Draft, name: str, position: int) -> None:
    """Raise `CommandIdReused` unless the command `accepted` before under this id, named `name`, is the same."""
    if (draft.type_id, draft.body) != (accepted.type_id, accepted.body):
        raise CommandIdReused(command_id, name, position)


def receipt_from_log(command_id: str, draft: Draft, store: EventStore, catalog: Catalog) -> Receipt | None:
    """The receipt of the command that the log holds under this id, None when it holds none.

    Raises:
        CommandIdReused: it holds another command.

    """
    record = store.find(command_id)
    if record is None:
        return None
    message = record.message
    if not _is_same(draft, message, catalog):
        raise CommandIdReused(command_id, message.name, message.envelope.position)
    return recorded_receipt(record, store, catalog)


def _is_same(draft: Draft, message: LoggedMessage, catalog: Catalog) -> bool:
    """Whether a message of the log is the command that is submitted now."""
    if draft.type_id < 0 or type_id_of(message.name) is not None:
        return draft.type_id == type_id_of(message.name) and draft.body == message.body
    return catalog.entries[draft.type_id].name == message.name and draft.body == _body_of_today(message, catalog)


def _body_of_today(message: LoggedMessage, catalog: Catalog) -> bytes:
    """As the command would be encoded now: it may have been recorded by an older version of the application (X3)."""
    return catalog.current(message.name, message.version, message.body).body


def receipt_of(command_id: str, store: EventStore, catalog: Catalog) -> Receipt | None:
    """The receipt of whatever command the log holds under this id and has settled; None: there is none."""
    record = store.find(command_id)
    return None if record is None or record.outcome is None else recorded_receipt(record, store, catalog)


def recorded_receipt(record: LogRecord, store: EventStore, catalog: Catalog) -> Receipt:
    """A receipt that tells what came of a command which has settled."""
    envelope = record.message.envelope
    receipt = Receipt(envelope.position, envelope.id)
    tell(receipt, record, store, catalog)
    receipt.settle(lambda: _settlement(envelope.position, store))
    return receipt


def abandoned_receipt(
    root: Root, command_id: str, why: Callable[[], BusClosed], store: EventStore, catalog: Catalog
) -> Receipt:
    """A receipt of a command that had not settled when its bus closed: what the log knows of it, and why no more is."""
    receipt = Receipt(root.position, command_id)
    record = store.find(command_id)
    if record is not None:
        tell(receipt, record, store, catalog)
    receipt.abandon(why)
    return receipt


def tell(receipt: Receipt, record: LogRecord, store: EventStore, catalog: Catalog) -> None:
    """Tell a receipt the latest of what came of its command; nothing, if it tells the receipt itself when it retires.

    What was parked and was redriven since is what it became then (F3).
    """
    outcome = _latest(receipt, record, store)
    if outcome is None:
        return
    if outcome.status is Status.SUCCEEDED or (outcome.status is Status.FAILED and outcome.caused[1]):
        receipt.succeed(lambda caused: _events(caused, store, catalog), outcome.caused)
    else:
        failure = outcome.failures[0]
        name = record.message.name
        receipt.fail(
            partial(CommandParked, name, outcome.position, failure.message)
            if outcome.status is Status.PARKED
            else partial(CommandFailed, name, outcome.position, failure.error_type, failure.message, failure.traceback)
        )


def _latest(receipt: Receipt, record: LogRecord, store: EventStore) -> LoggedOutcome | None:
    """The last outcome on the way of a command that may have started, moved, or been parked and redriven.

    Until what was redriven has an outcome, it is still the parking; None: neither is there.
    """
    parked: LoggedOutcome | None = None
    found: LogRecord | None = record
    while found is not None and (outcome := found.outcome) is not None:
        if outcome.status is Status.STARTED:
            receipt.will_start()
            receipt.start()
            found = store.finished(outcome.position)
        elif outcome.status in {Status.MOVED, Status.PARKED}:
            parked = outcome if outcome.status is Status.PARKED else parked
            found = store.redriven(outcome.position)
        else:
            return outcome
    return parked


def _events(caused: tuple[int, int], store: EventStore, catalog: Catalog) -> tuple[Event, ...]:
    first, count = caused
    events = []
    for record in store.read(first - 1, count) if count else ():
        message = record.message
        events.append(catalog.decode_logged(message.name, message.version, message.body))
    return tuple(events)


def _settlement(root: int, store: EventStore) -> Settlement:
    """Count what the root caused, from the log."""
    messages = failed = parked = 0
    position = root - 1
    while records := store.read(position, READ_CHUNK):
        for record in records:
            if record.message.envelope.correlation == root and record.outcome is not None:
                messages += 1
                failed += record.outcome.status is Status.FAILED
                parked += record.outcome.status is Status.PARKED
        position = records[-1].message.envelope.position
    return Settlement(messages, failed, parked)
