"""Signs of life and of death, each from what can be read."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from driven.pool.vitals import WORKER_DIED, cause_of_death, oom_kills, vitals_of
from driven.ring.channel import Channel
from driven.ring.status import WorkerState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.mark.parametrize(
    ("exit_code", "verdict", "kills", "expected"),
    [
        (0, None, 0, "its worker ended with exit code 0"),
        (3, None, 0, "its worker ended with exit code 3"),
        (-signal.SIGSEGV, None, 1, "its worker was killed by SIGSEGV"),
        (-250, None, 0, "its worker was killed by signal 250"),
        (-signal.SIGKILL, None, 0, "nor did the kernel for lack of memory; look for who did"),
        (-signal.SIGKILL, None, 2, "the kernel ran out of memory meanwhile; give the container more memory"),
        (-signal.SIGKILL, None, None, "often that is the kernel, out of memory; look into its log"),
        (-signal.SIGTERM, "it timed out after 3 s", 5, "it timed out after 3 s"),
    ],
)
def test_a_death_is_told_in_words(exit_code: int, verdict: str | None, kills: int | None, expected: str) -> None:
    """P14, W5: exit code or signal, and the hint of out-of-memory only where it belongs."""
    cause = cause_of_death(exit_code, verdict, "where it was", kills)

    assert cause.error_type == WORKER_DIED
    assert cause.message.endswith(expected) or expected in cause.message
    assert cause.traceback == "where it was"
    assert cause == cause_of_death(exit_code, verdict, "where it was", kills)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/app\n", "sys/fs/cgroup/app/memory.events": "low 0\noom 4\noom_kill 3\n"}, 3),
        ({"proc/self/cgroup": "0::/gone\n", "sys/fs/cgroup/memory.events": "oom_kill 1\noom_group_kill 0\n"}, 1),
        (
            {
                "proc/self/cgroup": "5:cpu:/x\n4:memory,hugetlb:/app\n0::/\n",
                "sys/fs/cgroup/memory/app/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
            },
            2,
        ),
        ({"proc/self/cgroup": "4:memory:/app\n", "sys/fs/cgroup/memory/memory.oom_control": "oom_kill 0\n"}, 0),
        ({"proc/self/cgroup": "0::/app\n", "sys/fs/cgroup/app/memory.events": "oom_kill many\n"}, None),
        ({"proc/self/cgroup": "0::/app\n", "sys/fs/cgroup/app/memory.events": "oom_kill\n"}, None),
        ({"proc/self/cgroup": "0::/app\n", "sys/fs/cgroup/app/memory.events": ""}, None),
        ({"proc/self/cgroup": "no cgroup at all\n\n:::\n"}, None),
    ],
)
def test_the_kernels_count_of_kills_is_read_where_it_is(
    files: Mapping[str, str], expected: int | None, tmp_path: Path
) -> None:
    """P14: cgroup v1, v2 and hybrid, inside and outside a container; garbage is no count."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="ascii")

    assert oom_kills(tmp_path) == expected


def test_vitals_can_be_had_of_a_worker_whose_state_was_overwritten() -> None:
    """W3, D10: the other words are believed, and nothing is raised."""
    with Channel.create(1 << 12) as channel:
        status = channel.status
        status.state = 99  # type: ignore[assignment]  # what a handler may do to memory
        idle = vitals_of(1, 77, "default", channel, is_leaving=False)
        status.begin(41, 2, 1)
        status.state = 99  # type: ignore[assignment]  # as above
        running = vitals_of(1, 77, "default", channel, is_leaving=False)

    assert (idle.state, running.state, running.position) == ("idle", "running", 41)


def test_vitals_are_what_the_status_words_say() -> None:
    """W3: state, position, age and count, read from shared memory."""
    with Channel.create(1 << 12) as channel:
        status = channel.status
        new = vitals_of(1, 77, "default", channel, is_leaving=False)
        status.begin(41, 2, 1)
        running = vitals_of(1, 77, "default", channel, is_leaving=False)
        status.state = WorkerState.WAITING
        waiting = vitals_of(1, 77, "default", channel, is_leaving=False)
        status.end()
        leaving = vitals_of(1, 77, "default", channel, is_leaving=True)

    assert (new.state, new.position, new.age_s, new.completed) == ("starting", 0, 0.0, 0)
    assert (running.state, running.position, running.pid, running.group) == ("running", 41, 77, "default")
    assert running.age_s > 0
    assert (waiting.state, waiting.position) == ("waiting", 41)
    assert (leaving.state, leaving.position, leaving.completed) == ("stopping", 0, 1)
