"""What is said about a placement: a table of situations, each with the one sentence that it deserves, or none."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from driven.entrypoints.reports.placement import GroupReport, PlacedCommand
from driven.entrypoints.reports.placement_advice import warnings
from driven.placement import Placement
from driven.pool.cpus import CpuCount

TWO_CPUS = CpuCount(count=2, source="affinity", detail="affinity to 2 CPUs", limits=(), affinity=(0, 1))
GROUP = GroupReport(name="default", workers=2, because="", cpus=(), commands=("a.Work",), is_started=True)
WORK = PlacedCommand(
    name="a.Work",
    handler="a.work",
    placement=Placement.WORKER,
    runs="worker",
    group="default",
    workers=2,
    cpus=(),
    key="id",
    sticky=False,
    timeout_s=None,
    max_attempts=3,
    decided_by="decorator",
)


def about_command(**changes: Any) -> list[str]:  # noqa: ANN401 - whatever the field holds
    """The warnings about one command, on a machine that suits it."""
    return list(warnings([GROUP], [msgspec.structs.replace(WORK, **changes)], TWO_CPUS))


def about_group(**changes: Any) -> list[str]:  # noqa: ANN401 - whatever the field holds
    """The warnings about one group, whose commands are as they should be."""
    return list(warnings([msgspec.structs.replace(GROUP, **changes)], [WORK], TWO_CPUS))


@pytest.mark.parametrize(
    ("changes", "beginning", "remedy"),
    [
        ({"runs": "inline"}, "a.Work is placed on workers and runs inline", "raise [workers] count"),
        ({"sticky": True, "key": None}, "a.Work is sticky and has no key", "give its handler key="),
        (
            {"placement": Placement.INLINE, "runs": "inline", "timeout_s": 2.5},
            "a.Work has timeout_s = 2.5 and runs inline",
            "place it on workers",
        ),
        (
            {"placement": Placement.AUTO, "runs": "either", "timeout_s": 30.0},
            "a.Work has timeout_s = 30 and may run inline",
            "place it on workers",
        ),
    ],
    ids=["no workers", "sticky without a key", "timeout inline", "timeout perhaps inline"],
)
def test_a_setting_of_a_command_that_has_no_effect_is_named(
    changes: dict[str, Any], beginning: str, remedy: str
) -> None:
    """W5, O4: only workers can be killed, and only a key can stick."""
    (said,) = about_command(**changes)

    assert said.startswith(beginning)
    assert said.endswith(f"; {remedy}")


@pytest.mark.parametrize(
    ("changes", "beginning", "remedy"),
    [
        ({"commands": ()}, "group 'default' starts 2 workers, and no command runs there", "set [workers] count = 1"),
        (
            {"commands": (), "name": "spare", "workers": 1},
            "group 'spare' starts 1 worker, and no command runs there",
            "remove [workers.groups.spare]",
        ),
        (
            {"cpus": (1,)},
            "the 2 workers of group 'default' are pinned to 1 CPU and take turns",
            "lower [workers] count",
        ),
        (
            {"cpus": (1,), "name": "near"},
            "the 2 workers of group 'near' are pinned to 1 CPU and take turns",
            "lower [workers.groups.near] count",
        ),
        ({"workers": 3}, "3 workers in all take turns on 2 CPUs (affinity to 2 CPUs)", "give this process more CPUs"),
    ],
    ids=["idle default", "idle group", "crowded default", "crowded group", "crowded machine"],
)
def test_a_group_that_wastes_workers_is_named(changes: dict[str, Any], beginning: str, remedy: str) -> None:
    """P9: workers beyond the CPUs only take turns."""
    (said,) = about_group(**changes)

    assert said.startswith(beginning)
    assert said.endswith(remedy)


@pytest.mark.parametrize(
    "changes",
    [{}, {"commands": (), "workers": 1}, {"is_started": False, "workers": 8}, {"cpus": (0, 1)}],
    ids=["as it should be", "default group has one at least", "none is started", "a CPU each"],
)
def test_nothing_is_said_without_need(changes: dict[str, Any]) -> None:
    """A warning that nobody can act on teaches people to skip warnings."""
    assert about_group(**changes) == []
