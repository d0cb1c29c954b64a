"""The ordeal: rounds of random commands on real workers under every trouble there is; the log must not show any of it.

::

    seed --> Round: commands, long ones among them or not, one order or order per key, worker processes or threads,
               |    rings, recycling, where memory comes from, and a schedule of faults
               |
               |-- the same commands without workers, undisturbed ---------> the digest that all must have (O6),
               |                                                             where one order is kept of short commands
               `-- `python -m ordeal ROUND`, in a mount namespace if its /dev/shm is full --> Report: what the log
                                                                             does not keep of what is promised (O9)

Everything about a round follows from its seed. A fault strikes when so many messages have retired, not at a time, and
how many retire is the same in every run, so a seed strikes the same blows again. A round runs in a process of its own,
which looks for what it has left behind before it ends. What is struck is a process: threads have the other troubles.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from itertools import pairwise
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import psutil

from driven import BusSettings, Command, CommandSettings, Middleware, Settings, WorkerSettings, open_bus, run
from driven.adapters.stores.memory import MemoryStore
from driven.pool.kinds import Kind
from driven.service.registry import build_registry
from driven.settings import Ordering
from ordering import app
from ordering_draws import SHORT, SHORT_AND_LONG, drawn_commands, ticking_clock
from promises import broken_promises
from shared_names import left_in_shared_memory, shared_memory_names

if TYPE_CHECKING:
    from driven import Envelope, MessageBus

ENDINGS = ("kill", "crash", "exit", "hang")
NO_ENDINGS = ("",)
"""A thread that ends in one of these ways takes the bus along."""
FAULTS = ("kill", "kill", "stop", "pause")
"""``stop`` is SIGSTOP for good: only the pool can end it. ``pause`` is followed by SIGCONT."""

PAUSE_S = 0.05
TIMEOUT_S = 0.5
HEARTBEAT_TIMEOUT_S = 0.5
FULL_MEMORY = "mount -t tmpfs -o size=64k tmpfs /dev/shm && head -c 65536 /dev/zero > /dev/shm/full"
WORKER_COMMANDS = ("Compute", "Deposit", "Audit", "Try", "Ponder", "Transfer")


class Fault(msgspec.Struct, frozen=True):
    """What is done to one worker."""

    after: int
    """When so many messages have retired."""
    kind: str
    worker: int
    """Which one, counted among those that are there, and round again."""


class Round(msgspec.Struct, frozen=True):
    """One ordeal, whole."""

    seed: int
    roots: int
    workers: int
    ring_bytes: int
    recycle_after_commands: int
    is_memory_full: bool
    faults: tuple[Fault, ...]
    kind: Kind = "processes"
    ordering: Ordering = "strict"
    has_long: bool = False
    """Whether there are detached commands among the others."""

    @property
    def commands(self) -> list[Command]:
        """Its roots."""
        endings = ENDINGS if self.kind == "processes" else NO_ENDINGS
        return drawn_commands(self.seed, self.roots, endings, SHORT_AND_LONG if self.has_long else SHORT)

    @property
    def is_the_same_in_every_run(self) -> bool:
        """Whether O6 holds: a digest that does not depend on workers, and blows that fall where they fell before."""
        return self.ordering == "strict" and not self.has_long


class Report(msgspec.Struct, frozen=True):
    """What came of a round."""

    digest: str
    messages: int
    lost: int
    """Positions that were given and have no outcome."""
    twice: int
    """Outcomes beyond the first of a position."""
    out_of_order: int
    struck: tuple[Fault, ...]
    broken: tuple[str, ...]
    """What the log does not keep of what was promised; see `promises`."""
    left: tuple[str, ...]
    """Descriptors, processes, threads and names that were not there before."""


def round_of(seed: int, roots: int = 40) -> Round:
    """Draw a round."""
    chance = random.Random(seed)
    spread = sorted(chance.sample(range(5, roots * 4), k=chance.randint(3, max(4, roots // 4))))
    one = Round(
        seed=seed,
        roots=roots,
        workers=chance.randint(1, 4),
        ring_bytes=1 << chance.choice([12, 12, 13, 16, 20]),
        recycle_after_commands=chance.choice([0, 0, 1, 5, 20]),
        is_memory_full=chance.random() < 0.25,
        faults=tuple(Fault(after, chance.choice(FAULTS), chance.randrange(8)) for after in spread),
    )
    one = msgspec.structs.replace(
        one,
        kind=chance.choice(["processes", "processes", "processes", "threads"]),
        ordering=chance.choice(["strict", "strict", "keyed"]),
        has_long=chance.random() < 0.4,
    )
    return one if one.kind == "processes" else msgspec.structs.replace(one, faults=())


def undisturbed_digest(one: Round) -> tuple[str, int]:
    """The digest of its commands without workers, and the number of messages: those of every other run (O6)."""
    os.environ.pop("ORDERING_DEATH_MARKS", None)
    report = run(_run(one, Settings(workers=WorkerSettings(count=0)), Witness(())))
    return report.digest, report.messages


def faultless(one: Round, report: Report) -> Report:
    """What the report of a round has to be."""
    digest, messages = (report.digest, report.messages)
    if one.is_the_same_in_every_run:
        digest, messages = undisturbed_digest(one)
    return Report(digest, messages, lost=0, twice=0, out_of_order=0, struck=report.struck, broken=(), left=())


def settings_of(one: Round) -> Settings:
    """The settings of its bus; threads can be given no time."""
    workers = WorkerSettings(
        count=one.workers,
        kind=one.kind,
        ring_bytes=one.ring_bytes,
        max_attempts=1_000_000,
        recycle_after_commands=one.recycle_after_commands,
    )
    bus = BusSettings(ordering=one.ordering)
    if one.kind == "threads":
        return Settings(bus=bus, workers=workers)
    return Settings(
        bus=bus,
        workers=msgspec.structs.replace(workers, heartbeat_timeout_s=HEARTBEAT_TIMEOUT_S, grace_s=0.2),
        commands={name: CommandSettings(timeout_s=TIMEOUT_S) for name in WORKER_COMMANDS},
    )


def disturbed(one: Round) -> Report:
    """Run a round in this process."""
    resource_tracker.ensure_running()
    run(asyncio.sleep(0))  # what a first event loop leaves is there before
    before, names_before = _things(), shared_memory_names()
    with tempfile.TemporaryDirectory() as marks:
        os.environ["ORDERING_DEATH_MARKS"] = marks
        report = run(_run(one, settings_of(one), Witness(one.faults)))
    left = _things() - before | {f"shared memory {name}" for name in left_in_shared_memory(names_before)}
    return msgspec.structs.replace(report, left=tuple(sorted(left)))


class Witness(Middleware):
    """Sees every retirement, and strikes when a fault is due."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        """`faults` in the order of their time."""
        self.bus: MessageBus | None = None
        self.positions: list[int] = []
        self.struck: list[Fault] = []
        self._due = list(reversed(faults))

    def retired(self, name: str, envelope: Envelope, outcome: object) -> None:
        """Note the position, and see what is due."""
        self.positions.append(envelope.position)
        while self._due and self._due[-1].after <= len(self.positions):
            self._strike(self._due.pop())

    def _strike(self, fault: Fault) -> None:
        assert self.bus is not None
        self.struck.append(fault)
        workers = self.bus.statistics().workers
        if not workers:
            return
        pid = workers[fault.worker % len(workers)].pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL if fault.kind == "kill" else signal.SIGSTOP)
            if fault.kind == "pause":
                asyncio.get_running_loop().call_later(PAUSE_S, _wake, pid)


def _wake(pid: int) -> None:
    """Only our own: nobody else can have its number before it is waited for, and then it has no parent here."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if process.ppid() == os.getpid():
            process.send_signal(signal.SIGCONT)


