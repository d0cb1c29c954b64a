"""Which CPUs a worker runs on."""

from __future__ import annotations

import os

import pytest

from driven.errors import WorkersUnavailable
from driven_worker.cores import pin


def test_a_worker_without_cpus_of_its_own_runs_anywhere() -> None:
    """docs/how-to/place-commands-on-workers.md: nothing is changed."""
    before = os.sched_getaffinity(0)

    pin(())

    assert os.sched_getaffinity(0) == before


def test_a_worker_is_pinned_to_its_cpus() -> None:
    """docs/how-to/place-commands-on-workers.md: to those and no other."""
    before = os.sched_getaffinity(0)
    try:
        pin((min(before),))
        pinned = os.sched_getaffinity(0)
    finally:
        os.sched_setaffinity(0, before)

    assert pinned == {min(before)}


def test_cpus_that_cannot_be_used_are_named_with_those_that_can() -> None:
    """docs/how-to/place-commands-on-workers.md, R1: the culprit and the remedy."""
    with pytest.raises(WorkersUnavailable, match=r"CPU 4000 cannot be used, only .*; name CPUs in \[workers\.groups\]"):
        pin((min(os.sched_getaffinity(0)), 4_000))


def test_where_processes_cannot_be_pinned_they_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/how-to/place-commands-on-workers.md: pinning is for speed, and changes no outcome."""
    monkeypatch.delattr(os, "sched_setaffinity")

    pin((4_000,))
