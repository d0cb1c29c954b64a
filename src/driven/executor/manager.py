"""The manager: the thread of an executor that sleeps until a worker has answered, and settles futures.

It starts with the first call and ends when everything is done after `close`. It knows the desk, and never the
`Executor`, so that one which nobody holds any more can go, and its workers with it.

::

    Manager (driven-executor)                    WorkerPool (driven-pool)
    -------------------------                    ------------------------
    need more workers?    ----start_worker---->  starts, watches, buries
    inbox, own bell       <---started, ended---
    sleeps on all doorbells, own bell, a tick

A worker rings when it has written and we sleep. Once in very many times that wake-up is lost (see
`driven.ring.waiting`); so while anything is expected, the sleep is bounded by `LONGEST_SLEEP_S`.
"""

from __future__ import annotations

import logging
import select
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from driven.calls import RECALL
from driven.executor import exits
from driven.executor.call_link import CallLink
from driven.executor.errors import ExecutorBroken, ExecutorClosed, WorkerDied
from driven.executor.settling import fail, settle
from driven.pool.backoff import Backoff
from driven.pool.process_worker import ProcessWorker
from driven.pool.vitals import with_traceback
from driven.pool.worker import Verdict
from driven.pool.worker_pool import STOPPED, WorkerPool
from driven.ring.waiting import LONGEST_SLEEP_S, Doorbell

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.errors import InfrastructureError
    from driven.executor.call_link import Call, Result
    from driven.executor.desk import Desk
    from driven.pool.worker import Plan, Worker
    from driven.wire import Failure

logger = logging.getLogger("driven.executor")

GROUP: Final = "calls"
"""All workers of an executor are of this group."""

FAILED_STARTS: Final = 3
"""So many workers that die before they are ready, one after the other, break an executor that has no other worker."""

STOP_TIMEOUT_S: Final = 5.0
"""What a worker may take to end by itself when all is done."""

LOOK_EVERY_S: Final = 0.05
"""How often workers are looked at that may be stuck."""

TICKS_BEFORE_DOZING: Final = 20
"""So many looks at nothing, and it ticks no more."""

_TICK_MS: Final = LONGEST_SLEEP_S * 1_000


