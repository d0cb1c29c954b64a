"""The open roots: commands from outside of which something has not retired, by position and by their caller's id (U5).

Owned by the conductor; a root is forgotten when it settles, after which the log knows what came of it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from driven.bus.receipts import Settlement
from driven.errors import BusClosed

if TYPE_CHECKING:
    from driven.bus.sequencer import Root

_ALONE: Final = Settlement(messages=1, failed=0, parked=0)
"""Of a root that caused nothing, as most do."""


class OpenRoots:
    """Who still waits, or may."""

    __slots__ = ("_by_id", "_by_position")

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._by_position: dict[int, Root] = {}
        self._by_id: dict[str, Root] = {}

    def add(self, root: Root, command_id: str | None) -> None:
        """A root was admitted, under an id that its caller gave or under none."""
        self._by_position[root.position] = root
        if command_id is not None:
            self._by_id[command_id] = root

    def find(self, command_id: str) -> Root | None:
        """The open root that was admitted under this id, if any."""
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
        reason = partial(BusClosed, failure.reason)
        for root in self._by_position.values():
            root.receipt.abandon(reason)
            root.receipt = None  # type: ignore[assignment]  # nothing more will be said
        self._by_position.clear()
        self._by_id.clear()
