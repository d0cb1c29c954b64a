"""The machine of a run: what it is, how loaded it was, and how much of it others took."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import msgspec
import psutil

import driven
from driven.entrypoints.bench.calibration import Calibration
from driven.pool.cpus import available_cpus


class Machine(msgspec.Struct, frozen=True):
    """What does not change during a run."""

    processor: str
    cpus: int
    """That this process may use."""
    cpus_because: str
    """Which limit that is."""
    memory_bytes: int
    system: str
    """Operating system, kernel and architecture."""
    python: str
    driven: str


class Noise(msgspec.Struct, frozen=True):
    """How quiet the machine was."""

    variation: float
    """Coefficient of variation of the same loop, repeated all through the run, by the clock on the wall."""
    loops: int
    steal: float | None
    """Part of all CPU time that the hypervisor gave to others; None: unknown on this system."""
    load_before: float
    """Load average over a minute, at the beginning."""
    load_after: float
    calibration: Calibration


class CpuTimes(msgspec.Struct, frozen=True):
    """Seconds that all CPUs spent since they started, whole and stolen."""

    whole_s: float
    stolen_s: float | None


def machine() -> Machine:
    """Look at this machine."""
    cpus = available_cpus()
    uname = platform.uname()
    return Machine(
        processor=processor(Path("/proc/cpuinfo")) or uname.processor or uname.machine,
        cpus=cpus.count,
        cpus_because=cpus.detail,
        memory_bytes=psutil.virtual_memory().total,
        system=f"{uname.system} {uname.release} {uname.machine}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        driven=driven.__version__,
    )


def processor(cpuinfo: Path) -> str:
    """The model as the kernel knows it; empty: it does not say."""
    try:
        lines = cpuinfo.read_text("utf-8").splitlines()
    except OSError:
        return ""
    named = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return named[0] if named else ""


def cpu_times() -> CpuTimes:
    """What the CPUs did so far."""
    times = psutil.cpu_times()
    return CpuTimes(sum(times), getattr(times, "steal", None))


def stolen(before: CpuTimes, after: CpuTimes) -> float | None:
    """The part of the time between two looks that others got."""
    if before.stolen_s is None or after.stolen_s is None or after.whole_s <= before.whole_s:
        return None
    return (after.stolen_s - before.stolen_s) / (after.whole_s - before.whole_s)


def load() -> float:
    """Load average over a minute."""
    return os.getloadavg()[0]
