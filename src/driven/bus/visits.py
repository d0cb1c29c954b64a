"""Visits: callers from other event loops and threads, served on the bus's own loop to the end (O8).

As long-lived as the bus. The bus's loop does not end before whoever is in has been served.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

from driven.errors import BusClosed

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Coroutine

T = TypeVar("T")


class Visits:
    """Who is in."""

    __slots__ = ("_inside", "_is_over", "_lock", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Nobody is; `loop` is the bus's."""
        self._loop: Final = loop
        self._inside: Final[set[concurrent.futures.Future[Any]]] = set()
        self._lock: Final = threading.Lock()
        self._is_over = False

    def receive(self, call: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a call on the bus's loop; from any thread.

        Raises:
            BusClosed: nobody is let in any more.

        """
        with self._lock:
            if self._is_over or self._loop.is_closed():
                call.close()
                raise BusClosed
            visit = asyncio.run_coroutine_threadsafe(call, self._loop)
            self._inside.add(visit)
        visit.add_done_callback(self._inside.discard)
        return visit

    async def see_off(self) -> None:
        """Let no one in any more, and serve to the end who is in: they are told of the close."""
        with self._lock:
            self._is_over = True
            visits = [asyncio.wrap_future(visit) for visit in tuple(self._inside)]
        await asyncio.sleep(0)  # what the store thread said last was said to this loop, and is heard now
        await asyncio.gather(*visits, return_exceptions=True)
