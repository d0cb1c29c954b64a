"""Limits of a cgroup besides CPU: fake systems, each with the limit that counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driven.entrypoints.reports.cgroup import cgroup_limit

if TYPE_CHECKING:
    from pathlib import Path

V2, V1 = "0::/a/b\n", "4:memory:/a/b\n0::/\n"
MOUNT = "sys/fs/cgroup"
NO_LIMIT_V1 = "9223372036854771712\n"

ROWS: dict[str, tuple[str, dict[str, str], tuple[int, str] | None]] = {
    "own limit": (V2, {"a/b/memory.max": "1000\n"}, (1000, "a/b/memory.max")),
    "tighter above": (V2, {"a/b/memory.max": "1000\n", "a/memory.max": "500\n"}, (500, "a/memory.max")),
    "own says max": (V2, {"a/b/memory.max": "max\n", "a/memory.max": "700\n"}, (700, "a/memory.max")),
    "own path not visible": (V2, {"memory.max": "300\n"}, (300, "memory.max")),
    "path outside the namespace": ("0::/../..\n", {"memory.max": "300\n"}, (300, "memory.max")),
    "version 1": (V1, {"memory/a/b/memory.limit_in_bytes": "800\n"}, (800, "memory/a/b/memory.limit_in_bytes")),
    "version 1 without limit": (V1, {"memory/a/b/memory.limit_in_bytes": NO_LIMIT_V1}, None),
    "another controller": ("4:cpu:/a\n", {"memory/a/memory.limit_in_bytes": "800\n"}, None),
    "garbage": (V2, {"a/b/memory.max": "a lot\n", "a/memory.max": ""}, None),
    "lines that are none": ("nonsense\n\n", {"memory.max": "300\n"}, None),
    "nothing": (V2, {}, None),
}


@pytest.mark.parametrize("row", ROWS)
def test_the_tightest_limit_of_the_cgroup_and_all_above_it_counts(row: str, tmp_path: Path) -> None:
    """P9: nested limits bind together; "max" and garbage bind nobody."""
    membership, files, expected = ROWS[row]
    for name, text in {
        "proc/self/cgroup": membership,
        **{f"{MOUNT}/{path}": text for path, text in files.items()},
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    limit = cgroup_limit(tmp_path, "memory", v1_file="memory.limit_in_bytes", v2_file="memory.max")

    assert (limit and (limit.value, limit.file)) == (expected and (expected[0], f"/{MOUNT}/{expected[1]}"))


def test_where_there_is_no_proc_there_is_no_limit(tmp_path: Path) -> None:
    """MacOS has neither, and is no problem."""
    assert cgroup_limit(tmp_path, "pids", v1_file="pids.max", v2_file="pids.max") is None
