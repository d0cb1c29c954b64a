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
from driven.errors import DrivenError

if TYPE_CHECKING:
    from driven.service.catalog import Catalog

Meaning = Callable[[Mapping[str, Any]], Command | Iterable[Command] | None]
"""From a record as AWS sends it to the commands that it means, in order."""

_LONGEST_ID: Final = 200
"""Characters; longer ids are hashed."""


class Unintelligible(DrivenError):
    """An event, or a record of one, that stands for no command; `reason` says why, and what to do."""

    def __init__(self, what: str, reason: str) -> None:
        self.what = what
        self.reason = reason
        super().__init__(f"{what}: {reason}")


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """What records of each service mean; None: as the head of this module says."""

    sqs: Meaning | None = None
    eventbridge: Meaning | None = None
    s3: Meaning | None = None


class Asked(NamedTuple):
    """One command that an event asks for."""

    command: Command
    command_id: str | None


class Named(msgspec.Struct, frozen=True):
    """A command by its stable name, as it is sent where nothing else is agreed on."""

    command: str
    data: Any = {}
    id: str | None = None


def direct(event: Mapping[str, Any], catalog: Catalog) -> Asked:
    """The command of a direct invocation.

    Raises:
        Unintelligible: it names none, or not as it should be.

    """
    named = _converted("the event", event, Named)
    return Asked(_command("the event", named, catalog), named.id)


def of_sqs(record: Mapping[str, Any], sources: Sources, catalog: Catalog) -> list[Asked]:
    """The commands of one message; raises `Unintelligible`, and what `sources.sqs` raises."""
    what = f"SQS message {record.get('messageId', '')!r}"
    command_id = _fit(f"sqs:{record.get('messageId', '')}")
    if sources.sqs is not None:
        return _numbered(what, sources.sqs(record), command_id)
    try:
        named = msgspec.json.decode(str(record.get("body", "")), type=Named)
    except msgspec.MsgspecError as error:
        raise Unintelligible(what, f'its body is no {{"command": ..., "data": ...}} ({error})') from None
    return [Asked(_command(what, named, catalog), command_id)]


def of_eventbridge(event: Mapping[str, Any], sources: Sources, catalog: Catalog) -> list[Asked]:
    """The commands of one event; raises as `of_sqs`."""
    what = f"EventBridge event {event.get('id', '')!r}"
    command_id = _fit(f"eventbridge:{event.get('id', '')}")
    if sources.eventbridge is not None:
        return _numbered(what, sources.eventbridge(event), command_id)
    named = Named(str(event.get("detail-type", "")), event.get("detail", {}))
    return [Asked(_command(what, named, catalog), command_id)]


def of_s3(record: Mapping[str, Any], sources: Sources) -> list[Asked]:
    """The commands of one record; raises as `of_sqs`."""
    place = record.get("s3", {})
    bucket, stored = place.get("bucket", {}).get("name", ""), place.get("object", {})
    what = f"S3 record of {bucket}/{stored.get('key', '')}"
    if sources.s3 is None:
        raise Unintelligible(what, "nothing says what it means; give lambda_handler(sources=Sources(s3=...))")
    version = stored.get("sequencer") or stored.get("versionId") or record.get("eventTime", "")
    return _numbered(what, sources.s3(record), _fit(f"s3:{bucket}/{stored.get('key', '')}:{version}"))


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
    command: Command = _converted(f"{named.command} of {what}", named.data, entry.type)
    return command


def _converted(what: str, value: Any, wanted: Any) -> Any:  # noqa: ANN401 - whatever is wanted
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        raise Unintelligible(what, str(error)) from None


def _fit(command_id: str) -> str:
    if len(command_id) <= _LONGEST_ID and command_id.isprintable():
        return command_id
    service = command_id.partition(":")[0]
    return f"{service}:{hashlib.blake2b(command_id.encode('utf-8', 'replace'), digest_size=16).hexdigest()}"
