"""The bus thread and its workers on the CPUs that the settings give them, with real processes."""

from __future__ import annotations

import os

import pytest

from driven import BusSettings, GroupSettings, Settings, WorkerSettings, open_bus
from driven.errors import SettingsError
from driven.pool.cpus import MAX_CPUS, available_cpus
from worker_test_app import Do, Done

HERE = available_cpus().affinity


async def test_the_bus_is_pinned_while_it_is_open_and_its_workers_are_not_pinned_with_it() -> None:
    """[bus] cpu: workers and the threads that start them do not inherit the place of the bus thread."""
    settings = Settings(bus=BusSettings(cpu=HERE[0]), workers=WorkerSettings(count=1))
    async with open_bus("worker_test_app:app", settings) as bus:
        of_bus = os.sched_getaffinity(0)
        (event,) = (await bus.handle(Do("tell cpus"))).events

    assert of_bus == {HERE[0]}
    assert event == Done(" ".join(str(cpu) for cpu in HERE))
    assert os.sched_getaffinity(0) == set(HERE)


async def test_a_cpu_that_is_not_there_keeps_the_bus_from_opening() -> None:
    """R1: refused in the main process, before any worker starts, with the CPUs that are there."""
    group = GroupSettings(count=1, cpus=(MAX_CPUS,))
    settings = Settings(workers=WorkerSettings(count=1, groups={"far": group}))

    with pytest.raises(SettingsError, match=f"CPU {MAX_CPUS} is not there.*there are: {HERE[0]}"):
        async with open_bus("worker_test_app:app", settings):
            pass


async def test_without_workers_nothing_is_said_of_the_cpus_of_groups() -> None:
    """[workers] count = 0: a configuration for a large machine opens inline on a small one."""
    group = GroupSettings(count=1, cpus=(MAX_CPUS,))
    settings = Settings(workers=WorkerSettings(count=0, groups={"far": group}))

    async with open_bus("worker_test_app:app", settings) as bus:
        assert bus.statistics().workers == ()


async def test_as_many_workers_come_as_their_cpus_allow() -> None:
    """[workers] count = "auto": a group that is pinned to one CPU has one worker, whatever the machine has."""
    workers = WorkerSettings(count="auto", groups={"default": GroupSettings(cpus=HERE[:1])})
    async with open_bus("worker_test_app:app", Settings(workers=workers)) as bus:
        (event,) = (await bus.handle(Do("tell cpus"))).events

        assert len(bus.statistics().workers) == 1
        assert event == Done(str(HERE[0]))
