"""An application whose one command does to its worker whatever it is told to, by the name of a deed."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import os
import random
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

from driven import Aggregate, Application, Command, Event, Placement, UnitOfWork
from driven.ring import layout
from driven.ring.channel import Channel
from driven.ring.layout import RECORD_HEADER_BYTES, TAIL_WORD
from driven.ring.ring_buffer import RingBuffer
from driven.ring.status import WorkerStatus
from scribbles import shared_memory_of_this_process

if TYPE_CHECKING:
    from types import FrameType

    from driven.ring.channel import Body

app = Application("deeds")


class Do(Command):
    """Do the deed of that name."""

    deed: str
    argument: str = ""
    data: bytes = b""


class DoWithState(Command):
    """Read a tally that does not travel along, and add to it."""

    tally: str


class Done(Event):
    """What came of it."""

    text: str
    data: bytes = b""


class Tally(Aggregate):
    """A number that is added to."""

    count: int = 0
    notes: str = ""


class Unprintable(Exception):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise SystemExit


@app.handles(Do, placement=Placement.WORKER)
def do(command: Do) -> Done:
    """Look the deed up, and do it."""
    return DEEDS[command.deed](command)


@app.handles(DoWithState, placement=Placement.WORKER)
def do_with_state(command: DoWithState, uow: UnitOfWork) -> Done:
    """Count one up."""
    tally = uow.get(Tally, command.tally)
    tally.count += 1
    return Done(str(tally.count))


def _echo(command: Do) -> Done:
    return Done(command.argument, command.data)


def _make(command: Do) -> Done:
    """Make `<argument>` bytes that are not all alike."""
    size = int(command.argument)
    pattern = random.Random(size).randbytes(min(size, 999_983))
    return Done("made", (pattern * (size // max(1, len(pattern)) + 1))[:size])


def _limit_memory(command: Do) -> Done:
    """Allow this worker `<argument>` bytes more than it has."""
    mapped = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + int(command.argument), resource.RLIM_INFINITY))
    return Done("limited")


COUNTED = itertools.count(1)


def _count(_: Do) -> Done:
    """Say how many of these this worker has begun."""
    return Done(str(next(COUNTED)))


def _raise(command: Do) -> NoReturn:
    raise LookupError(command.argument)


def _exit_politely(command: Do) -> NoReturn:
    sys.exit(command.argument)


def _interrupt(_: Do) -> NoReturn:
    raise KeyboardInterrupt


def _raise_unprintable(_: Do) -> NoReturn:
    raise Unprintable


def _return_unencodable(_: Do) -> Done:
    return Done(object())  # type: ignore[arg-type]


def _exit_at_once(command: Do) -> NoReturn:
    os._exit(int(command.argument))


def _crash(_: Do) -> NoReturn:
    ctypes.string_at(0)
    raise AssertionError


def _kill_oneself(_: Do) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _die_at(command: Do) -> Done:
    """Prepare to be killed at a named point of telling the outcome, or of taking the next command."""
    owner, method, is_first_done = POINTS[command.argument]
    original = getattr(owner, method)

    def killing(self: Any, *arguments: Any) -> Any:  # noqa: ANN401
        if is_first_done is None:
            half = arguments[1][: len(arguments[1]) // 2]
            start = (self._tail & self._mask) + RECORD_HEADER_BYTES
            self._data[start : start + len(half)] = half
        elif is_first_done:
            original(self, *arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, method, killing)
    return Done("will die")


POINTS: dict[str, tuple[type, str, bool | None]] = {
    "before the write": (RingBuffer, "try_write", False),
    "in the middle of the body": (RingBuffer, "try_write", None),
    "after the body, before it is published": (RingBuffer, "_publish", False),
    "after it is published, before the doorbell": (RingBuffer, "_publish", True),
    "after the doorbell, before the status": (WorkerStatus, "end", False),
    "after the status": (WorkerStatus, "end", True),
    "before the next read": (RingBuffer, "read", False),
    "after the next read": (RingBuffer, "read", True),
    "before the next command begins": (WorkerStatus, "begin", False),
    "when the next command has begun": (WorkerStatus, "begin", True),
}
"""Where a worker can be killed: a method of the ring or the status, and whether before or after it did its work."""


def _garble(command: Do) -> Done:
    """Write into the ring to the bus what no worker may write, beneath the channel."""
    frame = sys._getframe()  # noqa: SLF001 - the loop that called us is some frames away
    while not hasattr(frame.f_locals.get("loop"), "_channel"):
        frame = cast("FrameType", frame.f_back)
    ring = frame.f_locals["loop"]._channel._outgoing  # noqa: SLF001 - that is what makes it a misdeed
    if command.argument == "cursor":
        ring._cursors[TAIL_WORD] += 3  # noqa: SLF001 - as above
        while True:
            time.sleep(1)
    ring.try_write(int(command.argument), b"\xc1 is no MessagePack")
    return Done("garbled")


def _hide(command: Do) -> Done:
    """Wait until the next command lies in the ring, or its outcome would, and set the cursor back to before it."""
    ring = {"commands": layout.to_worker_ring, "outcomes": layout.to_bus_ring}[command.argument](1 << 16)
    start, _ = shared_memory_of_this_process()
    words = (ctypes.c_uint64 * (ring.stop // layout.WORD_BYTES)).from_address(start)
    tail, head = (ring.start // layout.WORD_BYTES + word for word in (layout.TAIL_WORD, layout.HEAD_WORD))

    def hide() -> None:
        while words[tail] == words[head]:
            time.sleep(0)
        words[tail] = words[head]

    if command.argument == "commands":
        hide()
    else:
        threading.Thread(target=hide, daemon=True).start()
    return Done("hidden")


def _garble_state(_: Do) -> NoReturn:
    """Overwrite the word that says what the worker does, and stay."""
    frame = sys._getframe()  # noqa: SLF001 - the loop that called us is some frames away
    while not hasattr(frame.f_locals.get("loop"), "status"):
        frame = cast("FrameType", frame.f_back)
    frame.f_locals["loop"].status.state = 99
    while True:
        time.sleep(1)


def _cannot_receive(command: Do) -> Done:
    """Have no memory for the next command but `<argument>`; leave a thread that keeps the process."""
    threading.Thread(target=time.sleep, args=(600,)).start()
    original, records_taken = Channel.receive, itertools.count()

    def receive(self: Channel) -> tuple[int, Body] | None:
        record = original(self)
        if record is not None and next(records_taken) >= int(command.argument):
            raise MemoryError
        return record

    Channel.receive = receive  # type: ignore[method-assign]  # as if there were none
    return Done("no memory")


def _wait_for_file(command: Do) -> Done:
    """Say in `<argument>.begun` who runs, and go on when `<argument>` is there."""
    begun = Path(command.argument + ".begun")
    begun.with_suffix(".part").write_text(str(os.getpid()), encoding="ascii")
    begun.with_suffix(".part").rename(begun)
    while not Path(command.argument).exists():
        time.sleep(0.005)
    return Done("saw it")


def _start_child(command: Do) -> Done:
    """Start a child that lives long, say in a file who it is, and wait with it."""
    with subprocess.Popen(["sleep", "600"]) as child:  # noqa: S607 - the one of the system
        said = Path(command.argument)
        said.with_suffix(".part").write_text(str(child.pid), encoding="ascii")
        said.with_suffix(".part").rename(said)
        child.wait()
    return Done("it ended")


def _hold_interpreter(command: Do) -> Done:
    """Say so in a file, then run C code for longer than anybody waits, without letting another thread run."""
    said = Path(command.argument)
    said.with_suffix(".part").write_text(str(os.getpid()), encoding="ascii")
    said.with_suffix(".part").rename(said)
    re.match(r"(a+)+$", "a" * 40 + "b")
    return Done("never")


def _ignore_sigterm(_: Do) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(1)


def _sleep(command: Do) -> Done:
    time.sleep(float(command.argument))
    return Done("slept")


def _fork(_: Do) -> Done:
    """Fork a copy that comes back from the handler like the worker itself."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return Done(str(os.getpid()))


