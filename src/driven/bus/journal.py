"""The journal: what was admitted and what retired since the last batch went to the store.

A page is one batch, what is to be announced once that batch is in the store, and whether it got there.
Owned by the bus thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from driven.bus.receipts import Milestone
from driven.service.event_store import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.service.event_store import LoggedMessage, LoggedOutcome


class Page:
    """One batch in the making."""

    __slots__ = ("admitted", "announcements", "decided", "is_in_store", "retired")

    def __init__(self) -> None:
        """An empty page."""
        self.admitted: list[LoggedMessage] = []
        self.retired: list[LoggedOutcome] = []
        self.announcements: list[Callable[[], None]] = []
        self.is_in_store = False
        self.decided = Milestone()
        """Reached when the batch is in the store, or when it is certain that it will not be."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to append."""
        return not self.admitted and not self.retired

    def batch(self) -> Batch:
        """What goes to the store."""
        return Batch(self.admitted, self.retired)


class Journal:
    """The page that is being written."""

    __slots__ = ("page",)

    def __init__(self) -> None:
        """Begin with an empty page."""
        self.page = Page()

    def turn_page(self) -> Page:
        """The page so far; writing goes on with a new one."""
        page, self.page = self.page, Page()
        return page
