"""`driven run` as a process of its own, for tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTENING = re.compile(r"listening on (http://[\d.]+:\d+)")
APPLICATIONS = Path(__file__).parent


class Service(NamedTuple):
    """A running service."""

    process: subprocess.Popen[str]
    url: str
    said: str
    """The line that says where it listens."""


def command(*typed: str) -> list[str]:
    """How it is started."""
    return [sys.executable, "-W", "error", "-m", "driven", "run", *typed]


def environment(**variables: str) -> dict[str, str]:
    """With our applications to import, and no settings but these."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("DRIVEN_")}
    places = [str(APPLICATIONS), *(place for place in sys.path if place)]
    return {**others, "PYTHONPATH": os.pathsep.join(places), **variables}


@contextmanager
def running(folder: Path, reference: str, *typed: str, **variables: str) -> Iterator[Service]:
    """A service in a folder, on a port of its own; killed at the end, if it is still there."""
    process = subprocess.Popen(
        command(reference, "--port", "0", *typed),
        cwd=folder,
        env=environment(**variables),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        told = [process.stderr.readline() for _ in range(3)]
        found = LISTENING.match(told[-1])
        assert found is not None, told
        yield Service(process, found[1], told[-1])
    finally:
        process.kill()
        process.communicate()
