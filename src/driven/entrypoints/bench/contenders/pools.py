"""Contenders that map: `multiprocessing.Pool` and mpire's `WorkerPool`."""

from __future__ import annotations

import importlib
import multiprocessing
import platform
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from driven.entrypoints.bench.contenders.futures import CHUNK
from driven.entrypoints.bench.contenders.port import FUNCTIONS, Contender, Task, Trips, installed, timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from driven.entrypoints.bench.contenders.port import Argument


class PoolSession:
    """Maps lazily over the arguments; one task per message, unless the mapping says otherwise."""

    def __init__(self, mapping: Callable[..., Any], apply: Callable[..., Any]) -> None:
        """`mapping(function, arguments)` gives the answers; `apply(function, arguments)` runs one and waits."""
        self._mapping: Final = mapping
        self._apply: Final = apply

    def flood(self, task: Task, arguments: Sequence[Argument]) -> None:
        """Map, and go through the answers."""
        for _ in self._mapping(FUNCTIONS[task], arguments):
            pass

    def trips(self, task: Task, argument: Argument, count: int) -> Trips:
        """Apply, again and again."""
        apply, function = self._apply, FUNCTIONS[task]
        return timed(lambda: apply(function, (argument,)), count)


@contextmanager
def _pool(workers: int) -> Iterator[PoolSession]:
    with multiprocessing.Pool(workers) as pool:
        yield PoolSession(lambda function, arguments: pool.imap(function, arguments, chunksize=1), pool.apply)
        pool.close()
        pool.join()


@contextmanager
def _pool_in_chunks(workers: int) -> Iterator[PoolSession]:
    with multiprocessing.Pool(workers) as pool:
        yield PoolSession(lambda function, arguments: pool.imap(function, arguments, chunksize=CHUNK), pool.apply)
        pool.close()
        pool.join()


@contextmanager
def _mpire(workers: int) -> Iterator[PoolSession]:
    with importlib.import_module("mpire").WorkerPool(n_jobs=workers, keep_alive=True) as pool:
        yield PoolSession(lambda function, arguments: pool.imap(function, arguments, chunk_size=1), pool.apply)
        pool.stop_and_join()


POOL: Final = Contender(
    key="pool",
    name="multiprocessing.Pool",
    version=platform.python_version,
    open=_pool,
    remark="imap() with one task per message; apply() for round trips",
)
MPIRE: Final = Contender(
    key="mpire",
    name="mpire",
    version=installed("mpire"),
    open=_mpire,
    remark="WorkerPool(keep_alive=True), imap() with one task per message; apply() for round trips",
)
BATCHED: Final = Contender(
    key="pool-chunks",
    name=f"multiprocessing.Pool.imap, chunks of {CHUNK}",
    version=platform.python_version,
    open=_pool_in_chunks,
    is_batched=True,
)
