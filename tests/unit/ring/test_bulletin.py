"""The bulletin: a reader sees the latest post that is whole, whatever the writer was doing when it died."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driven.ring.bulletin import HEADER_BYTES, LARGEST_POST_BYTES, PAGE_BYTES, Bulletin, read_bulletin

if TYPE_CHECKING:
    from collections.abc import Iterator

LATER_PAGE, EARLIER_PAGE = HEADER_BYTES, HEADER_BYTES + PAGE_BYTES
"""Where the second post lies, and the first."""


class Open:
    """A bulletin, and a descriptor of it as another process would have."""

    def __init__(self) -> None:
        self.bulletin = Bulletin.create("driven-test")
        self.descriptor = os.dup(self.bulletin._descriptor)  # noqa: SLF001 - what a reader finds in /proc

    def close(self) -> None:
        """Let go of both."""
        self.bulletin.close()
        os.close(self.descriptor)


@pytest.fixture
def shown() -> Iterator[Open]:
    """A bulletin for one test."""
    both = Open()
    yield both
    both.close()


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=6))
def test_the_latest_post_is_read_each_time(posts: list[bytes]) -> None:
    """Longer, shorter, empty: what is shown is what was posted last."""
    shown = Open()
    for post in posts:
        shown.bulletin.post(post)

        assert read_bulletin(shown.descriptor) == post
    shown.close()


@pytest.mark.parametrize("kept", [0, 8, 20, 24, 30])
def test_a_writer_that_dies_in_the_middle_of_a_post_leaves_the_one_before(shown: Open, kept: int) -> None:
    """D1: nothing that a process was doing when it was killed can mislead those who read."""
    shown.bulletin.post(b"the first, whole")
    shown.bulletin.post(b"the second one")
    second = os.pread(shown.descriptor, 64, LATER_PAGE)
    os.pwrite(shown.descriptor, second[:kept].ljust(64, b"\xee"), LATER_PAGE)

    assert read_bulletin(shown.descriptor) == b"the first, whole"


@given(st.binary(min_size=1, max_size=64), st.sampled_from([0, LATER_PAGE, EARLIER_PAGE]), st.integers(0, 63))
def test_garbage_is_refused_or_the_truth_is_read(garbage: bytes, place: int, offset: int) -> None:
    """Nobody who reads believes what has no check, however it came there."""
    shown = Open()
    shown.bulletin.post(b"1" * 40)
    shown.bulletin.post(b"2" * 40)
    os.pwrite(shown.descriptor, garbage, place + offset)

    try:
        read = read_bulletin(shown.descriptor)
    except ValueError:
        read = b"refused"

    assert read in {b"1" * 40, b"2" * 40, b"refused"}
    shown.close()


def test_what_is_no_bulletin_is_refused_and_so_is_one_of_another_version(shown: Open) -> None:
    """A reader is told what is wrong."""
    with pytest.raises(ValueError, match="nothing that is whole"):
        read_bulletin(shown.descriptor)
    os.pwrite(shown.descriptor, b"\x63", 8)
    with pytest.raises(ValueError, match="laid out as version 99, and this is version 1"):
        read_bulletin(shown.descriptor)
    os.ftruncate(shown.descriptor, 7)
    with pytest.raises(ValueError, match="no bulletin of Driven"):
        read_bulletin(shown.descriptor)


def test_a_post_that_is_too_long_is_refused_and_the_last_one_stays(shown: Open) -> None:
    """What cannot be shown does not take away what is."""
    shown.bulletin.post(b"short")

    with pytest.raises(OSError, match="on a page of"):
        shown.bulletin.post(bytes(LARGEST_POST_BYTES + 1))

    assert read_bulletin(shown.descriptor) == b"short"


def test_it_is_its_owners_alone_and_closing_it_twice_is_harmless(shown: Open) -> None:
    """Descriptors are 0600 and unnamed."""
    assert stat.S_IMODE(os.fstat(shown.descriptor).st_mode) == 0o600

    shown.bulletin.close()
    shown.bulletin.close()
