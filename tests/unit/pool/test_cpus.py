"""How many CPUs a process may use: fake systems, each with the count and the limit that decides (P9, P10)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driven.errors import SettingsError
from driven.pool.cpus import available_cpus, cpu_list, numa_nodes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

V2_MOUNT = "31 23 0:28 / /sys/fs/cgroup rw,nosuid,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNT = "33 32 0:30 {root} /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
HYBRID_MOUNT = "41 32 0:38 / /sys/fs/cgroup/unified rw,relatime shared:5 - cgroup2 cgroup2 rw\n"
OTHER_MOUNTS = (
    "27 1 254:0 / / rw,relatime - ext4 /dev/root rw\n"
    "34 32 0:31 / /sys/fs/cgroup/cpuset rw,relatime shared:10 - cgroup cgroup rw,cpuset\n"
)
V2, V1 = "sys/fs/cgroup", "sys/fs/cgroup/cpu,cpuacct"


class Fake(NamedTuple):
    """What a fake system holds: two files of /proc/self, and those below `files` by their path from /."""

    cgroup: str
    mounts: str
    files: Mapping[str, str]

    def build(self, root: Path) -> Path:
        """Make `root` look like / to the reader of CPU limits."""
        proc = {"proc/self/cgroup": self.cgroup, "proc/self/mountinfo": OTHER_MOUNTS + self.mounts}
        for name, text in {**proc, **self.files}.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root


def v2(files: Mapping[str, str], cgroup: str = "/a/b") -> Fake:
    """Return a system with cgroup v2 alone; `files` stand below its mount point."""
    return Fake(f"0::{cgroup}\n", V2_MOUNT, {f"{V2}/{path}": text for path, text in files.items()})


def v1(files: Mapping[str, str], root: str = "/") -> Fake:
    """Return a system with cgroup v1 alone, the process in /docker/abc; `files` stand below its mount point."""
    memberships = "9:name=systemd:/user\n8:cpuset:/elsewhere\n4:cpu,cpuacct:/docker/abc\n"
    return Fake(memberships, V1_MOUNT.format(root=root), {f"{V1}/{path}": text for path, text in files.items()})


def cfs(folder: str, quota: str, period: str = "100000\n") -> dict[str, str]:
    """Return the two files in which cgroup v1 keeps a quota."""
    return {f"{folder}cpu.cfs_quota_us": quota, f"{folder}cpu.cfs_period_us": period}


AFFINITY = "affinity to 8 CPUs"
QUOTA_V2, QUOTA_V1 = "cgroup v2 quota", "cgroup v1 quota"

ROWS: dict[str, tuple[Fake, int, str, str]] = {
    "no quota": (v2({"a/b/cpu.max": "max 100000\n", "a/cpu.max": "max 100000\n"}), 8, "affinity", AFFINITY),
    "exact": (v2({"a/b/cpu.max": "300000 100000\n"}), 3, QUOTA_V2, "cpu.max 300000/100000 in /sys/fs/cgroup/a/b"),
    "a quarter": (v2({"a/b/cpu.max": "25000 100000\n"}), 1, QUOTA_V2, "cpu.max 25000/100000 in /sys/fs/cgroup/a/b"),
    "one and a quarter": (v2({"a/b/cpu.max": "125000 100000"}), 2, QUOTA_V2, "cpu.max 125000/100000 in"),
    "other period": (v2({"a/b/cpu.max": "70000 20000"}), 4, QUOTA_V2, "cpu.max 70000/20000 in"),
    "larger than affinity": (v2({"a/b/cpu.max": "1200000 100000"}), 8, "affinity", AFFINITY),
    "tighter ancestor": (
        v2({"a/b/cpu.max": "600000 100000", "a/cpu.max": "200000 100000"}),
        2,
        QUOTA_V2,
        "cpu.max 200000/100000 in /sys/fs/cgroup/a",
    ),
    "no controller below": (
        v2({"a/cpu.max": "200000 100000"}),
        2,
        QUOTA_V2,
        "cpu.max 200000/100000 in /sys/fs/cgroup/a",
    ),
    "sibling": (v2({"a/c/cpu.max": "100000 100000"}), 8, "affinity", AFFINITY),
    "weights": (
        v2({"a/b/cpu.weight": "100", "a/b/cpu.weight.nice": "0", "a/b/cpu.idle": "0"}),
        8,
        "affinity",
        AFFINITY,
    ),
    "empty": (v2({"a/b/cpu.max": ""}), 8, "affinity", f"{AFFINITY}; ignored /sys/fs/cgroup/a/b/cpu.max (is empty)"),
    "garbage": (
        v2({"a/b/cpu.max": "lots of it"}),
        8,
        "affinity",
        "ignored /sys/fs/cgroup/a/b/cpu.max (says 'lots of it')",
    ),
    "no period": (v2({"a/b/cpu.max": "100000"}), 8, "affinity", "ignored /sys/fs/cgroup/a/b/cpu.max (says '100000')"),
    "zero period": (v2({"a/b/cpu.max": "100000 0"}), 8, "affinity", "ignored /sys/fs/cgroup/a/b/cpu.max"),
    "negative": (v2({"a/b/cpu.max": "-100000 100000"}), 8, "affinity", "ignored /sys/fs/cgroup/a/b/cpu.max"),
    "endless digits": (v2({"a/b/cpu.max": "9" * 5000 + " 1"}), 8, "affinity", "ignored /sys/fs/cgroup/a/b/cpu.max"),
    "binary": (v2({"a/b/cpu.max": "\0\0"}), 8, "affinity", "ignored /sys/fs/cgroup/a/b/cpu.max"),
    "garbage beside a quota": (
        v2({"a/b/cpu.max": "?", "a/cpu.max": "150000 100000"}),
        2,
        QUOTA_V2,
        "cpu.max 150000/100000 in /sys/fs/cgroup/a; ignored /sys/fs/cgroup/a/b/cpu.max (says '?')",
    ),
    "namespace": (v2({"cpu.max": "200000 100000"}, cgroup="/"), 2, QUOTA_V2, "cpu.max 200000/100000 in /sys/fs/cgroup"),
    "moved out of its namespace": (
        v2({"cpu.max": "200000 100000"}, cgroup="/../other"),
        2,
        QUOTA_V2,
        "in /sys/fs/cgroup, the top of what is mounted: /../other is not visible there",
    ),
    "colon in its name": (v2({"a:b/cpu.max": "200000 100000"}, cgroup="/a:b"), 2, QUOTA_V2, "in /sys/fs/cgroup/a:b"),
    "v1 no quota": (v1(cfs("docker/abc/", "-1\n")), 8, "affinity", AFFINITY),
    "v1 a quarter": (v1(cfs("docker/abc/", "25000\n")), 1, QUOTA_V1, "cpu.cfs_quota_us 25000/100000 in"),
    "v1 and a half": (v1(cfs("docker/abc/", "250000\n")), 3, QUOTA_V1, f"in /{V1}/docker/abc"),
    "v1 ancestor": (v1(cfs("docker/abc/", "-1\n") | cfs("docker/", "200000\n")), 2, QUOTA_V1, f"in /{V1}/docker"),
    "v1 bind mount": (v1(cfs("", "200000\n"), root="/docker/abc"), 2, QUOTA_V1, f"in /{V1}"),
    "v1 mount above": (v1(cfs("abc/", "200000\n"), root="/docker"), 2, QUOTA_V1, f"in /{V1}/abc"),
    "v1 not visible": (
        v1(cfs("", "200000\n"), root="/kubepods/pod7"),
        2,
        QUOTA_V1,
        f"in /{V1}, the top of what is mounted: /docker/abc is not visible there",
    ),
    "v1 without the folder": (v1(cfs("", "200000\n")), 2, QUOTA_V1, f"in /{V1}"),
    "v1 shares": (v1({"docker/abc/cpu.shares": "512\n", "cpu.shares": "1024\n"}), 8, "affinity", AFFINITY),
    "v1 garbage": (v1(cfs("docker/abc/", "x")), 8, "affinity", f"ignored /{V1}/docker/abc/cpu.cfs_quota_us (says 'x')"),
    "v1 zero": (v1(cfs("docker/abc/", "0")), 8, "affinity", f"ignored /{V1}/docker/abc/cpu.cfs_quota_us (says '0')"),
    "v1 garbage period": (
        v1(cfs("docker/abc/", "200000", "")),
        8,
        "affinity",
        f"ignored /{V1}/docker/abc/cpu.cfs_period_us (is empty)",
    ),
    "v1 no period": (
        v1({"docker/abc/cpu.cfs_quota_us": "200000"}),
        8,
        "affinity",
        f"ignored /{V1}/docker/abc/cpu.cfs_period_us (is missing)",
    ),
    "hybrid: v1 has the controller": (
        Fake(
            "4:cpu,cpuacct:/slice\n0::/slice\n",
            V1_MOUNT.format(root="/") + HYBRID_MOUNT,
            {f"{V1}/slice/cpu.cfs_quota_us": "150000", f"{V1}/slice/cpu.cfs_period_us": "100000"},
        ),
        2,
        QUOTA_V1,
        f"cpu.cfs_quota_us 150000/100000 in /{V1}/slice",
    ),
    "hybrid: v2 has the controller": (
        Fake("4:memory:/slice\n0::/slice\n", HYBRID_MOUNT, {"sys/fs/cgroup/unified/slice/cpu.max": "150000 100000"}),
        2,
        QUOTA_V2,
        "cpu.max 150000/100000 in /sys/fs/cgroup/unified/slice",
    ),
    "mount point with a blank": (
        Fake("0::/\n", "31 23 0:28 / /my\\040cgroups rw - cgroup2 none rw\n", {"my cgroups/cpu.max": "200000 100000"}),
        2,
        QUOTA_V2,
        "in /my cgroups",
    ),
    "hidden by a later mount": (
        Fake(
            "0::/\n", V2_MOUNT + "60 31 0:50 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n", {f"{V2}/cpu.max": "200000 100000"}
        ),
        8,
        "affinity",
        AFFINITY,
    ),
    "garbled memberships": (Fake("what?\n", V2_MOUNT, {}), 8, "affinity", "ignored /proc/self/cgroup"),
    "garbled mounts": (Fake("0::/\n", "what?\n", {}), 8, "affinity", "ignored /proc/self/mountinfo (says 'what?')"),
    "null byte": (Fake("0::/a\0b\n", V2_MOUNT, {}), 8, "affinity", "embedded null"),
    "nothing mounted": (Fake("0::/a\n", "", {}), 8, "affinity", AFFINITY),
}


@pytest.mark.parametrize(("fake", "count", "source", "detail"), ROWS.values(), ids=ROWS.keys())
def test_the_tightest_quota_of_all_ancestors_decides_rounded_up_and_weights_never_do(
    fake: Fake, count: int, source: str, detail: str, tmp_path: Path
) -> None:
    """P9, P10: quotas of both cgroup versions over all ancestors; shares and weights are not cores."""
    root = fake.build(tmp_path)

    counted = available_cpus(root=root, environ={}, affinity=range(8))

    assert (counted.count, counted.source) == (count, source)
    assert detail in counted.detail


def test_every_limit_that_was_read_is_listed_with_its_value(tmp_path: Path) -> None:
    """P9: the decision can be checked by people: all limits are shown, unrounded."""
    root = v2({"a/cpu.max": "125000 100000", "cpu.max": "max 100000"}, "/a").build(tmp_path)
    environ = {"DRIVEN_CPUS": "3", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "3538"}

    counted = available_cpus(root=root, environ=environ, affinity=[5, 1, 3, 1])

    assert [(limit.source, limit.value) for limit in counted.limits] == [
        ("affinity", 3.0),
        ("cgroup v2 quota", 1.25),
        ("lambda memory", 2.0),
        ("DRIVEN_CPUS", 3.0),
    ]
    assert counted.affinity == (1, 3, 5)


def test_no_ignored_file_is_mentioned_when_all_was_understood(tmp_path: Path) -> None:
    """P9: the detail is the limit that decided, and nothing else, on a healthy system."""
    root = v2({"a/cpu.max": "max 100000"}, "/a").build(tmp_path)

    assert available_cpus(root=root, environ={}, affinity=range(8)).detail == AFFINITY


def test_a_process_pinned_to_one_cpu_counts_one(tmp_path: Path) -> None:
    """P9: affinity of 1."""
    counted = available_cpus(root=tmp_path, environ={}, affinity={6})

    assert (counted.count, counted.source, counted.affinity) == (1, "affinity", (6,))
    assert counted.detail == "affinity to 1 CPU"


def test_there_is_always_one_cpu(tmp_path: Path) -> None:
    """P9: the count is at least 1, whatever is read."""
    assert available_cpus(root=tmp_path, environ={}, affinity=()).count == 1


def test_without_proc_the_affinity_alone_counts(tmp_path: Path) -> None:
    """P9: macOS has no /proc, and neither have some sandboxes."""
    counted = available_cpus(root=tmp_path, environ={}, affinity=range(4))

    assert (counted.count, counted.source) == (4, "affinity")
    assert len(counted.limits) == 1


def test_without_sched_getaffinity_all_cpus_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """P9: macOS has no sched_getaffinity."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)

    assert available_cpus(root=tmp_path, environ={}).affinity == (0, 1, 2, 3, 4, 5)


