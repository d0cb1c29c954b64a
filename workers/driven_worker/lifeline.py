"""The lifeline: a worker and everything it started vanish when its bus does, however the bus ends (W7).

Armed once, as the first thing in a worker's life, and never cut. It needs no thread and no Python code to run when the
bus dies, so it works while a handler holds the interpreter in C code (P1).

::

    bus    holds the only write end of a pipe; the kernel closes it when the bus dies, by SIGKILL as well
            |
    worker has the read end, with an order for the kernel: at the end of file, SIGKILL to my process group

The order is signal-driven I/O, fcntl(2): F_SETOWN names the group, F_SETSIG the signal, O_ASYNC arms it. The worker
leads a group of its own, to which its children belong unless they leave it on purpose.

The second line is PR_SET_PDEATHSIG, prctl(2), for a pipe whose write end was copied by a process that was forked from
the bus. Its signal is not SIGKILL, but one whose handler kills the group: it comes when the *thread* that started
the worker ends (P2), which may be before the process has closed its files, and a worker that dies of it alone takes the
order for its children along. Both lines may be armed too late, so both are checked after arming (P3).

Where there is no F_SETSIG (macOS) a thread waits for the end of file: that works as soon as a handler lets it run.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
import threading
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
"""linux/prctl.h"""


def die_with_bus(descriptor: int, bus_pid: int) -> None:
    """Arm the lifeline.

    Args:
        descriptor: read end of a pipe to which nobody ever writes, and whose write end only the bus holds.
        bus_pid: the process that started this one.

    """
    os.set_inheritable(descriptor, False)
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)  # whoever started it did not; never send SIGKILL to the bus's own group
    if hasattr(fcntl, "F_SETSIG"):
        _order_death_at_end_of_file(descriptor)
    else:
        threading.Thread(target=_wait_for_end_of_file, args=(descriptor,), name="driven-lifeline", daemon=True).start()
    if sys.platform == "linux":
        notice = signal.SIGRTMAX  # has no meaning of its own, and hardly anybody uses it
        signal.signal(notice, lambda _number, _frame: end_group())
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, notice)
    if os.getppid() != bus_pid:
        end_group()


def end_group() -> None:
    """Kill this process and its children; does not return."""
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _order_death_at_end_of_file(descriptor: int) -> None:
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)
    try:
        os.read(descriptor, 1)
    except BlockingIOError:
        return  # the other end is held: the bus is alive
    end_group()


def _wait_for_end_of_file(descriptor: int) -> None:
    os.read(descriptor, 1)
    end_group()