class Manager:
    """The thread, and what it alone knows. Made and started by an `Executor`, which tells it to `close`."""

    def __init__(self, desk: Desk, plan: Plan, setup: bytes) -> None:
        """`setup` is what each worker is sent first."""
        self._desk: Final = desk
        self._setup: Final = setup
        self._bell: Final = Doorbell.create()
        self._bell_lock: Final = threading.RLock()
        """So that nobody rings a bell whose number is somebody else's by now. A finalizer may come back to it."""
        self._has_ended = False
        self._inbox: Final[deque[tuple[Callable[..., None], tuple[Any, ...]]]] = deque()
        self._pool: Final = WorkerPool(ProcessWorker, plan, self, self._call)
        self._thread: Final = threading.Thread(target=self._run, name="driven-executor", daemon=True)
        self._is_copy = False
        self.is_closing = False
        self.is_dozing = False
        """Whether it sleeps without ticking: who gives a worker something has to say so. Set under the desk's lock."""
        # The rest is the thread's own.
        self._poll: Final = select.poll()
        self._by_doorbell: Final[dict[int, CallLink]] = {}
        self._backoff: Final = Backoff()
        self._quiet_ticks = 0
        self._look_at_s = 0.0
        self._failed_starts = 0
        self._is_stopping = False
        self._is_over = False
        self._has_failed = False

    # What any thread calls.

    def start(self) -> None:
        """Begin.

        Raises:
            ExecutorBroken: there can be no threads.
            ExecutorClosed: the interpreter is ending.

        """
        self._poll.register(self._bell.fileno(), select.POLLIN)
        try:
            exits.remember(self)
            self._thread.start()
        except RuntimeError as error:
            self._end()
            self._pool.join()
            raise _unstarted(error) from None
        try:
            self._pool.start()
        except RuntimeError as error:
            self._call(self.pool_closed)
            raise _unstarted(error) from None

    def hire(self) -> None:
        """Have another worker; under the desk's lock."""
        self._desk.hired += 1
        self._pool.start_worker(GROUP)

    def wake(self) -> None:
        """End its sleep."""
        self._bell.ring()

    def close(self, reason: str = "after shutdown") -> None:
        """Take no more calls, and end when all is done. Never takes the desk's lock: a finalizer may call it."""
        if self._is_copy:
            return
        self._desk.refuse(lambda: ExecutorClosed(reason))
        self.is_closing = True
        with self._bell_lock:
            if not self._has_ended:
                self._bell.ring()

    def join(self) -> None:
        """Wait until it has ended; not in a forked copy, and not for itself."""
        if not self._is_copy and threading.current_thread() is not self._thread:
            self._thread.join()

    def become_a_copy(self) -> None:
        """Be of no use: this process was forked from the one that has the threads."""
        self._is_copy = True
        self._desk.refuse(lambda: ExecutorClosed("in a process that was forked from the one that made the executor"))

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        self._inbox.append((function, arguments))
        self._bell.ring()

    # The thread.

    def _run(self) -> None:
        while not self._is_over:
            try:
                self._read_inbox()
                if not self._is_over:
                    self._turn()
                    if self.is_closing and not self._is_stopping:
                        self._stop_when_done()
                    self._sleep()
            except Exception as error:  # noqa: BLE001 - told to everybody who waits, and logged
                self._give_up(error)
        self._end()

    def _give_up(self, error: Exception) -> None:
        """Nobody waits for ever, whatever went wrong here; the loop goes on until the workers are buried."""
        if self._has_failed:
            return
        self._has_failed = True
        self._break(ExecutorBroken(f"its own thread failed: {error!r}"))
        logger.error("The executor's thread failed; all its workers are ended.", exc_info=error)

    def _read_inbox(self) -> None:
        while self._inbox:
            function, arguments = self._inbox.popleft()
            function(*arguments)

    def _turn(self) -> None:
        """Settle all that has come, and what it made possible."""
        while True:
            with self._desk.lock:
                results = self._desk.collect(self._by_doorbell.values())
            if not results and not self._desk.unsendable and not self._desk.untrusted:
                return
            self._settle(results)

    def _settle(self, results: list[Result]) -> None:
        for result in results:
            settle(result)
        while self._desk.unsendable:
            fail(*self._desk.unsendable.pop())
        while self._desk.untrusted:
            link, error = self._desk.untrusted.pop()
            logger.error("Worker %d cannot be trusted: %s.", link.worker.worker_id, error.reason)
            self._pool.condemn(link.worker, Verdict(error.reason))

    def _sleep(self) -> None:
        """Sleep until something happens."""
        for link in self._by_doorbell.values():
            if link.channel.end_drain():
                return
        timeout_ms = 0.0 if self._inbox else self._longest_sleep_ms()
        ready = [descriptor for descriptor, _ in self._poll.poll(timeout_ms)]
        self.is_dozing = False
        if not ready:
            self._restate()
        self._recall_from_stuck()
        for descriptor in ready:
            rung = self._by_doorbell.get(descriptor)
            if rung is None:
                self._bell.clear()
            else:
                rung.channel.begin_drain()

    def _longest_sleep_ms(self) -> float | None:
        """Ticks as long as anything is expected, and a while longer, so that a call after a pause pays for no bell."""
        with self._desk.lock:
            is_expecting = not self._desk.is_done() or any(not link.is_ready for link in self._by_doorbell.values())
            self._quiet_ticks = 0 if is_expecting else self._quiet_ticks + 1
            self.is_dozing = self._quiet_ticks > TICKS_BEFORE_DOZING
            return None if self.is_dozing else _TICK_MS

    def _restate(self) -> None:
        """Say again where the cursors stand: a call that wrote where it must not may have set one back."""
        with self._desk.lock:
            for link in self._by_doorbell.values():
                if link.is_trusted:
                    link.channel.restate()

    def _recall_from_stuck(self) -> None:
        """Take back what lies behind a call that was thought short: others may run it, and that one may wait for it."""
        now_s = time.monotonic()
        if RECALL <= 0 or now_s < self._look_at_s:
            return
        self._look_at_s = now_s + LOOK_EVERY_S
        with self._desk.lock:
            stuck = [link for link in self._by_doorbell.values() if link.is_stuck()]
        for link in stuck:
            self._pool.nudge(link.worker, RECALL)
        self._hire_for_what_waits()

    # The end.

    def _end(self) -> None:
        with self._bell_lock:
            self._has_ended = True
            self._bell.close()

    def _stop_when_done(self) -> None:
        with self._desk.lock:
            if not self._desk.is_done():
                return
            self._desk.dismiss_all()
        self._stop(STOP_TIMEOUT_S)

    def _stop(self, timeout_s: float) -> None:
        self._is_stopping = True
        for link in self._desk.links.values():
            if not link.is_ready:
                self._pool.condemn(link.worker, STOPPED)
        self._pool.stop(timeout_s)

    def _break(self, error: ExecutorBroken) -> None:
        """Fail everything, and end."""
        logger.info("The executor is broken: %s", error)
        with self._desk.lock:
            self._desk.refuse(lambda: ExecutorBroken(error.reason))
            calls = [*(call for link in self._desk.links.values() for call in link.in_flight.values())]
            calls += self._desk.waiting
            self._desk.waiting.clear()
        self._stop(0.0)
        for call in calls:
            if call.begin():
                fail(call, ExecutorBroken(error.reason))

    # What the pool says; called on this thread.

    def worker_started(self, worker: Worker) -> None:
        """There is a process; it is given its initializer, and will say HELLO, or die."""
        link = CallLink(worker)
        with self._desk.lock:
            self._desk.links[worker.worker_id] = link
        descriptor = worker.channel.doorbell_fileno()
        self._by_doorbell[descriptor] = link
        self._poll.register(descriptor, select.POLLIN)
        link.set_up(self._setup)
        if self._is_stopping:
            self._pool.condemn(worker, STOPPED)

    def start_failed(self, worker_id: int, group: str, error: Exception) -> None:
        """There could be no process."""
        with self._desk.lock:
            self._desk.hired -= 1
        self._note_failed_start(f"worker {worker_id} of group {group}: {error}")

    def worker_ended(self, worker: Worker, cause: Failure) -> None:
        """Take what it had finished; then see whose fault its end was; then have another if there is work for it."""
        link = self._by_doorbell.pop(worker.channel.doorbell_fileno())
        self._poll.unregister(worker.channel.doorbell_fileno())
        results: list[Result] = []
        with self._desk.lock:
            self._desk.drain(link, results)
            blamed = link.blamed()
            self._desk.take_back(link, blamed)
            self._desk.hired -= 1
        died_in_setup = link.died_in_setup()
        worker.channel.close()
        self._settle(results)
        if blamed is not None:
            self._fail_blamed(blamed, worker, cause)
        if link.is_ready:
            self._failed_starts = 0
            self._backoff.forget(GROUP)
        elif not self._is_stopping:
            self._note_unready(link, cause, died_in_setup=died_in_setup)
        self._hire_for_what_waits()

    def pool_broken(self, error: InfrastructureError) -> None:
        """No worker can be had any more."""
        self._break(ExecutorBroken(str(error)))

    def pool_closed(self) -> None:
        """Nothing is left."""
        self._pool.join()
        self._is_over = True

    def _fail_blamed(self, call: Call, worker: Worker, cause: Failure) -> None:
        self._desk.died += 1
        logger.info("Worker %d (%s) died while it ran %s: %s.", worker.worker_id, worker.name, call.name, cause.message)
        fail(call, WorkerDied(call.name, cause.message, cause.traceback))

    def _note_unready(self, link: CallLink, cause: Failure, *, died_in_setup: bool) -> None:
        """A worker was not ready when it ended: what its initializer did, the next one's would do, too."""
        if link.unfit is not None and died_in_setup:
            logging.getLogger("concurrent.futures").critical("Exception in initializer:\n%s", link.unfit.traceback)
            self._break(ExecutorBroken(f"the initializer raised {link.unfit.reason}"))
        elif link.unfit is not None or died_in_setup:
            self._break(ExecutorBroken(link.unfit.reason if link.unfit else f"in the initializer, {cause.message}"))
        else:
            self._note_failed_start(with_traceback(cause))

    def _note_failed_start(self, reason: str) -> None:
        self._failed_starts += 1
        logger.warning("A worker did not get ready, %d in a row by now: %s", self._failed_starts, reason)
        with self._desk.lock:
            is_served = any(link.is_ready for link in self._desk.links.values())
        if self._failed_starts >= FAILED_STARTS and not is_served:
            self._break(ExecutorBroken(f"{self._failed_starts} workers in a row did not get ready; the last: {reason}"))
        else:
            self._hire_for_what_waits()

    def _hire_for_what_waits(self) -> None:
        with self._desk.lock:
            starting = self._desk.hired - sum(link.is_ready for link in self._desk.links.values())
            wanted = min(len(self._desk.waiting) - starting, self._desk.max_workers - self._desk.hired)
            for _ in range(0 if self._is_stopping else wanted):
                self._desk.hired += 1
                self._pool.start_worker(GROUP, self._backoff.delay_s(GROUP) if self._failed_starts else 0.0)


def _unstarted(error: RuntimeError) -> Exception:
    return error if isinstance(error, ExecutorClosed) else ExecutorBroken(f"a thread cannot be started: {error}")