def test_a_file_that_cannot_be_read_is_ignored_and_named(tmp_path: Path) -> None:
    """P9: an unreadable file never raises."""
    root = v2({}).build(tmp_path)
    (root / V2 / "cpu.max").mkdir(parents=True)

    counted = available_cpus(root=root, environ={}, affinity=range(8))

    assert counted.count == 8
    assert "ignored /sys/fs/cgroup/cpu.max" in counted.detail


def test_limits_are_read_again_at_every_call(tmp_path: Path) -> None:
    """P9: quotas change while a process runs; nothing is remembered."""
    root = v2({"cpu.max": "200000 100000"}).build(tmp_path)
    before = available_cpus(root=root, environ={}, affinity=range(8))

    (root / V2 / "cpu.max").write_text("500000 100000")

    after = available_cpus(root=root, environ={}, affinity=range(8))
    assert (before.count, after.count) == (2, 5)


@pytest.mark.parametrize(
    ("memory_mb", "count"),
    [
        ("128", 1),
        ("1024", 1),
        ("1769", 1),
        ("1770", 2),
        ("3008", 2),
        ("3538", 2),
        ("3539", 3),
        ("5307", 3),
        ("5308", 4),
        ("7076", 4),
        ("8845", 5),
        ("8846", 6),
        ("10240", 6),
    ],
)
def test_on_lambda_the_memory_size_decides(memory_mb: str, count: int, tmp_path: Path) -> None:
    """P9: 1,769 MB per vCPU, rounded up; the smallest functions show 2 CPUs and have a share of one."""
    environ = {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory_mb}

    counted = available_cpus(root=tmp_path, environ=environ, affinity=range(8))

    assert (counted.count, counted.source) == (count, "lambda memory")