async def _run(one: Round, settings: Settings, witness: Witness) -> Report:
    """Submit all in one go, as the positions of roots are part of the log, and wait for all."""
    store = MemoryStore()
    async with open_bus(app, settings, store=store, clock_ns=ticking_clock(), middleware=[witness]) as bus:
        witness.bus = bus
        receipts = [await bus.submit(command) for command in one.commands]
        for receipt in receipts:
            await receipt.settled()
        digest = bus.log_digest()
    positions, given = witness.positions, store.last_position
    return Report(
        digest=digest,
        messages=given,
        lost=given - len(set(positions)),
        twice=len(positions) - len(set(positions)),
        out_of_order=sum(first >= second for first, second in pairwise(positions)) if one.ordering == "strict" else 0,
        struck=tuple(witness.struck),
        broken=broken_promises(store, build_registry(app), one.ordering),
        left=(),
    )


def _things() -> set[str]:
    """What a run could leave behind in this process."""
    children = {f"process {child.pid}" for child in psutil.Process().children(recursive=True)}
    descriptors = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one through which we look
            descriptors.add(f"descriptor {entry.name}: {entry.readlink()}")
    threads = {f"thread {thread.name}" for thread in threading.enumerate()}
    return children | descriptors | threads


def ordeal(one: Round, deadline_s: float) -> Report:
    """Run a round in a process of its own, in a namespace of its own where its /dev/shm is to be full.

    Raises:
        AssertionError: it did not come to its end in time, or died; with all that it said.

    """
    program = [sys.executable, "-W", "error", "-m", "ordeal", msgspec.json.encode(one).decode()]
    if one.is_memory_full:
        program = ["unshare", "--mount", "sh", "-c", f'{FULL_MEMORY} && exec "$@"', "sh", *program]
    places = os.pathsep.join(filter(None, sys.path))
    with subprocess.Popen(
        program,
        env={**os.environ, "PYTHONPATH": places},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # its interpreter writes where it hangs
            output, errors = process.communicate()
        assert process.returncode == 0, f"seed {one.seed}: {process.returncode}\n{output}\n{errors}"
    return msgspec.json.decode(output, type=Report)


def main() -> None:
    """Run the round of the command line, and print its report."""
    faulthandler.enable()
    logging.getLogger("driven").setLevel(logging.CRITICAL)
    one = msgspec.json.decode(sys.argv[1], type=Round)
    sys.stdout.write(msgspec.json.encode(disturbed(one)).decode())


if __name__ == "__main__":
    main()
