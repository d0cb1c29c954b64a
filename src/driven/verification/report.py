"""What a verification found: values, for programs and for pages. A report lives as long as somebody looks at it."""

from __future__ import annotations

import msgspec


class FieldDifference(msgspec.Struct, frozen=True):
    """One place at which the log and the run of today differ."""

    place: str
    """``outcome``, ``events``, or a path: ``event 1 FileMeasured: measures.worst``."""
    recorded: str
    """What the log has, as people read it; empty: nothing is there."""
    now: str
    """What the run of today gave, likewise."""


class CommandDifference(msgspec.Struct, frozen=True):
    """One command whose run of today did not give what is recorded."""

    position: int
    """Where its outcome stands in the log."""
    name: str
    id: str
    correlation: int
    given: str
    """The fields of the command, as people read them, cut where they are long."""
    fields: tuple[FieldDifference, ...]
    more: int
    """How many further places differ."""
    traceback: str = ""
    """Of what the run of today raised, if it raised and the recorded one did not raise the same."""


class CommandSummary(msgspec.Struct, frozen=True):
    """All runs of one command type."""

    name: str
    same: int
    different: int
    not_comparable: int

    @property
    def runs(self) -> int:
        """How many are in the part of the log that was looked at."""
        return self.same + self.different + self.not_comparable


class NotComparable(msgspec.Struct, frozen=True):
    """Why runs were not compared, and how many of one type that concerns."""

    name: str
    reason: str
    count: int


class VerificationReport(msgspec.Struct, frozen=True):
    """What `verify` found."""

    application: str
    log_id: str
    first_position: int
    last_position: int
    """The part of the log that was looked at; the end of the log when it began."""
    workers: int
    """How many computed; 0: everything ran in this process."""
    took_s: float
    same: int
    different: int
    not_comparable: int
    commands: tuple[CommandSummary, ...]
    """By name."""
    differences: tuple[CommandDifference, ...]
    """The first ones, in the order in which they retired."""
    reasons: tuple[NotComparable, ...]

    @property
    def compared(self) -> int:
        """How many commands were run again; with 0, nothing was found out."""
        return self.same + self.different

    @property
    def is_ok(self) -> bool:
        """Whether something was compared, and nothing of it was different."""
        return self.compared > 0 and not self.different
