"""Processes that somebody has left: whether they end, in a time in which others may wait for them before we look."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable


def still_running(pids: Iterable[int], patience_s: float) -> list[psutil.Process]:
    """Those that do not end within so many seconds."""
    found = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended, and was waited for
            found.append(psutil.Process(pid))
    _, alive = psutil.wait_procs(found, patience_s)
    return alive
