"""The short way of a command that is alone: to its worker without a turn, and into the log with its outcome.

::

    admit --> alone, and for a worker? --yes--> dispatch --> page kept back ~~~ outcome ~~~> turn --> store
                      `--no--> turn --> ... --> store

A lone command pays for every step itself, as a round trip has nobody to share them with. Owned by the conductor, as
long-lived; on the bus thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.bus.organs import Organs


class LoneCommands:
    """Sends who is alone."""

    def __init__(self, organs: Organs, break_off: Callable[[BaseException], None], *, is_store_blocking: bool) -> None:
        """`break_off` stops the bus because of an error that is nobody's outcome."""
        self._queue: Final = organs.sequencer.queue
        self._parked_keys: Final = organs.parked_keys
        self._traffic: Final = organs.traffic
        self._journal: Final = organs.journal
        self._tally: Final = organs.tally
        self._break_off: Final = break_off
        self._is_store_blocking: Final = is_store_blocking

    def send(self) -> bool:
        """Send the only message there is to its worker at once; False: it has to wait for a turn, like any other.

        That is all that a turn would do, at a fraction of the cost. Where the store never waits for anything, the
        message stays on its page: whoever calls this sees to it that there is a turn soon, outcome or not.
        """
        if len(self._queue) != 1 or self._parked_keys or self._journal.is_closed:
            return False
        entry = self._queue[0]
        if not entry.is_on_lane or entry.is_detached:
            return False
        try:
            self._traffic.dispatch()
            self._tally.burst_ends()
            if self._is_store_blocking:
                self._journal.flush()
            else:
                self._journal.keep_back()
        except BaseException as error:  # noqa: BLE001 - what ends programs is raised again
            self._break_off(error)
        return True
