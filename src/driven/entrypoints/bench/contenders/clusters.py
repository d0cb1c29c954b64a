"""Contenders that are made for many machines, used on this one: Ray, and Dask's distributed scheduler."""

from __future__ import annotations

import importlib
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from driven.entrypoints.bench.contenders.port import FUNCTIONS, Contender, Task, Trips, installed, timed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from driven.entrypoints.bench.contenders.port import Argument


class RaySession:
    """Remote functions, and `ray.get` on the list of what they return."""

    def __init__(self, ray: Any) -> None:  # noqa: ANN401 - a module that may not be there
        """`ray` is connected."""
        self._get: Final = ray.get
        self._remote: Final = {task: ray.remote(function).remote for task, function in FUNCTIONS.items()}

    def flood(self, task: Task, arguments: Sequence[Argument]) -> None:
        """Call all, then get all."""
        remote = self._remote[task]
        self._get([remote(argument) for argument in arguments])

    def trips(self, task: Task, argument: Argument, count: int) -> Trips:
        """Call one and get it."""
        remote, get = self._remote[task], self._get
        return timed(lambda: get(remote(argument)), count)


class DaskSession:
    """Futures of a client; tasks are declared impure, or Dask would compute equal ones once."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - of a library that may not be there
        """`client` is connected."""
        self._client: Final = client

    def flood(self, task: Task, arguments: Sequence[Argument]) -> None:
        """Submit all, then gather all."""
        submit, function = self._client.submit, FUNCTIONS[task]
        self._client.gather([submit(function, argument, pure=False) for argument in arguments])

    def trips(self, task: Task, argument: Argument, count: int) -> Trips:
        """Submit one and wait for its result."""
        submit, function = self._client.submit, FUNCTIONS[task]
        return timed(lambda: submit(function, argument, pure=False).result(), count)


@contextmanager
def _ray(workers: int) -> Iterator[RaySession]:
    ray = importlib.import_module("ray")
    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield RaySession(ray)
    finally:
        ray.shutdown()


@contextmanager
def _dask(workers: int) -> Iterator[DaskSession]:
    distributed = importlib.import_module("distributed")
    with (
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.ERROR
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield DaskSession(client)


RAY: Final = Contender(
    key="ray",
    name="Ray",
    version=installed("ray"),
    open=_ray,
    remark="remote functions, then ray.get() on the list",
    start_s=6.0,
)
DASK: Final = Contender(
    key="dask",
    name="Dask distributed",
    version=installed("distributed"),
    open=_dask,
    remark="Client.submit(pure=False) on a LocalCluster of processes, then gather()",
    start_s=3.0,
)
