"""What the doctor finds: on this machine, and on fake ones that lack something."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from driven.entrypoints.reports.doctor import DoctorReport, doctor_report
from driven.entrypoints.reports.finding import Finding, Machine
from driven.entrypoints.reports.guarantees import guarantees, worker_kind_finding
from driven.entrypoints.reports.interpreter import gil_finding, libraries, sqlite_finding
from driven.entrypoints.reports.limits import limits, open_files_finding
from driven.entrypoints.reports.processors import processors
from driven.entrypoints.reports.shared_memory import CHANNEL_BYTES, shared_memory
from driven.entrypoints.reports.worker_program import worker_program
from driven.pool.kinds import GUARANTEES, is_gil_enabled

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MANY_WORKERS = 1_000


@pytest.fixture(scope="module")
def here() -> DoctorReport:
    """What the doctor finds on the machine that runs the tests."""
    return doctor_report(Machine())


def named(findings: Iterable[Finding], name: str) -> Finding:
    """The only finding of this name."""
    (found,) = (finding for finding in findings if finding.name == name)
    return found


def fake(root: Path, files: dict[str, str], environ: dict[str, str] | None = None) -> Machine:
    """A machine whose /proc, /sys and /dev are below `root`."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Machine(root=root, environ=environ or {})


def test_every_topic_is_looked_at(here: DoctorReport) -> None:
    """The list that the reference promises, in its order."""
    assert list(dict.fromkeys(finding.name for finding in here.findings)) == [
        "python",
        "gil",
        "msgspec",
        "dishka",
        "psutil",
        "uvloop",
        "sqlite",
        "cpus",
        "cpu_limit",
        "affinity",
        "numa_nodes",
        "dev_shm",
        "ring_backing",
        "doorbell",
        "worker_program",
        "pidfd",
        "open_files",
        "user_processes",
        "cgroup_processes",
        "locked_memory",
        "memory",
        "worker_kind",
        "guarantee",
    ]


def test_every_problem_comes_with_a_remedy_and_nothing_that_is_well_does(here: DoctorReport) -> None:
    """Style: errors end in what to do; here so do findings."""
    for finding in here.findings:
        assert finding.summary
        assert finding.verdict == "note" or bool(finding.remedy) == (finding.verdict == "problem")


def test_a_machine_that_runs_these_tests_runs_driven(here: DoctorReport) -> None:
    """W1, W8: the worker program starts and a ring has its memory, here."""
    assert here.is_ok
    assert named(here.findings, "worker_program").facts["program"] == "driven_worker"
    assert named(here.findings, "ring_backing").facts["backing"] in ("shared_memory", "memfd")


def test_only_problems_are_failures() -> None:
    """A note is worth knowing, and Driven works."""
    note, problem = (Finding(topic="cpus", name="x", verdict=verdict, summary="") for verdict in ("note", "problem"))

    assert DoctorReport("0", (note, note)).is_ok
    assert not DoctorReport("0", (note, problem)).is_ok


def test_the_record_survives_json(here: DoctorReport) -> None:
    """The JSON output decodes into the very same record."""
    assert msgspec.json.decode(msgspec.json.encode(here), type=DoctorReport) == here


def test_cpus_are_counted_with_the_limit_that_decides(tmp_path: Path) -> None:
    """P9: a quota far above us in the tree decides, and is named with its file."""
    mount = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    machine = fake(
        tmp_path,
        {
            "proc/self/cgroup": "0::/a\n",
            "proc/self/mountinfo": mount,
            "sys/fs/cgroup/a/cpu.max": "50000 100000",
            "sys/devices/system/node/node0/cpulist": "0-3",
            "sys/devices/system/node/node1/cpulist": "4-7",
        },
    )

    found = list(processors(machine))

    assert named(found, "cpus").facts["source"] == "cgroup v2 quota"
    assert "cpu.max 50000/100000 in /sys/fs/cgroup/a" in named(found, "cpus").summary
    assert [finding.facts["value"] for finding in found if finding.name == "cpu_limit"][1:] == [0.5]
    assert named(found, "numa_nodes").summary == "2 nodes (0: CPU 0-3; 1: CPU 4-7)"


def test_one_cpu_is_a_note_and_says_what_workers_are_good_for_there(tmp_path: Path) -> None:
    """docs/explanation/workers.md: workers on one CPU bring isolation and timeouts, and no speed."""
    cpus = named(processors(fake(tmp_path, {}, {"DRIVEN_CPUS": "1"})), "cpus")

    assert (cpus.verdict, cpus.facts["count"]) == ("note", 1)
    assert "isolation and timeouts" in cpus.remedy


def test_a_variable_that_no_bus_accepts_is_a_problem_and_ends_nothing_else(tmp_path: Path) -> None:
    """P9: DRIVEN_CPUS=many keeps a bus from opening; the doctor goes on to look at the rest."""
    report = doctor_report(Machine(root=tmp_path, environ={**os.environ, "DRIVEN_CPUS": "many"}))

    assert named(report.findings, "cpus").verdict == "problem"
    assert named(report.findings, "cpus").facts == {"count": None, "source": None, "detail": None}
    assert 'DRIVEN_CPUS = "many"' in named(report.findings, "cpus").summary
    assert named(report.findings, "memory").verdict == "ok"
    assert not report.is_ok


def test_a_missing_shared_memory_folder_is_a_note(tmp_path: Path) -> None:
    """S1, W8: rings lie in memory files where there is no /dev/shm, as on AWS Lambda."""
    folder = named(shared_memory(Machine(root=tmp_path), 2), "dev_shm")

    assert (folder.verdict, folder.facts["is_present"]) == ("note", False)
    assert "rings get their memory without it" in folder.summary


