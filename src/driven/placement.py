"""Where a handler runs: a word of the user's, in decorators and in settings alike.

Plain values; they belong to nobody and live as long as the program. They stand outside `service` because settings,
which `service` may import, use them.
"""

from __future__ import annotations

import enum


class Placement(enum.Enum):
    """Where the handler of one command type runs. It changes speed and isolation, never order or outcome (O6)."""

    INLINE = "inline"
    """In the main process, at the head of the queue: for short handlers, and for those that must live there."""

    WORKER = "worker"
    """In a worker, as soon as no earlier command conflicts (O4): for CPU-heavy work, hard timeouts, risky code."""

    AUTO = "auto"
    """In a worker if its measured cost beats the cost of handing it over, else inline."""
