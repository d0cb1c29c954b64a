"""`nameless_file`: open for whoever has its descriptor, and for nobody else."""

from __future__ import annotations

import fcntl
import os
import stat

from driven.ring.nameless import OWNER_ONLY, nameless_file

SEALED_AGAINST_EXECUTION = 0x20
"""F_SEAL_EXEC of linux/fcntl.h, where the kernel has it; then it comes with F_SEAL_SEAL or without."""


def test_a_nameless_file_is_its_owner_s_alone_and_not_inherited() -> None:
    """S3: nobody else's process opens it through /proc, and a program that a handler starts does not get it."""
    descriptor = nameless_file("driven-test")
    try:
        found = os.fstat(descriptor)
        assert stat.S_IMODE(found.st_mode) == OWNER_ONLY
        assert found.st_nlink == 0
        assert not os.get_inheritable(descriptor)
        if hasattr(fcntl, "F_GET_SEALS"):
            assert fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & ~SEALED_AGAINST_EXECUTION == 0
    finally:
        os.close(descriptor)
