"""joblib's way in: `JoblibBackend` has `joblib.Parallel` use an `Executor`. As long-lived as the user's object.

Needs joblib, which nothing else of Driven imports.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from joblib.parallel import (  # type: ignore[import-untyped]  # it says nothing of types
    AutoBatchingMixin,
    FallbackToBackend,
    ParallelBackendBase,
    SequentialBackend,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from driven.executor.executor import Executor


class JoblibBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]  # as above
    """Parallel calls of joblib, run by `executor`, which stays the caller's: to be shut down by whoever made it.

    ``with joblib.parallel_config(backend=JoblibBackend(executor)): ...``. Calls travel in batches, whose size joblib
    finds; nested parallel calls run as joblib nests them, in threads and then serially.
    """

    supports_retrieve_callback = True
    default_n_jobs = -1

    def __init__(self, executor: Executor, **options: Any) -> None:  # noqa: ANN401 - joblib's own
        super().__init__(**options)
        self._executor: Final = executor
        self._sent: Final[weakref.WeakSet[Future[Any]]] = weakref.WeakSet()

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many of the executor's workers this many jobs use; negative: all but so many less one.

        Raises:
            ValueError: it is 0.

        """
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning; give at least 1, or -1 for all workers")
        workers = self._executor.max_workers
        if n_jobs is None:
            return 1
        return min(n_jobs, workers) if n_jobs > 0 else max(1, workers + 1 + n_jobs)

    def configure(self, n_jobs: int = 1, parallel: object = None, **_: Any) -> int:  # noqa: ANN401 - as above
        """Get ready for one `Parallel`; joblib runs it itself when it wants one job only."""
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        return n_jobs

    def submit(self, func: Callable[[], Any], callback: Callable[[Future[Any]], None] | None = None) -> Future[Any]:
        """Run a batch."""
        future = self._executor.submit(func)
        self._sent.add(future)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Future[Any]) -> Any:  # noqa: ANN401 - whatever the batch returned
        """What the batch returned, or raises what it raised."""
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:  # noqa: FBT001, FBT002, ARG002 - joblib's signature
        """One batch failed: cancel what no worker has yet."""
        for future in tuple(self._sent):
            future.cancel()
