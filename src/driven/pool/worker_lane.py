"""The lane to worker processes: how a bus that knows order uses a pool that knows processes.

It implements the bus's port `Lane` for worker processes. One bus makes one and owns it; it lives in the bus's event
loop, from `start` to `stop`, and everything here runs on the bus thread.

::

    WorkerTraffic --send, ring, reply--> WorkerLane --> Link ~~ ring ~~> worker process
        ^                                 |      ^                          ^
        |                                 |      '-- doorbell, tick         |
        '---------- LaneListener ---------'                                 |
                                          `--start, condemn, stop--> WorkerPool (its own thread)

**When a worker dies** the order of things is: everything it had finished is taken from its ring and told; then whose
fault it was is read from its status words, and told; then as many are asked for as its group is short of, which
are other workers, with other ids. Wherever it died, nothing of it is lost, told twice, or blamed on the wrong one.

**When a worker is to leave** it gets STOP, finishes the command that it runs, tells it, and says GOODBYE. Then it has
left, blamed for nothing; what it had not begun goes elsewhere. It has `[workers] stop_timeout_s` from there on to end.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from driven.bus.lane import PoolStatistics
from driven.errors import RingBroken, SegmentUnavailable, WorkersUnavailable
from driven.pool.cpus import available_cpus
from driven.pool.link import Link
from driven.pool.process_worker import ProcessWorker
from driven.pool.readiness import Readiness
from driven.pool.recycling import DUE, OVERDUE, Recycling
from driven.pool.staff import Staff
from driven.pool.tick import Tick
from driven.pool.vitals import WORKER_DIED, Abandoned, kind_of, look_at, with_traceback
from driven.pool.worker import Verdict, plan_of
from driven.pool.worker_pool import STOPPED, WorkerPool
from driven.service.failures import failure_of
from driven.service.wiring import difference_from
from driven.wire import Completion, Failed, Failure, Unfit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driven.bus.lane import LaneListener, Vitals
    from driven.errors import InfrastructureError
    from driven.pool.worker import MakeWorker, Worker
    from driven.service.wiring import Recipe
    from driven.settings import WorkerSettings
    from driven.wire import AggregateState, Hello, Submission

logger = logging.getLogger("driven.pool")


class WorkerLane:
    """Worker processes, as the bus sees them: the port `Lane`, and a beginning and an end."""

    def __init__(
        self,
        settings: WorkerSettings,
        groups: Mapping[str, int],
        recipe: Recipe,
        log_id: str,
        make: MakeWorker = ProcessWorker,
    ) -> None:
        """Nothing starts yet.

        Args:
            settings: the section ``[workers]``.
            groups: group name to its number of workers; `grow` and `retire` change it.
            recipe: how workers make the application; one that comes out different is refused.
            log_id: names the log that the commands belong to.
            make: starts a worker of the kind that this lane has.

        """
        self._settings: Final = settings
        self._recipe: Final = recipe
        self._log_id: Final = log_id
        self._make: Final = make
        self._workers: Final[dict[int, Worker]] = {}
        self._links: Final[dict[int, Link]] = {}
        self._abandoned: Final = Abandoned()
        self._staff: Final = Staff(groups, self._start_worker)
        self._recycling: Final = Recycling(settings)
        self._unrung: Final[dict[int, Link]] = {}
        self._is_stopping = False
        self._loop: asyncio.AbstractEventLoop
        self._listener: LaneListener
        self._tick: Tick
        self._readiness: Readiness
        self._pool: WorkerPool | None = None
        self._closed: asyncio.Future[None]

    async def start(self, listener: LaneListener) -> None:
        """Start all workers at once, in the running event loop, and wait until each is ready. To be called once.

        Raises:
            WorkersUnavailable: one cannot get ready, and why, or there can be no thread; nothing is left of the others.

        """
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._tick = Tick(self._loop, self._links, self._drain, listener.turn_wanted)
        started, self._closed = self._loop.create_future(), self._loop.create_future()
        self._readiness = Readiness(self._staff, listener, started)
        plan = plan_of(self._settings, self._recipe, self._log_id, available_cpus().count)
        self._pool = WorkerPool(self._make, plan, self, self._loop.call_soon_threadsafe)
        self._start_pool(self._pool)
        self._staff.hire_all()
        self._readiness.note()
        try:
            await started
        except BaseException:
            await self.stop(0.0)
            raise

    async def stop(self, timeout_s: float) -> None:
        """Let each worker finish what it runs, but no longer than `timeout_s` seconds; nothing is left of them then.

        What they finish meanwhile is told to the listener, and so is their end. May be called again, to wait along
        or to allow less time. A stop that is cancelled goes on by itself.
        """
        if self._pool is None or self._closed.done():
            return
        if not self._is_stopping:
            self._is_stopping = True
            self._staff.dissolve()
            self._readiness.refuse("it was stopped while it started")
            for link in tuple(self._links.values()):
                self._dismiss(link)
        self._pool.stop(timeout_s)
        await asyncio.shield(self._closed)

    # What the bus calls.

    def send(self, worker_id: int, submission: Submission, timeout_s: float | None) -> bool:
        """Hand a command to a worker; False when there is no room now, and nothing was sent."""
        link = self._links.get(worker_id)
        if link is None or not link.is_open:
            return False
        try:
            if not link.send(submission, timeout_s):
                return False
        except RingBroken as error:
            self._quarantine(link, error)
            return False
        except SegmentUnavailable as error:
            self._loop.call_soon(self._fail, worker_id, submission, error)
            return True
        self._unrung[worker_id] = link
        if self._tick.handle is None:
            self._tick.arm()
        if timeout_s is not None and self._pool is not None:
            self._pool.watch()
        return True

    def ring(self) -> None:
        """Wake every worker that was sent something."""
        for link in self._unrung.values():
            try:
                link.ring()
            except RingBroken as error:
                self._quarantine(link, error)
        self._unrung.clear()

    def reply(self, worker_id: int, state: AggregateState) -> None:
        """Answer the read request of a worker; kept until there is room, dropped when the worker is gone."""
        link = self._links.get(worker_id)
        if link is None or not link.is_trusted:
            return
        try:
            link.reply(state)
        except RingBroken as error:
            self._quarantine(link, error)

    def grow(self, group: str) -> None:
        """Have one more worker of a group, as soon as there can be one; nothing happens while the lane stops."""
        if not self._is_stopping:
            self._staff.grow(group)

    def retire(self, worker_id: int) -> None:
        """Have one worker less: this one, which finishes what it runs and leaves; nothing new if it goes already."""
        for leaver in self._staff.retire(worker_id):
            self._let_leave(leaver)

    def vitals(self) -> tuple[Vitals, ...]:
        """A look at every worker; what it takes of the machine is as old as the look before, or a little younger."""
        if self._pool is not None:
            self._pool.measure()
        there = (look_at(worker, is_leaving=self._is_leaving(number)) for number, worker in self._workers.items())
        return (*there, *self._abandoned.vitals())

    def statistics(self) -> PoolStatistics:
        """Of what kind the workers are, and how their groups are manned."""
        return PoolStatistics(kind_of(self._workers.values()), self._staff.groups())

    # What the pool calls, on the bus thread.

    def worker_started(self, worker: Worker) -> None:
        """There is a process; it will say HELLO, or die."""
        link = Link(worker.worker_id, worker.channel, worker.timeouts_s, self._listener, self._on_hello)
        self._workers[worker.worker_id], self._links[worker.worker_id] = worker, link
        if worker.worker_id not in self._staff:
            self._dismiss(link)
            return
        self._loop.add_reader(worker.channel.doorbell_fileno(), self._on_doorbell, link)
        if self._tick.handle is None:
            self._tick.arm()
        self._on_doorbell(link)  # says for the first time that the bus sleeps

    def start_failed(self, worker_id: int, group: str, error: Exception) -> None:
        """There could be no process."""
        if self._staff.lose(worker_id):
            self._readiness.hire_again(group, str(error))

    def worker_ended(self, worker: Worker, cause: Failure) -> None:
        """Tell what it had finished, then whose fault its end was; then have as many as are missing."""
        link = self._links.pop(worker.worker_id)
        self._unrung.pop(worker.worker_id, None)
        del self._workers[worker.worker_id]
        self._loop.remove_reader(worker.channel.doorbell_fileno())
        is_told = self._drain(link)
        if link.unfit is not None:
            cause = Failure(WORKER_DIED, link.unfit.reason, link.unfit.traceback)
        blamed = link.blamed(worker.verdict)
        self._abandoned.note(worker)
        worker.channel.close()
        was_member = self._staff.lose(worker.worker_id)
        if link.is_ready and not link.has_left:
            self._listener.worker_gone(link.worker_id, blamed, cause)
            if worker.verdict is not STOPPED:
                whose = f"while it ran the command at position {blamed[0]}" if blamed else "with no command to blame"
                logger.warning("Worker %d (%s) is gone, %s: %s.", link.worker_id, worker.name, whose, cause.message)
        if link.is_ready or is_told:
            self._listener.turn_wanted()
        if was_member:
            self._readiness.find_another(link, worker.group, with_traceback(cause))

    def pool_broken(self, error: InfrastructureError) -> None:
        """No worker can be had any more."""
        self._is_stopping = True
        self._staff.dissolve()
        if not self._readiness.refuse(str(error)):
            self._listener.lane_failed(error)
            self._listener.turn_wanted()

    def pool_closed(self) -> None:
        """Nothing is left."""
        if self._pool is not None:
            self._pool.join()
        self._tick.cancel()
        self._closed.set_result(None)

    # Starting.

    def _start_pool(self, pool: WorkerPool) -> None:
        try:
            pool.start()
        except RuntimeError as error:  # no thread can be had: nobody would ever say that the pool is closed
            pool.join()
            self._pool = None
            raise WorkersUnavailable(f"the pool's thread cannot be started: {error}") from error

    def _on_hello(self, link: Link, hello: Hello) -> None:
        if link.worker_id not in self._staff:
            return
        if hello.wiring != self._recipe.wiring:
            link.unfit = Unfit(difference_from(self._recipe, hello.wiring, hello.source))
            self._condemn(link, Verdict(link.unfit.reason))
            return
        link.is_ready = link.is_open = True
        group = self._staff.make_ready(link.worker_id)
        self._listener.worker_ready(link.worker_id, group)
        self._readiness.note()
        for leaver in self._staff.let_go(group):
            self._let_leave(leaver)

    def _start_worker(self, group: str, delay_s: float) -> int:
        assert self._pool is not None  # noqa: S101 - nobody is hired before `start` and after `stop`
        return self._pool.start_worker(group, delay_s)

    # Listening.

    def _on_doorbell(self, link: Link) -> None:
        if self._drain(link):
            self._listener.turn_wanted()

    def _drain(self, link: Link) -> bool:
        """Tell all that came from a worker; True when there was anything to tell."""
        if not link.is_trusted:
            return False
        try:
            is_told = link.drain()
        except RingBroken as error:
            self._quarantine(link, error)
            return True
        if is_told and link.is_ready:
            if not link.is_open:
                self._look_at_farewell(link)
            elif self._recycling.is_wanted:
                self._look_at_wear(link)
        return is_told

    def _look_at_wear(self, link: Link) -> None:
        """Have a successor for a worker that has done its share; it works on until that is ready, within reason."""
        growth_bytes = self._pool.growth_bytes(link.worker_id) if self._pool else 0
        wear = self._recycling.wear(link.worker_id, link.completed, growth_bytes)
        if wear >= DUE:
            self._staff.relieve(link.worker_id)
        if wear >= OVERDUE and self._staff.dismiss(link.worker_id):
            self._dismiss(link)

    def _look_at_farewell(self, link: Link) -> None:
        """It leaves, or says that it must; it may never end by itself: a thread that a handler left keeps a process."""
        if link.unfit is not None:
            self._condemn(link, Verdict(link.unfit.reason, link.blamed(None)))
        elif link.has_left:
            self._listener.worker_left(link.worker_id)
            worker = self._workers.get(link.worker_id)
            if worker is not None and self._pool is not None:
                self._pool.see_off(worker, self._settings.stop_timeout_s)

    def _quarantine(self, link: Link, error: RingBroken) -> None:
        """Listen no more to a worker that writes what it must not, and replace it; say who is to blame."""
        logger.error("Worker %d cannot be trusted: %s.", link.worker_id, error.reason)
        link.is_trusted = link.is_open = False
        self._condemn(link, Verdict(error.reason, link.suspect(error)))

    def _fail(self, worker_id: int, submission: Submission, error: SegmentUnavailable) -> None:
        """A command that there is no memory to send fails; said after `send` has returned."""
        if worker_id not in self._links:  # it was said to be gone meanwhile, and the command with it
            return
        outcome = Failed(failure_of(error))
        completion = Completion(submission.envelope.position, submission.generation, 0, outcome)
        self._listener.completed(worker_id, (completion,))
        self._listener.turn_wanted()

    def _let_leave(self, worker_id: int) -> None:
        """Have one leave that is no member any more; where it is not there yet, it leaves as soon as it is."""
        link = self._links.get(worker_id)
        if link is not None:
            self._dismiss(link)

    def _dismiss(self, link: Link) -> None:
        """Have a worker leave: one that is ready by its own will, any other at once; nothing new if it does already."""
        if link.is_leaving:
            return
        if link.is_ready and link.is_trusted:
            try:
                link.stop()
            except RingBroken as error:
                self._quarantine(link, error)
            else:
                self._listener.worker_leaving(link.worker_id)
                self._listener.turn_wanted()
        else:
            self._condemn(link, STOPPED)

    def _condemn(self, link: Link, verdict: Verdict) -> None:
        worker = self._workers.get(link.worker_id)
        if worker is not None and self._pool is not None:  # else it is dead already, and heard for the last time
            self._loop.remove_reader(worker.channel.doorbell_fileno())
            self._pool.condemn(worker, verdict)

    def _is_leaving(self, worker_id: int) -> bool:
        """Whether a worker takes no more commands, because it goes or because it must."""
        link = self._links[worker_id]
        is_shut = link.is_ready and not link.is_open
        return is_shut or not link.is_trusted or self._workers[worker_id].verdict is not None
