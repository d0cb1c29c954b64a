"""Which kind of worker a bus gets, and what threads refuse."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from driven import OnExhausted, Placement, SettingsError, WorkerSettings
from driven.bus.routing import Route
from driven.pool.kinds import GUARANTEES, Guarantee, beyond_threads, decided_kind
from driven.settings import GroupSettings

if TYPE_CHECKING:
    from driven.pool.kinds import Kind
    from driven.settings import WorkerKind


@pytest.mark.parametrize(
    ("asked", "is_gil_enabled", "beyond", "decided"),
    [
        ("auto", True, [], "processes"),
        ("auto", False, [], "threads"),
        ("auto", False, ["a timeout"], "processes"),
        ("processes", False, [], "processes"),
        ("processes", False, ["a timeout"], "processes"),
        ("threads", True, [], "threads"),
    ],
)
def test_threads_are_for_who_asks_for_them_and_for_where_there_is_no_gil(
    asked: WorkerKind, is_gil_enabled: bool, beyond: list[str], decided: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W9: what counts is the GIL itself, which an extension module may have turned on, and not the build of Python."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: is_gil_enabled, raising=False)

    assert decided_kind(asked, beyond) == decided


def test_an_interpreter_that_cannot_say_has_a_gil(monkeypatch: pytest.MonkeyPatch) -> None:
    """W9: before 3.13 there was no other."""
    monkeypatch.delattr(sys, "_is_gil_enabled", raising=False)

    assert decided_kind("auto", []) == "processes"


def route(placement: Placement, timeout_s: float | None) -> Route:
    """A route of which only two things matter."""
    return Route(
        placement=placement,
        group="default",
        sticky=False,
        detached=False,
        timeout_s=timeout_s,
        max_attempts=3,
        retries=2,
        on_exhausted=OnExhausted.PARK,
        decided_by="decorator",
    )


def test_every_timeout_that_a_thread_would_have_to_keep_is_refused() -> None:
    """W9, W5: all at once, each with its remedy; what runs inline or has no timeout is let be."""
    table = {
        "a.Slow": route(Placement.WORKER, 2.5),
        "a.Perhaps": route(Placement.AUTO, 60.0),
        "a.Inline": route(Placement.INLINE, None),
        "a.Untimed": route(Placement.WORKER, None),
    }

    slow, perhaps = beyond_threads(table, WorkerSettings())

    assert slow == (
        "a.Slow has timeout_s = 2.5 (by decorator), and worker threads cannot be killed; "
        'drop timeout_s, or set [workers] kind = "processes"'
    )
    assert perhaps.startswith("a.Perhaps has timeout_s = 60 ")
    with pytest.raises(SettingsError) as refused:
        decided_kind("threads", [slow, perhaps])
    assert refused.value.faults == (slow, perhaps)


def test_bounds_on_one_workers_memory_are_refused() -> None:
    """W9, P13: threads share theirs; recycling by count is no such bound."""
    workers = WorkerSettings(recycle_after_commands=7, recycle_after_growth_bytes=1 << 20, memory_limit_bytes=1 << 30)

    workers = msgspec.structs.replace(workers, groups={"tight": GroupSettings(count=1, memory_limit_bytes=1)})

    limit, growth, of_group = beyond_threads({}, workers)

    assert limit.startswith("[workers] memory_limit_bytes = 1073741824 is for one worker's memory")
    assert growth.startswith("[workers] recycle_after_growth_bytes = 1048576 is for")
    assert of_group.startswith("[workers.groups.tight] memory_limit_bytes = 1 is for")
    assert all(fault.endswith('or set [workers] kind = "processes"') for fault in (limit, growth, of_group))


def test_each_guarantee_is_told_for_both_kinds() -> None:
    """W9: the table has no holes, and no row twice."""
    assert all(all(guarantee) for guarantee in GUARANTEES)
    assert len({guarantee.about for guarantee in GUARANTEES}) == len(GUARANTEES)
    assert all(isinstance(guarantee, Guarantee) for guarantee in GUARANTEES)
