"""The pool: one thread that starts workers, watches, ends and buries them. It knows processes, and no messages.

The thread lives as long as the pool, and everything about lifetimes happens on it: the kernel ties a worker's life to
the *thread* that started it (P2), and a single owner needs no lock (D4). Its clients, all on the bus thread, leave
orders and are told what happened.

::

    bus thread                            pool thread                         worker
    ----------                            -----------                         ------
    start_worker(group)    --order-->     make(...)                ------->   is there
                           <--started--
    condemn(worker, why)   --order-->     SIGTERM, grace, SIGKILL  ------->   dies
                                          looks at status words: every TICK_S while anything is timed,
                                          else about once a second, for signs of life
                                          pidfd is readable        <-------   is dead
                           <--ended---    kill the rest of its group, wait, say how it ended
    stop(timeout_s)        --order-->     when time is up: condemn all
                           <--closed--    all buried; the thread ends

Time is measured on a clock that this thread keeps, which goes on only while it looks: after a freeze of the whole
machine or container nobody has run for longer than somebody watched (P7).
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import threading
import time
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Final, Protocol

from driven.errors import DrivenError, WorkersUnavailable
from driven.pool.watch import Watch, look_s
from driven.pool.worker import Verdict
from driven.ring.waiting import Doorbell

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.errors import InfrastructureError
    from driven.pool.worker import MakeWorker, Plan, Worker
    from driven.wire import Failure

logger = logging.getLogger("driven.pool")

TICK_S: Final = 0.05
"""How often workers are looked at while something is timed."""

MEASURE_S: Final = 0.1
"""How old, in seconds, what workers take has to be before they are measured again, however often that is asked for."""

LONGEST_STEP_S: Final = 1.0
"""How much time may count between two looks; more than that was a freeze, and counts for nobody."""

STOPPED: Final = Verdict("its worker was stopped")


class PoolClient(Protocol):
    """Who is told what happens to workers; called on the bus thread."""

    def worker_started(self, worker: Worker) -> None:
        """There is a process, which is not ready yet; its channel is the client's from now on."""

    def start_failed(self, worker_id: int, group: str, error: Exception) -> None:
        """There could be no process."""

    def worker_ended(self, worker: Worker, cause: Failure) -> None:
        """The process and its group are no more; the client is to close the channel."""

    def pool_broken(self, error: InfrastructureError) -> None:
        """The pool's own thread failed; all workers are dead or dying."""

    def pool_closed(self) -> None:
        """Nothing of the pool is left; no call follows."""


