"""`Executor`: what takes the place of `concurrent.futures.ProcessPoolExecutor` in a program, by one changed line.

It holds the desk and the manager; they never hold it. It lives until `shutdown`, or until nobody holds it any more:
either way, what was submitted is done first.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from concurrent.futures import Executor as StandardExecutor
from concurrent.futures import Future
from functools import partial
from multiprocessing import process
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from driven.calls import SETUP
from driven.executor.call_link import Call
from driven.executor.desk import Desk
from driven.executor.errors import ExecutorClosed
from driven.executor.estimates import name_of
from driven.executor.manager import Manager
from driven.executor.pickling import call_body
from driven.pool.cpus import available_cpus
from driven.pool.worker import Plan
from driven.settings import WorkerSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")


class ExecutorStatistics(msgspec.Struct, frozen=True):
    """What an executor has done and holds, at one moment."""

    workers: int
    """Processes that are there or were asked for."""
    ready: int
    """Those of them that take calls."""
    waiting: int
    """Calls that no worker has yet; they can be cancelled."""
    in_flight: int
    """Calls that lie in a worker's ring or run."""
    completed: int
    """Calls that came back, whatever became of them."""
    died: int
    """Calls that ended their worker."""


class Executor(StandardExecutor):
    """Runs callables in worker processes, one at a time in each; as `concurrent.futures.ProcessPoolExecutor` does.

    Workers start when there is work and none is idle. Arguments, results and exceptions are pickled, with cloudpickle
    where pickle cannot and cloudpickle is installed. There is no ``if __name__ == "__main__"`` to write.

    Args:
        max_workers: how many processes there may be; by default, as many as CPUs may be used, quotas included.
        initializer: called with `initargs` in each worker before its first call. If it raises, the executor is broken.
        initargs: its arguments.
        max_tasks_per_child: after so many calls a worker is replaced; by default, never.

    Raises:
        ValueError, TypeError: a number is not above 0, or the initializer cannot be called.
        CallUnpicklable, or whatever pickling raises: the initializer or its arguments cannot be sent to workers.

    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        max_tasks_per_child: int | None = None,
    ) -> None:
        _check("max_workers", max_workers, "max_workers must be greater than 0")
        _check("max_tasks_per_child", max_tasks_per_child, "max_tasks_per_child must be >= 1")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        cpus = available_cpus().count
        # Under this name Dask looks for the number, and finds it in the executors of the standard library.
        self._max_workers: Final = max_workers or cpus
        self._desk: Final = Desk(self._max_workers, max_tasks_per_child)
        authkey = bytes(process.current_process().authkey)
        self._setup: Final = call_body(SETUP, (authkey, initializer, initargs), name_of(initializer))
        self._plan: Final = _plan(cpus)
        self._starting: Final = threading.Lock()
        self._manager: Manager | None = None

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:  # noqa: ANN401 - whatever it takes
        """Have ``fn(*args, **kwargs)`` called in a worker; return its future at once.

        What cannot be pickled is said by the future.

        Raises:
            ExecutorClosed: after `shutdown`; a RuntimeError.
            ExecutorBroken: no worker can be had; a BrokenProcessPool.

        """
        desk = self._desk
        if desk.refusal is not None:
            raise desk.refusal()
        manager = self._manager or self._started()
        future: Future[T] = Future()
        name, number = name_of(fn), next(desk.numbers)
        try:
            body = call_body(number, (fn, args, kwargs), name)
        except Exception as error:  # noqa: BLE001 - pickling runs the user's code
            future.set_exception(error)
            return future
        call = Call(number, future, name, body)
        with desk.lock:
            if desk.refusal is not None:
                raise desk.refusal()
            if desk.accept(call):
                manager.hire()
            if manager.is_dozing:
                manager.wake()
        return future

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[T]:
        """As `map`, in workers; results come in order.

        Args:
            fn: takes one argument from each iterable.
            iterables: consumed at once.
            timeout: seconds from now after which the iterator raises TimeoutError.
            chunksize: how many calls travel together.

        Raises:
            ValueError: `chunksize` is not above 0.

        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if chunksize == 1:
            return super().map(fn, *iterables, timeout=timeout)
        chunks = super().map(partial(_run_chunk, fn), _chunks(chunksize, iterables), timeout=timeout)
        return _flattened(chunks)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - its signature
        """Take no more calls, and let the workers go when all is done. May be called again, from anywhere.

        Args:
            wait: return when nothing is left of the workers. Not from a callback of a future: that cannot wait.
            cancel_futures: cancel what no worker has yet.

        """
        with self._starting:
            manager = self._manager
            if manager is None:
                self._desk.refuse(lambda: ExecutorClosed("after shutdown"))
                return
        if cancel_futures:
            self._cancel_what_waits()
        manager.close()
        if wait:
            manager.join()

    @property
    def max_workers(self) -> int:
        """How many processes there may be."""
        return self._max_workers

    def statistics(self) -> ExecutorStatistics:
        """What it has done, and holds now."""
        desk = self._desk
        with desk.lock:
            links = tuple(desk.links.values())
            return ExecutorStatistics(
                workers=desk.hired,
                ready=sum(link.is_open for link in links),
                waiting=len(desk.waiting),
                in_flight=sum(len(link.in_flight) for link in links),
                completed=desk.completed,
                died=desk.died,
            )

    def _started(self) -> Manager:
        """The manager, which starts with the first call."""
        with self._starting:
            if self._manager is not None:
                return self._manager
            if self._desk.refusal is not None:
                raise self._desk.refusal()
            manager = Manager(self._desk, self._plan, self._setup)
            try:
                manager.start()
            except Exception as error:
                reason = error
                self._desk.refuse(lambda: type(reason)(*reason.__reduce__()[1]))
                raise
            self._manager = manager
            weakref.finalize(self, manager.close).atexit = False
            return manager

    def _cancel_what_waits(self) -> None:
        with self._desk.lock:
            begun = [call for call in self._desk.waiting if call.has_begun]
            cancelled = [call for call in self._desk.waiting if not call.has_begun]
            self._desk.waiting.clear()
            self._desk.waiting.extend(begun)
        for call in cancelled:
            if call.future.cancel():
                call.begin()  # tells who waits that it was cancelled


def _check(name: str, number: int | None, complaint: str) -> None:
    if number is None:
        return
    if not isinstance(number, int):
        raise TypeError(f"{name} must be an integer")
    if number <= 0:
        raise ValueError(complaint)


def _plan(cpus: int) -> Plan:
    defaults = WorkerSettings()
    return Plan(
        reference=None,
        modules=(),
        log_id="",
        ring_bytes=defaults.ring_bytes,
        blas_threads=defaults.blas_threads,
        start_timeout_s=defaults.start_timeout_s,
        grace_s=defaults.grace_s,
        heartbeat_timeout_s=0.0,
        memory_limit_bytes=0,
        watches_memory=False,
        available_cpus=cpus,
        group_cpus={},
    )


def _chunks(size: int, iterables: tuple[Iterable[Any], ...]) -> Iterator[tuple[tuple[Any, ...], ...]]:
    together = zip(*iterables, strict=False)
    while chunk := tuple(itertools.islice(together, size)):
        yield chunk


def _run_chunk(function: Callable[..., T], chunk: tuple[tuple[Any, ...], ...]) -> list[T]:
    """What a worker runs for a chunk."""
    return [function(*arguments) for arguments in chunk]


def _flattened(chunks: Iterator[list[T]]) -> Iterator[T]:
    """The results one by one, none held when it was given away."""
    for chunk in chunks:
        chunk.reverse()
        while chunk:
            yield chunk.pop()
