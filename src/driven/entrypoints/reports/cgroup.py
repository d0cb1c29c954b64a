"""What the cgroup of this process allows it, besides CPU: the smallest limit of its own cgroup and all above it.

Reads files where they are mounted by default, below `/sys/fs/cgroup`. In a container whose own path is not visible
there, what stands at the top of the mount is its own limit, and is read as well.

Sources: cgroups(7); the kernel's admin-guide/cgroup-v2, "Memory Interface Files" and "PID Interface Files", and
admin-guide/cgroup-v1.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UNLIMITED: Final = 1 << 60
"""Version 1 says "no limit" by a number near 2**63; nothing real is as large as this."""


class CgroupLimit(msgspec.Struct, frozen=True):
    """One limit that was read."""

    value: int
    file: str
    """Where it stands."""


def cgroup_limit(root: Path, controller: str, *, v1_file: str, v2_file: str) -> CgroupLimit | None:
    """Read the smallest limit that a controller sets; None: there is none, or nothing that can be read.

    `root` is the folder that holds `/proc` and `/sys`.
    """
    limits = [
        CgroupLimit(value, f"/{file.relative_to(root)}")
        for file in _files(root, controller, v1_file, v2_file)
        if (value := _value(file)) is not None
    ]
    return min(limits, key=lambda limit: limit.value, default=None)


def _files(root: Path, controller: str, v1_file: str, v2_file: str) -> Iterator[Path]:
    """Read /proc/self/cgroup, lines of ``hierarchy-id:controllers:path``, and name the files from there to the top."""
    mounted = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        place = PurePosixPath(path.lstrip("/"))
        if line.startswith("0::"):
            yield from (mounted / folder / v2_file for folder in (place, *place.parents))
        elif controller in controllers.split(","):
            yield from (mounted / controller / folder / v1_file for folder in (place, *place.parents))


def _value(file: Path) -> int | None:
    try:
        value = int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):  # ValueError: "max", which is no limit
        return None
    return value if value < UNLIMITED else None
