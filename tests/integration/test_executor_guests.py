"""Who takes executors: joblib and Dask, where they are installed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from driven import Executor

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    """Two workers."""
    with Executor(2) as made:
        yield made


def test_joblib_runs_its_calls_in_the_workers(executor: Executor) -> None:
    """Design 8: `parallel_config(backend=...)`, results in order, never in this process."""
    joblib = pytest.importorskip("joblib", reason="joblib is not installed")
    from driven.entrypoints.joblib_backend import JoblibBackend  # noqa: PLC0415 - it needs joblib

    with joblib.parallel_config(backend=JoblibBackend(executor)):
        squares = joblib.Parallel(n_jobs=2)(joblib.delayed(pow)(number, 2) for number in range(200))
        pids = set(joblib.Parallel(n_jobs=-1)(joblib.delayed(os.getpid)() for _ in range(50)))

    assert squares == [number**2 for number in range(200)]
    assert os.getpid() not in pids
    assert 1 <= len(pids) <= 2


def test_joblib_is_told_what_a_call_raised_and_goes_on(executor: Executor) -> None:
    """W6: the error itself; the backend can be used again."""
    joblib = pytest.importorskip("joblib", reason="joblib is not installed")
    from driven.entrypoints.joblib_backend import JoblibBackend  # noqa: PLC0415 - it needs joblib

    with joblib.parallel_config(backend=JoblibBackend(executor)):
        with pytest.raises(ZeroDivisionError):
            joblib.Parallel(n_jobs=2)(joblib.delayed(divmod)(1, number % 3) for number in range(20))
        again = joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(-number) for number in range(5))

    assert again == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("asked", "given"), [(None, 1), (1, 1), (2, 2), (8, 2), (-1, 2), (-2, 1), (-9, 1)])
def test_joblib_gets_no_more_jobs_than_there_are_workers(executor: Executor, asked: int | None, given: int) -> None:
    """Design 7: the executor's number is the bound."""
    pytest.importorskip("joblib", reason="joblib is not installed")
    from driven.entrypoints.joblib_backend import JoblibBackend  # noqa: PLC0415 - it needs joblib

    assert JoblibBackend(executor).effective_n_jobs(asked) == given


def test_dask_takes_it_for_its_local_scheduler(executor: Executor) -> None:
    """Design 8: `dask.config.set(scheduler=executor)`."""
    dask = pytest.importorskip("dask", reason="dask is not installed")
    total = dask.delayed(sum)([dask.delayed(pow)(number, 2) for number in range(10)])
    pid = dask.delayed(os.getpid)()

    with dask.config.set(scheduler=executor):
        found = dask.compute(total, pid)

    assert found[0] == sum(number**2 for number in range(10))
    assert found[1] != os.getpid()
