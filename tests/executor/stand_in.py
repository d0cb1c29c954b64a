"""`DrivenExecutor`: our `Executor` with what CPython's own tests look at inside a `ProcessPoolExecutor`.

Beside the name there are the parameter `mp_context`, which is taken and ignored, and views on what those tests read:
how many processes there are, whether all are gone, which thread to join. Nothing of the behaviour is made here.
"""

from __future__ import annotations

import os
import time
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

import driven

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

PATIENCE_S = 30.0


class Seat:
    """One worker process, as a `multiprocessing.Process` would be looked at."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def terminate(self) -> None:
        """Kill it."""
        os.kill(self.pid, 15)

    def join(self) -> None:
        """Wait until it is no more, zombie included."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                return
            assert time.monotonic() < deadline, f"process {self.pid} is still there"
            time.sleep(0.01)


class Links(dict[int, Any]):
    """The links of a desk, which also remember the processes that there ever were."""

    def __init__(self) -> None:
        super().__init__()
        self.pids: list[int] = []

    def __setitem__(self, worker_id: int, link: Any) -> None:  # noqa: ANN401 - a link
        self.pids.append(link.worker.pid)
        super().__setitem__(worker_id, link)


class Seats:
    """What the tests take for the dictionary of processes: counts those that are wanted, joins all there ever were."""

    def __init__(self, executor: DrivenExecutor) -> None:
        self._desk = executor._desk  # noqa: SLF001 - as the module says
        self._links = executor.links

    def __len__(self) -> int:
        return self._desk.hired

    def values(self) -> list[Seat]:
        """Every process there was, once there is one."""
        deadline = time.monotonic() + PATIENCE_S
        while self._desk.hired and not self._links.pids:
            assert time.monotonic() < deadline, "no process starts"
            time.sleep(0.001)
        return [Seat(pid) for pid in self._links.pids]


class CallQueue:
    """There is none."""

    def join_thread(self) -> None:
        """Nor a thread that feeds it."""


class DrivenExecutor(driven.Executor):
    """Ours, with a look inside."""

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: object = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
    ) -> None:
        super().__init__(
            max_workers, initializer=initializer, initargs=initargs, max_tasks_per_child=max_tasks_per_child
        )
        self.links = self._desk.links = Links()  # type: ignore[misc]  # before anything was started
        self._processes = Seats(self)
        self._call_queue = CallQueue()

    @property
    def _executor_manager_thread(self) -> threading.Thread | None:
        return self._manager._thread if self._manager else None  # noqa: SLF001 - as the module says

    @property
    def _broken(self) -> bool:
        refusal = self._desk.refusal
        return refusal is not None and isinstance(refusal(), BrokenProcessPool)