class WorkerPool:
    """The workers of one lane, as processes; used on the bus thread. `start` begins it, `stop` and `join` end it."""

    def __init__(
        self, make: MakeWorker, plan: Plan, client: PoolClient, call_on_bus_thread: Callable[..., object]
    ) -> None:
        """Nothing starts yet; `make` is how a worker of this pool's kind starts.

        `call_on_bus_thread(function, *arguments)` is safe from any thread; RuntimeError when its loop is closed.
        """
        self._make: Final = make
        self._plan: Final = plan
        self._client: Final = client
        self._call_on_bus_thread: Final = call_on_bus_thread
        self._bell: Final = Doorbell.create()
        self._orders: Final[deque[Callable[[], None]]] = deque()
        # A daemon: a program that ends without closing its bus ends, and its workers with it.
        self._thread: Final = threading.Thread(target=self._run, name="driven-pool", daemon=True)
        self._is_ticking = False
        self._is_measure_due = False
        self._ids: Final = count(1)
        # The rest is the thread's own.
        self._selector: Final = selectors.DefaultSelector()
        self._look_s: Final = look_s(plan)
        self._watches: Final[dict[int, Watch]] = {}
        self._due: Final[list[tuple[float, int, str]]] = []
        self._now_s = 0.0
        self._step_s = 0.0
        self._last_look_s = time.monotonic()
        self._stop_at_s: float | None = None
        self._measure_at_s = 0.0

    # What the bus thread calls.

    def start(self) -> None:
        """Begin to take orders."""
        self._selector.register(self._bell.fileno(), selectors.EVENT_READ)
        self._thread.start()

    def start_worker(self, group: str, delay_s: float = 0.0) -> int:
        """Have a worker of this group, in `delay_s` seconds; return its id, under which it starts or fails to."""
        worker_id = next(self._ids)
        self._order(lambda: self._start_later(worker_id, group, delay_s))
        return worker_id

    def condemn(self, worker: Worker, verdict: Verdict) -> None:
        """Kill a worker at once."""
        self._order(lambda: self._condemn(worker, verdict, grace_s=0.0))

    def nudge(self, worker: Worker, number: int) -> None:
        """Send a signal to the process of a worker, if it is not buried."""
        self._order(lambda: self._nudge(worker, number))

    def see_off(self, worker: Worker, timeout_s: float) -> None:
        """Give a worker that says GOODBYE so long to end by itself."""
        self._order(lambda: self._see_off(worker, timeout_s))

    def growth_bytes(self, worker_id: int) -> int:
        """How much more memory a worker takes than when it was ready, as last seen, where the plan watches memory."""
        watch = self._watches.get(worker_id)
        return watch.growth_bytes if watch else 0

    def measure(self) -> None:
        """Have all workers measured soon, unless that was done just before; `Worker.usage` says what was found."""
        if not self._is_measure_due:
            self._is_measure_due = True
            self._bell.ring()

    def watch(self) -> None:
        """Hear that a command was sent whose time is limited; costs nothing while others of the kind are under way."""
        if not self._is_ticking:
            self._bell.ring()

    def stop(self, timeout_s: float) -> None:
        """Wait so long for the workers to leave, then make them; start no more. May be repeated with less time."""
        self._order(lambda: self._stop(timeout_s))

    def join(self) -> None:
        """Wait for the thread, which is ending or has never begun, and give up the rest."""
        if self._thread.ident is not None:
            self._thread.join()
        self._is_measure_due = True  # there is nobody to measure any more, and no bell
        self._selector.close()
        self._bell.close()

    def _order(self, order: Callable[[], None]) -> None:
        self._orders.append(order)
        self._bell.ring()

    # The thread.

    def _run(self) -> None:
        try:
            while self._stop_at_s is None or self._watches:
                ended = self._wait()
                for watch in ended:
                    self._bury(watch)
                while self._orders:
                    self._orders.popleft()()
                self._start_what_is_due()
                self._look()
                if self._is_measure_due:
                    self._measure()
        except Exception as error:
            logger.exception("The pool's thread failed; all its workers are ended.")
            self._tell(self._client.pool_broken, WorkersUnavailable(f"the pool's thread failed: {error!r}"))
        for watch in tuple(self._watches.values()):
            self._bury(watch)
        self._tell(self._client.pool_closed)

    def _wait(self) -> list[Watch]:
        """Sleep until something happens, or for a tick; return whose process has ended."""
        # Said before looking whether there is anything to time: what is sent after the look rings the bell.
        self._is_ticking = False
        self._is_ticking = self._is_anything_timed()
        rest_s = self._look_s if self._watches else None
        ready = self._selector.select(TICK_S if self._is_ticking else rest_s)
        self._bell.clear()
        now_s = time.monotonic()
        self._step_s = min(now_s - self._last_look_s, LONGEST_STEP_S)
        self._last_look_s = now_s
        self._now_s += self._step_s
        ended = [key.data for key, _ in ready if key.data is not None]
        return ended + [watch for watch in self._watches.values() if watch.has_ended_unseen()]

    def _is_anything_timed(self) -> bool:
        return bool(self._due or self._stop_at_s is not None or any(w.is_timed() for w in self._watches.values()))

    def _start_later(self, worker_id: int, group: str, delay_s: float) -> None:
        if self._stop_at_s is None:
            self._due.append((self._now_s + delay_s, worker_id, group))

    def _start_what_is_due(self) -> None:
        for start in [start for start in self._due if start[0] <= self._now_s]:
            self._due.remove(start)
            self._start_worker(start[1], start[2])

    def _start_worker(self, worker_id: int, group: str) -> None:
        try:
            worker = self._make(worker_id, group, self._plan)
        except (DrivenError, OSError) as error:
            logger.warning("A worker of group %s cannot be started: %s", group, error)
            self._tell(self._client.start_failed, worker_id, group, error)
            return
        logger.debug("Worker %d of group %s is %s.", worker_id, group, worker.name)
        worker.measure()
        watch = self._watches[worker_id] = Watch(worker, self._plan)
        if worker.end_descriptor >= 0:
            self._selector.register(worker.end_descriptor, selectors.EVENT_READ, watch)
        self._tell(self._client.worker_started, worker)

    def _look(self) -> None:
        """See to it that nothing takes longer than it may."""
        if self._stop_at_s is not None and self._now_s >= self._stop_at_s:
            for watch in self._watches.values():
                self._condemn(watch.worker, STOPPED, self._plan.grace_s)
        for watch in self._watches.values():
            worker = watch.worker
            if worker.verdict is not None:
                if self._now_s >= worker.kill_at_s:
                    worker.kill()
            elif watch.leave_at_s is not None:  # it has said goodbye, and may finalise what it has in silence
                if self._now_s >= watch.leave_at_s:
                    self._condemn(worker, STOPPED, self._plan.grace_s)
            elif verdict := watch.look(self._step_s):
                self._condemn(worker, verdict, self._plan.grace_s)

    def _measure(self) -> None:
        """Here and not where it is wanted: for each worker the system has to be asked, and the bus would wait."""
        self._is_measure_due = False
        if time.monotonic() >= self._measure_at_s:
            for watch in self._watches.values():
                watch.worker.measure()
            self._measure_at_s = time.monotonic() + MEASURE_S

    def _condemn(self, worker: Worker, verdict: Verdict, grace_s: float) -> None:
        """Pass a verdict; the first one stands."""
        if worker.worker_id not in self._watches or worker.verdict is not None:
            return
        logger.log(
            logging.DEBUG if verdict is STOPPED else logging.WARNING,
            "Worker %d (%s) is ended: %s.",
            worker.worker_id,
            worker.name,
            verdict.reason,
        )
        worker.verdict = verdict
        worker.kill_at_s = self._now_s + grace_s
        if grace_s:
            worker.terminate()
        else:
            worker.kill()

    def _nudge(self, worker: Worker, number: int) -> None:
        if worker.worker_id in self._watches:  # until it is buried its process id is its own
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, number)

    def _see_off(self, worker: Worker, timeout_s: float) -> None:
        watch = self._watches.get(worker.worker_id)
        if watch is not None:
            watch.leave_at_s = self._now_s + timeout_s

    def _bury(self, watch: Watch) -> None:
        worker = watch.worker
        del self._watches[worker.worker_id]
        if worker.end_descriptor >= 0:
            self._selector.unregister(worker.end_descriptor)
        cause = worker.bury()
        if not self._tell(self._client.worker_ended, worker, cause):
            worker.channel.close()

    def _stop(self, timeout_s: float) -> None:
        stop_at_s = self._now_s + timeout_s
        self._stop_at_s = stop_at_s if self._stop_at_s is None else min(stop_at_s, self._stop_at_s)
        self._due.clear()

    def _tell(self, function: Callable[..., None], *arguments: object) -> bool:
        """Have the client called on the bus thread; False when its event loop is closed: then everything ends here."""
        try:
            self._call_on_bus_thread(function, *arguments)
        except RuntimeError:
            self._stop(0.0)
            return False
        return True
