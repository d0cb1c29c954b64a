"""What was asked of a log: which part of it, and which messages of that part. Values; made once from what was typed."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from driven.entrypoints.log.entries import WAITING, status_of
from driven.errors import MisuseError
from driven.service.event_store import MessageKind, Status

if TYPE_CHECKING:
    from driven.service.event_store import LogRecord

KINDS: Final = tuple(kind.value for kind in MessageKind)
STATUSES: Final = (*(status.value for status in Status), WAITING)

_AGO: Final = re.compile(r"(\d+)([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a log, and conditions that all have to hold; an empty condition always does."""

    first: int = 1
    last: int | None = None
    names: tuple[str, ...] = ()
    """Stable names, or what they end in behind the dot."""
    kinds: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    key: str | None = None
    correlation: int | None = None
    """Position of the root command."""
    since_ns: int | None = None
    until_ns: int | None = None

    def takes(self, record: LogRecord) -> bool:
        """Whether a record of this part is wanted."""
        message, envelope = record.message, record.message.envelope
        return (
            (not self.names or message.name in self.names or message.name.rpartition(".")[2] in self.names)
            and (not self.kinds or message.kind.value in self.kinds)
            and (not self.statuses or status_of(record) in self.statuses)
            and self.key in {None, envelope.key}
            and self.correlation in {None, envelope.correlation}
            and (self.since_ns is None or envelope.recorded_at_ns >= self.since_ns)
            and (self.until_ns is None or envelope.recorded_at_ns <= self.until_ns)
        )


def known(option: str, given: tuple[str, ...], choices: tuple[str, ...]) -> tuple[str, ...]:
    """What was given, if all of it is among the choices.

    Raises:
        MisuseError: something is not.

    """
    for one in given:
        if one not in choices:
            raise MisuseError(f"{option} {one} is not known; say one of: {', '.join(choices)}")
    return given


def moment_ns(option: str, text: str | None, now: datetime) -> int | None:
    """Nanoseconds since the epoch of what was typed: a time as ISO 8601, local unless it says otherwise, or ``15m``.

    Raises:
        MisuseError: it is neither.

    """
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    if ago is not None:
        moment = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    else:
        try:
            moment = datetime.fromisoformat(text).astimezone(UTC)
        except ValueError as error:
            remedy = "write 2026-11-30, 2026-11-30T08:15, 2026-11-30T08:15Z, or how long ago: 90s, 15m, 2h, 3d"
            raise MisuseError(f"{option} {text} is no time; {remedy}") from error
    return int(moment.timestamp() * 1_000_000) * 1_000
