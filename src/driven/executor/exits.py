"""Exits: what becomes of executors when the interpreter ends, and in a forked copy of their process. One per process.

At interpreter exit everything that was submitted is done first, as with the executors of the standard library, and by
the same means: `threading` calls us before it waits for threads, and so before modules are torn down.

A fork copies the objects and none of the threads. What an executor holds belongs to the process that made it, so in the
copy it only says so.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Final

from driven.executor.errors import ExecutorClosed

if TYPE_CHECKING:
    from driven.executor.manager import Manager

AT_EXIT: Final = "after interpreter shutdown"

_managers: Final[weakref.WeakSet[Manager]] = weakref.WeakSet()
"""Those whose threads run."""


_is_ending = threading.Event()


def remember(manager: Manager) -> None:
    """See to this one when the interpreter ends, or forks. ExecutorClosed: it ends already."""
    if _is_ending.is_set():
        raise ExecutorClosed(AT_EXIT)
    _managers.add(manager)


def _at_exit() -> None:
    _is_ending.set()
    managers = tuple(_managers)
    for manager in managers:
        manager.close(AT_EXIT)
    for manager in managers:
        manager.join()


def _in_a_copy() -> None:
    for manager in tuple(_managers):
        manager.become_a_copy()


# `concurrent.futures.thread` and `.process` do the same; there is no public way to be called this early.
threading._register_atexit(_at_exit)  # type: ignore[attr-defined]  # noqa: SLF001 - as above
os.register_at_fork(after_in_child=_in_a_copy)
