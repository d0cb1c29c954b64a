"""Sources: what an event of AWS means as commands, and under which ids.

::

    event                                      by default                                id of the command
    -----                                      ----------                                -----------------
    direct: {"command", "data", "id"?}         that command                              the id, if there is one
    SQS record, body {"command", "data"}       that command                              sqs:<messageId>
    EventBridge event                          `detail-type` names it, `detail` is it    eventbridge:<id>
    S3 record                                  nothing: say what it means                s3:<bucket>/<key>:<sequencer>

The service that delivers gives the id, so that what it delivers twice happens once (U5), where the log outlives the
function. Functions only: nothing here is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from driven.domain.messages import Command
from driven.entrypoints.aws_lambda.events import BridgeEvent, Named, S3Record, Unintelligible, as_a

if TYPE_CHECKING:
    from driven.entrypoints.aws_lambda.events import SqsRecord
    from driven.service.catalog import Catalog

Meaning = Callable[[Mapping[str, Any]], Command | Iterable[Command] | None]
"""From a record as AWS sends it to the commands that it means, in order."""

_LONGEST_ID: Final = 200
"""Characters; longer ids are hashed."""


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """What records of each service mean; None: as the head of this module says."""

    sqs: Meaning | None = None
    eventbridge: Meaning | None = None
    s3: Meaning | None = None


class Asked(NamedTuple):
    """One command that an event asks for."""

    command: Command
    command_id: str | None


def direct(event: Mapping[str, Any], catalog: Catalog) -> Asked:
    """The command of a direct invocation.

    Raises:
        Unintelligible: it names none, or not as it should be.

    """
    named = as_a(Named, event, "the event")
    return Asked(_command("the event", named, catalog), named.id)


def of_sqs(raw: Mapping[str, Any], record: SqsRecord, sources: Sources, catalog: Catalog) -> list[Asked]:
    """The commands of one message; raises `Unintelligible`, and what `sources.sqs` raises."""
    what, command_id = f"SQS message {record.messageId!r}", _fit(f"sqs:{record.messageId}")
    if sources.sqs is not None:
        return _numbered(what, sources.sqs(raw), command_id)
    try:
        named = msgspec.json.decode(record.body, type=Named)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise Unintelligible(what, f'its body is no {{"command": ..., "data": ...}} ({error})') from None
    return [Asked(_command(what, named, catalog), command_id)]


def of_eventbridge(raw: Mapping[str, Any], sources: Sources, catalog: Catalog) -> list[Asked]:
    """The commands of one event; raises as `of_sqs`."""
    event = as_a(BridgeEvent, raw, "the event of EventBridge")
    what, command_id = f"EventBridge event {event.id!r}", _fit(f"eventbridge:{event.id}")
    if sources.eventbridge is not None:
        return _numbered(what, sources.eventbridge(raw), command_id)
    return [Asked(_command(what, Named(event.detail_type, event.detail), catalog), command_id)]


def of_s3(raw: Mapping[str, Any], sources: Sources) -> list[Asked]:
    """The commands of one record; raises as `of_sqs`."""
    record = as_a(S3Record, raw, "a record of S3")
    stored = record.s3.object
    place = f"{record.s3.bucket.name}/{stored.key}"
    if sources.s3 is None:
        reason = "nothing says what it means; give lambda_handler(sources=Sources(s3=...))"
        raise Unintelligible(f"S3 record of {place}", reason)
    version = stored.sequencer or stored.versionId or record.eventTime
    return _numbered(f"S3 record of {place}", sources.s3(raw), _fit(f"s3:{place}:{version}"))


def _numbered(what: str, meant: Command | Iterable[Command] | None, command_id: str) -> list[Asked]:
    """Give each command of a record an id of its own."""
    if meant is None:
        return []
    commands = [meant] if isinstance(meant, Command) else list(meant)
    for command in commands:
        if not isinstance(command, Command):
            raise Unintelligible(what, f"it was said to mean a {type(command).__name__}; give commands")
    if len(commands) == 1:
        return [Asked(commands[0], command_id)]
    return [Asked(command, f"{command_id}/{number}") for number, command in enumerate(commands, 1)]


def _command(what: str, named: Named, catalog: Catalog) -> Command:
    entry = catalog.named(named.command)
    if entry is None or not issubclass(entry.type, Command):
        known = ", ".join(one.name for one in catalog.entries if issubclass(one.type, Command))
        raise Unintelligible(what, f"there is no command {named.command!r} (there are: {known})")
    command: Command = as_a(entry.type, named.data, f"{named.command} of {what}")
    return command


def _fit(command_id: str) -> str:
    if len(command_id) <= _LONGEST_ID and command_id.isprintable():
        return command_id
    service = command_id.partition(":")[0]
    return f"{service}:{hashlib.blake2b(command_id.encode('utf-8', 'replace'), digest_size=16).hexdigest()}"
