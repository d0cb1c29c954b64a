"""The desk: what waits, who has what, and who gets the next call. One per executor, shared by its threads.

Everything here happens under `lock`: it is the one writer that each ring has, whichever thread that is, and nothing
done under it waits for anything or runs code of the user. So no future is settled here: what came back is returned to
whoever asked, and becomes results outside.

::

    submit --> accept --> idle worker? short call, short queue? --yes--> ring
                              | no
                           waiting (first in, first out) --> ... collect --> ring
                                                                  |
    manager <----------------- results <--------------------------'

Who gets a call: a worker that has nothing to do. Else, when calls of that name are known to be short, the worker
with the least to do, as long as all that it has should be done within `BUDGET_NS`: it never starves, and nothing
waits behind a call that is known to be long. Else it waits here, where it can still be cancelled. When a call turns out
long that was thought short, what lies behind it is taken back.
"""

from __future__ import annotations

import threading
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Final

from driven.calls import RECALL
from driven.errors import RingBroken, SegmentUnavailable
from driven.executor.estimates import Estimates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from driven.executor.call_link import Call, CallLink, Result

BUDGET_NS: Final = 1_000_000
"""How much estimated work may lie in a worker's ring."""

MOST_IN_FLIGHT: Final = 64 if RECALL > 0 else 1
"""How many calls may. Where they could not be taken back from behind one that turns out long, none lies there."""

RING_EVERY: Final = 16
"""Calls given in one go after which the worker is woken again."""


class Desk:
    """What is known of the calls and of the workers of one executor."""

    def __init__(self, max_workers: int, calls_per_worker: int | None) -> None:
        self.lock: Final = threading.Lock()
        self.numbers: Final = count(1)
        self.max_workers: Final = max_workers
        self.waiting: Final[deque[Call]] = deque()
        self.links: Final[dict[int, CallLink]] = {}
        """Every worker that there is, by its id."""
        self.hired = 0
        """How many workers there are or were asked for."""
        self.refusal: Callable[[], Exception] | None = None
        """Makes what `submit` raises; None: calls are taken."""
        self.completed = 0
        self.died = 0
        self.unsendable: Final[list[tuple[Call, Exception]]] = []
        """Calls that there was no memory to send."""
        self.untrusted: Final[list[tuple[CallLink, RingBroken]]] = []
        """Workers that were found to write what they must not."""
        self._calls_per_worker: Final = calls_per_worker
        self._estimates: Final = Estimates()
        self._idle: Final[list[CallLink]] = []

    def refuse(self, refusal: Callable[[], Exception]) -> None:
        """Take no more calls; the first reason stands."""
        if self.refusal is None:
            self.refusal = refusal

    # The way there.

    def accept(self, call: Call) -> bool:
        """Give a call to a worker, or let it wait; True when another worker should be had for it."""
        if self.waiting:
            self.waiting.append(call)
        else:
            link = self._place_for(call)
            if link is None or not self._give(link, call):
                self.waiting.append(call)
            elif len(link.in_flight) == 1:
                link.channel.ring()
                return False
            else:
                link.channel.ring()
        return self.hired < self.max_workers

    def dispatch(self) -> None:
        """Give away what waits, as far as there is room."""
        waiting = self.waiting
        given: dict[int, CallLink] = {}
        unrung = 0
        while waiting:
            link = self._place_for(waiting[0])
            if link is None:
                break
            call = waiting.popleft()
            if not self._give(link, call):
                waiting.appendleft(call)
                break
            given[link.worker.worker_id] = link
            unrung += 1
            if unrung % RING_EVERY == 0:
                link.channel.ring()
        for link in given.values():
            link.channel.ring()

    def _place_for(self, call: Call) -> CallLink | None:
        """The worker that is to have this call now."""
        cost_ns = self._estimates.of(call.name)
        call.cost_ns = BUDGET_NS if cost_ns is None else cost_ns
        if self._idle:
            return self._idle[-1]
        if call.cost_ns >= BUDGET_NS:
            return None
        best = None
        least_ns = BUDGET_NS - call.cost_ns
        for link in self.links.values():
            if link.queued_ns < least_ns and link.is_open and len(link.in_flight) < MOST_IN_FLIGHT:
                best, least_ns = link, link.queued_ns
        return best

    def _give(self, link: CallLink, call: Call) -> bool:
        """Send a call, unless it was cancelled; False when it has to wait."""
        if not call.begin():
            return True
        try:
            if not link.give(call):
                return False
        except RingBroken as error:
            self._distrust(link, error)
            return False
        except SegmentUnavailable as error:
            self.unsendable.append((call, error))
            return True
        if link.given == self._calls_per_worker:
            link.is_open = False
        if self._idle and self._idle[-1] is link:
            self._idle.pop()
        return True

    # The way back.

    def collect(self, links: Iterable[CallLink]) -> list[Result]:
        """Take what these workers sent, and give them more."""
        results: list[Result] = []
        for link in links:
            self.drain(link, results)
        if self.waiting:
            self.dispatch()
        return results

    def drain(self, link: CallLink, results: list[Result]) -> None:
        """Take what one worker sent."""
        if not link.is_trusted:
            return
        before = len(results)
        was_ready = link.is_ready
        try:
            link.drain(results)
        except RingBroken as error:
            self._distrust(link, error)
        if link.returned:
            self.waiting.extendleft(reversed(link.returned))
            link.returned.clear()
        for result in results[before:]:
            self._estimates.learn(result.call.name, result.elapsed_ns)
        self.completed += len(results) - before
        if not link.in_flight and (len(results) > before or link.is_ready != was_ready):
            if link.is_open:
                self._idle.append(link)
            elif link.is_trusted and link.given == self._calls_per_worker:
                self._dismiss(link)

    def take_back(self, link: CallLink, blamed: Call | None) -> None:
        """Have what lay in a dead worker's ring wait again, before everything else."""
        del self.links[link.worker.worker_id]
        calls = [call for call in link.in_flight.values() if call is not blamed]
        self.waiting.extendleft(reversed(calls))
        if link in self._idle:
            self._idle.remove(link)

    def dismiss_all(self) -> None:
        """Tell every worker to leave."""
        self._idle.clear()
        for link in self.links.values():
            self._dismiss(link)

    def is_done(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self.waiting and not any(link.in_flight for link in self.links.values())

    def _dismiss(self, link: CallLink) -> None:
        try:
            link.stop()
        except RingBroken as error:
            self._distrust(link, error)

    def _distrust(self, link: CallLink, error: RingBroken) -> None:
        link.is_trusted = link.is_open = False
        if link in self._idle:
            self._idle.remove(link)
        self.untrusted.append((link, error))