def test_a_shared_memory_folder_that_is_too_small_is_a_note(tmp_path: Path) -> None:
    """S2: Docker's 64 MB are enough for some workers, and the rest lie in memory files."""
    (tmp_path / "dev/shm").mkdir(parents=True)
    space = os.statvfs(tmp_path)
    workers = space.f_bavail * space.f_frsize // CHANNEL_BYTES + 2

    folder = named(shared_memory(Machine(root=tmp_path), workers), "dev_shm")

    assert folder.verdict == "note"
    assert folder.facts["needed_bytes"] == workers * CHANNEL_BYTES
    assert "--shm-size" in folder.remedy


def test_a_worker_program_that_does_not_start_is_a_problem_with_its_last_words() -> None:
    """W1: the interpreter that this environment makes cannot find its own library."""
    program = named(worker_program(Machine(environ={**os.environ, "PYTHONHOME": "/nowhere"})), "worker_program")

    assert program.verdict == "problem"
    assert program.summary.startswith("driven_worker ended with exit code 1 and said: ")
    assert "[workers] count = 0" in program.remedy


@pytest.mark.parametrize(
    ("limit", "verdict"), [(None, "ok"), (1024, "ok"), (64, "problem")], ids=["no limit", "usual", "few"]
)
def test_open_files_must_do_for_all_workers(limit: int | None, verdict: str) -> None:
    """P9: each worker costs the main process descriptors; running out of them breaks the pool."""
    finding = open_files_finding(limit, workers=4)

    assert finding.verdict == verdict
    assert ("ulimit -n" in finding.remedy) == (verdict == "problem")


def test_a_cgroup_that_is_too_small_for_its_workers_is_told(tmp_path: Path) -> None:
    """P9: too few processes keep workers from starting; too little memory only may."""
    machine = fake(
        tmp_path,
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/pids.max": "100",
            "sys/fs/cgroup/memory.max": str(512 << 20),
        },
    )

    many, few = list(limits(machine, MANY_WORKERS)), list(limits(machine, 2))

    assert [named(many, name).verdict for name in ("cgroup_processes", "memory")] == ["problem", "note"]
    assert [named(few, name).verdict for name in ("cgroup_processes", "memory")] == ["ok", "ok"]
    assert named(few, "memory").summary.startswith("512 MiB by /sys/fs/cgroup/memory.max; the machine has ")


@pytest.mark.parametrize(
    ("build", "state", "verdict", "beginning"),
    [
        ("usual", "on", "ok", "on, as in every build"),
        ("free-threaded", "on", "note", "on, in a free-threaded build"),
        ("free-threaded", "off", "ok", "off"),
    ],
)
def test_a_gil_that_came_back_is_noted(build: str, state: str, verdict: str, beginning: str) -> None:
    """W9: one extension module that needs the GIL turns it on for the whole process."""
    finding = gil_finding(is_free_threaded_build=build == "free-threaded", is_gil_enabled=state == "on")

    assert finding.verdict == verdict
    assert finding.summary.startswith(beginning)


@pytest.mark.parametrize(
    ("asked", "kind", "timeouts"), [("auto", "processes", "kept:"), ("threads", "threads", "refused at opening")]
)
def test_the_guarantees_are_those_of_the_kind_that_applies(asked: str, kind: str, timeouts: str) -> None:
    """W9: one column of the table, by what the environment and this interpreter say together."""
    machine = Machine(environ={**os.environ, "DRIVEN_WORKERS_KIND": asked})

    found = list(guarantees(machine))

    assert named(found, "worker_kind").facts["kind"] == kind or not is_gil_enabled()
    column = {finding.facts["about"]: finding.facts["told"] for finding in found if finding.name == "guarantee"}
    assert list(column) == [guarantee.about for guarantee in GUARANTEES]
    assert str(column["timeouts (W5)"]).startswith(timeouts)


def test_a_configuration_that_no_bus_takes_has_no_guarantees() -> None:
    """Style: the doctor says what is wrong, and goes on to nothing that follows from it."""
    (finding,) = guarantees(Machine(environ={"DRIVEN_WORKERS_KIND": "fibers"}))

    assert finding.verdict == "problem"
    assert "fibers" in finding.summary


@pytest.mark.parametrize(("is_gil_enabled", "verdict"), [(True, "note"), (False, "ok")])
def test_threads_under_a_gil_are_a_note(is_gil_enabled: bool, verdict: str) -> None:
    """W9: they serve handlers that release it, and no others."""
    assert worker_kind_finding("threads", "threads", is_gil_enabled=is_gil_enabled).verdict == verdict


@pytest.mark.parametrize(
    ("version", "verdict"),
    [
        ("3.6.23", "ok"),
        ("3.7.0", "note"),
        ("3.40.1", "note"),
        ("3.51.2", "note"),
        ("3.51.3", "ok"),
        ("3.53.1", "ok"),
    ],
)
def test_the_wal_reset_bug_is_known_by_its_versions(version: str, verdict: str) -> None:
    """SQLite 3.7.0 to 3.51.2 have it; Driven keeps clear of it, so it is a note and asks for nothing."""
    finding = sqlite_finding(version)

    assert (finding.verdict, finding.remedy) == (verdict, "")
    assert finding.summary.startswith(version)
    assert ("the WAL-reset bug; Driven writes and checkpoints through one" in finding.summary) is (verdict == "note")
    assert finding.facts == {"version": version, "has_wal_reset_bug": verdict == "note"}


def test_a_python_without_sqlite_is_a_note_that_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log in memory goes without, so the doctor says what cannot be had and asks for nothing."""
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    (finding,) = (one for one in libraries() if one.name == "sqlite")

    assert (finding.verdict, finding.remedy) == ("note", "")
    assert "cannot be imported" in finding.summary
    assert "a store sqlite:// cannot be opened" in finding.summary
