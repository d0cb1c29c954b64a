"""Two kinds of work for workers: one that releases the GIL and one that holds it; each tells the CPU time it took."""

from __future__ import annotations

import hashlib
import time

from driven import Application, Command, Event, Placement

BLOCK = bytes(1 << 20)
"""Hashing more than a few kilobytes at once releases the GIL."""


class Hash(Command):
    """Hash so many megabytes, in C code that releases the GIL."""

    megabytes: int


class Count(Command):
    """Count so far, in Python code that holds it."""

    until: int


class Worked(Event):
    """The CPU time that a handler took, in nanoseconds of its own thread."""

    cpu_ns: int


app = Application("kinds")


@app.handles(Hash, placement=Placement.WORKER)
def hash_blocks(command: Hash) -> Worked:
    """SHA-256, block by block."""
    began_ns = time.thread_time_ns()
    digest = hashlib.sha256()
    for _ in range(command.megabytes):
        digest.update(BLOCK)
    return Worked(time.thread_time_ns() - began_ns)


@app.handles(Count, placement=Placement.WORKER)
def count(command: Count) -> Worked:
    """An empty loop."""
    began_ns = time.thread_time_ns()
    for _ in range(command.until):
        pass
    return Worked(time.thread_time_ns() - began_ns)
