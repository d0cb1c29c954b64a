"""What a worker is started with: through an argument of a command line, and back."""

from __future__ import annotations

import os

import pytest

from driven.wire import Assignment, decode_assignment, encode_assignment

ASSIGNMENT = Assignment(
    channel="[1,2,3]",
    liveness_descriptor=7,
    fault_descriptor=8,
    bus_pid=4321,
    import_path=("", "/a folder/ünïcode", os.fsdecode(b"/no utf-8 \xff")),
    python_path=None,
    reference="census.app:app",
    modules=("census.handlers",),
    log_id="log",
    cpus=(0, 3),
    available_cpus=4,
)


def test_an_assignment_survives_the_command_line() -> None:
    """W1: also a path that holds bytes which are no UTF-8, and the empty one that means the current folder."""
    text = encode_assignment(ASSIGNMENT)

    assert os.fsencode(text).isascii()
    assert decode_assignment(text) == ASSIGNMENT


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"channel": 1}', "not JSON"])
def test_what_is_no_assignment_is_refused(text: str) -> None:
    """W1: a ValueError, whatever it is."""
    with pytest.raises(ValueError, match=r".+"):
        decode_assignment(text)
