"""Who may run on which CPU: a table of settings, on a machine of eight CPUs and two NUMA nodes."""

from __future__ import annotations

import os

import pytest

from driven.errors import SettingsError
from driven.pool.affinity import pinned_settings, pinned_thread, pins
from driven.pool.cpus import MAX_CPUS, available_cpus
from driven.settings import BusSettings, GroupSettings, Settings, WorkerSettings

EIGHT = range(8)
NODES = (range(4), range(4, 8))


def with_groups(cpu: int | None = None, **groups: GroupSettings) -> Settings:
    """Settings with these groups, and a bus on this CPU."""
    return Settings(bus=BusSettings(cpu=cpu), workers=WorkerSettings(groups=groups))


ROWS: dict[str, tuple[Settings, tuple[int, ...], dict[str, tuple[int, ...]]]] = {
    "nothing is said": (with_groups(), (), {"default": ()}),
    "numbers": (with_groups(a=GroupSettings(count=1, cpus=(2, 3))), (), {"default": (), "a": (2, 3)}),
    "a node": (with_groups(a=GroupSettings(count=1, cpus="numa:1")), (), {"default": (), "a": (4, 5, 6, 7)}),
    "the bus": (with_groups(cpu=3), (3,), {"default": ()}),
    "all but the bus": (
        with_groups(cpu=0, default=GroupSettings(cpus="others")),
        (0,),
        {"default": (1, 2, 3, 4, 5, 6, 7)},
    ),
    "exclusive": (
        with_groups(a=GroupSettings(count=1, cpus=(6, 7), exclusive=True)),
        (0, 1, 2, 3, 4, 5),
        {"default": (0, 1, 2, 3, 4, 5), "a": (6, 7)},
    ),
    "exclusive, and all but the bus": (
        with_groups(
            cpu=1, default=GroupSettings(cpus="others"), a=GroupSettings(count=1, cpus="numa:1", exclusive=True)
        ),
        (1,),
        {"default": (0, 2, 3), "a": (4, 5, 6, 7)},
    ),
    "two exclusive": (
        with_groups(
            a=GroupSettings(count=1, cpus=(0,), exclusive=True), b=GroupSettings(count=1, cpus=(1, 2), exclusive=True)
        ),
        (3, 4, 5, 6, 7),
        {"default": (3, 4, 5, 6, 7), "a": (0,), "b": (1, 2)},
    ),
}


@pytest.mark.parametrize(("settings", "bus", "groups"), ROWS.values(), ids=ROWS.keys())
def test_settings_become_cpus(settings: Settings, bus: tuple[int, ...], groups: dict[str, tuple[int, ...]]) -> None:
    """docs/how-to/place-commands-on-workers.md: numbers, a NUMA node, all but the bus's, and nobody else's."""
    found = pins(settings, EIGHT, NODES)

    assert (found.faults, found.bus, found.groups) == ((), bus, groups)


FAULTS: dict[str, tuple[Settings, str]] = {
    "no such CPU": (
        with_groups(a=GroupSettings(count=1, cpus=(2, 8, 9))),
        "or this process may not use it; give CPUs that are (there are: 0, 1, 2, 3, 4, 5, 6, 7)",
    ),
    "no such node": (
        with_groups(a=GroupSettings(count=1, cpus="numa:2")),
        '[workers.groups.a] cpus = "numa:2": there is no such NUMA node; give one that is there (there are: 0, 1)',
    ),
    "no such CPU for the bus": (with_groups(cpu=8), "[bus] cpu = 8 is not there, or this process may not use it; give"),
    "others than what": (
        with_groups(default=GroupSettings(cpus="others")),
        "and the bus has none; give it one, as [bus] cpu",
    ),
    "exclusive of what": (with_groups(a=GroupSettings(count=1, exclusive=True)), "needs CPUs; name them in cpus"),
    "somebody else's": (
        with_groups(a=GroupSettings(count=1, cpus=(1,), exclusive=True), b=GroupSettings(count=1, cpus=(1, 2))),
        "[workers.groups.b] cpus: CPU 1 belongs to group 'a' alone; give others, or take exclusive from",
    ),
    "the bus on somebody's": (
        with_groups(cpu=1, a=GroupSettings(count=1, cpus=(1,), exclusive=True)),
        "[bus] cpu = 1 belongs to group 'a' alone; give another CPU, or take exclusive from [workers.groups.a]",
    ),
    "nothing left": (
        with_groups(cpu=None, a=GroupSettings(count=1, cpus=tuple(EIGHT), exclusive=True)),
        "[workers.groups.default] has no CPU left to run on, as all belong to exclusive groups; leave it one",
    ),
}


@pytest.mark.parametrize(("settings", "fault"), FAULTS.values(), ids=FAULTS.keys())
def test_what_does_not_fit_is_named_with_what_is_there_instead(settings: Settings, fault: str) -> None:
    """R1: a wrong configuration is refused at opening, and not by the first worker."""
    (found,) = pins(settings, EIGHT, NODES).faults

    assert fault in found


def test_a_node_that_this_process_may_not_use_is_refused() -> None:
    """P9: a cpuset may leave out a whole node."""
    (found,) = pins(with_groups(a=GroupSettings(count=1, cpus="numa:1")), range(4), NODES).faults

    assert 'cpus = "numa:1": none of its CPUs is there' in found


def test_all_faults_are_raised_at_once() -> None:
    """R1: one look is enough to correct everything."""
    settings = with_groups(cpu=MAX_CPUS, a=GroupSettings(count=1, cpus=(MAX_CPUS,)))

    with pytest.raises(SettingsError) as raised:
        pinned_settings(settings)

    assert len(raised.value.faults) == 2


def test_a_thread_is_on_its_cpus_as_long_as_it_is_asked_to_be() -> None:
    """[bus] cpu: while the bus is open, and no longer."""
    before = available_cpus().affinity
    with pinned_thread(before[:1]):
        meanwhile = available_cpus().affinity
    with pinned_thread(()):
        unpinned = available_cpus().affinity

    assert meanwhile == before[:1] if hasattr(os, "sched_setaffinity") else before
    assert unpinned == available_cpus().affinity == before
