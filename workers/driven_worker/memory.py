"""How much memory a worker may have: a limit that the kernel keeps. Decided once, at startup.

The limit is RLIMIT_DATA, setrlimit(2): private memory that can be written. Beyond it mmap(2) and brk(2) fail, Python
raises MemoryError in the handler that asked, that one command fails, and the worker lives on (W6). RLIMIT_AS would
count address space that nobody uses, such as the arenas of threads and mapped files, and RLIMIT_RSS does nothing.

What a handler starts inherits the limit. Memory that is shared is not counted; the pool sees it from outside.
"""

from __future__ import annotations

import resource
import sys


def limit_memory(limit_bytes: int) -> None:
    """Have allocations beyond `limit_bytes` fail; 0: no limit. Where the kernel counts none, nothing is done."""
    if not limit_bytes or sys.platform != "linux":
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
