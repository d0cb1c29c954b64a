"""Mount namespaces for tests: a program that sees a file system of its own, and nobody else sees it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache

LONGEST_RUN_S = 100
"""For one program in a namespace, on a busy machine."""


def in_a_namespace(mount: str, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script where the shell command `mount` was done, with warnings as errors."""
    inside = ["sh", "-c", f'{mount} && exec "$@"', "sh", sys.executable, "-W", "error", "-c", script, *arguments]
    return subprocess.run(
        ["unshare", "--mount", *inside],  # noqa: S607 - the one of the system
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        timeout=LONGEST_RUN_S,
        check=False,
    )


@cache
def why_no_namespace() -> str:
    """Return why there can be no namespace here, nothing when there can."""
    if shutil.which("unshare") is None:
        return "no mount namespace can be made: there is no unshare(1) here"
    complaint = in_a_namespace("mount -t tmpfs tmpfs /dev/shm", "pass").stderr.strip()
    return complaint and f"no mount namespace can be made: {complaint}"
