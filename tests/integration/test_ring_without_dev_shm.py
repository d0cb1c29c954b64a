"""The ring where /dev/shm is full, read-only or missing, in a mount namespace of its own."""

from __future__ import annotations

import pytest

from namespaces import in_a_namespace, why_no_namespace

PLACES = {
    "of 64 kB": "mount -t tmpfs -o size=64k tmpfs /dev/shm",
    "read-only and empty": "mount -t tmpfs -o ro tmpfs /dev/shm",
    "missing": "mount -t tmpfs tmpfs /dev",
}

SCRIPT = """
import subprocess, sys
from driven.errors import SegmentUnavailable
from driven.ring.channel import Channel
from driven.ring.segment import Segment

ECHO = '''
import sys
from driven.ring.channel import Channel, Handoff
with Channel.attach(Handoff.from_json(sys.argv[1])) as worker:
    while (record := worker.receive()) is None:
        worker.wait()
    assert worker.send(*record)
'''

try:
    Segment.create(1 << 20, backing="shared_memory")
except SegmentUnavailable as error:
    print(error.reason)

for body in (b"small", bytes(1 << 22)):
    with Channel.create(1 << 18) as bus:
        handoff = bus.handoff()
        bus._parts.segment.memory[-1] = 1
        bus._parts.segment.memory[-1] = 0
        command = [sys.executable, "-W", "error", "-c", ECHO, handoff.to_json()]
        worker = subprocess.Popen(command, pass_fds=handoff.descriptors)
        assert bus.send(1, body)
        while (record := bus.receive()) is None:
            bus.wait()
        assert record == (1, body)
        assert worker.wait(60) == 0
        print(bus._parts.segment.backing)
"""


pytestmark = pytest.mark.skipif(bool(why_no_namespace()), reason=why_no_namespace())


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("of 64 kB", "No space left on device"),
        ("read-only and empty", "Read-only file system"),
        ("missing", "No such file or directory"),
    ],
)
def test_a_channel_works_whatever_dev_shm_is_like(place: str, says: str) -> None:
    """S1, S2, W8: shared memory is refused with the reason, before it is touched; the memfd takes its place."""
    finished = in_a_namespace(PLACES[place], SCRIPT)
    assert finished.stderr == ""
    assert finished.stdout == f"shared_memory said {says}\nmemfd\nmemfd\n"
    assert finished.returncode == 0
