"""Scribbling: a handler writes bytes of chance into the memory that its worker shares with the bus.

Nothing of ours is asked for where that memory is: a stray pointer in C code finds it, too.
"""

from __future__ import annotations

import ctypes
import random
from pathlib import Path

from driven.ring import layout

SHARED = ("/memfd:driven ", "/dev/shm/psm_")  # noqa: S108 - as they stand in the list of mappings
WORD = layout.WORD_BYTES


def shared_memory_of_this_process() -> tuple[int, int]:
    """Return where the segment of this worker is mapped, and how long it is."""
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        span, permissions = line.split()[:2]
        if permissions == "rw-s" and any(name in line for name in SHARED):
            start, end = (int(bound, 16) for bound in span.split("-"))
            return start, end - start
    raise LookupError("this process shares no memory with a bus")


def places(ring_bytes: int) -> dict[str, tuple[int, int]]:
    """Return the regions of a segment: where each begins, and how long it is."""
    found = {"the header": (0, layout.STATUS_OFFSET), "the status": (layout.STATUS_OFFSET, layout.STATUS_BYTES)}
    for name, ring in (
        ("to the worker", layout.to_worker_ring(ring_bytes)),
        ("to the bus", layout.to_bus_ring(ring_bytes)),
    ):
        for word, cursor in (
            ("tail", layout.TAIL_WORD),
            ("head", layout.HEAD_WORD),
            ("sleep", layout.SLEEP_WORD),
        ):
            found[f"the {word} of the ring {name}"] = (ring.start + cursor * WORD, WORD)
        data = ring.start + layout.RING_HEADER_BYTES
        found[f"the data of the ring {name}"] = (data, ring_bytes)
    return found


def scribble(seed: int, ring_bytes: int) -> str:
    """Write somewhere, as `seed` says; return what was hit."""
    chance = random.Random(seed)
    start, _ = shared_memory_of_this_process()
    name, (offset, length) = chance.choice(sorted(places(ring_bytes).items()))
    size = chance.choice([1, 2, WORD, min(64, length), length]) if length > WORD else chance.choice([1, 2, WORD])
    at = offset + chance.randrange(length - size + 1)
    style = chance.choice(["random", "random", "zeros", "nudge"])
    there = ctypes.string_at(start + at, size)
    if style == "random":
        new = chance.randbytes(size)
    elif style == "zeros":
        new = bytes(size)
    else:  # a cursor that goes a little way is the most plausible lie
        step = chance.choice([-64, -8, 8, 64])
        new = ((int.from_bytes(there, "little") + step) % (1 << 8 * size)).to_bytes(size, "little")
    ctypes.memmove(start + at, new, size)
    return name