@pytest.mark.parametrize("memory_mb", ["", "much", "0", "-128", "128.5"])
def test_a_garbled_lambda_memory_size_is_ignored_and_named(memory_mb: str, tmp_path: Path) -> None:
    """P9: it is not the user's variable, so it never raises."""
    environ = {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory_mb}

    counted = available_cpus(root=tmp_path, environ=environ, affinity=range(8))

    assert counted.count == 8
    assert "ignored AWS_LAMBDA_FUNCTION_MEMORY_SIZE" in counted.detail


@pytest.mark.parametrize(
    ("text", "count", "source"), [("3", 3, "DRIVEN_CPUS"), ("8", 8, "affinity"), ("64", 8, "affinity")]
)
def test_the_user_can_lower_the_count_and_never_raise_it(text: str, count: int, source: str, tmp_path: Path) -> None:
    """P9: DRIVEN_CPUS is one more limit."""
    counted = available_cpus(root=tmp_path, environ={"DRIVEN_CPUS": text}, affinity=range(8))

    assert (counted.count, counted.source) == (count, source)


@pytest.mark.parametrize("text", ["", "many", "0", "-2", "1.5", "٣", "9" * 5000])
def test_a_garbled_wish_of_the_user_is_an_error_that_names_it(text: str, tmp_path: Path) -> None:
    """P9: what the user says is never ignored."""
    with pytest.raises(SettingsError) as raised:
        available_cpus(root=tmp_path, environ={"DRIVEN_CPUS": text}, affinity=range(8))

    assert raised.value.faults == (
        f'DRIVEN_CPUS = "{text}" is not valid; give a whole number of at least 1, or unset it',
    )


