"""The program of a bare worker: ``python -m driven.entrypoints.bench.bare.worker MEMORY BELL ANSWERS CHECKS``.

The arguments are descriptors: shared memory with the ring of tasks and, behind it, that of answers; the eventfd that
wakes this worker; the one that wakes its parent; and 1 where bodies carry a CRC-32. It ends on an empty record, and
when its parent is gone.
"""

from __future__ import annotations

import mmap
import os
import select
import sys
import time
from typing import TYPE_CHECKING, Final
from zlib import crc32

import msgspec

from driven.entrypoints.bench.bare.ring import RING_BYTES, BareRing
from driven.entrypoints.bench.contenders.port import FUNCTIONS, Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.entrypoints.bench.contenders.port import Argument

LONGEST_SLEEP_MS: Final = 50
FULL_PAUSE_S: Final = 0.0005

TASKS: Final = tuple(Task)
_RUN: Final[tuple[Callable[[Argument], bytes | None], ...]] = tuple(FUNCTIONS[task] for task in TASKS)


class BareTask(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is to be done; `task` is a place in `TASKS`."""

    number: int
    task: int
    argument: int | bytes


class BareAnswer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What came of it."""

    number: int
    value: bytes | None


encode: Final = msgspec.msgpack.Encoder().encode
decode_task: Final = msgspec.msgpack.Decoder(BareTask).decode
decode_answer: Final = msgspec.msgpack.Decoder(BareAnswer).decode


def serve(tasks: BareRing, answers: BareRing, bell: int, answers_bell: int, *, checks: bool) -> None:
    """Do what comes, until the empty record."""
    poll = select.poll()
    poll.register(bell, select.POLLIN)
    parent = os.getppid()
    while True:
        record = tasks.read()
        if record is None:
            if not _slept_well(tasks, poll, bell, parent):
                return
            continue
        body, check = record
        if not body:
            return
        if checks and crc32(body) != check:
            raise ValueError("a task that arrived in pieces")
        task = decode_task(body)
        body = encode(BareAnswer(task.number, _RUN[task.task](task.argument)))
        while not answers.write(body, crc32(body) if checks else 0):
            time.sleep(FULL_PAUSE_S)
        if answers.must_ring():
            os.eventfd_write(answers_bell, 1)


def _slept_well(tasks: BareRing, poll: select.poll, bell: int, parent: int) -> bool:
    """Sleep until there may be something; False when nobody is left to send anything."""
    tasks.sleep()
    if tasks.is_empty and poll.poll(LONGEST_SLEEP_MS):
        os.eventfd_read(bell)
    tasks.wake()
    return os.getppid() == parent


def main() -> None:
    """Map the memory, and serve."""
    memory, bell, answers_bell, checks = map(int, sys.argv[1:])
    mapped = mmap.mmap(memory, 2 * RING_BYTES)
    serve(BareRing(mapped, 0), BareRing(mapped, RING_BYTES), bell, answers_bell, checks=bool(checks))


if __name__ == "__main__":
    main()