def _tell_environment(command: Do) -> Done:
    return Done(os.environ.get(command.argument, "(unset)"))


def _tell_modules(_: Do) -> Done:
    return Done(" ".join(sorted(sys.modules)))


def _tell_process(_: Do) -> Done:
    return Done(f"{os.getpid()} {os.getpgrp()} {signal.getsignal(signal.SIGINT).name}")  # type: ignore[union-attr]


def _tell_flags(_: Do) -> Done:
    return Done(" ".join([str(sys.flags.optimize), str(sys.flags.utf8_mode), *sys.warnoptions]))


def _tell_cpus(_: Do) -> Done:
    return Done(" ".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0))))


_LEAKED: list[bytes] = []


def _leak(command: Do) -> Done:
    """Keep so many bytes for ever, take a moment over it, and say who does."""
    _LEAKED.append(b"x" * int(command.argument))
    time.sleep(0.05)
    return Done(str(os.getpid()))


def _leak_at_once(command: Do) -> Done:
    """Keep so many bytes for ever, in no time."""
    _LEAKED.append(b"x" * int(command.argument))
    return Done("kept")


def _take_memory(command: Do) -> Done:
    """Ask for so many bytes in one piece, and let go of them again."""
    return Done(str(len(bytearray(int(command.argument)))))


def _take_shared_memory(command: Do) -> NoReturn:
    """Take memory that the kernel does not count as the process's own, and keep it."""
    memory = mmap.mmap(-1, int(command.argument))
    for page in range(0, len(memory), mmap.PAGESIZE):
        memory[page] = 1
    while True:
        time.sleep(1)


def _tell_pid(_: Do) -> Done:
    return Done(str(os.getpid()))


def _print(command: Do) -> Done:
    print(command.argument)  # noqa: T201 - a handler that prints is what this is about
    return Done("printed")


DEEDS = {
    "echo": _echo,
    "make": _make,
    "limit memory": _limit_memory,
    "count": _count,
    "raise": _raise,
    "exit politely": _exit_politely,
    "interrupt": _interrupt,
    "raise unprintable": _raise_unprintable,
    "return unencodable": _return_unencodable,
    "exit at once": _exit_at_once,
    "crash": _crash,
    "kill oneself": _kill_oneself,
    "die at": _die_at,
    "garble": _garble,
    "hide": _hide,
    "garble state": _garble_state,
    "cannot receive": _cannot_receive,
    "wait for file": _wait_for_file,
    "start child": _start_child,
    "hold interpreter": _hold_interpreter,
    "ignore sigterm": _ignore_sigterm,
    "sleep": _sleep,
    "fork": _fork,
    "tell environment": _tell_environment,
    "tell modules": _tell_modules,
    "tell process": _tell_process,
    "tell flags": _tell_flags,
    "tell cpus": _tell_cpus,
    "leak": _leak,
    "leak at once": _leak_at_once,
    "take memory": _take_memory,
    "take shared memory": _take_shared_memory,
    "tell pid": _tell_pid,
    "print": _print,
}