def test_the_running_system_is_counted_without_arguments() -> None:
    """P9: whatever this machine is, the count is within its CPUs and nothing on it is misunderstood."""
    counted = available_cpus()

    assert 1 <= counted.count <= max(1, len(counted.affinity))
    assert "ignored" not in counted.detail


@given(
    cgroup=st.text(st.sampled_from("0:/.cpua,\0\\ \n-"), max_size=40),
    mount=st.text(st.sampled_from("0 /.-cgroup2\\\n,"), max_size=60),
    quota=st.text(st.sampled_from("0123456789 -max\0"), max_size=30),
)
def test_no_garbage_raises_or_counts_more_than_the_affinity(
    tmp_path_factory: pytest.TempPathFactory, cgroup: str, mount: str, quota: str
) -> None:
    """P9: whatever the files say, the count is between 1 and the affinity."""
    fake = Fake(f"0::/\n{cgroup}", V2_MOUNT + mount, {f"{V2}/cpu.max": quota})
    root = fake.build(tmp_path_factory.mktemp("system"))

    assert 1 <= available_cpus(root=root, environ={}, affinity=range(8)).count <= 8


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("", ()),
        ("\n", ()),
        ("0\n", (0,)),
        ("0-3,8\n", (0, 1, 2, 3, 8)),
        ("8,0-1", (0, 1, 8)),
        ("1,1,0-1", (0, 1)),
        ("65535", (65535,)),
    ],
)
def test_a_kernel_list_of_cpus_is_parsed(text: str, cpus: tuple[int, ...]) -> None:
    """P9: the list format of cpuset(7)."""
    assert cpu_list(text) == cpus


