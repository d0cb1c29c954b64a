"""What a notifier looks like from outside at one moment."""

from __future__ import annotations

import msgspec


class NotifierStatistics(msgspec.Struct, frozen=True):
    """How far one notifier is."""

    name: str
    position: int
    """Everything up to here is delivered."""
    lag: int
    """Positions between it and the end of the log."""
    delivered: int
    """Events that it was called for, and returned, since the bus opened."""
    attempts: int
    """Calls that failed for the event that it is at; 0: it is at none, or this is the first."""
    last_error: str | None
    """What it raised last since the bus opened; None: nothing."""
    stopped_by: str | None
    """Why it goes no further; None: nothing keeps it."""
