"""Contenders that give a future for each task: `concurrent.futures` and those that follow it."""

from __future__ import annotations

import concurrent.futures
import importlib
import platform
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

import driven
from driven.entrypoints.bench.contenders.port import FUNCTIONS, Contender, Task, Trips, installed, timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from driven.entrypoints.bench.contenders.port import Argument

CHUNK: Final = 64
"""Tasks per message of the batched footnotes."""


class Future(Protocol):
    """As much of a future as is used."""

    def result(self) -> bytes | None:
        """Wait for the answer."""


class FutureSession:
    """Submits plain functions; for anything whose `submit` gives a future."""

    def __init__(self, submit: Callable[..., Future]) -> None:
        """`submit(function, argument)`."""
        self._submit: Final = submit

    def flood(self, task: Task, arguments: Sequence[Argument]) -> None:
        """Submit all, then wait for each."""
        submit, function = self._submit, FUNCTIONS[task]
        for future in [submit(function, argument) for argument in arguments]:
            future.result()

    def trips(self, task: Task, argument: Argument, count: int) -> Trips:
        """Submit one and wait for it."""
        submit, function = self._submit, FUNCTIONS[task]
        return timed(lambda: submit(function, argument).result(), count)


class MapSession(FutureSession):
    """As `FutureSession`, but floods with `Executor.map` and its chunks."""

    def __init__(self, executor: concurrent.futures.Executor) -> None:
        """Over a standard executor."""
        super().__init__(executor.submit)
        self._executor: Final = executor

    def flood(self, task: Task, arguments: Sequence[Argument]) -> None:
        """Map, `CHUNK` tasks per message."""
        for _ in self._executor.map(FUNCTIONS[task], arguments, chunksize=CHUNK):
            pass


@contextmanager
def _standard(workers: int) -> Iterator[FutureSession]:
    with concurrent.futures.ProcessPoolExecutor(workers) as executor:
        yield FutureSession(executor.submit)


@contextmanager
def _standard_in_chunks(workers: int) -> Iterator[MapSession]:
    with concurrent.futures.ProcessPoolExecutor(workers) as executor:
        yield MapSession(executor)


@contextmanager
def _loky(workers: int) -> Iterator[FutureSession]:
    executor = importlib.import_module("loky").get_reusable_executor(max_workers=workers)
    try:
        yield FutureSession(executor.submit)
    finally:
        executor.shutdown(wait=True, kill_workers=True)


@contextmanager
def _pebble(workers: int) -> Iterator[FutureSession]:
    pool = importlib.import_module("pebble").ProcessPool(max_workers=workers)

    def submit(function: Callable[..., Any], argument: Argument) -> Future:
        return pool.submit(function, None, argument)  # type: ignore[no-any-return]  # pebble is imported when it is there

    try:
        yield FutureSession(submit)
    finally:
        pool.close()
        pool.join()


@contextmanager
def _ours(workers: int) -> Iterator[FutureSession]:
    with driven.Executor(max_workers=workers) as executor:
        yield FutureSession(executor.submit)


EXECUTOR: Final = Contender(
    key="executor",
    name="driven.Executor",
    version=lambda: driven.__version__,
    open=_ours,
    remark="submit() for each task, then result() on each future; no order is kept",
    is_ours=True,
)
PROCESS_POOL_EXECUTOR: Final = Contender(
    key="ppe",
    name="ProcessPoolExecutor",
    version=platform.python_version,
    open=_standard,
    remark="submit() for each task, then result() on each future",
)
LOKY: Final = Contender(
    key="loky",
    name="loky",
    version=installed("loky"),
    open=_loky,
    remark="get_reusable_executor(), then as ProcessPoolExecutor",
)
PEBBLE: Final = Contender(
    key="pebble",
    name="pebble",
    version=installed("pebble"),
    open=_pebble,
    remark="ProcessPool.submit() without a time limit, then result()",
)
BATCHED: Final = Contender(
    key="ppe-chunks",
    name=f"ProcessPoolExecutor.map, chunks of {CHUNK}",
    version=platform.python_version,
    open=_standard_in_chunks,
    is_batched=True,
)