@pytest.mark.parametrize("text", ["x", "3-1", "0-", "-3", "0,,1", "0;1", "0-3:1/2", "0-99999999999", "65536", "٣"])
def test_anything_but_a_kernel_list_is_refused(text: str) -> None:
    """P9: garbage is an error, not a guess, and cannot exhaust memory."""
    with pytest.raises(ValueError, match="is not a list of CPUs"):
        cpu_list(text)


@given(st.sets(st.integers(0, 300)))
def test_a_list_of_single_cpus_and_ranges_comes_back_as_it_was(cpus: set[int]) -> None:
    """P9: every set of CPUs survives being written and parsed."""
    assert cpu_list(",".join(str(cpu) for cpu in cpus)) == tuple(sorted(cpus))


def numa(root: Path, lists: Mapping[str, str]) -> Path:
    """Build a folder with one node per entry."""
    for node, text in lists.items():
        folder = root / "sys/devices/system/node" / node
        folder.mkdir(parents=True)
        (folder / "cpulist").write_text(text)
    return root


@pytest.mark.parametrize(
    ("lists", "nodes"),
    [
        ({"node0": "0-1\n"}, ((0, 1),)),
        ({"node0": "0-1,4-5\n", "node1": "2-3,6-7\n"}, ((0, 1, 4, 5), (2, 3, 6, 7))),
        (
            {f"node{number}": f"{number}\n" for number in (11, 3, 7, 0, 10, 5, 2, 9, 1, 8, 6, 4)},
            tuple((cpu,) for cpu in range(12)),
        ),
        ({"node0": "0-3\n", "node1": "\n"}, ((0, 1, 2, 3),)),
        ({"node0": "0-3\n", "node1": "what?\n"}, ()),
        ({}, ()),
    ],
    ids=["one", "two", "in order of number", "memory only", "garbage", "unknown"],
)
def test_cpus_are_grouped_by_numa_node(
    lists: Mapping[str, str], nodes: tuple[tuple[int, ...], ...], tmp_path: Path
) -> None:
    """P9: one tuple per node with CPUs; nothing at all when the layout is not known."""
    assert numa_nodes(numa(tmp_path, lists)) == nodes
