"""A file without a name: open for whoever has its descriptor, readable by nobody else, gone with the last of them.

Whoever makes one owns its descriptor. It is memory where the system has such files, else a temporary file::

    memfd_create, never to be executed     Linux 6.3 and newer; the other kind makes the kernel complain
    memfd_create                           older Linux
    an unlinked temporary file             macOS, and a sandbox that forbids memfd_create
"""

from __future__ import annotations

import os
import tempfile
from typing import Final

OWNER_ONLY: Final = 0o600
"""A memfd is born open to everybody who comes by its descriptor through /proc."""

_NEVER_EXECUTED: Final = 0x0008
"""MFD_NOEXEC_SEAL of linux/memfd.h, which the `os` of our oldest Python does not have."""


def nameless_file(label: str) -> int:
    """Return the descriptor of a new file, empty and not inheritable; `label` is seen in /proc/PID/maps.

    Raises:
        OSError: no kind of file can be had, as there are no descriptors left.
    """
    if hasattr(os, "memfd_create"):
        for flags in (os.MFD_CLOEXEC | _NEVER_EXECUTED, os.MFD_CLOEXEC):
            try:
                descriptor = os.memfd_create(label, flags)
            except OSError:
                continue
            os.fchmod(descriptor, OWNER_ONLY)
            return descriptor
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
