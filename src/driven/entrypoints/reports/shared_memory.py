"""Where the rings would lie, and how one process wakes another: /dev/shm, its stand-in, doorbells."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from driven.entrypoints.reports.finding import Finding
from driven.entrypoints.words import counted, size
from driven.errors import SegmentUnavailable
from driven.ring.layout import segment_bytes
from driven.ring.segment import Segment
from driven.ring.waiting import Doorbell
from driven.settings import WorkerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.entrypoints.reports.finding import Machine

CHANNEL_BYTES = segment_bytes(WorkerSettings().ring_bytes)
"""What one worker's two rings take, unless `[workers] ring_bytes` says otherwise."""


def shared_memory(machine: Machine, workers: int) -> Iterator[Finding]:
    """Look at the folder, make a ring's memory and a doorbell; `workers` is how many would be started."""
    yield _folder(machine, workers)
    yield _backing()
    yield _doorbell()


def _folder(machine: Machine, workers: int) -> Finding:
    folder = machine.root / "dev/shm"
    needed_bytes = workers * CHANNEL_BYTES
    try:
        space = os.statvfs(folder)
    except OSError as error:
        return _no_folder(f"cannot be used ({error.strerror}); rings get their memory without it", needed_bytes)
    size_bytes, free_bytes = space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize
    is_writable = os.access(folder, os.W_OK)
    fault = remedy = ""
    if not is_writable:
        fault, remedy = "; it is not writable, and rings get their memory without it", "mount it writable, if you can"
    elif free_bytes < needed_bytes:
        fault = f"; the rings of {counted(workers, 'worker')} take {size(needed_bytes)}, the rest lie in memory files"
        remedy = "give the container a larger one (docker run --shm-size), or lower [workers] ring_bytes"
    return Finding(
        topic="shared memory",
        name="dev_shm",
        verdict="note" if fault else "ok",
        summary=f"{size(size_bytes)}, {size(free_bytes)} free{fault}",
        remedy=remedy,
        facts={
            "is_present": True,
            "is_writable": is_writable,
            "size_bytes": size_bytes,
            "free_bytes": free_bytes,
            "needed_bytes": needed_bytes,
        },
    )


def _no_folder(summary: str, needed_bytes: int) -> Finding:
    return Finding(
        topic="shared memory",
        name="dev_shm",
        verdict="note",
        summary=summary,
        facts={
            "is_present": False,
            "is_writable": False,
            "size_bytes": None,
            "free_bytes": None,
            "needed_bytes": needed_bytes,
        },
    )


def _backing() -> Finding:
    facts = {"needed_bytes": CHANNEL_BYTES}
    try:
        with Segment.create(CHANNEL_BYTES) as segment:
            backing = segment.backing
    except SegmentUnavailable as error:
        return Finding(
            topic="shared memory",
            name="ring_backing",
            verdict="problem",
            summary=f"none of {size(CHANNEL_BYTES)}: {error.reason}",
            remedy="give the container a larger /dev/shm or more memory; until then every command runs inline",
            facts={"backing": None, **facts},
        )
    return Finding(
        topic="shared memory",
        name="ring_backing",
        verdict="ok",
        summary=f"{backing}, {size(CHANNEL_BYTES)} for each worker",
        facts={"backing": backing, **facts},
    )


def _doorbell() -> Finding:
    try:
        with Doorbell.create() as bell:
            read_descriptor, write_descriptor = bell.descriptors
    except OSError as error:
        return Finding(
            topic="shared memory",
            name="doorbell",
            verdict="problem",
            summary=f"cannot be made ({error.strerror})",
            remedy="allow this process more open files (ulimit -n), or eventfd where a sandbox forbids it",
            facts={"kind": None},
        )
    kind = "eventfd" if read_descriptor == write_descriptor else "pipe"
    return Finding(topic="shared memory", name="doorbell", verdict="ok", summary=kind, facts={"kind": kind})
