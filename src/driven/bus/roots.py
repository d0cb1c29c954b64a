"""The open roots: commands from outside of which something has not retired, by position and by their caller's id (U5).

Owned by the conductor; a root is forgotten when it settles, after which the log knows what came of it. One that was
still open when the bus closed stays known by its caller's id: the log does not know that it never settled.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from driven.bus.receipts import Settlement
from driven.errors import BusClosed

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.bus.sequencer import Root

_ALONE: Final = Settlement(messages=1, failed=0, parked=0)
"""Of a root that caused nothing, as most do."""


class OpenRoots:
    """Who still waits, or may."""

    __slots__ = ("_by_id", "_by_position", "why_abandoned")

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._by_position: dict[int, Root] = {}
        self._by_id: dict[str, Root] = {}
        self.why_abandoned: Callable[[], BusClosed] = BusClosed
        """Makes what is raised to those who wait for a root that has no receipt any more."""

    def add(self, root: Root, command_id: str | None) -> None:
        """A root was admitted, under an id that its caller gave or under none."""
        self._by_position[root.position] = root
        if command_id is not None:
            self._by_id[command_id] = root

    def find(self, command_id: str) -> Root | None:
        """The root that was admitted under this id, if any is open, or was when the bus closed: that has no receipt."""
        return self._by_id.get(command_id)

    def settle(self, root: Root) -> None:
        """All of it has retired and is in the store: say so, and forget it."""
        if self._by_position.pop(root.position, None) is None:  # abandoned while the batch was under way
            return
        if self._by_id:
            self._by_id.pop(root.receipt.id, None)
        is_all = not (root.descendants or root.failed or root.parked)
        root.receipt.settle(_ALONE if is_all else Settlement(root.descendants + 1, root.failed, root.parked))

    def abandon(self, failure: BusClosed) -> None:
        """Nothing goes on: whoever waits is told why."""
        self.why_abandoned = partial(BusClosed, failure.reason)
        for root in self._by_position.values():
            root.receipt.abandon(self.why_abandoned)
            root.receipt = None  # type: ignore[assignment]  # nothing more will be said
        self._by_position.clear()
